"""The demo's speech and motion: engines, prosody, visemes, closures, and what a subject shows."""

import builtins
import sys

import numpy as np
import pytest

from db.demo import build, formant, identity, sentences, speech, visemes
from db.demo.action_units import AU, displacement_fields
from db.demo.face import build_face
from db.demo.motion import EXPRESSIONS, Lips, Style, facial_actions

HAS_ESPEAK = speech.engine() == "espeak"
ENGINES = [
    pytest.param("espeak", marks=pytest.mark.skipif(not HAS_ESPEAK, reason="espeakng-loader is not installed")),
    "formant",
]


def rms(audio):
    return float(np.sqrt((audio.astype(float) ** 2).mean()))


def pitch_hz(utterance):
    """Median fundamental by autocorrelation over 40 ms windows with voice."""
    rate, audio = utterance.rate_hz, utterance.audio.astype(float)
    window = int(0.04 * rate)
    found = []
    for start in range(0, len(audio) - window, window):
        part = audio[start : start + window] - audio[start : start + window].mean()
        if rms(part) < 0.4 * rms(audio):
            continue
        spectrum = np.abs(np.fft.rfft(part, 4 * window)) ** 2
        correlation = np.fft.irfft(spectrum)[: rate // 60]
        shortest = rate // 420
        best = shortest + int(np.argmax(correlation[shortest:]))
        if correlation[best] > 0.4 * correlation[0]:
            found.append(rate / best)
    return float(np.median(found))


def spoken(emotion, engine, number=4, subject="F3"):
    return speech.speak(sentences.SENTENCES[number], speech.VOICES[subject], speech.PROSODY[emotion], engine)


def actions_of(clip_take, seed=0):
    """Coefficients (T, A) and frame times of a take, with the utterance behind them."""
    face, fields = build_face("small"), displacement_fields("small")
    rng = np.random.default_rng(seed)
    utterance = speech.padded(spoken(clip_take.emotion, "formant", subject=clip_take.subject), 0.2, 0.1, rng)
    lips = Lips.of(face, fields)
    style = Style.drawn(np.random.default_rng(5))
    actions = facial_actions(utterance, clip_take.emotion, clip_take.strength, style, lips, rng)
    return actions, (np.arange(len(actions)) + 0.5) / 25, utterance, lips


def test_forty_sentences_are_ours_and_each_has_sounds_for_the_fallback():
    assert len(sentences.SENTENCES) == len({s.text for s in sentences.SENTENCES}) == 40
    for sentence in sentences.SENTENCES:
        symbols = {symbol.strip("ˈ") for symbol in sentence.sounds.split()}
        assert symbols <= formant.SOUNDS.keys()
        assert symbols & {"p", "b", "m"}, sentence.text


@pytest.mark.parametrize("engine", ENGINES)
def test_phonemes_follow_one_another_within_the_audio(engine):
    utterance = spoken("neutral", engine)
    starts = [p.start_s for p in utterance.phonemes]
    assert starts == sorted(starts)
    assert utterance.phonemes[-1].end_s <= utterance.duration_s + 0.02
    assert all(p.end_s > p.start_s for p in utterance.phonemes)
    assert any(p.stressed for p in utterance.phonemes)
    assert 1.0 < utterance.duration_s < 5.0


@pytest.mark.parametrize("engine", ENGINES)
def test_speaking_twice_gives_the_same_samples_whatever_came_between(engine):
    first = spoken("angry", engine)
    spoken("sadness", engine, number=9, subject="M2")
    np.testing.assert_array_equal(first.audio, spoken("angry", engine).audio)


@pytest.mark.parametrize("engine", ENGINES)
def test_emotion_is_audible_in_tempo_pitch_and_loudness(engine):
    said = {emotion: spoken(emotion, engine) for emotion in build.EMOTIONS}
    assert said["angry"].duration_s < said["neutral"].duration_s < 0.9 * said["sadness"].duration_s
    assert pitch_hz(said["happy"]) > 1.12 * pitch_hz(said["neutral"])
    assert pitch_hz(said["sadness"]) < 0.95 * pitch_hz(said["neutral"])
    assert rms(said["angry"].audio) > 1.2 * rms(said["neutral"].audio) > 1.44 * rms(said["sadness"].audio)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_clips(engine):
    for emotion in build.EMOTIONS:
        for subject in list(speech.VOICES)[:: 1 if engine == "espeak" else 5]:
            peak = np.abs(spoken(emotion, engine, subject=subject).audio.astype(int)).max()
            assert 2000 < peak < 32767, (emotion, subject, peak)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_subject_has_a_voice_of_their_own_and_women_speak_higher(engine):
    heights = {name: pitch_hz(spoken("neutral", engine, subject=name)) for name in identity.SUBJECTS}
    assert min(h for name, h in heights.items() if name[0] == "F") > max(
        h for name, h in heights.items() if name[0] == "M"
    )
    assert len({voice.espeak for voice in speech.VOICES.values()}) == 14


def test_without_the_wheel_the_formant_synthesiser_speaks(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "espeakng_loader", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    speech.engine.cache_clear()
    assert speech.engine() == "formant"
    utterance = speech.speak(sentences.SENTENCES[0], speech.VOICES["M1"], speech.PROSODY["neutral"])
    monkeypatch.undo()
    speech.engine.cache_clear()
    assert utterance.rate_hz == formant.RATE_HZ
    assert rms(utterance.audio) > 500


def test_a_vowel_of_the_fallback_has_its_formants_where_they_belong():
    audio, timed = formant.synthesise("ɑː", 110, 0.5, 0.5, 0.8, 1.0)
    start, end = (int(t * formant.RATE_HZ) for t in timed[1][1:3])
    middle = audio[start:end].astype(float) * np.hanning(end - start)
    spectrum = np.convolve(np.abs(np.fft.rfft(middle, 8192)) ** 2, np.ones(45), "same")
    hertz = np.arange(len(spectrum)) * formant.RATE_HZ / 8192
    band = (hertz > 450) & (hertz < 1500)
    assert 600 < hertz[band][np.argmax(spectrum[band])] < 1250
    assert spectrum[band].max() > 20 * spectrum[(hertz > 1700) & (hertz < 2200)].max()


def test_an_unknown_sound_or_engine_is_refused():
    with pytest.raises(ValueError, match="no sound for q"):
        formant.synthesise("q", 110, 1, 1, 0.5, 1)
    with pytest.raises(ValueError, match="'festival'.*espeak, formant"):
        spoken("neutral", "festival")
    with pytest.raises(ValueError, match="'e41'.*1 to 40"):
        speech.sentence_for("e41")


def test_vowels_open_the_jaw_and_rounded_ones_purse_the_lips():
    phonemes = tuple(speech.Phoneme(s, 0.2 * i, 0.2 * i + 0.2) for i, s in enumerate(["ɑː", "uː", "iː", "p", "ɑː"]))
    mouth = visemes.mouth_actions(phonemes, np.array([0.1, 0.3, 0.5, 0.7, 0.9]))
    assert mouth[0, visemes.JAW] > 0.7 > 0.4 > mouth[2, visemes.JAW]
    assert mouth[1, visemes.PURSED] > 0.6
    assert mouth[2, visemes.WIDE] > 0.5
    assert mouth[3, visemes.CLOSED] > 0.9
    assert mouth[0, visemes.CLOSED] < 0.1


def test_consonants_are_coloured_by_their_neighbours():
    def rounding(vowel):
        sounds = tuple(speech.Phoneme(s, 0.08 * i, 0.08 * i + 0.08) for i, s in enumerate([vowel, "k", vowel]))
        return visemes.mouth_actions(sounds, np.array([0.12]))[0, visemes.PURSED]

    assert rounding("uː") > rounding("iː") + 0.3


@pytest.mark.parametrize("emotion", list(EXPRESSIONS))
def test_lips_close_on_p_b_and_m_whatever_the_face_feels(emotion):
    actions, times, utterance, lips = actions_of(build.Take("F3", "e05", emotion, 0.9))
    apart = lips.apart(actions).max(1)
    for start, end in visemes.closures(utterance.phonemes):
        during = (times > start) & (times < end)
        if during.any():
            assert apart[during].min() < 0.3, (start, apart[during])
    assert apart.max() > 5  # and they part in between
    assert lips.apart(actions).mean(1).min() > -1.5


def test_lip_motion_can_be_predicted_from_the_speech():
    """The jaw of the same sentence said by different people in different moods follows its phonemes."""
    for emotion in EXPRESSIONS:
        actions, times, utterance, _ = actions_of(build.Take("M2", "e05", emotion, 0.8), seed=11)
        predicted = visemes.mouth_actions(utterance.phonemes, times)[:, visemes.JAW]
        assert np.corrcoef(predicted, actions[:, AU["AU26"]])[0, 1] > 0.9


def test_strength_scales_what_the_brows_show():
    shown = [np.abs(actions_of(build.Take("F3", "e05", "angry", s))[0][:, AU["AU4"]]).mean() for s in (0.1, 0.5, 0.9)]
    assert shown[0] < 0.6 * shown[1] < 0.6 * shown[2]


def test_an_expression_varies_while_it_lasts():
    course = actions_of(build.Take("F3", "e05", "happy", 0.9))[0][:, AU["AU6"]]
    assert course.std() > 0.05


def test_there_are_as_many_frames_as_the_sound_has_25ths_of_a_second():
    actions, _, utterance, _ = actions_of(build.Take("F3", "e05", "neutral", 0.1))
    assert len(actions) == round(25 * utterance.duration_s)
