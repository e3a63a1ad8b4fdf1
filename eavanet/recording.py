"""Recorded speech of any kind for animation: any rate, any number of channels, wav, flac, ogg, mp3, and through ffmpeg
whatever it reads. Read in blocks, so that a long recording in stereo at 48 kHz costs only what it is at 16 kHz mono.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eavanet.audio import SAMPLE_RATE

_BLOCK = 1 << 18  # samples per channel


class UnreadableAudio(ValueError):
    """The file holds no sound that can be read; the message says what to do."""


def read_recording(path: Path) -> np.ndarray:
    """(S,) float32 at 16 kHz, channels averaged. Raises UnreadableAudio, FileNotFoundError."""
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with soundfile.SoundFile(path) as file:
            blocks = (block.mean(axis=1) for block in file.blocks(_BLOCK, dtype="float32", always_2d=True))
            samples = _resampled(blocks, file.samplerate)
    except soundfile.LibsndfileError:
        samples = _through_ffmpeg(path)
    if not len(samples):
        raise UnreadableAudio(f"{path}: holds no sound")
    if not np.isfinite(samples).all():
        raise UnreadableAudio(f"{path}: holds samples that are no numbers; export it again")
    return samples


def _resampled(blocks: Iterator[np.ndarray], rate: int) -> np.ndarray:
    if rate == SAMPLE_RATE:
        parts = list(blocks)
    else:
        import soxr

        stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        parts = [stream.resample_chunk(block) for block in blocks]
        parts.append(stream.resample_chunk(np.empty(0, np.float32), last=True))
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _through_ffmpeg(path: Path) -> np.ndarray:
    command = [ffmpeg(path), "-v", "error", "-nostdin", "-i", str(path), "-vn", "-f", "f32le", "-ac", "1"]
    run = subprocess.run([*command, "-ar", str(SAMPLE_RATE), "-"], capture_output=True)
    if run.returncode:
        reason = run.stderr.decode(errors="replace").strip().splitlines()
        raise UnreadableAudio(
            f"{path}: cannot be read as sound ({reason[-1] if reason else 'no reason given'}); convert it to wav"
        )
    return np.frombuffer(run.stdout, dtype="<f4").astype(np.float32)


def ffmpeg(needed_for: Path) -> str:
    """Where ffmpeg is: on the path, or the one of imageio-ffmpeg. Raises UnreadableAudio if there is none."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise UnreadableAudio(
            f"{needed_for}: this format needs ffmpeg (apt-get install ffmpeg, or pip install imageio-ffmpeg); or "
            "use wav"
        ) from error
