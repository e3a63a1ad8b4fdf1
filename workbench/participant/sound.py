"""The sound check: a few beeps, to be counted. It needs no language, and each wrong guess brings another number."""

import io
import random
import wave

import numpy as np

RATE = 16_000
FEWEST, MOST = 2, 5


def another_number(previous: int | None = None) -> int:
    """How many beeps the next sound has: another number than before."""
    return random.choice([number for number in range(FEWEST, MOST + 1) if number != previous])


def beeps(number: int) -> bytes:
    """`number` beeps of 0.2 s as a WAV file (mono, 16 kHz), softly begun and ended."""
    time_s = np.arange(int(0.2 * RATE)) / RATE
    envelope = np.minimum(1, np.minimum(time_s, time_s[::-1]) / 0.02)
    beep = 0.35 * envelope * np.sin(2 * np.pi * 520 * time_s)
    silence = np.zeros(int(0.35 * RATE))
    samples = np.concatenate([silence, *(part for _ in range(number) for part in (beep, silence))])
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()
