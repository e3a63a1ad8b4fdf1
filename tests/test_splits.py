"""Splits: the paper's counts, every stratum its share, the same from the same seed, in files and in the database."""

import random
from collections import Counter
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import splits
from db.models import Clip, Corpus, LabelRelease, ReleaseLabel, ReleaseSubject, Subject
from db.rounding import controlled_rounding
from db.session import reading, writing
from db.splits import LabelledClip, from_csv, make_split, to_csv

EMOTIONS = ("happy", "angry", "sadness", "neutral")
SELECTED = ("F1", "F3", "F4", "F5", "F7")
OTHERS = ("F2", "F6", "F8", "M1", "M2", "M3", "M4", "M5", "M6")


def spoken(subjects, count: int, seed: int = 0) -> list[LabelledClip]:
    rng = random.Random(seed)
    names = [(subjects[i % len(subjects)], i // len(subjects)) for i in range(count)]
    return [LabelledClip(f"{subject}_e{number:02d}", subject, rng.choice(EMOTIONS)) for subject, number in names]


@st.composite
def labelled_clips(draw) -> list[LabelledClip]:
    subjects = [f"S{i}" for i in range(draw(st.integers(2, 7)))]
    counts = draw(st.lists(st.integers(0, 12), min_size=4 * len(subjects), max_size=4 * len(subjects)))
    return [
        LabelledClip(f"{subject}_{emotion[0]}{number:02d}", subject, emotion)
        for (subject, emotion), count in zip(((s, e) for s in subjects for e in EMOTIONS), counts, strict=True)
        for number in range(count)
    ]


def test_the_papers_183_clips_of_five_subjects_give_146_18_and_19_and_30_for_biwi_b():
    clips = spoken(SELECTED, 183) + spoken(OTHERS, 320, seed=1)
    parts = make_split(clips, SELECTED)
    assert Counter(parts.values()) == {"train": 146, "validation": 18, "biwi-a": 19, "biwi-b": 30}


def test_biwi_b_has_only_subjects_that_are_not_selected():
    clips = spoken(SELECTED, 183) + spoken(OTHERS, 320, seed=1)
    for name, part in make_split(clips, SELECTED).items():
        assert (name.split("_")[0] in OTHERS) == (part == "biwi-b"), name


@settings(max_examples=60, deadline=None)
@given(clips=labelled_clips(), seed=st.integers(0, 1000))
def test_every_selected_clip_is_in_exactly_one_part_and_order_does_not_matter(clips, seed):
    selected = ["S0", "S1"]
    seen = {clip.name for clip in clips if clip.subject in selected}
    unseen = len(clips) - len(seen)
    if not seen:
        with pytest.raises(ValueError, match="no labelled clip"):
            make_split(clips, selected, seed=seed, biwi_b=0)
        return
    biwi_b = min(unseen, 30)
    parts = make_split(clips, selected, seed=seed, biwi_b=biwi_b)
    assert {name for name, part in parts.items() if part != "biwi-b"} == seen
    assert Counter(parts.values())["biwi-b"] == biwi_b
    shuffled = random.Random(seed).sample(clips, len(clips))
    assert make_split(shuffled, reversed(selected), seed=seed, biwi_b=biwi_b) == parts


@settings(max_examples=60, deadline=None)
@given(clips=labelled_clips(), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_each_subject_emotion_and_pair_of_them_gets_its_share_rounded_up_or_down(clips, share, seed):
    count = round(share * len(clips))
    drawn = splits.draw_stratified(clips, count, str(seed))
    assert len(drawn) == count
    for key in (
        lambda clip: clip.subject,
        lambda clip: clip.emotion,
        lambda clip: (clip.subject, clip.emotion),
    ):
        had, has = Counter(map(key, clips)), Counter(map(key, drawn))
        for stratum, size in had.items():
            due = Fraction(size * count, len(clips))
            assert floor(due) <= has[stratum] <= ceil(due), stratum


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_controlled_rounding_keeps_every_margin_within_one(data):
    n_rows, n_columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    entry = st.fractions(0, 9, max_denominator=12)
    table = [[data.draw(entry) for _ in range(n_columns)] for _ in range(n_rows)]
    total = sum(map(sum, table))
    table[0][0] += ceil(total) - total
    rounded = controlled_rounding(table, random.Random(data.draw(st.integers())))
    assert sum(map(sum, rounded)) == ceil(total)
    pairs = [(sum(a), sum(b)) for a, b in zip(table, rounded, strict=True)]
    pairs += [(sum(a), sum(b)) for a, b in zip(zip(*table, strict=True), zip(*rounded, strict=True), strict=True)]
    pairs += [(a, b) for x, y in zip(table, rounded, strict=True) for a, b in zip(x, y, strict=True)]
    assert all(floor(exact) <= whole <= ceil(exact) for exact, whole in pairs)


def test_controlled_rounding_favours_no_cell():
    table = [[Fraction(1, 4)] * 4, [Fraction(1, 4)] * 4]
    ups = Counter()
    for seed in range(2000):
        rounded = controlled_rounding(table, random.Random(seed))
        ups.update((i, j) for i, row in enumerate(rounded) for j, value in enumerate(row) if value)
    # Each of 8 cells is expected 500 times of 2000, with a standard deviation of 19.
    assert all(abs(ups[i, j] - 500) < 90 for i in range(2) for j in range(4)), ups


def test_a_total_that_is_no_whole_number_cannot_be_rounded():
    with pytest.raises(ValueError, match="sum to 1/2"):
        controlled_rounding([[Fraction(1, 2)]], random.Random(0))


def test_another_seed_gives_another_split_of_the_same_sizes():
    clips = spoken(SELECTED, 183) + spoken(OTHERS, 100)
    one, other = make_split(clips, SELECTED, seed=1), make_split(clips, SELECTED, seed=2)
    assert one != other
    assert Counter(one.values()) == Counter(other.values())


def test_a_split_is_the_same_on_every_machine_for_ever():
    parts = make_split(spoken(SELECTED, 20) + spoken(OTHERS, 9), SELECTED, seed=7, biwi_b=3)
    assert splits.split_digest(parts) == "638108f976df1fb3ae03b8e40a4b6aa0227f1edb1056832faf1aec668aa72ee8"


def test_too_few_clips_of_other_subjects_are_an_error_that_says_how_many_there_are():
    with pytest.raises(ValueError, match=r"30 clips are wanted for BIWI-B.*have 12.*ask for 0 to 12"):
        make_split(spoken(SELECTED, 50) + spoken(OTHERS, 12), SELECTED)


def test_a_clip_with_two_labels_is_an_error():
    with pytest.raises(ValueError, match="twice"):
        make_split([LabelledClip("F1_e01", "F1", "happy"), LabelledClip("F1_e01", "F1", "angry")], ["F1"], biwi_b=0)


def test_a_split_written_as_csv_reads_back_the_same():
    parts = make_split(spoken(SELECTED, 40) + spoken(OTHERS, 40), SELECTED)
    assert from_csv(to_csv(parts)) == parts


def test_a_byte_order_mark_semicolons_and_further_columns_are_understood():
    assert from_csv("\ufeffclip;subject;part\r\nF1_e01;F1;train\r\n") == {"F1_e01": "train"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,set\nF1_e01,train\n", "expected the columns clip and part"),
        ("clip,part\nF1_e01,test\n", "line 2: part 'test', expected one of train"),
        ("clip,part\nF1_e01,train\nF1_e01,biwi-a\n", "line 3: F1_e01 is there twice"),
        ("clip,part\n,train\n", "line 2: no clip is named"),
        ("", "header"),
    ],
)
def test_a_split_file_that_is_wrong_is_refused_with_its_line(text, message):
    with pytest.raises(ValueError, match=message):
        from_csv(text)


# In the database


def stored_release(session, clips: list[LabelledClip]) -> LabelRelease:
    corpus = Corpus(
        name="c", source="/c", layout="peers", synthetic=True, frames_per_second=25, n_vertices=3, n_faces=1,
        normalisation="none", sha256="0" * 64,
    )  # fmt: skip
    session.add(corpus)
    session.flush()
    release = LabelRelease(
        corpus_id=corpus.id, name="r", policy="paper", minimum_votes=3, allow_partial=False, threshold=3,
        ratings_sha256="0" * 64, n_ratings=0, n_ties=0, simulated=True, summary={}, sha256="0" * 64, created_by="test",
    )  # fmt: skip
    session.add(release)
    session.flush()
    subjects = {name: Subject(corpus_id=corpus.id, name=name) for name in {clip.subject for clip in clips}}
    session.add_all(subjects.values())
    session.flush()
    for name, subject in subjects.items():
        session.add(ReleaseSubject(
            release_id=release.id, subject_id=subject.id, n_ratings=9, selected=name in SELECTED))  # fmt: skip
    for labelled in clips:
        clip = Clip(
            corpus_id=corpus.id, subject_id=subjects[labelled.subject].id, name=labelled.name, sentence="e01",
            status="outlier" if labelled.emotion == "outlier" else "usable",
        )  # fmt: skip
        session.add(clip)
        session.flush()
        label = None if labelled.emotion == "tie" else "happy" if labelled.emotion == "outlier" else labelled.emotion
        votes = dict.fromkeys(EMOTIONS, 0)
        session.add(ReleaseLabel(
            release_id=release.id, clip_id=clip.id, label=label, tie=label is None, n_votes=3, **votes))  # fmt: skip
    session.flush()
    return release


def test_a_label_release_is_split_stored_once_and_read_back(engine):
    clips = spoken(SELECTED, 60) + spoken(OTHERS, 40)
    unusable = [LabelledClip("F1_e98", "F1", "tie"), LabelledClip("F1_e99", "F1", "outlier")]
    with writing(engine) as session:
        release = stored_release(session, clips + unusable)
        split = splits.split_release(session, release, "paper", seed=3)
    expected = make_split(clips, SELECTED, seed=3)
    with reading(engine) as session:
        assert splits.parts_of(session, split) == expected
    assert split.sha256 == splits.split_digest(expected)
    with pytest.raises(ValueError, match="splits are never changed"), writing(engine) as session:
        splits.store_split(session, split.corpus_id, "paper", expected)


def test_a_split_file_with_a_clip_of_another_corpus_is_refused_and_nothing_is_stored(sqlite_engine):
    with writing(sqlite_engine) as session:
        corpus_id = stored_release(session, spoken(SELECTED, 10)).corpus_id
    with (
        pytest.raises(ValueError, match="clip VOCA_s1: not in this corpus"),
        writing(sqlite_engine) as session,
    ):
        splits.store_split(session, corpus_id, "file", {"F1_e00": "train", "VOCA_s1": "train"})
    with reading(sqlite_engine) as session:
        assert session.query(splits.Split).count() == 0
