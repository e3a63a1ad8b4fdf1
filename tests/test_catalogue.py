"""Lists of clips, raters and rounds: what is found, in which order, and how quickly."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rating_world import make_world
from db import catalogue
from db.catalogue import NO_LABEL, ClipFilter
from db.models import Clip, LabelRelease, OriginalRating, ReleaseLabel
from db.session import reading, writing
from tests.rating_world import new_world


def names(found: pd.DataFrame) -> list[str]:
    return list(found["clip"])


@pytest.fixture
def corpus_id(engine) -> int:
    """F1_e01..F1_e03 and F2_e01..F2_e03; F1_e02 is an outlier, F2_e03 broken, F2_e01 a neutral take."""
    corpus_id, _ = new_world(engine, n_raters=1, n_subjects=2, n_clips=3)
    with writing(engine) as session:
        clips = {clip.name: clip for clip in session.query(Clip)}
        clips["F1_e02"].status, clips["F1_e02"].status_reason = "outlier", "all 15 original ratings are zero"
        clips["F2_e03"].status, clips["F2_e03"].status_reason = "broken", "100% silent"
        clips["F2_e01"].name, clips["F2_e01"].sentence = "F2_01", "01"
        clips["F1_e03"].n_frames = 50
        session.add(OriginalRating(clip_id=clips["F1_e01"].id, adjective="angry", score=4.0))
    return corpus_id


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["F1_e01", "F1_e02", "F1_e03", "F2_01", "F2_e02", "F2_e03"]),
        ({"subjects": ("F2",)}, ["F2_01", "F2_e02", "F2_e03"]),
        ({"takes": ("neutral",)}, ["F2_01"]),
        ({"statuses": ("outlier", "broken")}, ["F1_e02", "F2_e03"]),
        ({"words": "zero"}, ["F1_e02"]),
        ({"words": "f1 E03"}, ["F1_e03"]),
        ({"words": "%"}, ["F2_e03"]),  # a percent sign is not a wildcard
        ({"words": "2_e"}, ["F2_e02", "F2_e03"]),  # nor is an underscore: F1_e02 has no "2_e"
        ({"words": "\\"}, []),
        ({"subjects": ("F1",), "statuses": ("broken",)}, []),
    ],
)
def test_filters_find_the_clips_that_they_name(engine, corpus_id: int, wanted: dict, found: list[str]):
    with reading(engine) as session:
        chosen = ClipFilter(corpus_id, **wanted)
        assert names(catalogue.list_clips(session, chosen)) == found
        assert catalogue.count_clips(session, chosen) == len(found)


def test_pages_follow_one_another_without_gap_or_overlap(engine, corpus_id: int):
    with reading(engine) as session:
        wanted = ClipFilter(corpus_id)
        whole = names(catalogue.list_clips(session, wanted, order="status", descending=True))
        pages = [
            names(catalogue.list_clips(session, wanted, order="status", descending=True, offset=n, limit=2))
            for n in (0, 2, 4)
        ]
    assert sum(pages, []) == whole


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ["clip", "status", "duration_s", "label"])
def test_a_clips_place_is_where_the_list_has_it(engine, corpus_id: int, order: str, descending: bool):
    wanted = ClipFilter(corpus_id, statuses=("usable", "outlier"))
    with reading(engine) as session:
        listed = list(catalogue.list_clips(session, wanted, order=order, descending=descending)["clip_id"])
        places = [catalogue.place_of(session, wanted, row, order=order, descending=descending) for row in listed]
        broken = session.query(Clip).filter_by(status="broken").one().id
        assert catalogue.place_of(session, wanted, broken) is None
    assert places == list(range(len(listed)))


def test_a_list_is_sorted_by_what_is_asked_for(engine, corpus_id: int):
    with reading(engine) as session:
        found = catalogue.list_clips(session, ClipFilter(corpus_id), order="duration_s", descending=True)
        assert (names(found)[0], found["duration_s"].iloc[0]) == ("F1_e03", 2.0)
        with pytest.raises(ValueError, match="order 'nonsense': expected one of clip, subject"):
            catalogue.list_clips(session, ClipFilter(corpus_id), order="nonsense")


def test_labels_of_a_release_filter_too_and_a_clip_without_one_counts_as_none(engine, corpus_id: int):
    with writing(engine) as session:
        release = LabelRelease(
            corpus_id=corpus_id, name="r", policy="paper", minimum_votes=1, allow_partial=True, threshold=3.0,
            ratings_sha256="0" * 64, n_ratings=1, n_ties=0, simulated=True, summary={}, sha256="0" * 64,
            created_by="test",
        )  # fmt: skip
        session.add(release)
        session.flush()
        first = session.query(Clip).filter_by(name="F1_e01").one()
        session.add(ReleaseLabel(release_id=release.id, clip_id=first.id, label="angry", tie=False, n_votes=1, happy=0,
                                 angry=1, sadness=0, neutral=0, mean_intensity=4.0))  # fmt: skip
        release_id = release.id
    with reading(engine) as session:
        labelled = ClipFilter(corpus_id, release_id=release_id, labels=("angry",))
        rest = ClipFilter(corpus_id, release_id=release_id, labels=(NO_LABEL,))
        assert names(catalogue.list_clips(session, labelled)) == ["F1_e01"]
        assert catalogue.count_clips(session, rest) == 5
        assert catalogue.clip_labels(session, first)["label"].tolist() == ["angry"]


def test_an_export_has_the_original_ratings_as_columns(engine, corpus_id: int):
    with reading(engine) as session:
        table = catalogue.export_clips(session, ClipFilter(corpus_id)).set_index("clip")
    assert table.loc["F1_e01", "original_angry"] == 4.0
    assert np.isnan(table.loc["F2_e02", "original_angry"])
    assert len(table) == 6


def test_counts_say_how_much_a_corpus_has(engine, corpus_id: int):
    with reading(engine) as session:
        counts = catalogue.corpus_counts(session, catalogue.corpora(session)[0])
    assert (counts.clips, counts.total, counts.subjects) == ({"usable": 4, "outlier": 1, "broken": 1}, 6, 2)
    assert counts.duration_s == 2.0  # 50 frames at 25 per second; the other clips have no frames here


def test_raters_are_listed_with_what_they_were_given(data_root, sqlite_engine):
    make_world(data_root, n_raters=4, n_clips=8)  # 3 votes per clip: 6 for every rater
    with reading(sqlite_engine) as session:
        raters = catalogue.raters(session)
    assert raters[["given", "done", "open"]].to_numpy().tolist() == [[6, 0, 6]] * 4
    assert set(raters["kind"]) == {"person"}
    assert set(raters["link"]) == {"works"}


@given(st.lists(st.floats(-1, 1, width=32), max_size=500), st.integers(1, 60))
def test_a_waveform_keeps_the_highest_and_the_lowest_sample(samples: list[float], columns: int):
    sound = np.array(samples, np.float32)
    low, high = catalogue.waveform(sound, columns)
    assert len(low) == len(high) == min(columns, len(sound))
    assert (low <= high).all()
    if len(sound):
        assert (low.min(), high.max()) == (sound.min(), sound.max())
