"""Speech and motion stay together: what preprocessing cuts from one it cuts from the other, and all can be undone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import preprocess
from db.preprocess import SAMPLE_RATE, UnusableAudio, count_frames, frame_start, prepare_speech, to_16_khz, undo_level

FRAME_RATES = st.sampled_from([24.0, 25.0, 29.97, 30.0, 59.94, 60.0, 100.0])


def tone(
    duration_s: float, start_s: float, end_s: float, amplitude: float = 0.3, rate: int = SAMPLE_RATE
) -> np.ndarray:
    """A tone between two moments, silence around it."""
    time = np.arange(round(duration_s * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * 220 * time) * ((time >= start_s) & (time < end_s))).astype(np.float32)


def peak_db(samples: np.ndarray) -> float:
    return 20 * np.log10(np.abs(samples).max())


@settings(max_examples=80, deadline=None)
@given(
    duration=st.floats(0.5, 6),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    fps=FRAME_RATES,
    extra=st.integers(-4, 4),
)
def test_what_is_kept_of_sound_and_motion_begins_and_ends_together(duration, ends, fps, extra):
    start, end = sorted(ends)
    sound = tone(duration, start * (duration - 0.2), start * (duration - 0.2) + 0.2 + (end - start) * (duration - 0.2))
    n_frames = max(1, count_frames(len(sound), fps) + extra)
    speech = prepare_speech(sound, n_frames, fps)
    first, last = speech.first_frame, speech.first_frame + speech.n_frames
    assert 0 <= first < last <= n_frames
    # T = round(frames per second x duration).
    assert count_frames(len(speech.samples), fps) == speech.n_frames
    # Sample for sample the recording between the two frame boundaries, but for the level.
    begin, stop = frame_start(first, fps), frame_start(last, fps)
    assert len(speech.samples) == stop - begin
    recorded = np.pad(sound, (0, max(0, stop - len(sound))))[begin:stop]
    np.testing.assert_allclose(undo_level(speech.samples, speech.gain_db), recorded, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(start=st.floats(0, 1.5), fps=FRAME_RATES)
def test_no_speech_is_cut_and_little_silence_is_left(start, fps):
    sound = tone(3, start, start + 1)
    n_frames = count_frames(len(sound), fps)
    speech = prepare_speech(sound, n_frames, fps)
    first_s, last_s = speech.first_frame / fps, (speech.first_frame + speech.n_frames) / fps
    one_sample = 1 / SAMPLE_RATE
    assert first_s <= start + 2 * one_sample
    assert last_s >= min(start + 1, n_frames / fps) - 2 * one_sample
    # librosa looks at windows of 128 ms every 32 ms; then up to one frame more is kept.
    assert start - first_s < 0.16 + 1 / fps
    assert last_s - (start + 1) < 0.16 + 1 / fps


@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 30.0, 60.0])
def test_frame_boundaries_never_drift_from_the_clock(fps):
    frames = np.arange(0, 100_000, 997)
    starts = np.array([frame_start(int(frame), fps) for frame in frames])
    assert np.abs(starts - frames * SAMPLE_RATE / fps).max() <= 0.5
    assert [count_frames(int(start), fps) for start in starts] == frames.tolist()


def test_the_highest_peak_is_brought_to_minus_3_db():
    speech = prepare_speech(tone(2, 0.5, 1.5, amplitude=0.05), 50, 25)
    assert peak_db(speech.samples) == pytest.approx(-3, abs=1e-3)
    assert speech.gain_db == pytest.approx(-3 - 20 * np.log10(0.05), abs=1e-2)


def test_loud_sound_is_brought_down():
    speech = prepare_speech(tone(2, 0.5, 1.5, amplitude=1.0), 50, 25)
    assert speech.gain_db == pytest.approx(-3, abs=1e-2)


def test_rms_refers_to_the_mean_power_of_what_is_kept():
    speech = prepare_speech(tone(2, 0, 2, amplitude=0.1), 50, 25, loudness="rms", level_db=-20)
    assert 10 * np.log10(np.mean(speech.samples**2)) == pytest.approx(-20, abs=1e-3)


def test_a_lower_top_db_cuts_a_faint_beginning():
    sound = tone(3, 0, 3, amplitude=0.001) + tone(3, 1, 2, amplitude=0.3)
    assert prepare_speech(sound, 75, 25, top_db=60).first_frame == 0
    assert prepare_speech(sound, 75, 25, top_db=30).first_frame in range(20, 26)


@pytest.mark.parametrize("sound", [np.zeros(16_000), np.full(16_000, 1e-5), np.zeros(0)])
def test_silence_is_an_error_that_says_so(sound):
    with pytest.raises(UnusableAudio, match="nothing but silence|nothing to keep"):
        prepare_speech(sound.astype(np.float32), 25, 25)


def test_sound_that_begins_after_the_last_frame_is_silence():
    with pytest.raises(UnusableAudio, match="nothing but silence"):
        prepare_speech(tone(4, 3, 4), 50, 25)


def test_less_than_half_a_frame_of_sound_is_an_error():
    with pytest.raises(UnusableAudio, match="0.006 s of audio for 25 frames"):
        prepare_speech(tone(0.00625, 0, 1), 25, 25)


def test_an_unknown_measure_of_loudness_is_refused():
    with pytest.raises(ValueError, match="loudness 'lufs'"):
        prepare_speech(tone(1, 0, 1), 25, 25, loudness="lufs")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_duration_pitch_and_level(rate):
    at_16_khz = to_16_khz(tone(1, 0, 1, rate=rate), rate)
    assert at_16_khz.dtype == np.float32
    assert abs(len(at_16_khz) - 16_000) <= 1
    spectrum = np.abs(np.fft.rfft(at_16_khz[:16_000]))
    assert abs(int(spectrum.argmax()) - 220) <= 1
    assert np.abs(at_16_khz[1000:-1000]).max() == pytest.approx(0.3, rel=0.01)


def test_sound_at_16_khz_is_not_touched_by_resampling():
    sound = tone(1, 0, 1)
    np.testing.assert_array_equal(preprocess.to_16_khz(sound, 16_000), sound)
