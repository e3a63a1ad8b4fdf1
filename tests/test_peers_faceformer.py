"""FaceFormer: the official code's output, every tensor of the published file, and three decoders that agree."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from eavanet.audio import AudioEncoder, load_encoder
from eavanet.peers.faceformer import FaceFormer, FaceFormerConfig
from eavanet.peers.faceformer_system import FaceFormerSystem
from eavanet.peers.published import fill, our_name, read_published
from eavanet.peers.speech import peer_speech

PEERS = Path(__file__).resolve().parents[2] / "shared" / "peers"
needs_official = pytest.mark.skipif(not PEERS.exists(), reason="the official outputs are not in ../shared/peers")

V = 7
BIWI_LIKE = FaceFormerConfig(V, ("F1", "F3"), width=16)
VOCASET_LIKE = FaceFormerConfig(V, ("A", "B", "C"), frames_per_second=30.0, period=30, width=16)
BOTH = pytest.mark.parametrize("config", [BIWI_LIKE, VOCASET_LIKE], ids=["25 fps", "30 fps"])
NO_STYLE = torch.empty(1, 0)


def random_model(config: FaceFormerConfig, seed: int = 0) -> FaceFormer:
    """Weights large enough that every part matters: frames change with speech, style and the motion so far.

    In double precision: so strong a feedback magnifies rounding from frame to frame.
    """
    torch.manual_seed(seed)
    model = FaceFormer(config, peer_speech(load_encoder("random-small"), config.frames_per_second))
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and not name.startswith("audio_encoder"):
            nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def heard(config: FaceFormerConfig, n_frames: int) -> torch.Tensor:
    """(1, T, s x d_A): as if it had been heard."""
    generator = torch.Generator().manual_seed(n_frames)
    return torch.randn(1, n_frames, config.states_per_frame * 128, generator=generator, dtype=torch.float64)


def spoken(model: FaceFormer, hidden: torch.Tensor, speaker: int = 0, style: torch.Tensor = NO_STYLE) -> torch.Tensor:
    arguments = (hidden, torch.tensor([hidden.shape[1]]), torch.tensor([speaker]), style)
    with torch.inference_mode():
        return model.to_vertices(model.speak(*arguments))


def spoken_faithfully(model: FaceFormer, hidden: torch.Tensor, speaker: int = 0) -> torch.Tensor:
    return model.speak_faithfully(hidden, torch.tensor([hidden.shape[1]]), torch.tensor([speaker]), NO_STYLE)


# The official code


@needs_official
def test_the_tiny_official_model_gives_the_official_output_for_every_condition_subject():
    about = json.loads((PEERS / "tiny" / "faceformer.json").read_text())
    official = np.load(PEERS / "tiny" / "faceformer.npz")
    speech = AudioEncoder(Wav2Vec2Model(Wav2Vec2Config(**about["wav2vec2"])), name="tiny")
    config = FaceFormerConfig(20, tuple(about["settings"]["train_subjects"].split()), width=16)
    model = FaceFormer(config, peer_speech(speech, 25.0)).eval()
    path = PEERS / "tiny" / "faceformer.pth"
    fill(model, read_published(path), path, FaceFormerSystem().published_name)
    with torch.inference_mode():
        features = model.audio_encoder.original_features(official["audio"][0], 25.0)
        hidden = model.hear(features[None], torch.tensor([len(features) // 2]))
        for number in range(len(config.subjects)):
            wanted = torch.from_numpy(official[f"predicted_{number}"] - official["template"])
            for decoded in (spoken(model, hidden, number), spoken_faithfully(model, hidden, number)):
                torch.testing.assert_close(decoded, wanted, atol=1e-4, rtol=0)


@needs_official
def test_every_tensor_of_the_published_file_has_its_place_at_full_size():
    published = json.loads((PEERS / "faceformer_biwi_state.json").read_text())["keys"]
    with torch.device("meta"):
        config = FaceFormerConfig(23_370, ("F2", "F3", "F4", "M3", "M4", "M5"))
        model = FaceFormer(config, peer_speech(AudioEncoder(Wav2Vec2Model(Wav2Vec2Config()), name="base"), 25.0))
    expected = {FaceFormerSystem().published_name(our_name(key)): value["shape"] for key, value in published.items()}
    assert expected == {key: list(value.shape) for key, value in model.state_dict().items()}


@needs_official
def test_a_files_tensors_tell_its_settings_except_heads():
    tensors = read_published(PEERS / "tiny" / "faceformer.pth")
    found = FaceFormerSystem().published_config(tensors, ("F1", "F3", "F4"))
    assert found == FaceFormerConfig(20, ("F1", "F3", "F4"), width=16)
    with pytest.raises(ValueError, match="2 condition subjects were given, the model was trained with 3"):
        FaceFormerSystem().published_config(tensors, ("F1", "F3"))


# Three decoders


@BOTH
@pytest.mark.parametrize("n_frames", [1, 2, 3, 24, 31, 64, 120])
def test_decoding_without_computing_twice_gives_the_faithful_output(config: FaceFormerConfig, n_frames: int):
    model, hidden = random_model(config, seed=n_frames), heard(config, n_frames)
    for speaker in range(len(config.subjects)):
        faithful, quick = spoken_faithfully(model, hidden, speaker), spoken(model, hidden, speaker)
        assert faithful.shape == (1, n_frames, 3 * V)
        torch.testing.assert_close(quick, faithful, atol=1e-7, rtol=1e-7)


def test_in_single_precision_they_agree_too_at_published_width():
    config = FaceFormerConfig(500, ("F1", "F3"))
    model = FaceFormer(config, peer_speech(load_encoder("random-small"), 25.0)).eval()
    nn.init.normal_(model.to_vertices.weight, std=0.1)
    hidden = heard(config, 100).float()
    faithful = spoken_faithfully(model, hidden)
    assert faithful.std() > 0.5
    torch.testing.assert_close(spoken(model, hidden), faithful, atol=1e-4, rtol=0)


@BOTH
def test_what_training_rolls_out_is_the_faithful_motion_for_clips_of_different_length(config: FaceFormerConfig):
    model = random_model(config)
    lengths, states = torch.tensor([9, 31]), config.states_per_frame
    features = torch.randn(2, 31 * states, 64).double()
    features[0, 9 * states :] = 0
    rolled = model(features, lengths, torch.tensor([1, 0]))
    for row, (length, speaker) in enumerate(zip(lengths.tolist(), (1, 0), strict=True)):
        hidden = model.hear(features[row : row + 1, : length * states], torch.tensor([length]))
        faithful = spoken_faithfully(model, hidden, speaker)
        torch.testing.assert_close(rolled[row, :length], faithful[0], atol=1e-6, rtol=1e-6)


def test_its_gradients_are_those_of_the_official_loop():
    config = FaceFormerConfig(V, ("F1", "F3"), width=16, dropout=0.0)
    model = random_model(config)
    memory, target = torch.randn(1, 24, 16).double(), torch.randn(1, 12, 3 * V).double()
    style = model.styles.weight[:, 0][None]

    def official() -> torch.Tensor:
        inputs = style[:, None]
        for _ in range(12):
            motion = model.to_vertices(model.attend(inputs, memory))
            inputs = torch.cat([inputs, model.from_vertices(motion[:, -1:]) + style[:, None]], dim=1)
        return motion

    gradients = []
    for motion in (official(), model.to_vertices(model.roll_out(memory, style))):
        loss = (motion - target).square().mean()
        names = [name for name, _ in model.named_parameters() if not name.startswith(("audio", "transformer.norm"))]
        found = torch.autograd.grad(loss, [model.get_parameter(name) for name in names])
        gradients.append(dict(zip(names, found, strict=True)))
    for name in gradients[0]:
        torch.testing.assert_close(gradients[1][name], gradients[0][name], msg=name)


@settings(max_examples=12)
@given(
    heads=st.sampled_from([1, 2, 3, 4]), fps=st.sampled_from([25.0, 30.0, 60.0]), period=st.integers(1, 9),
    n_frames=st.integers(1, 14), seed=st.integers(0, 1000),
)  # fmt: skip
def test_for_any_setting_the_three_agree(heads, fps, period, n_frames, seed):
    config = FaceFormerConfig(3, ("F1",), frames_per_second=fps, period=period, width=12, heads=heads)
    model, hidden = random_model(config, seed), heard(config, n_frames)
    faithful = spoken_faithfully(model, hidden)
    torch.testing.assert_close(spoken(model, hidden), faithful, atol=1e-7, rtol=1e-7)
    with torch.inference_mode():
        memory = model.audio_map(hidden.reshape(1, -1, 128))
        rolled = model.to_vertices(model.roll_out(memory, model.style("F1")[None]))
    torch.testing.assert_close(rolled, faithful, atol=1e-7, rtol=1e-7)


def test_a_clip_longer_than_the_official_600_frames_goes_on():
    model, hidden = random_model(VOCASET_LIKE), heard(VOCASET_LIKE, 640)
    motion = spoken(model, hidden)
    assert motion.shape == (1, 640, 3 * V)
    torch.testing.assert_close(motion[:, :50], spoken(model, hidden[:, :50]), atol=1e-7, rtol=1e-7)
    with torch.inference_mode():
        rolled = model.to_vertices(model.roll_out(model.audio_map(hidden), model.style("A")[None]))
    torch.testing.assert_close(rolled, motion, atol=1e-5, rtol=1e-5)


def test_random_weights_are_a_fair_test_since_everything_matters():
    model, hidden = random_model(BIWI_LIKE), heard(BIWI_LIKE, 40)
    motion = spoken(model, hidden)
    assert motion.std(dim=1).min() > 0.1
    assert (motion - spoken(model, hidden, speaker=1)).abs().max() > 0.1
    assert (motion - spoken(model, -hidden)).abs().max() > 0.1
    nn.init.zeros_(model.from_vertices.weight)
    assert (motion - spoken(model, hidden)).abs().max() > 0.1


# Teacher forcing, styles, settings


def test_with_teacher_forcing_a_frame_follows_from_the_true_frames_before_it():
    model = random_model(BIWI_LIKE)
    features, lengths, speaker = torch.randn(1, 20, 64).double(), torch.tensor([10]), torch.tensor([0])
    truth = torch.randn(1, 10, 3 * V).double()
    changed = truth.clone()
    changed[:, 6:] += 1
    taught, other = model(features, lengths, speaker, truth), model(features, lengths, speaker, changed)
    torch.testing.assert_close(taught[:, :7], other[:, :7])
    assert (taught[:, 7:] - other[:, 7:]).abs().max() > 0.01
    # The first input differs: frame by frame the official code starts from the style alone, taught from the template,
    # to which the map to features adds its bias. Without that bias both are one.
    nn.init.zeros_(model.from_vertices.bias)
    own = model(features, lengths, speaker)
    again = model(features, lengths, speaker, own)
    torch.testing.assert_close(again, own, atol=1e-7, rtol=1e-7)


def test_an_untrained_model_shows_the_template():
    model = FaceFormer(BIWI_LIKE, peer_speech(load_encoder("random-small"), 25.0)).double().eval()
    assert not spoken(model, heard(BIWI_LIKE, 5)).any()


def test_a_style_between_two_subjects_is_their_weighted_mean():
    model = random_model(BIWI_LIKE)
    first, second = model.styles.weight.detach().T
    torch.testing.assert_close(model.style("F1", "F3", 0.25).detach(), 0.25 * first + 0.75 * second)
    hidden = heard(BIWI_LIKE, 5)
    torch.testing.assert_close(spoken(model, hidden, 0, model.style("F3").detach()[None]), spoken(model, hidden, 1))
    with pytest.raises(ValueError, match="condition subject M9: the model knows F1, F3"):
        model.style("M9")
    with pytest.raises(ValueError, match="weight = 1.5"):
        model.style("F1", "F3", 1.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subjects": ()}, "expected at least one, and each once"),
        ({"subjects": ("F1", "F1")}, "expected at least one, and each once"),
        ({"period": 0}, "period = 0: must be at least 1"),
        ({"width": 30}, "width = 30: must be even and a multiple of heads = 4"),
        ({"frames_per_second": 0.0}, "frames_per_second = 0.0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_impossible_settings_are_refused_with_their_value(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        FaceFormerConfig(**{"n_vertices": V, "subjects": ("F1",)} | change)
