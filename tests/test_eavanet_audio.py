"""The audio encoder: lengths, the frozen part, the cache, what happens without a hub."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eavanet.audio import (
    EncoderUnavailable,
    encoder_from_settings,
    fit_length,
    load_encoder,
    n_states,
    samples_for,
)
from eavanet.feature_cache import FeatureCache

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("random-small").eval()


def tone(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)


@given(st.integers(1, 2000))
def test_at_25_frames_per_second_T_frames_take_two_states_each(n_frames):
    assert n_states(n_frames, 25) == 2 * n_frames
    assert samples_for(2 * n_frames) == 400 + 320 * (2 * n_frames - 1)


@given(st.integers(1, 500), st.sampled_from([24.0, 25.0, 29.97, 30.0, 50.0, 60.0, 100.0]))
def test_at_any_rate_the_states_cover_the_frames(n_frames, rate):
    states = n_states(n_frames, rate)
    assert states / 50 >= n_frames / rate - 1e-6
    assert states / 50 - n_frames / rate <= 1 / 50


@pytest.mark.parametrize("rate", [25.0, 30.0, 29.97, 60.0])
@pytest.mark.parametrize("n_frames", [1, 3, 50])
def test_features_have_two_states_per_frame_at_any_rate(encoder, rate, n_frames):
    assert encoder.features(tone(n_frames / rate), n_frames, rate).shape == (2 * n_frames, 64)


def test_audio_up_to_half_a_frame_longer_or_shorter_is_cut_or_padded():
    samples = np.arange(1, 5, dtype=np.float32)
    assert fit_length(samples, 3).tolist() == [1, 2, 3]
    assert fit_length(samples, 6).tolist() == [1, 2, 3, 4, 0, 0]


def test_loudness_does_not_matter_because_each_clip_is_normalised(encoder):
    samples = tone(0.5)
    torch.testing.assert_close(
        encoder.features(samples, 12, 25), encoder.features(0.1 * samples, 12, 25), atol=1e-3, rtol=1e-3
    )


def test_silence_has_finite_features(encoder):
    assert torch.isfinite(encoder.features(np.zeros(8000, np.float32), 12, 25)).all()


def test_a_preset_is_the_same_encoder_every_time_and_leaves_the_random_state_alone(encoder):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    again = load_encoder("random-small")
    assert torch.rand(1) == expected
    assert again.frozen_sha256() == encoder.frozen_sha256()


def test_an_encoder_is_rebuilt_from_its_settings(encoder):
    rebuilt = encoder_from_settings(encoder.settings)
    rebuilt.load_state_dict(encoder.state_dict())
    assert rebuilt.frozen_sha256() == encoder.frozen_sha256()
    assert rebuilt.settings == encoder.settings


def test_an_encoder_is_loaded_from_a_folder(encoder, tmp_path):
    encoder.wav2vec2.save_pretrained(tmp_path / "wav2vec2")
    loaded = load_encoder(str(tmp_path / "wav2vec2"))
    assert loaded.frozen_sha256() == encoder.frozen_sha256()


def test_without_a_hub_the_error_says_how_to_place_a_folder(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderUnavailable, match="nobody/no-such-model --local-dir wav2vec2"):
        load_encoder("nobody/no-such-model")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(EncoderUnavailable, match="no wav2vec2 model in this folder"):
        load_encoder(str(tmp_path))


def test_a_model_of_another_kind_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(EncoderUnavailable, match="a model of type bert"):
        load_encoder(str(tmp_path))


def test_training_mode_never_reaches_the_frozen_part():
    encoder = load_encoder("random-small").train()
    assert encoder.wav2vec2.encoder.training
    assert not encoder.wav2vec2.feature_extractor.training
    assert not load_encoder("random-small", regularise=False).train().wav2vec2.encoder.training


def test_features_are_computed_once_and_then_read(encoder, tmp_path, monkeypatch):
    samples = tone(0.4)
    first = FeatureCache(tmp_path, encoder, 25).features(samples, 10)
    monkeypatch.setattr(encoder, "features", lambda *_: pytest.fail("computed twice"))
    again = FeatureCache(tmp_path, encoder, 25).features(samples, 10)
    assert torch.equal(first, again)


def test_another_audio_length_or_rate_has_its_own_features(encoder, tmp_path):
    cache = FeatureCache(tmp_path, encoder, 25)
    samples = tone(0.4)
    cache.features(samples, 10)
    cache.features(samples, 9)
    cache.features(tone(0.4, seed=1), 10)
    FeatureCache(tmp_path, encoder, 30).features(samples, 10)
    assert len(list(tmp_path.glob("*/*.npy"))) == 4


def test_a_damaged_cache_file_is_made_again(encoder, tmp_path):
    cache = FeatureCache(tmp_path, encoder, 25)
    first = cache.features(tone(0.4), 10)
    (path,) = tmp_path.glob("*/*.npy")
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(cache.features(tone(0.4), 10), first)
    assert torch.equal(torch.from_numpy(np.load(path)), first)


def test_features_that_cannot_be_stored_say_what_to_do(encoder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="audio features cannot be stored"):
        FeatureCache(tmp_path / "file", encoder, 25).features(tone(0.4), 10)
