"""Training CodeTalker: two stages in one run, each with its own losses and optimizer, resumed exactly."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sqlalchemy import Engine
from torch import Tensor

from db.session import reading
from eavanet.audio import load_encoder
from eavanet.checkpoint import load_checkpoint
from eavanet.data import Batch, load_split
from eavanet.peers.codetalker import CodeTalker, Rebuilt, Taught
from eavanet.peers.codetalker_codes import Quantised
from eavanet.peers.codetalker_losses import code_losses, over_clips, speech_losses
from eavanet.peers.codetalker_system import CodeTalkerSystem, CodeTalkerTraining, take_codes
from eavanet.predict import main as predict
from eavanet.run import Run
from eavanet.train_command import main
from tests.eavanet_world import V, make_world

torch.set_num_threads(1)
SYSTEM = CodeTalkerSystem()
SMALL = {
    "width": 16, "layers": 1,
    "codes": {"width": 16, "layers": 1, "heads": 2, "mlp_width": 16, "codes_per_frame": 2, "code_width": 8,
              "n_codes": 8},
}  # fmt: skip
TINY = [
    "--system", "codetalker", "--preset", "codetalker-demo", "--device", "cpu", "--threads", "1",
    "--set", "model.width=16", "--set", "model.layers=1", "--set", "model.codes.width=16",
    "--set", "model.codes.layers=1", "--set", "model.codes.heads=2", "--set", "model.codes.mlp_width=16",
    "--set", "model.codes.codes_per_frame=2", "--set", "model.codes.code_width=8", "--set", "model.codes.n_codes=8",
]  # fmt: skip
QUICK = [
    "--code-learning-rate", "0.01", "--code-halve-every", "10", "--learning-rate", "0.003", "--halve-every", "3",
    "--own-past", "0", "--code-weight", "1",
]  # fmt: skip
TIMINGS = {"seconds", "epoch_seconds", "waiting_for_data", "memory_mb"}


def new_model(subjects: tuple[str, ...] = ("F1", "F3")) -> CodeTalker:
    torch.manual_seed(0)
    config = SYSTEM.make_config(SMALL | {"n_vertices": V, "subjects": subjects, "frames_per_second": 25.0})
    return SYSTEM.make_model(config, load_encoder("random-small", regularise=False))


def new_batch(lengths: tuple[int, ...] = (9, 6)) -> Batch:
    generator = torch.Generator().manual_seed(1)
    longest = max(lengths)
    inside = (torch.arange(longest) < torch.tensor(lengths)[:, None])[..., None]
    target = 0.1 * torch.randn(len(lengths), longest, 3 * V, generator=generator) * inside
    features = torch.randn(len(lengths), 2 * longest, 64, generator=generator)
    features = features * inside.repeat_interleave(2, dim=1)
    zeros = torch.zeros(len(lengths), dtype=torch.long)
    return Batch([], features, target, torch.tensor(lengths), zeros, zeros, None, None, torch.tensor([0.5, 0.5]))


# Losses -----------------------------------------------------------------------------------------------------------


def test_stage_1_is_judged_by_absolute_error_and_the_codebooks_term():
    codes = Quantised(torch.zeros(1, 2, 1), torch.zeros(1, 2, dtype=torch.long), torch.tensor(0.5))
    rebuilt = Rebuilt(torch.tensor([[[1.0, 0.0, 0.0], [0.0, -3.0, 2.0]]]), codes)
    losses = code_losses(rebuilt, torch.zeros(1, 2, 3), codebook_weight=2.0)
    assert [term.item() for term in losses] == [2.0, 1.0, 0.5]


def test_stage_2_is_judged_by_squared_errors_of_motion_and_codes():
    taught = Taught(torch.full((1, 2, 3), 2.0), torch.ones(1, 4, 2), torch.zeros(1, 4, 2))
    losses = speech_losses(taught, torch.zeros(1, 2, 3), code_weight=0.5)
    assert [term.item() for term in losses] == [4.5, 4.0, 1.0]


def test_clips_count_by_their_weights():
    first, second = (speech_losses(Taught(torch.full((1, 1, 3), x), torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)),
                                   torch.zeros(1, 1, 3)) for x in (1.0, 2.0))  # fmt: skip
    assert over_clips([first, second], torch.tensor([0.25, 0.75])).total.item() == pytest.approx(0.25 + 3.0)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_clip_in_a_batch_is_computed_as_if_it_were_alone(stage: int):
    model, batch = new_model().learn(stage).eval(), new_batch()
    settings = CodeTalkerTraining(epochs=2, code_epochs=1)
    alone = [
        Batch([], batch.features[[i], : 2 * n], batch.target[[i], :n], batch.n_frames[[i]], batch.speaker[[i]],
              batch.emotion[[i]], None, None, torch.ones(1))
        for i, n in enumerate(batch.n_frames.tolist())
    ]  # fmt: skip
    with torch.no_grad():
        together = SYSTEM.losses(model, batch, settings)
        apart = [SYSTEM.losses(model, one, settings) for one in alone]
    for number, term in enumerate(together.losses):
        assert term.item() == pytest.approx(np.mean([one.losses[number].item() for one in apart]), rel=1e-4)
    torch.testing.assert_close(together.displacements[1, :6], apart[1].displacements[0], atol=1e-4, rtol=1e-3)


def test_validation_shows_the_motion_that_the_model_makes_on_its_own():
    model, batch = new_model().eval(), new_batch((8,))
    torch.nn.init.normal_(model.to_codes.weight)
    with torch.no_grad():
        shown = SYSTEM.losses(model, batch, CodeTalkerTraining()).displacements
        heard = model.hear(batch.features, batch.n_frames)
        alone = model.speak_faithfully(heard, batch.n_frames, batch.speaker, heard.new_empty(1, 0))
    torch.testing.assert_close(shown, alone, atol=1e-4, rtol=1e-3)


def test_its_own_frames_are_the_past_only_where_that_is_asked_for():
    model, batch = new_model().eval(), new_batch((8, 5))
    torch.nn.init.normal_(model.to_codes.weight)
    settings = CodeTalkerTraining(own_past=2)
    with torch.no_grad():
        official, own = (SYSTEM.losses(model, batch, s, epoch=200) for s in (CodeTalkerTraining(), settings))
        given = (batch.features, batch.n_frames, batch.speaker, batch.target)
        never, ever = (model(*given, passes) for passes in (None, [2, 2]))
    assert own.losses.motion.item() != official.losses.motion.item()
    for made, losses in ((never, official.losses), (ever, own.losses)):
        clips = [speech_losses(one, clip[None, :n]) for one, clip, n in zip(made, batch.target, (8, 5), strict=True)]
        assert losses.total.item() == pytest.approx(np.mean([one.total.item() for one in clips]), rel=1e-5)
    # A frame's past that is the model's own is what it said there before: so each pass is the one before, one on.
    (first,), (second,) = (model(*(part[:1] for part in given), [passes]) for passes in (0, 1))
    again = model(*(part[:1] for part in given[:3]), first.motion.detach())[0]
    torch.testing.assert_close(second.motion, again.motion)


# Stages -----------------------------------------------------------------------------------------------------------


def test_each_stage_trains_its_own_weights_only():
    settings = CodeTalkerTraining(epochs=4, code_epochs=2)
    for finished, changing in ((0, "autoencoder."), (2, "autoencoder."), (3, "")):
        model, batch = new_model(), new_batch()
        torch.nn.init.normal_(model.to_codes.weight)
        optimizer = SYSTEM.optimizer(model, settings, finished)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        model.train()
        SYSTEM.losses(model, batch, settings, batch.weights).losses.total.backward()
        optimizer.step()
        changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
        assert changed
        if changing:
            assert all(key.startswith(changing) for key in changed)
        else:
            assert not any(
                key.startswith(("autoencoder.", "audio_encoder.wav2vec2.feature_extractor")) for key in changed
            )


def test_stage_1_stands_still_and_without_dropout_while_stage_2_learns():
    model = new_model().train()
    assert model.training and not model.autoencoder.training
    assert model.learn(1).autoencoder.training
    assert not model.learn(2).autoencoder.training


def test_each_stage_begins_with_its_own_learning_rate():
    settings = CodeTalkerTraining(
        epochs=8, code_epochs=4, code_learning_rate=0.8, code_halve_every=2, learning_rate=0.1, halve_every=3
    )
    assert [settings.learning_rate_in(epoch) for epoch in range(8)] == [0.8, 0.8, 0.4, 0.4, 0.1, 0.1, 0.1, 0.05]
    assert [type(SYSTEM.optimizer(new_model(), settings, finished)) for finished in (0, 4, 5)] == [
        torch.optim.AdamW, torch.optim.AdamW, torch.optim.Adam
    ]  # fmt: skip


def test_the_defaults_are_the_official_codes():
    settings = CodeTalkerTraining()
    assert (settings.code_epochs, settings.epochs - settings.code_epochs, settings.batch_size) == (200, 100, 1)
    assert {settings.learning_rate_in(epoch) for epoch in range(300)} == {1e-4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code_epochs": 300}, "code_epochs = 300 of epochs = 300: both stages together must have more"),
        ({"code_epochs": 0}, "stage 1 is either trained"),
        ({"codes_from": "biwi_stage1.pth.tar"}, "stage 1 is either trained"),
        ({"code_learning_rate": 0.0}, "code_learning_rate = 0.0"),
        ({"code_weight": -1.0}, "code_weight = -1.0"),
    ],
)
def test_impossible_settings_are_refused(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        CodeTalkerTraining(**change)


# Stage 1 from elsewhere --------------------------------------------------------------------------------------------


def test_stage_1_can_come_from_a_checkpoint_or_a_published_file(tmp_path):
    source, model = new_model(), new_model()
    torch.nn.init.normal_(source.autoencoder.codebook.entries)
    save_file({key: value.contiguous() for key, value in source.state_dict().items()}, tmp_path / "model.safetensors")
    take_codes(model, tmp_path)
    assert_same(model.autoencoder.state_dict(), source.autoencoder.state_dict())
    # A published file would have other names; names that are ours pass through.
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in source.autoencoder.state_dict().items()}}, tmp_path / "s1.pth"
    )
    model = new_model()
    take_codes(model, tmp_path / "s1.pth")
    assert_same(model.autoencoder.state_dict(), source.autoencoder.state_dict())


def test_a_stage_1_of_another_size_is_refused_with_what_differs(tmp_path):
    tensors = new_model().autoencoder.state_dict()
    tensors["codebook.entries"] = torch.zeros(9, 8)
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"codebook.entries \(9, 8\), expected \(8, 8\)"):
        take_codes(new_model(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match="has no model.safetensors"):
        take_codes(new_model(), tmp_path)


def test_a_published_file_of_stage_1_alone_is_no_model_that_speaks():
    with pytest.raises(ValueError, match="stage 1 alone, which knows no speech"):
        SYSTEM.published_config({"quantize.embedding.weight": torch.zeros(2, 2)}, ("F1",))
    with pytest.raises(ValueError, match="no tensor 'styles.weight'; is the file truncated"):
        SYSTEM.published_config({"vertice_map.weight": torch.zeros(2, 3)}, ("F1",))


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


# The command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(sqlite_engine: Engine) -> Engine:
    make_world(sqlite_engine)
    return sqlite_engine


def measured(name: str) -> list[dict]:
    return [{k: v for k, v in entry.items() if k not in TIMINGS} for entry in Run(name).metrics()]


def test_a_run_learns_codes_and_then_speech_and_predicts(world: Engine):
    assert main([*TINY, *QUICK, "--epochs", "26", "--code-epochs", "16", "--name", "talk"]) == 0
    entries = measured("talk")
    codes, speech = entries[:16], entries[16:]
    assert codes[-1]["validation/reconstruction"] < 0.3 * codes[0]["validation/reconstruction"]
    assert speech[-1]["train/total"] < 0.8 * speech[0]["train/total"]
    assert 1 <= codes[-1]["validation/perplexity"] <= 8
    assert all("train/codebook" in entry and "train/motion" not in entry for entry in codes)
    assert all("train/motion" in entry and "train/codebook" not in entry for entry in speech)
    assert all("validation/lip_vertex_error" in entry for entry in entries)
    best = 17 + int(np.argmin([entry["validation/total"] for entry in speech]))
    assert Run("talk").checkpoint("best").name == f"epoch-{best:04d}"
    assert predict(["--checkpoint", "talk", "--part", "biwi-b", "--conditions", "all", "--device", "cpu"]) == 0
    with reading(world) as session:
        clips = load_split(session).parts["biwi-b"]
    folder = Run("talk").folder.parents[1] / "predictions" / "talk-biwi-b"
    for clip in clips:
        shapes = [np.load(folder / f"{clip.name}_condition_{subject}.npy").shape for subject in ("F1", "F3")]
        assert shapes == 2 * [(clip.n_frames, 3 * V)]


def test_a_resumed_run_ends_where_an_unbroken_one_ends_whichever_stage_it_was_in(world: Engine):
    assert main([*TINY, "--epochs", "5", "--code-epochs", "3", "--name", "whole"]) == 0
    for stopped in (2, 3, 4):
        name = f"stopped-{stopped}"
        stop_after(name, stopped)
        assert main(["--resume", "--name", name, "--device", "cpu"]) == 0
        first, second = (load_file(Run(run).checkpoint("last") / "model.safetensors") for run in ("whole", name))
        assert_same(first, second)
        assert measured("whole") == measured(name)


def stop_after(name: str, epoch: int) -> None:
    """A run of 5 epochs that is interrupted when `epoch` of them are finished and kept."""
    begin, finished = CodeTalkerSystem.begin_epoch, epoch

    def interrupted(self, state, task, epoch):
        if epoch == finished:
            raise KeyboardInterrupt
        return begin(self, state, task, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CodeTalkerSystem, "begin_epoch", interrupted)
        assert main([*TINY, "--epochs", "5", "--code-epochs", "3", "--name", name]) == 130


def test_speech_can_be_trained_on_another_runs_codes(world: Engine):
    assert main([*TINY, "--epochs", "3", "--code-epochs", "2", "--name", "first"]) == 0
    codes = Run("first").checkpoint("last")
    assert main([*TINY, "--epochs", "1", "--code-epochs", "0", "--codes-from", str(codes), "--name", "second"]) == 0
    first, second = (load_checkpoint(Run(name).checkpoint("last")).model for name in ("first", "second"))
    assert_same(first.autoencoder.state_dict(), second.autoencoder.state_dict())
    assert json.loads((Run("second").checkpoint("last") / "config.json").read_text())["system"] == "codetalker"
