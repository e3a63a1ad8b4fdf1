"""Embeddings, attention and the figures made of them: known cases, the same bytes each time, and what is refused."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.attention import difference_between_emotions, mean_scores
from evaluation.description import Description, NoDescription, read_description
from evaluation.embedding import project, silhouette, silhouettes
from evaluation.emotions import EMOTIONS
from evaluation.figures import FORMATS, attention_figure, figure_bytes, save_figure, shown, style_figure
from evaluation.interactive_figures import interactive_attention_figure, interactive_style_figure
from evaluation.intervals import Interval
from evaluation.palette import look

ROOT = Path(__file__).resolve().parents[1]


def described(per_group: int = 3, apart: float = 10.0, seed: int = 0) -> Description:
    """Clips of four emotions and two speakers; embeddings of one emotion lie `apart` from the others'."""
    rng = np.random.default_rng(seed)
    emotion = np.repeat(EMOTIONS, 2 * per_group)
    subject = np.tile(np.repeat(["F1", "F3"], per_group), 4)
    embedding = rng.normal(size=(len(emotion), 6))
    embedding[:, :4] += apart * (emotion[:, None] == np.array(EMOTIONS))
    scores = rng.dirichlet(np.ones(5), size=(len(emotion), 2))
    part = np.where(np.arange(len(emotion)) % per_group == 0, "validation", "train")
    clip = np.array([f"{s}_e{i:02d}" for i, s in enumerate(subject)])
    untrained = rng.normal(size=embedding.shape)
    return Description(clip, subject, emotion, part, embedding.astype(np.float32), untrained.astype(np.float32),
                       scores.astype(np.float32), {"run": "made"})  # fmt: skip


# Embeddings -----------------------------------------------------------------------------------------------------------


def test_groups_that_lie_apart_have_a_high_silhouette_and_what_is_mixed_has_none():
    found = silhouettes(described())
    assert found.emotion.estimate > 0.6 > 0.2 > abs(found.subject.estimate)
    assert abs(found.emotion_untrained.estimate) < 0.2
    assert found.emotion.low < found.emotion.estimate < found.emotion.high and found.emotion.n == 24


def test_two_pairs_at_distance_4_have_silhouettes_of_three_quarters():
    assert silhouette([[0.0], [1.0], [4.0], [5.0]], ["a", "a", "b", "b"]).estimate == pytest.approx(
        np.mean([1 - 1 / 4.5, 1 - 1 / 3.5])
    )


def test_a_single_group_or_a_group_per_clip_has_no_silhouette():
    assert silhouette([[0.0], [1.0], [2.0]], ["a", "a", "a"]) is None
    assert silhouette([[0.0], [1.0], [2.0]], ["a", "b", "c"]) is None
    with pytest.raises(ValueError, match="3 embeddings in 2 groups"):
        silhouette([[0.0], [1.0], [2.0]], ["a", "b"])


def test_clips_of_one_emotion_come_to_lie_together_and_the_picture_is_the_same_each_time():
    clips = described(per_group=4)
    first = project(clips.embedding)
    assert first.shape == (32, 2) and np.array_equal(first, project(clips.embedding))
    assert silhouette(first, clips.emotion).estimate > 0.5


@settings(max_examples=6)
@given(count=st.integers(4, 9), seed=st.integers(0, 9))
def test_few_clips_make_a_picture_too(count, seed):
    assert np.isfinite(project(np.random.default_rng(seed).normal(size=(count, 3)))).all()


def test_what_makes_no_picture_is_refused_and_equal_clips_are_one_point():
    with pytest.raises(ValueError, match="at least 4 clips"):
        project(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="did the training diverge"):
        project(np.full((5, 2), np.nan))
    assert (project(np.ones((5, 3))) == 0).all()


# Attention ------------------------------------------------------------------------------------------------------------


