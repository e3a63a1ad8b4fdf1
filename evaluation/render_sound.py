"""How loud a film's sound is made: all the same, so that loudness cannot sway who compares films (ITU-R BS.1770)."""

import re
import subprocess
from pathlib import Path

LOUDNESS = -23.0  # LUFS, as EBU R 128 asks for
PEAK = -1.0  # dBFS, not exceeded: better quieter than distorted
_SILENT = -70.0  # LUFS, what is measured where nothing is heard, or for less than 0.4 s
_SUMMARY = re.compile(rb"I:\s+(-?[\d.]+|-inf) LUFS.*?Peak:\s+(-?[\d.]+|-inf) dBFS", re.DOTALL)


def gain(sound: Path) -> float:
    """By how many decibels `sound` is to be raised; 0 for silence. One gain for the whole: its dynamics stay.

    Raises ValueError for what ffmpeg cannot read as sound.
    """
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", str(sound),
               "-map", "0:a:0", "-af", "ebur128=framelog=quiet:peak=sample", "-f", "null", "-"]  # fmt: skip
    told = subprocess.run(command, capture_output=True).stderr
    found = _SUMMARY.search(told)
    if found is None:
        reason = told.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError(f"{sound}: no sound that can be read ({' '.join(reason)})")
    loudness, peak = (float(number) for number in found.groups())
    return 0.0 if loudness <= _SILENT else round(min(LOUDNESS - loudness, PEAK - peak), 1)
