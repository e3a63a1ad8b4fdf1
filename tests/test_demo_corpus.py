"""The demo corpus on the disk: layout, gaps, balance, repeatability, and that nothing else gets hurt."""

import csv
import hashlib
import os
import tomllib
import wave

import numpy as np
import pytest

from db.demo import build, identity
from db.demo.build import EMOTIONS, make_demo_corpus, plan_takes, sentence_names


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    return folder, make_demo_corpus(folder, sentences=2, subjects=["F1", "F3", "M4"], seed=3)


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_what_the_peers_layout_asks_for(corpus):
    folder, summary = corpus
    assert {path.name for path in folder.iterdir()} == {
        "vertices_npy", "wav", "templates.pkl", "topology.ply", "regions", "original_ratings.csv", "truth.csv",
        "corpus.toml",
    }  # fmt: skip
    clips = {path.stem for path in (folder / "vertices_npy").iterdir()}
    assert clips == {"F1_e01", "F1_e02", "F3_e01", "M4_e01", "M4_e02"}
    assert {path.stem for path in (folder / "wav").iterdir()} == clips - {"M4_e01"}
    assert summary["clips"] == 5
    assert summary["missing_wavs"] == ["M4_e01"]
    assert summary["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_it_says_that_it_is_synthetic(corpus):
    settings = tomllib.loads((corpus[0] / "corpus.toml").read_text("utf-8"))
    assert settings["synthetic"] is True
    assert settings["frames_per_second"] == 25
    assert settings["normalisation"] == "none"
    assert settings["mm_per_unit"] == 150


def test_frames_and_sound_have_the_same_length(corpus):
    for path in (corpus[0] / "wav").iterdir():
        frames = np.load(corpus[0] / "vertices_npy" / f"{path.stem}.npy", mmap_mode="r")
        assert frames.dtype == np.float32
        assert frames.shape[1] == 3 * 1_800
        with wave.open(str(path)) as sound:
            assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
            assert abs(len(frames) - 25 * sound.getnframes() / sound.getframerate()) <= 0.51


def test_motion_is_small_smooth_and_leaves_the_back_of_the_head_alone(corpus):
    frames = np.load(corpus[0] / "vertices_npy" / "F3_e01.npy").reshape(-1, 1_800, 3) * 150
    assert np.isfinite(frames).all()
    assert np.ptp(frames, axis=0).max() < 45
    assert np.abs(np.diff(frames, axis=0)).max() < 22  # mm per frame; blinks and plosives are the fastest
    assert np.ptp(frames[:, frames[0, :, 2] < -40], axis=0).max() < 0.5


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(corpus, tmp_path):
    make_demo_corpus(tmp_path / "again", sentences=2, subjects=["F1", "F3", "M4"], seed=3)
    assert hashes(tmp_path / "again") == hashes(corpus[0])
    make_demo_corpus(tmp_path / "other", sentences=1, subjects=["F1"], seed=4)
    assert hashes(tmp_path / "other")["wav/F1_e01.wav"] != hashes(corpus[0])["wav/F1_e01.wav"]


def test_the_gaps_of_the_real_corpus_are_there():
    clips = {take.clip for take in plan_takes(50, seed=0)}
    names = {f"{subject}_{name}" for subject in identity.SUBJECTS for name in sentence_names(50)}
    missing = {"F1_e20", "F3_e02", "F3_e03", "M2_e20"} | {f"M1_e{n:02d}" for n in range(1, 21)}
    assert names - clips == missing
    assert len(build.MISSING_WAVS & {take.clip for take in plan_takes(build.DEFAULT_SENTENCES, 0)}) == 4


@pytest.mark.parametrize(
    ("sentences", "names"),
    [(1, ["e01"]), (5, ["e01", "e02", "e03", "e04", "01"]), (11, [*(f"e{n:02d}" for n in range(1, 10)), "01", "02"])],
)
def test_one_sentence_in_five_is_a_neutral_take(sentences, names):
    assert sentence_names(sentences) == names


def test_emotions_are_balanced_within_each_subject_and_neutral_takes_are_neutral():
    takes = plan_takes(20, seed=0, subjects=["F2"])
    assert [sum(take.emotion == emotion for take in takes) for emotion in EMOTIONS] == [5, 5, 5, 5]
    assert all(take.emotion == "neutral" for take in takes if not take.sentence.startswith("e"))


def test_a_sentence_does_not_give_the_emotion_away():
    takes = plan_takes(20, seed=0)
    for name in sentence_names(20)[:16]:
        assert len({take.emotion for take in takes if take.sentence == name}) >= 3


@pytest.mark.parametrize("seed", range(8))
def test_honest_raters_select_the_five_expressive_subjects(seed):
    """Algorithm 1: selected if the mean intensity is strictly above 3."""
    takes = plan_takes(build.DEFAULT_SENTENCES, seed)
    means = {s: np.mean([t.intensity for t in takes if t.subject == s]) for s in identity.SUBJECTS}
    assert {name for name, mean in means.items() if mean > 3} == set(identity.EXPRESSIVE)
    assert min(abs(mean - 3) for mean in means.values()) > 0.15


def test_intensities_lie_on_the_scale_and_vary_within_a_subject():
    takes = [take for take in plan_takes(20, 0) if take.emotion != "neutral"]
    assert all(1 <= take.intensity <= 5 for take in takes)
    assert np.std([take.intensity for take in takes if take.subject == "F1"]) > 0.2


def test_original_ratings_have_fifteen_adjectives_and_a_few_outliers(tmp_path):
    takes = plan_takes(build.DEFAULT_SENTENCES, 0)
    outliers = build._outliers(takes, 0)
    assert 2 <= len(outliers) <= 8
    make_demo_corpus(tmp_path / "c", sentences=2, subjects=["F1"])
    table = rows(tmp_path / "c" / "original_ratings.csv")
    adjectives = [key for key in table[0] if key not in ("subject", "sentence")]
    assert len(adjectives) == 15
    assert all(0 <= float(row[word]) <= 5 for row in table for word in adjectives)


def test_an_outlier_has_zeros_throughout_and_nobody_else_has():
    take = build.Take("F1", "e01", "happy", 0.9)
    assert set(build._scores(take, True, 0).values()) == {0.0}
    assert min(build._scores(take, False, 0).values()) > 0
    assert build._scores(take, False, 0)["happy"] > build._scores(take, False, 0)["sad"] + 1


def test_the_truth_is_kept_beside_the_corpus(corpus):
    table = rows(corpus[0] / "truth.csv")
    assert [row["clip"] for row in table] == ["F1_e01", "F1_e02", "F3_e01", "M4_e01", "M4_e02"]
    assert all(row["emotion"] in EMOTIONS and 1 <= float(row["intensity"]) <= 5 for row in table)


def test_the_raw_layout_has_a_file_per_frame(tmp_path):
    make_demo_corpus(tmp_path / "raw", sentences=1, subjects=["F2"], layout="raw")
    frames = sorted((tmp_path / "raw" / "faces" / "F2" / "e01").iterdir())
    assert frames[0].name == "frame_001.vl"
    assert len(frames) > 25
    assert frames[0].stat().st_size == 4 + 12 * 1_800
    assert (tmp_path / "raw" / "rigid_scans" / "F2.obj").exists()
    assert (tmp_path / "raw" / "audio" / "F2_e01.wav").exists()


def test_a_full_sized_clip_has_23370_vertices(tmp_path):
    summary = make_demo_corpus(tmp_path / "full", sentences=1, subjects=["M5"], vertices="full")
    frames = np.load(tmp_path / "full" / "vertices_npy" / "M5_e01.npy", mmap_mode="r")
    assert frames.shape == (summary["frames"], 70_110)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(ValueError, match="not a demo corpus"):
        make_demo_corpus(tmp_path, sentences=1, subjects=["F1"])
    assert (tmp_path / "thesis.txt").read_text("utf-8") == "years of work"


def test_an_earlier_demo_corpus_is_replaced(tmp_path):
    make_demo_corpus(tmp_path / "c", sentences=2, subjects=["F1"])
    make_demo_corpus(tmp_path / "c", sentences=1, subjects=["F2"])
    assert [path.stem for path in (tmp_path / "c" / "vertices_npy").iterdir()] == ["F2_e01"]


def test_a_build_that_breaks_off_leaves_nothing(tmp_path):
    def stop(done, total, clip):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo_corpus(tmp_path / "c", sentences=2, subjects=["F1"], progress=stop)
    assert os.listdir(tmp_path) == []


def test_progress_counts_every_clip(tmp_path):
    seen = []
    make_demo_corpus(tmp_path / "c", sentences=2, subjects=["F2"], progress=lambda *step: seen.append(step))
    assert seen == [(1, 2, "F2_e01"), (2, 2, "F2_e02")]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"sentences": 0}, "0 sentences.*1 to 50"), ({"sentences": 51}, "51 sentences.*1 to 50"),
        ({"layout": "flat"}, "'flat'.*peers, raw"), ({"vertices": "huge"}, "'huge'.*small or full"),
        ({"subjects": ["F9"]}, "F9.*the demo has F1"),
    ],
)  # fmt: skip
def test_impossible_choices_are_refused_before_anything_is_written(tmp_path, choice, message):
    with pytest.raises(ValueError, match=message):
        make_demo_corpus(tmp_path / "c", **choice)
    assert os.listdir(tmp_path) == []