def test_mean_scores_are_those_of_the_emotions_clips_and_sum_to_1_over_the_tokens():
    clips = described()
    found = mean_scores(clips)
    assert len(found) == 4 * 2 * 5 and found["emotion"].unique().tolist() == list(EMOTIONS)
    angry = found[(found["emotion"] == "angry") & (found["head"] == 2)]
    assert angry["score"].to_numpy() == pytest.approx(clips.scores[clips.emotion == "angry", 1].mean(axis=0), rel=1e-5)
    assert (found["low"] < found["score"]).all() and (found["score"] < found["high"]).all() and set(found["n"]) == {6}
    assert found.groupby(["emotion", "head"])["score"].sum().to_numpy() == pytest.approx(1)
    assert mean_scores(clips, intervals=False)["low"].isna().all()


def test_emotions_that_share_no_token_differ_by_1_and_those_that_share_all_by_0():
    clips = described()
    own = np.zeros((24, 2, 4), np.float32)
    own[np.arange(24), :, [EMOTIONS.index(name) for name in clips.emotion]] = 1
    assert difference_between_emotions(_with(clips, scores=own)) == 1
    assert difference_between_emotions(_with(clips, scores=np.full((24, 2, 4), 0.25))) == 0
    assert np.isnan(difference_between_emotions(_with(clips, emotion=np.repeat("angry", 24))))
    with pytest.raises(ValueError, match="do not sum to 1"):
        mean_scores(_with(clips, scores=own * 2))


def _with(clips: Description, **changes) -> Description:
    return Description(**vars(clips) | changes)


# Files ----------------------------------------------------------------------------------------------------------------


def write(folder: Path, clips: Description, **changes) -> None:
    folder.mkdir()
    arrays = vars(clips) | changes
    names = {name: arrays[name] for name in ("clip", "subject", "emotion", "part")}
    np.savez(folder / "embeddings.npz", **names, embedding=arrays["embedding"], untrained=arrays["untrained"])
    np.savez(folder / "attention.npz", **names, scores=arrays["scores"])
    (folder / "description.json").write_text(json.dumps(clips.source))


def test_a_description_comes_back_as_it_was_written_and_parts_of_it_can_be_had(tmp_path):
    clips = described()
    write(tmp_path / "d", clips)
    found = read_description(tmp_path / "d")
    for name, value in vars(clips).items():
        assert np.array_equal(getattr(found, name), value), name
    assert set(found.of("train").part) == {"train"} and len(found.of("train", "validation").clip) == 24
    with pytest.raises(NoDescription, match="no clip of biwi-a; there are clips of train, validation"):
        found.of("biwi-a")


def test_files_of_other_clips_are_refused(tmp_path):
    clips = described()
    for number, change in enumerate((
        {"scores": clips.scores[:5]}, {"embedding": clips.embedding[:, 0]}, {"untrained": clips.untrained[:3]},
    )):  # fmt: skip
        write(tmp_path / str(number), clips, **change)
        with pytest.raises(NoDescription, match="not of the same clips"):
            read_description(tmp_path / str(number))
    with pytest.raises(NoDescription, match=r"no description\.json; run python -m eavanet\.describe first"):
        read_description(tmp_path)


# Figures --------------------------------------------------------------------------------------------------------------


def figures():
    """Fig. 2 and Fig. 3, made anew."""
    clips = described()
    positions = project(clips.embedding)
    return style_figure(clips, positions, silhouettes(clips), "synthetic"), attention_figure(mean_scores(clips))


def test_figures_are_written_in_all_formats_and_are_the_same_bytes_each_time(tmp_path):
    for number, figure in enumerate(figures()):
        paths = save_figure(figure, tmp_path, f"figure_{number}")
        assert [path.suffix for path in paths] == [f".{kind}" for kind in FORMATS]
        svg, pdf, png = (path.read_bytes() for path in paths)
        assert b"<svg" in svg and pdf.startswith(b"%PDF") and png.startswith(b"\x89PNG")
        assert b"<dc:date>" not in svg and b"CreationDate" not in pdf and b"/Type3" not in pdf
        again = figures()[number]
        assert [figure_bytes(again, kind) for kind in FORMATS] == [svg, pdf, png]


