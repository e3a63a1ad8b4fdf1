"""Speech with phoneme timings: espeak-ng where its wheel is installed, else our formant synthesiser.

`speak` gives the same kind of `Utterance` either way. Emotion is in the prosody only, never in the words: angry
speech is fast, loud and wide in pitch, happy speech high and lively, sad speech slow, low, soft and flat (Scherer,
"Vocal communication of emotion", 2003); each between neutral and full by its strength.

espeak-ng (GPL-3) is not part of this project: it is used when the optional package `espeakng-loader` brings it.
"""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import formant
from .sentences import SENTENCES, Sentence

ESPEAK_RATE_HZ = 22_050
ENGINES = ("espeak", "formant")


@dataclass(frozen=True)
class Phoneme:
    """One speech sound: IPA symbol without stress ("" is silence), start and end in seconds, stressed or not."""

    symbol: str
    start_s: float
    end_s: float
    stressed: bool = False


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence: audio (S,) int16 at `rate_hz`, and its phonemes from first to last sample."""

    audio: NDArray[np.int16]
    rate_hz: int
    phonemes: tuple[Phoneme, ...]

    @property
    def duration_s(self) -> float:
        return len(self.audio) / self.rate_hz


@dataclass(frozen=True)
class Prosody:
    """How a sentence is spoken, in espeak's units: words per minute, and 0-100 for pitch, its range, and volume."""

    rate: float
    pitch: float
    pitch_range: float
    volume: float


PROSODY = {
    "neutral": Prosody(180, 50, 45, 82),
    "happy": Prosody(192, 70, 92, 98),
    "angry": Prosody(206, 59, 84, 128),
    "sadness": Prosody(138, 35, 16, 58),
}


@dataclass(frozen=True)
class Voice:
    """A subject's voice: espeak's name for it, pitch offset in espeak units, speed factor, mean pitch in Hz."""

    espeak: str
    pitch: float
    speed: float
    mean_hz: float
    tract: float  # length of the vocal tract relative to an adult man's; scales the formants


VOICES = {
    "F1": Voice("en-us+f1", 4, 1.02, 196, 0.86),
    "F2": Voice("en-us+f2", -6, 0.97, 186, 0.87),
    "F3": Voice("en-us+f3", 2, 1.05, 214, 0.84),
    "F4": Voice("en-us+f4", 8, 1.00, 204, 0.86),
    "F5": Voice("en-gb-scotland+f2", 3, 1.00, 201, 0.85),
    "F6": Voice("en-gb-x-rp+f3", -3, 0.95, 208, 0.84),
    "F7": Voice("en-us+linda", -6, 1.03, 222, 0.83),
    "F8": Voice("en-us+f5", -2, 0.98, 190, 0.88),
    "M1": Voice("en-us+m1", 0, 1.00, 104, 1.00),
    "M2": Voice("en-us+m3", 5, 1.03, 118, 0.98),
    "M3": Voice("en-gb-scotland+m7", -4, 0.97, 110, 0.99),
    "M4": Voice("en-gb-x-rp+m2", 3, 1.02, 112, 1.01),
    "M5": Voice("en-us+m6", 8, 0.98, 121, 0.97),
    "M6": Voice("en-029+m3", -6, 0.96, 96, 1.02),
}


@cache
def engine() -> str:
    """Which synthesiser `speak` uses by default: "espeak" where its library can be loaded, else "formant"."""
    try:
        with _library():
            return "espeak"
    except (ImportError, OSError):
        return "formant"


@contextlib.contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """espeak-ng, freshly loaded, and unloaded afterwards.

    It carries the state of its noise and wave generators from one sentence to the next, beyond espeak_Terminate; only
    unloading makes a sentence independent of those before it (about 10 ms). Where a system does not really unload, a
    corpus still comes out the same each time a new process makes it.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        yield library
    finally:
        unload = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
        unload(library._handle)


def prosody_of(emotion: str, strength: float, rng: np.random.Generator) -> Prosody:
    """Between neutral and the emotion's full prosody by `strength` in [0, 1], with a speaker's usual variation."""
    start, goal = PROSODY["neutral"], PROSODY[emotion]
    share = float(np.clip(strength + rng.normal(0, 0.10), 0, 1.1))

    def between(field: str, noise: float) -> float:
        a, b = getattr(start, field), getattr(goal, field)
        return (a + (b - a) * share) * float(np.exp(rng.normal(0, noise)))

    noise = {"rate": 0.035, "pitch": 0.04, "pitch_range": 0.12, "volume": 0.05}
    return Prosody(**{field: between(field, amount) for field, amount in noise.items()})


def speak(sentence: Sentence, voice: Voice, prosody: Prosody, using: str | None = None) -> Utterance:
    """Speak a sentence. The same arguments give the same samples, whatever was spoken before.

    Raises ValueError for an engine that does not exist, RuntimeError if espeak refuses the voice.
    """
    using = using or engine()
    mine = replace(prosody, rate=prosody.rate * voice.speed, pitch=np.clip(prosody.pitch + voice.pitch, 5, 95))
    if using == "espeak":
        return _espeak(sentence, voice, mine)
    if using == "formant":
        return _formant(sentence, voice, mine)
    raise ValueError(f"speech engine {using!r}: expected one of {', '.join(ENGINES)}")


def _formant(sentence: Sentence, voice: Voice, prosody: Prosody) -> Utterance:
    semitones = (prosody.pitch - 50 - voice.pitch) / 50 * 9
    audio, timed = formant.synthesise(
        sentence.sounds,
        mean_hz=voice.mean_hz * 2 ** (semitones / 12),
        range_semitones=1.0 + 7.0 * prosody.pitch_range / 100,
        speed=prosody.rate / PROSODY["neutral"].rate,
        level=prosody.volume / 160,
        tract=voice.tract,
    )
    phonemes = tuple(Phoneme(s, a, b, stressed) for s, a, b, stressed in timed)
    return Utterance(audio, formant.RATE_HZ, phonemes)


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h; `name` is its union, eight bytes of UTF-8 for a phoneme."""

    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("name", ctypes.c_char * 8),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_SYNCHRONOUS, _PHONEME_EVENTS, _IPA, _DONT_EXIT = 2, 0x0001, 0x0002, 0x8000
