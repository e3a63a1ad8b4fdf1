"""How the peers hear: the number of states, the original's cut, interpolation, and masks in training only."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from eavanet.audio import load_encoder, samples_for
from eavanet.feature_cache import FeatureCache
from eavanet.peers.speech import peer_speech, states_per_frame


@pytest.fixture(scope="module")
def at_25():
    return peer_speech(load_encoder("random-small"), 25.0).eval()


@pytest.fixture(scope="module")
def at_30():
    return peer_speech(load_encoder("random-small"), 30.0).eval()


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)


def test_a_frame_has_two_states_at_25_frames_per_second_and_one_elsewhere():
    assert [states_per_frame(rate) for rate in (25.0, 30.0, 60.0, 24.0)] == [2, 1, 1, 1]


@pytest.mark.parametrize(("seconds", "frames"), [(4.0, 99), (1.5, 37), (2.02, 50)])
def test_the_original_cuts_to_an_even_number_of_states(at_25, seconds, frames):
    features = at_25.original_features(noise(seconds), 25.0)
    assert len(features) == 2 * frames
    plain = at_25.wav2vec2.feature_extractor(torch.from_numpy(noise(seconds))[None])[0].T
    assert torch.equal(features, plain[: 2 * frames])


def test_the_original_interpolates_to_30_frames_per_second(at_30):
    features = at_30.original_features(noise(4.0), 30.0)
    plain = at_30.wav2vec2.feature_extractor(torch.from_numpy(noise(4.0))[None])  # 199 states
    assert torch.equal(features, F.interpolate(plain, size=119, mode="linear", align_corners=True)[0].T)


@pytest.mark.parametrize(("rate", "frames"), [(25.0, 100), (30.0, 120), (60.0, 240), (25.0, 1), (30.0, 1)])
def test_a_clip_has_as_many_frames_as_its_sound_lasts(rate, frames):
    speech = peer_speech(load_encoder("random-small"), rate).eval()
    features = speech.features(noise(frames / rate), frames, rate)
    assert features.shape == (frames * speech.states_per_frame, 64)
    assert torch.isfinite(features).all()


def test_no_frame_but_the_last_sees_the_silence_at_the_end(at_25):
    samples = noise(4.0)
    normalised = at_25._normalised(samples)
    fitted, original = at_25.features(samples, 100, 25.0), at_25.original_features(normalised, 25.0)
    # The extractor's first layer normalises over time, which 80 samples of silence in 64,000 hardly change.
    torch.testing.assert_close(fitted[:198], original, atol=0.01, rtol=0.01)


def test_masks_and_dropout_apply_in_training_only(at_25):
    features = at_25.original_features(noise(2.0), 25.0)[None]
    lengths = torch.tensor([features.shape[1]])
    torch.manual_seed(0)
    at_25.eval()
    once, again = (at_25(features, lengths) for _ in range(2))
    assert torch.equal(once, again)
    at_25.train()
    assert not torch.equal(at_25(features, lengths), once)
    assert not at_25.wav2vec2.feature_extractor.training
    at_25.eval()


def test_an_even_number_of_states_is_what_wav2vec2_gives(at_25):
    samples = noise(1.0)[: samples_for(48)]
    with torch.inference_mode():
        expected = at_25.wav2vec2(torch.from_numpy(samples)[None]).last_hidden_state
        found = at_25(at_25.original_features(samples, 25.0)[None], torch.tensor([48]))
    assert found.shape == (1, 48, 128)
    torch.testing.assert_close(found, expected)


def test_the_frozen_part_is_not_trained_and_the_rest_is(at_25):
    trained = {name.split(".")[1] for name, value in at_25.named_parameters() if value.requires_grad}
    assert trained == {"feature_projection", "encoder", "masked_spec_embed"}


def test_kept_features_are_shared_with_eavanet_at_25_frames_per_second_only(tmp_path, at_25, at_30):
    own = load_encoder("random-small")
    caches = {rate: FeatureCache(tmp_path, peer, rate) for rate, peer in ((25.0, at_25), (30.0, at_30))}
    assert caches[25.0].folder == FeatureCache(tmp_path, own, 25.0).folder
    assert caches[30.0].folder != FeatureCache(tmp_path, own, 30.0).folder
    samples = noise(1.0)
    first = caches[30.0].features(samples, 30)
    assert first.shape == (30, 64)
    assert torch.equal(caches[30.0].features(samples, 30), first)
