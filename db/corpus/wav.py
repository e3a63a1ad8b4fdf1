"""Recorded speech: `.wav` in any rate and number of channels, and the sound of `.flv` recordings."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np

from db.corpus.errors import BadFile, shown

# Sizes that programs write when they stream a file and do not know its length yet.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0x7FFFFFFF)
_FFMPEG_LIMIT_S = 120


def read_audio(path: Path) -> tuple[np.ndarray, int]:
    """The samples of `path` as (S,) float32 in -1..1, channels averaged, and the sample rate in Hz.

    Raises BadFile if it is damaged, truncated, empty, or holds values that are no numbers.
    """
    data = _extract_audio(path) if path.suffix.lower() == ".flv" else _read_bytes(path)
    return _decode(data, shown(path))


def write_audio(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write (S,) samples as a mono `.wav`: 16 bit, or 32 bit float where a sample exceeds full scale."""
    import soundfile

    fits = not samples.size or float(np.abs(samples).max()) <= 1.0
    buffer = io.BytesIO()
    # Through memory, because libsndfile reports a full disk without saying so.
    soundfile.write(buffer, samples, rate, subtype="PCM_16" if fits else "FLOAT", format="WAV")
    path.write_bytes(buffer.getvalue())


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(f"{shown(path)}: cannot be opened ({error.strerror or error}); check the file") from error


def _decode(data: bytes, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    _refuse_truncated(data, name)
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise BadFile(
            f"{name}: no readable audio ({error.error_string.strip()}); the file is damaged or of another kind. "
            "Copy it again"
        ) from error
    if not len(samples):
        raise BadFile(f"{name}: has a header but no sound; copy it again")
    if not np.isfinite(samples).all():
        raise BadFile(f"{name}: holds samples that are NaN or infinite; export it again", kind="not_finite")
    return samples.mean(axis=1, dtype=np.float32), rate


def _refuse_truncated(data: bytes, name: str) -> None:
    """libsndfile plays what is left of a truncated file as if it were whole, so look at the sizes first."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] == b"data":
            if size not in _UNKNOWN_SIZES and position + 8 + size > len(data):
                raise BadFile(
                    f"{name}: truncated, {len(data) - position - 8} of {size} bytes of sound; the copy was "
                    "probably interrupted. Copy the file again",
                    kind="truncated",
                )
            return
        position += 8 + size + size % 2
    raise BadFile(f"{name}: truncated before its sound begins; copy the file again", kind="truncated")


def find_ffmpeg() -> str | None:
    """The ffmpeg program: the one that the imageio-ffmpeg package brings, or the system's; None without."""
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return shutil.which("ffmpeg")


def _extract_audio(path: Path) -> bytes:
    """The sound of a recording with picture, as the bytes of a `.wav`."""
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        raise BadFile(
            f"{shown(path)}: taking the sound out of a video needs ffmpeg, which is not installed; "
            "`pip install imageio-ffmpeg`, or put the .wav files into audio/"
        )
    # A file name may begin with "-" or look like an address; "file:" makes it a name and nothing else.
    command = [
        ffmpeg,
        "-v",
        "error",
        "-nostdin",
        "-i",
        f"file:{path.resolve()}",
        "-vn",
        "-c:a",
        "pcm_s16le",
        "-f",
        "wav",
        "pipe:1",
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_FFMPEG_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BadFile(f"{shown(path)}: ffmpeg did not finish in {_FFMPEG_LIMIT_S} s; check the file") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadFile(f"{shown(path)}: no sound could be read from it ({said[-1] if said else 'no audio track'})")
    return done.stdout