_END_OF_LIST, _PHONEME = 0, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8 = 1


def _espeak(sentence: Sentence, voice: Voice, prosody: Prosody) -> Utterance:
    import espeakng_loader

    with _library() as library:
        flags = _PHONEME_EVENTS | _IPA | _DONT_EXIT
        data = espeakng_loader.get_data_path()
        if library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), flags) != ESPEAK_RATE_HZ:
            raise RuntimeError(f"espeak-ng could not start with its data in {data}; reinstall espeakng-loader")
        with contextlib.suppress(AttributeError):  # breath and flutter are random, seeded by the clock otherwise
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        try:
            return _espeak_with(library, sentence, voice, prosody)
        finally:
            library.espeak_Terminate()


def _espeak_with(library: ctypes.CDLL, sentence: Sentence, voice: Voice, prosody: Prosody) -> Utterance:
    pieces: list[NDArray[np.int16]] = []
    events: list[tuple[int, str]] = []

    @_CALLBACK
    def collect(samples, count, event) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, shape=(count,)).astype(np.int16))
        i = 0
        while event[i].type != _END_OF_LIST:
            if event[i].type == _PHONEME:
                events.append((event[i].sample, event[i].name.decode("utf-8", "replace")))
            i += 1
        return 0

    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(voice.espeak.encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {voice.espeak!r}; reinstall espeakng-loader")
    numbers = {_RATE: prosody.rate, _VOLUME: prosody.volume, _PITCH: prosody.pitch, _RANGE: prosody.pitch_range}
    for number, value in numbers.items():
        library.espeak_SetParameter(number, int(round(value)), 0)
    text = sentence.text.encode() + b"\0"
    library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    audio = np.concatenate(pieces)
    phonemes = _phonemes(events, audio)
    end = min(len(audio), int((phonemes[-1].end_s + 0.10) * ESPEAK_RATE_HZ))  # espeak adds a long silence
    return Utterance(audio[:end], ESPEAK_RATE_HZ, phonemes)


def _phonemes(events: list[tuple[int, str]], audio: NDArray[np.int16]) -> tuple[Phoneme, ...]:
    """Phonemes from espeak's events: each lasts until the next begins, the last until the sound has died away."""
    audible = np.flatnonzero(np.abs(audio.astype(np.int32)) > 0.03 * np.abs(audio.astype(np.int32)).max())
    events = [(start, name) for start, name in events if name or start < audible[-1]]
    ends = [start for start, _ in events[1:]] + [int(audible[-1])]
    return tuple(
        Phoneme(name.strip("ˈˌ"), start / ESPEAK_RATE_HZ, end / ESPEAK_RATE_HZ, "ˈ" in name)
        for (start, name), end in zip(events, ends, strict=True)
        if end > start
    )


def padded(utterance: Utterance, before_s: float, after_s: float, rng: np.random.Generator) -> Utterance:
    """The utterance with silence around it over a faint noise floor (-87 dBFS), as a recording has them."""
    rate = utterance.rate_hz
    before, after = int(before_s * rate), int(after_s * rate)
    audio = np.pad(utterance.audio.astype(np.float64), (before, after))
    audio += rng.normal(0, 1.5, len(audio))
    late = before / rate
    moved = tuple(replace(p, start_s=p.start_s + late, end_s=p.end_s + late) for p in utterance.phonemes)
    silence = (Phoneme("", 0.0, before / rate), *moved, Phoneme("", moved[-1].end_s, len(audio) / rate))
    return Utterance(np.clip(np.round(audio), -32768, 32767).astype(np.int16), rate, silence)


def sentence_for(name: str) -> Sentence:
    """The words of sentence `e07` or `07`: both takes say the same; ValueError outside 1-40."""
    number = int(name.lstrip("e"))
    if not 1 <= number <= len(SENTENCES):
        raise ValueError(f"sentence {name!r}: the demo has sentences 1 to {len(SENTENCES)}")
    return SENTENCES[number - 1]