def test_another_process_makes_the_same_bytes():
    code = (
        "import hashlib; from tests.test_evaluation_figures import figures; from evaluation.figures import *\n"
        "print(*[hashlib.sha256(figure_bytes(f, k)).hexdigest() for f in figures() for k in FORMATS])"
    )
    here = [hashlib.sha256(figure_bytes(figure, kind)).hexdigest() for figure in figures() for kind in FORMATS]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"}
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.split() == here


def test_the_styles_figure_says_what_it_shows():
    figure, _ = figures()
    left, right = figure.axes
    assert left.get_title().startswith("By emotion (silhouette 0.") and right.get_title().startswith("By speaker")
    assert [text.get_text() for text in left.get_legend().get_texts()] == list(EMOTIONS)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["F1", "F3"]
    assert [text.get_text() for text in figure.texts] == ["synthetic"]


def test_the_attention_figure_has_a_panel_per_emotion_and_a_bar_per_head_and_token():
    _, figure = figures()
    assert [panel.get_title() for panel in figure.axes] == [f"{name} (6 clips)" for name in EMOTIONS]
    assert [len(panel.patches) for panel in figure.axes] == [10] * 4


def test_negative_silhouettes_have_a_true_minus():
    assert shown(Interval(-0.204, -0.26, 0.1, 9, 9, "")) == "\N{MINUS SIGN}0.20 [\N{MINUS SIGN}0.26, 0.10]"
    assert shown(Interval(0.5, None, None, 1, 1, "")) == "0.50"


def test_a_click_on_a_dot_names_its_clip():
    clips = described()
    figure = interactive_style_figure(clips, np.zeros((24, 2)))
    assert sorted(name for trace in figure.data[:4] for name in trace.customdata) == sorted(clips.clip)
    assert sorted(name for trace in figure.data[4:] for name in trace.customdata) == sorted(clips.clip)
    assert [trace.name for trace in figure.data] == [*EMOTIONS, "F1", "F3"]
    assert "%{customdata}" in figure.data[0].hovertemplate


def test_the_interactive_attention_figure_has_the_same_bars():
    scores = mean_scores(described())
    figure = interactive_attention_figure(scores)
    assert len(figure.data) == 8 and [trace.name for trace in figure.data if trace.showlegend] == ["head 1", "head 2"]
    assert sum(sum(trace.y) for trace in figure.data) == pytest.approx(8)
    assert figure.data[0].error_y.array is not None
    assert interactive_attention_figure(mean_scores(described(), intervals=False)).data[0].error_y.array is None


def test_what_cannot_be_drawn_is_refused():
    clips = described()
    for draw in (style_figure, interactive_style_figure):
        with pytest.raises(ValueError, match=r"positions \(3, 2\) of 24 clips"):
            draw(clips, np.zeros((3, 2)))
    for draw in (attention_figure, interactive_attention_figure):
        with pytest.raises(ValueError, match="no attention scores"):
            draw(mean_scores(clips)[:0])
    with pytest.raises(ValueError, match="expected one of svg, pdf, png"):
        figure_bytes(style_figure(clips, np.zeros((24, 2))), "docx")


def test_no_two_groups_look_alike_and_an_emotion_always_looks_the_same():
    speakers = [f"F{i}" for i in range(1, 9)] + [f"M{i}" for i in range(1, 7)]
    assert len(set(look(speakers).values())) == 14
    assert look(["happy", "sadness"])["sadness"][0] == look(EMOTIONS)["sadness"][0]
    assert len({colour for colour, _ in look([*EMOTIONS, "bored", "calm"]).values()}) == 6
