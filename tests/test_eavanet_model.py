"""The model: shapes, the law of batches, one clip can be learned."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eavanet.audio import load_encoder
from eavanet.losses import total_loss, vertex_loss
from eavanet.model import EavaNet, EavaNetConfig, GatedActivationUnit, interpolated_style
from eavanet.padding import pad_sequences
from eavanet.style import StyleConfig, StyleEncoder

torch.set_num_threads(1)  # these models are too small for more
V = 12
SMALL = EavaNetConfig(
    n_vertices=V, subjects=("F1", "F3", "M2"), width=16, gau_channels=24, lstm_units=8, projection_units=10,
    style=StyleConfig(width=16),
)  # fmt: skip


def small_model(seed: int = 0, config: EavaNetConfig = SMALL) -> EavaNet:
    torch.manual_seed(seed)
    model = EavaNet(config, load_encoder("random-small"))
    torch.nn.init.normal_(model.to_vertices.weight, std=0.1)  # zero at the start: nothing could be compared
    return model


def random_clip(n_frames: int, style_frames: int, seed: int) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(2 * n_frames, 64, generator=generator),
        torch.randn(style_frames, 3 * V, generator=generator),
        torch.randn(n_frames, 3 * V, generator=generator),
    )


def run(model: EavaNet, clips: list[tuple]):
    features, _ = pad_sequences([clip[0] for clip in clips])
    styles, style_frames = pad_sequences([clip[1] for clip in clips])
    targets, n_frames = pad_sequences([clip[2] for clip in clips])
    speaker = torch.arange(len(clips)) % len(model.config.subjects)
    predicted = model(features, n_frames, speaker, styles, style_frames)
    emotion = torch.arange(len(clips)) % 4
    losses = vertex_loss(predicted.displacements, targets, n_frames)
    total = total_loss(predicted.displacements, targets, n_frames, predicted.logits, emotion)
    return predicted, n_frames, losses, total


def test_an_untrained_model_shows_the_template():
    model = EavaNet(SMALL, load_encoder("random-small"))
    predicted, *_ = run(model, [random_clip(9, 12, seed=0)])
    assert torch.count_nonzero(predicted.displacements) == 0


def test_shapes_are_as_documented():
    model = small_model()
    predicted, *_ = run(model, [random_clip(9, 30, 0), random_clip(4, 11, 1)])
    assert predicted.displacements.shape == (2, 9, 3 * V)
    assert predicted.embedding.shape == (2, 16)
    assert predicted.scores.shape == (2, 4, 10)
    assert predicted.logits.shape == (2, 4)
    assert torch.allclose(predicted.scores.sum(dim=-1), torch.ones(2, 4))


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=2, max_size=4),
    seed=st.integers(0, 1000),
)
def test_a_clip_in_a_batch_gives_what_it_gives_alone(lengths, seed):
    model = small_model(seed=1).eval()
    clips = [random_clip(t, s, seed + i) for i, (t, s) in enumerate(lengths)]
    together, n_frames, losses, _ = run(model, clips)
    for i, clip in enumerate(clips):
        # Alone, but still as clip number i of a batch, so that it keeps its speaker.
        predicted, _, alone, _ = run(model, [clip] * (i + 1))
        torch.testing.assert_close(
            together.displacements[i, : n_frames[i]], predicted.displacements[i], atol=2e-5, rtol=1e-4
        )
        torch.testing.assert_close(together.embedding[i], predicted.embedding[i], atol=2e-6, rtol=1e-4)
        torch.testing.assert_close(losses[i], alone[i], atol=2e-5, rtol=1e-4)


def test_gradients_of_a_padded_batch_are_the_mean_of_the_clips_gradients():
    clips_of = [(13, 9), (5, 30), (22, 8)]
    padded, single = small_model(2).double().eval(), small_model(2).double().eval()
    clips = [tuple(x.double() for x in random_clip(t, s, i)) for i, (t, s) in enumerate(clips_of)]
    run(padded, clips)[3].total.backward()
    for i in range(len(clips)):
        # Three copies of a clip, of which only the i-th counts: the same speaker and emotion as in the batch.
        predicted, n_frames, _, _ = run(single, [clips[i]] * len(clips))
        weights = torch.eye(len(clips), dtype=torch.float64)[i] / len(clips)
        target, _ = pad_sequences([clips[i][2]] * len(clips))
        total_loss(
            predicted.displacements, target, n_frames, predicted.logits, torch.arange(3), clip_weights=weights
        ).total.backward()
    for (name, a), b in zip(padded.named_parameters(), single.parameters(), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-7, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_one_clip_can_be_learned():
    model = small_model(0)
    model.audio_encoder.regularise = False
    model.train()
    features, style, _ = random_clip(20, 25, 0)
    time = torch.linspace(0, 12, 20)[:, None]
    target = 0.05 * torch.sin(time + torch.arange(3 * V))
    n_frames, emotion = torch.tensor([20]), torch.tensor([1])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(200):
        predicted = model(features[None], n_frames, torch.tensor([0]), style[None], torch.tensor([25]))
        loss = total_loss(predicted.displacements, target[None], n_frames, predicted.logits, emotion)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.vertex.item())
    assert losses[-1] < 0.1 * losses[0]
    assert predicted.logits.argmax() == 1


def test_the_frozen_part_has_no_gradient_and_everything_else_has():
    model = small_model(0).train()
    run(model, [random_clip(20, 25, 0)])[3].total.backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    # SpecAugment's mask vector is used only in the steps that mask something.
    without -= {"audio_encoder.wav2vec2.masked_spec_embed"}
    assert without == {n for n, _ in model.named_parameters() if "feature_extractor" in n}


def test_gated_activation_unit_computes_equation_4_by_hand():
    unit = GatedActivationUnit(1, 1, 3, 1)
    for layer, weight in ((unit.filter, [0.0, 1.0, 0.0]), (unit.gate, [1.0, 0.0, 0.0]), (unit.output, [2.0])):
        layer.weight.data = torch.tensor(weight)[None, None]
        layer.bias.data.zero_()
    x = torch.tensor([0.5, -1.0])
    expected = [
        2 * torch.tanh(x[0]) * torch.sigmoid(torch.tensor(0.0)) + x[0],
        2 * torch.tanh(x[1]) * torch.sigmoid(x[0]) + x[1],
    ]
    torch.testing.assert_close(unit(x[None, :, None])[0, :, 0], torch.stack(expected))


def test_the_style_of_a_clip_is_a_mixture_of_tokens_as_equation_2_says():
    encoder = StyleEncoder(V, StyleConfig(width=8, n_heads=2, n_tokens=3, project_values=False))
    style = encoder(torch.randn(1, 20, 3 * V), torch.tensor([20]))
    tokens = torch.tanh(encoder.token_layer.tokens)
    mixtures = [style.scores[0, head] @ tokens for head in range(2)]
    torch.testing.assert_close(style.embedding[0], torch.cat(mixtures))


def test_the_tokens_can_be_projected_or_taken_as_they_are():
    assert StyleEncoder(V, StyleConfig()).token_layer.value is not None
    assert StyleEncoder(V, StyleConfig(project_values=False)).token_layer.value is None


def test_interpolation_follows_equation_8():
    emotion, neutral = torch.tensor([1.0, 4.0]), torch.tensor([3.0, 0.0])
    torch.testing.assert_close(interpolated_style(emotion, neutral, 0.3), torch.tensor([2.4, 1.2]))
    torch.testing.assert_close(interpolated_style(emotion, neutral, 1.5), torch.tensor([0.0, 6.0]))
    with pytest.raises(ValueError, match="intensity -0.1: must be 0"):
        interpolated_style(emotion, neutral, -0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_vertices": 0}, "n_vertices = 0: must be at least 1"),
        ({"subjects": ()}, "expected at least one"),
        ({"subjects": ("F1", "F1")}, "each once"),
        ({"conv_padding": 2, "conv_stride": 1}, "does not map 2T states to T frames"),
        ({"gau_paddings": (1, 1, 2)}, r"GAU kernels \[5\]"),
        ({"width": 128}, "style.width = 256: must equal width = 128"),
        ({"frames_per_second": 0}, "frames_per_second = 0"),
    ],
)
def test_an_impossible_configuration_is_refused_with_its_value(change, message):
    with pytest.raises(ValueError, match=message):
        EavaNetConfig(**{"n_vertices": V, "subjects": ("F1",)} | change)
