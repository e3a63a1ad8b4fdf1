"""Intercross sampling: same emotion, another subject, another sentence; and what happens where there is none."""

from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eavanet.sampling import IntercrossSampler, plan_batches


class Spoken(NamedTuple):
    subject: str
    sentence: str
    emotion: str

    @property
    def name(self) -> str:
        return f"{self.subject}_{self.sentence}"


clips = st.lists(
    st.builds(Spoken, st.sampled_from("ABC"), st.sampled_from(["1", "2", "3"]), st.sampled_from(["happy", "neutral"])),
    unique_by=lambda clip: clip.name,
    min_size=1,
)


@given(clips, st.integers(0, 5))
def test_a_style_clip_differs_in_subject_and_sentence_wherever_there_is_such_a_clip(pool, seed):
    sampler = IntercrossSampler(pool, pool)
    for pair in sampler.epoch(seed, epoch=0):
        target, style = pool[pair.target], pool[pair.style]
        assert style.emotion == target.emotion
        assert style.name != target.name
        ideal = [
            c for c in pool
            if c.emotion == target.emotion and c.subject != target.subject and c.sentence != target.sentence
        ]  # fmt: skip
        assert not ideal or style in ideal


@given(clips)
def test_every_clip_that_has_a_partner_comes_once_per_epoch(pool):
    sampler = IntercrossSampler(pool, pool)
    emotions = [clip.emotion for clip in pool]
    expected = [i for i, clip in enumerate(pool) if emotions.count(clip.emotion) > 1]
    assert sorted(pair.target for pair in sampler.epoch(0, 3)) == expected == sampler.usable


def test_epochs_differ_and_each_can_be_drawn_again():
    pool = [Spoken(s, n, "happy") for s in "ABCD" for n in "1234"]
    sampler = IntercrossSampler(pool, pool)
    assert sampler.epoch(0, 1) == sampler.epoch(0, 1)
    assert sampler.epoch(0, 1) != sampler.epoch(0, 2)
    assert sampler.epoch(0, 1) != sampler.epoch(1, 1)
    assert sampler.fixed(0) == sampler.fixed(0)


def test_all_possible_style_clips_are_drawn():
    pool = [Spoken("A", "1", "happy"), *(Spoken(s, n, "happy") for s in "BC" for n in "123")]
    rng = np.random.default_rng(0)
    drawn = {IntercrossSampler(pool, pool).draw(0, rng).style for _ in range(200)}
    assert {pool[i].name for i in drawn} == {"B_2", "B_3", "C_2", "C_3"}


def test_an_emotion_of_one_subject_takes_another_sentence_and_says_so():
    pool = [Spoken("A", "1", "angry"), Spoken("A", "2", "angry")]
    sampler = IntercrossSampler(pool, pool)
    assert [pool[pair.style].name for pair in sampler.fixed(0)] == ["A_2", "A_1"]
    assert sampler.warnings == [
        "2 clips labelled angry: no style clip of another subject and another sentence, so one of the same subject, "
        "another sentence is used"
    ]


def test_a_clip_whose_emotion_nobody_else_has_is_left_out_and_named():
    pool = [Spoken("A", "1", "sadness"), Spoken("A", "2", "happy"), Spoken("B", "3", "happy")]
    sampler = IntercrossSampler(pool, pool)
    assert sampler.usable == [1, 2]
    assert sampler.warnings[0].startswith("1 clip labelled sadness left out")


def test_validation_targets_take_their_style_from_the_training_clips():
    pool = [Spoken("A", "1", "happy"), Spoken("B", "2", "happy")]
    (pair,) = IntercrossSampler([Spoken("A", "9", "happy")], pool).fixed(0)
    assert pool[pair.style].name == "B_2"


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 4))
def test_several_processes_together_average_as_one_would(n, batch_size, world):
    shares = [plan_batches(list(range(n)), batch_size, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    total = np.zeros(n)
    for step in zip(*shares, strict=True):
        whole = np.zeros(n)
        for batch in step:
            assert 1 <= len(batch.pairs) <= batch_size
            for clip, weight in zip(batch.pairs, batch.weights, strict=True):
                whole[clip] += weight / world  # gradients are averaged over the processes
        assert np.isclose(whole.sum(), 1)  # a mean over the batch
        assert len(set(whole[whole > 0])) == 1  # in which each clip counts the same
        total += whole > 0
    assert (total == 1).all()
