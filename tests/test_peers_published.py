"""Published checkpoints: every way in which they are wrapped, and what is refused with which words."""

import pickle

import pytest
import torch
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from eavanet.audio import RANDOM_ENCODERS
from eavanet.peers.published import UnusablePublished, fill, our_name, read_published, speech_encoder

WEIGHTS = {"first.weight": torch.ones(2, 3), "first.bias": torch.zeros(2)}


def written(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "epoch": 3},
        {f"module.{key}": value for key, value in WEIGHTS.items()},
        {"state_dict": {f"module.{key}": value.half() for key, value in WEIGHTS.items()}},
    ],
    ids=["plain", "state_dict", "module", "both, float16"],
)
def test_wrappers_are_taken_off(tmp_path, content):
    found = read_published(written(tmp_path / "a.pth", content))
    assert set(found) == set(WEIGHTS)
    assert all(torch.equal(found[key], value) and found[key].dtype == torch.float32 for key, value in WEIGHTS.items())


def test_both_namings_of_the_normalised_convolution_are_one():
    conv = "encoder.pos_conv_embed.conv"
    for part, number in (("weight_g", 0), ("weight_v", 1)):
        now = f"audio_encoder.wav2vec2.{conv}.parametrizations.weight.original{number}"
        assert our_name(f"audio_encoder.{conv}.{part}") == now
        assert our_name(f"audio_encoder.{conv}.parametrizations.weight.original{number}") == now
        assert our_name(now) == now
    assert our_name("other.weight_g") == "other.weight_g"


class Harmful:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_a_file_with_code_inside_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"weights": torch.ones(1), "more": Harmful()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harmful(), protocol=2))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(UnusablePublished, match=r"which may be code.*nothing of it was run"):
            read_published(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_a_truncated_file_is_refused(tmp_path):
    whole = written(tmp_path / "a.pth", {"weight": torch.randn(1000, 10)}).read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 40):
        (tmp_path / "b.pth").write_bytes(whole[:length])
        with pytest.raises(UnusablePublished, match=r"b\.pth: (truncated, or no torch file|holds something else)"):
            read_published(tmp_path / "b.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "holds a list, expected the tensors of a model by name"),
        ({}, "holds nothing"),
        ({"a": torch.ones(1), "epoch": 3, "lr": 0.1}, "epoch, lr are no tensors"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, content, message):
    with pytest.raises(UnusablePublished, match=message):
        read_published(written(tmp_path / "a.pth", content))
    with pytest.raises(UnusablePublished, match="none.pth: no such file"):
        read_published(tmp_path / "none.pth")


def test_what_does_not_fit_is_told_by_name_and_shape(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = [parameter.clone() for parameter in model.parameters()]
    tensors = {"a.weight": torch.ones(2, 4), "a.bias": torch.ones(2), "odd": torch.ones(1)}
    with pytest.raises(UnusablePublished) as refused:
        fill(model, tensors, tmp_path / "a.pth", lambda name: name.replace("a.", "0."))
    assert "missing: 1.weight; 1.bias. unexpected: odd. of another shape: a.weight (2, 4), expected (2, 3)" in str(
        refused.value
    )
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_many_names_are_cut_short(tmp_path):
    with pytest.raises(UnusablePublished, match=r"missing: 0.weight; 0.bias; 1.weight; 1.bias and 2 more"):
        fill(nn.Sequential(*[nn.Linear(1, 1)] * 1, nn.Linear(1, 1), nn.Linear(1, 1)), {}, tmp_path)


@pytest.mark.parametrize("settings", [RANDOM_ENCODERS["random-small"], {"num_hidden_layers": 1}], ids=["small", "base"])
def test_the_speech_encoder_has_the_size_of_its_tensors(settings):
    published = Wav2Vec2Model(Wav2Vec2Config(**settings))
    tensors = {our_name(f"audio_encoder.{key}"): value for key, value in published.state_dict().items()}
    found = speech_encoder(tensors).wav2vec2
    assert {k: v.shape for k, v in found.state_dict().items()} == {
        k: v.shape for k, v in published.state_dict().items()
    }
    with pytest.raises(UnusablePublished, match="no whole speech encoder"):
        speech_encoder({})
