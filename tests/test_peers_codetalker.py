"""CodeTalker: the official code's output, every tensor of the published files, and two decoders that agree."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from eavanet.audio import AudioEncoder
from eavanet.peers.causal import CachedDecoder, head_slopes, temporal_bias, unseen_states
from eavanet.peers.codetalker import CodeTalker, CodeTalkerConfig
from eavanet.peers.codetalker_codes import Autoencoder, AutoencoderConfig, Codebook, perplexity
from eavanet.peers.codetalker_growing import GrowingClip
from eavanet.peers.codetalker_published import stage_1_name, stage_2_config, stage_2_name
from eavanet.peers.published import fill, our_name, read_published, speech_encoder
from eavanet.peers.speech import peer_speech

PEERS = Path(__file__).resolve().parents[2] / "shared" / "peers"
needs_official = pytest.mark.skipif(not PEERS.exists(), reason="the official outputs are not in ../shared/peers")

V, D_A = 7, 12
# Differences between the two that a setting can express: frame rate, states per frame, codes, maps, biases.
BIWI_LIKE = CodeTalkerConfig(
    AutoencoderConfig(V, width=16, layers=2, heads=4, mlp_width=24, codes_per_frame=2, code_width=8, n_codes=16),
    ("F1", "F3"), width=16, layers=2,
)  # fmt: skip
VOCASET_LIKE = CodeTalkerConfig(
    AutoencoderConfig(V, width=16, layers=1, heads=2, mlp_width=24, codes_per_frame=4, code_width=4, n_codes=16,
                      code_maps=False, vertex_bias=True, affine_norm=True),
    ("A", "B", "C"), frames_per_second=30.0, period=30, width=16, layers=3,
)  # fmt: skip

# In float32 rounding alone now and then picks the other of two codes that are nearly as near (3 of 90 random models).
IN_FLOAT64 = {"atol": 1e-8, "rtol": 1e-8}


class NoSpeech(nn.Module):
    """In the place of the speech encoder, where what was heard is given."""

    width = D_A


def random_model(config: CodeTalkerConfig, seed: int = 0) -> CodeTalker:
    """Weights large enough that every part matters: the codes change with speech, style and motion so far."""
    torch.manual_seed(seed)
    model = CodeTalker(config, NoSpeech())
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.5)
    nn.init.normal_(model.autoencoder.codebook.entries, std=2)
    nn.init.normal_(model.styles.weight, std=3)
    nn.init.normal_(model.from_vertices.weight, std=0.05)
    return model.double().eval()


def random_speech(config: CodeTalkerConfig, n_frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(n_frames)
    return torch.randn(1, n_frames, config.states_per_frame * D_A, generator=generator, dtype=torch.float64)


def spoken(model: CodeTalker, heard: Tensor, subject: str, faithfully: bool = False) -> Tensor:
    """Displacements (1, T, 3V) by either decoder."""
    speaker = torch.tensor([model.config.subjects.index(subject)])
    given = (heard, torch.tensor([heard.shape[1]]), speaker, heard.new_empty(1, 0))
    with torch.inference_mode():
        return model.speak_faithfully(*given) if faithfully else model.to_vertices(model.speak(*given))


def shapes(module: nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in module.state_dict().items()}


# The official code ------------------------------------------------------------------------------------------------


@needs_official
def test_the_tiny_official_model_gives_the_official_output_for_every_condition_subject():
    official = np.load(PEERS / "tiny" / "codetalker.npz")
    path = PEERS / "tiny" / "codetalker.pth"
    tensors = read_published(path)
    renamed = {stage_2_name(key): value for key, value in tensors.items()}
    config = stage_2_config(renamed, ("F1", "F3", "F4"), stage_1_heads=4)
    model = CodeTalker(config, peer_speech(speech_encoder(tensors), 25.0)).eval()
    fill(model, tensors, path, stage_2_name)
    features = model.audio_encoder.original_features(official["audio"][0], 25.0)
    heard = model.hear(features[None], torch.tensor([37])).detach()
    for number, subject in enumerate(config.subjects):
        wanted = torch.from_numpy(official[f"predicted_{number}"] - official["template"])
        for faithfully in (True, False):
            torch.testing.assert_close(spoken(model, heard, subject, faithfully), wanted, atol=1e-4, rtol=0)


@needs_official
@pytest.mark.parametrize("stage", [1, 2])
def test_every_tensor_of_the_published_files_has_its_place_at_full_size(stage: int):
    published = json.loads((PEERS / f"codetalker_biwi_stage{stage}_state.json").read_text())["keys"]
    with torch.device("meta"):
        codes = AutoencoderConfig(n_vertices=23_370)
        subjects = ("F2", "F3", "F4", "M3", "M4", "M5")
        if stage == 1:
            ours, name = shapes(Autoencoder(codes)), stage_1_name
        else:
            speech = AudioEncoder(Wav2Vec2Model(Wav2Vec2Config()), name="the size of wav2vec2-base")
            ours, name = shapes(CodeTalker(CodeTalkerConfig(codes, subjects), peer_speech(speech, 25.0))), stage_2_name
    assert {name(our_name(key)): value["shape"] for key, value in published.items()} == ours


@pytest.mark.parametrize("config", [BIWI_LIKE, VOCASET_LIKE], ids=["25 fps", "30 fps"])
def test_a_files_tensors_tell_its_settings_except_heads(config: CodeTalkerConfig):
    tensors = random_model(config).state_dict()
    found = stage_2_config(tensors, config.subjects, heads=config.heads, stage_1_heads=config.codes.heads)
    assert found == config
    with pytest.raises(ValueError, match=f"1 condition subjects were given, .* with {len(config.subjects)}"):
        stage_2_config(tensors, ("F1",))


# Two decoders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [BIWI_LIKE, VOCASET_LIKE], ids=["25 fps", "30 fps"])
@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 6, 31, 64])
def test_decoding_without_computing_twice_gives_the_faithful_output(config: CodeTalkerConfig, n_frames: int):
    model, heard = random_model(config, seed=n_frames), random_speech(config, n_frames)
    faithful = spoken(model, heard, config.subjects[-1], faithfully=True)
    assert faithful.shape == (1, n_frames, 3 * V)
    torch.testing.assert_close(spoken(model, heard, config.subjects[-1]), faithful, **IN_FLOAT64)


def test_what_is_kept_between_clips_follows_the_weights():
    model, heard = random_model(BIWI_LIKE), random_speech(BIWI_LIKE, 12)
    spoken(model, heard, "F1")
    with torch.no_grad():
        model.from_vertices.weight.mul_(-2)
    expected = spoken(model, heard, "F1", faithfully=True)
    torch.testing.assert_close(spoken(model, heard, "F1"), expected, **IN_FLOAT64)
    other = random_model(BIWI_LIKE, seed=5)
    model.load_state_dict(other.state_dict())
    expected = spoken(other, heard, "F1", faithfully=True)
    torch.testing.assert_close(spoken(model, heard, "F1"), expected, **IN_FLOAT64)


def test_a_clip_longer_than_the_published_table_goes_on():
    # The official code ends at 600 frames. Stage 2 alone: the whole model would be slow here.
    config = VOCASET_LIKE
    model = random_model(config)
    inputs, memory = torch.randn(2, 1, 640, 16).double()
    with torch.inference_mode():
        vectors = model.code_vectors(inputs, memory)
    assert vectors.shape == (1, 640 * 4, 4)
    assert torch.isfinite(vectors).all()


@settings(max_examples=15)
@given(
    heads=st.sampled_from([1, 2, 3, 4, 6]), per_frame=st.integers(1, 3), period=st.integers(1, 9),
    n_frames=st.integers(1, 14), seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_cached_transformer_is_the_causal_transformer(heads, per_frame, period, n_frames, seed):
    torch.manual_seed(seed)
    layer = nn.TransformerDecoderLayer(12, heads, 20, batch_first=True)
    decoder = nn.TransformerDecoder(layer, 2).eval()
    x, states = torch.randn(1, n_frames, 12), torch.randn(1, n_frames * per_frame, 12)
    bias, unseen = temporal_bias(n_frames, heads, period), unseen_states(n_frames, states.shape[1], per_frame)
    with torch.inference_mode():
        whole = decoder(x, states, tgt_mask=bias, memory_mask=unseen)[0]
        cached = CachedDecoder(decoder, states, n_frames, states_per_frame=per_frame, period=period)
        steps = torch.cat([cached.step(frame[None]) for frame in x[0]])
    torch.testing.assert_close(steps, whole, atol=1e-5, rtol=1e-4)


def test_a_growing_clip_is_at_every_length_the_clip_decoded_anew():
    model = random_model(BIWI_LIKE).autoencoder
    features = torch.randn(8, 2, 8).double()
    with torch.inference_mode():
        clip = GrowingClip(model, 8)
        for length in range(1, 9):
            clip.append(features[length - 1])
            codes = model.codebook(features[:length].reshape(1, -1, 8)).vectors
            expected = model.decode(codes if length > 1 else codes.repeat(1, 2, 1))[:, :length]
            newest, whole = model.to_vertices(clip.newest()), model.to_vertices(clip.all())
            torch.testing.assert_close(whole, expected, **IN_FLOAT64)
            torch.testing.assert_close(newest, expected[:, -1], **IN_FLOAT64)


def test_random_weights_are_a_fair_test_since_their_codes_vary():
    # Were the codes all alike, or deaf to style or motion, a decoder that ignored these would pass.
    model, heard = random_model(BIWI_LIKE), random_speech(BIWI_LIKE, 40)
    motion = spoken(model, heard, "F1")
    assert motion.std(dim=1).min() > 0.1
    assert (motion - spoken(model, heard, "F3")).abs().max() > 0.1
    nn.init.zeros_(model.from_vertices.weight)
    assert (motion - spoken(model, heard, "F1")).abs().max() > 0.1


# The transformer's sight -----------------------------------------------------------------------------------------


def test_interest_falls_with_every_whole_period_and_the_future_is_unseen():
    bias = temporal_bias(6, heads=4, period=2)
    assert head_slopes(4).tolist() == [0.25, 0.0625, 0.015625, 0.00390625]
    assert bias[0, 5].tolist() == [-0.5, -0.5, -0.25, -0.25, 0, 0]
    assert bias[0, 0].tolist() == [0] + 5 * [-torch.inf]


def test_a_frame_hears_only_its_own_states():
    assert (~unseen_states(2, 5, 2)).int().tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    assert (~unseen_states(2, 2, 1)).int().tolist() == [[1, 0], [0, 1]]


# Styles -------------------------------------------------------------------------------------------------------------


def test_a_style_between_two_subjects_is_their_weighted_mean():
    model = random_model(BIWI_LIKE)
    first, second = model.styles.weight.detach()
    torch.testing.assert_close(model.style("F1", "F3", 0.25).detach(), 0.25 * first + 0.75 * second)
    torch.testing.assert_close(model.style("F1", "F3", 1.0).detach(), first)
    assert torch.equal(model.style("F3"), second)


def test_a_given_style_is_spoken_in_the_place_of_the_speakers_own():
    model, heard = random_model(BIWI_LIKE), random_speech(BIWI_LIKE, 9)
    given = (heard, torch.tensor([9]), torch.tensor([0]))
    with torch.inference_mode():
        as_other = model.to_vertices(model.speak(*given, model.style("F3")[None]))
        between = model.to_vertices(model.speak(*given, model.style("F1", "F3", 0.5)[None]))
        faithful = model.speak_faithfully(*given, model.style("F1", "F3", 0.5)[None])
    assert torch.equal(as_other, spoken(model, heard, "F3"))
    torch.testing.assert_close(between, faithful, **IN_FLOAT64)


def test_an_unknown_subject_and_an_impossible_weight_are_refused():
    model = random_model(BIWI_LIKE)
    with pytest.raises(ValueError, match="condition subject M9: the model knows F1, F3"):
        model.style("M9")
    with pytest.raises(ValueError, match="weight = 1.5"):
        model.style("F1", "F3", 1.5)


# Stage 1 ------------------------------------------------------------------------------------------------------------


def test_a_vector_becomes_the_nearest_entry_and_its_gradient_passes_through():
    book = Codebook(3, 2)
    book.entries.data = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 0.0]])
    vectors = torch.tensor([[[0.9, 0.8], [4.0, 0.0]]], requires_grad=True)
    codes = book(vectors)
    assert codes.indices.tolist() == [[1, 2]]
    torch.testing.assert_close(codes.vectors.detach(), torch.tensor([[[1.0, 1.0], [5.0, 0.0]]]))
    # Squared distances 0.01, 0.04, 1, 0: mean 0.2625; entries are drawn with weight 1, vectors with 0.25.
    assert codes.loss.item() == pytest.approx(1.25 * 0.2625)
    codes.vectors.sum().backward()
    assert vectors.grad.flatten().tolist() == [1, 1, 1, 1]


def test_perplexity_counts_the_codes_in_use():
    assert perplexity(torch.tensor([3, 3, 3]), 8) == pytest.approx(1)
    assert perplexity(torch.arange(8), 8) == pytest.approx(8)


def test_stage_1_does_not_know_the_order_of_far_frames():
    # The positional encoding gives all frames the same vector; only the convolutions see neighbours.
    context = random_model(BIWI_LIKE).autoencoder.decoder
    convolved, order = torch.randn(1, 12, 16).double(), torch.randperm(12)
    with torch.inference_mode():
        straight, shuffled = context.attend(convolved), context.attend(convolved[:, order])
    torch.testing.assert_close(shuffled, straight[:, order], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 15}, "width = 15: must be a multiple of heads = 4"),
        ({"layers": 0}, "layers = 0: must be at least 1"),
        ({"code_maps": False, "code_width": 4}, "2 of 4 = 8, must be as wide"),
        ({"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_impossible_stage_1_settings_are_refused_with_their_value(change: dict, message: str):
    fields = {"n_vertices": V, "width": 16, "heads": 4, "codes_per_frame": 2, "code_width": 8}
    with pytest.raises(ValueError, match=message):
        AutoencoderConfig(**fields | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subjects": ()}, "needs at least one condition subject"),
        ({"subjects": ("F1", "F1")}, "one is named twice"),
        ({"period": 0}, "period = 0"),
        ({"width": 30}, "width = 30: must be even and a multiple of heads = 4"),
        ({"frames_per_second": 0.0}, "frames_per_second = 0.0"),
    ],
)
def test_impossible_settings_are_refused_with_their_value(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        CodeTalkerConfig(**{"codes": BIWI_LIKE.codes, "subjects": ("F1",)} | change)
