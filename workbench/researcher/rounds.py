"""Labelling rounds: start one, see its load beforehand, let raters join, close it."""

import pandas as pd
import streamlit as st

from db import catalogue
from db.models import Corpus, LabelingRound
from db.session import reading, writing
from labeling import assignment, exchange, imported, planning, votes
from workbench.researcher import notices, places
from workbench.researcher.choosing import choose
from workbench.session import Visitor, engine


def show_rounds(rounds: list[LabelingRound], raters: pd.DataFrame, who: Visitor) -> None:
    """The rounds there are, and the form for a new one."""
    for labelling_round in rounds:
        _round(labelling_round, raters, who)
    able = raters[(raters["link"] != "withdrawn") & (raters["kind"] != "imported")]
    taken = {labelling_round.name for labelling_round in rounds}
    with reading(engine()) as session:
        corpora = catalogue.corpora(session)
    if not corpora:
        notices.nothing_here("A round needs a corpus.", "Import one, or make the demo corpus.", places.IMPORT)
    elif able.empty:
        notices.nothing_here("A round needs raters.", "Create them under Raters; three or more are usual.")
    else:
        with st.expander("Start a labelling round", icon=":material/add:", expanded=not rounds):
            _new_round(corpora, able, taken, who)
    if corpora:
        with st.expander("Bring in ratings that were collected elsewhere", icon=":material/upload_file:"):
            _from_file(corpora, taken, who)


def _round(labelling_round: LabelingRound, raters: pd.DataFrame, who: Visitor) -> None:
    with reading(engine()) as session:
        progress = votes.rater_progress(session, labelling_round.id)
        clips = votes.clip_progress(session, labelling_round.id)
    done, total = int(clips["answered"].sum()), int(clips["slots"].sum())
    closed = labelling_round.closed_at is not None
    with st.container(border=True):
        state = ":gray-badge[closed]" if closed else ":green-badge[open]"
        st.markdown(
            f"**{labelling_round.name}** {state}  \nCorpus {labelling_round.corpus.name}, {len(progress)} raters, "
            f"{labelling_round.votes_per_clip} votes per clip, {labelling_round.repeat_share:.0%} hidden repeats, "
            f"{labelling_round.practice_clips} practice clips, seed {labelling_round.seed}; started "
            f"{labelling_round.created_at:%Y-%m-%d %H:%M} UTC"
        )
        st.progress(done / max(total, 1), text=f"{done:,} of {total:,} votes")
        with st.container(horizontal=True, vertical_alignment="center"):
            places.link(places.PROGRESS, round=labelling_round.id)
            if not closed:
                busy = progress.loc[progress["votes"] > progress["votes_done"], "rater_id"]
                _joining(labelling_round, raters, set(busy), who)
                if st.button("Close the round", key=f"close {labelling_round.id}", icon=":material/lock:"):
                    _close(labelling_round, total - done, who)


def _joining(labelling_round: LabelingRound, raters: pd.DataFrame, busy: set[int], who: Visitor) -> None:
    able = raters[(raters["link"] != "withdrawn") & (raters["kind"] == "person") & ~raters["rater_id"].isin(busy)]
    if able.empty:
        return
    names = dict(zip(able["rater_id"], able["rater"], strict=True))
    with st.popover("Add a rater", icon=":material/person_add:"):
        st.caption("They take over what waits for a rater, then open clips from those who have most to do.")
        chosen = st.selectbox("Rater", list(names), format_func=names.get, key=f"joining {labelling_round.id}")
        if st.button("Add", key=f"join {labelling_round.id}", type="primary"):
            try:
                with writing(engine()) as session:
                    given = assignment.add_rater(session, labelling_round.id, int(chosen), who.viewer)
            except ValueError as error:
                notices.refusal(error)
                return
            notices.once(f"{names[chosen]} joins {labelling_round.name} with {given:,} clips.", ":material/person_add:")
            st.rerun()


@st.dialog("Close the round")
def _close(labelling_round: LabelingRound, missing: int, who: Visitor) -> None:
    st.write(
        f"**{labelling_round.name}** takes no more ratings after this; what was rated stays. It cannot be opened again."
    )
    if missing:
        st.warning(f"{missing:,} votes are still missing.", icon=":material/pending:")
    if st.button("Close it", type="primary", icon=":material/lock:"):
        with writing(engine()) as session:
            assignment.close_round(session, labelling_round.id, who.viewer)
        notices.once(f"{labelling_round.name} is closed.", ":material/lock:")
        st.rerun()


def _new_round(corpora: list[Corpus], raters: pd.DataFrame, taken: set[str], who: Visitor) -> None:
    left, right = st.columns(2)
    with left:
        corpus = choose("corpus", corpora, "Corpus")
    name = right.text_input(
        "Name of the round", _free_name(corpus.name, taken), max_chars=64, key=f"round name {corpus.id} {len(taken)}"
    )
    if not corpus.synthetic:
        raters = raters[raters["kind"] == "person"]  # only people can rate people
    names = dict(zip(raters["rater_id"], raters["rater"], strict=True))
    people = list(raters.loc[raters["kind"] == "person", "rater_id"]) or list(names)
    chosen = st.multiselect("Raters", list(names), people, format_func=names.get, key=f"round raters {len(names)}")
    first, second, third, fourth = st.columns(4)
    votes_per_clip = first.number_input("Votes per clip", 1, 20, 3, help="m in Algorithm 1; 3 in the paper.")
    repeats = second.number_input("Hidden repeats (%)", 0, 50, 5,
                                  help="Clips that a rater sees a second time, to measure how consistent they are. "
                                  "They never count as votes.")  # fmt: skip
    practice = third.number_input("Practice clips", 0, 20, 2, help="The first ones of every rater; they count nowhere.")
    seed = fourth.number_input("Seed", 0, 2**31 - 1, 0, help="The same seed gives the same plan.")
    instructions = st.text_area("Extra instructions for raters (optional)", height=80, max_chars=4000,
                                help="Shown after the built-in instructions.")  # fmt: skip
    with reading(engine()) as session:
        n_clips, mean_frames = assignment.count_playable(session, corpus.id)
    mean_s = mean_frames / corpus.frames_per_second
    problem = _preview(n_clips, mean_s, len(chosen), int(votes_per_clip), repeats / 100, int(practice))
    if st.button("Start the round", type="primary", icon=":material/play_arrow:", disabled=problem):
        try:
            with st.spinner("Handing out the clips"), writing(engine()) as session:
                started = assignment.create_round(
                    session, corpus_id=corpus.id, name=name, rater_ids=[int(rater) for rater in chosen],
                    votes_per_clip=int(votes_per_clip), repeat_share=repeats / 100, practice_clips=int(practice),
                    seed=int(seed), instructions=instructions, actor=who.viewer,
                )  # fmt: skip
        except ValueError as error:
            notices.refusal(error)
            return
        notices.once(
            f"{started.name} has started: raters find their clips behind their links.", ":material/play_arrow:"
        )
        st.rerun()


def _free_name(corpus: str, taken: set[str]) -> str:
    return next(name for number in range(1, len(taken) + 2) if (name := f"{corpus}-round-{number}") not in taken)


def _preview(
    n_clips: int, mean_s: float, n_raters: int, votes_per_clip: int, repeat_share: float, practice: int
) -> bool:
    """What the round will ask of each rater; True if it cannot be started like this."""
    if not n_clips:
        notices.refusal(ValueError("this corpus has no usable clip that can be played"))
        return True
    if n_raters < votes_per_clip:
        st.info(
            f"Every clip is rated by {votes_per_clip} different people, but {n_raters} "
            f"{'is' if n_raters == 1 else 'are'} chosen: choose more raters, or ask for fewer votes.",
            icon=":material/group_add:",
        )
        return True
    load = planning.workload(n_clips, n_raters, votes_per_clip, repeat_share, practice, mean_s)
    with st.container(horizontal=True, gap="large"):
        st.metric("Clips", f"{n_clips:,}", width="content")
        st.metric("Votes", f"{n_clips * votes_per_clip:,}", width="content")
        st.metric("Clips per rater", f"{load.clips:,}", width="content",
                  help=f"{load.votes:,} votes, {load.repeats:,} hidden repeats, {practice} practice clips")  # fmt: skip
        st.metric("Time per rater", _hours(load.minutes), width="content",
                  help=f"A clip lasts {mean_s:.1f} s on average; the answer is taken to need "
                  f"{planning.DECIDING_S:g} s.")  # fmt: skip
    st.caption(":material/lock: These settings are frozen when the round starts. Raters may join or leave later.")
    return False


def _hours(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _from_file(corpora: list[Corpus], taken: set[str], who: Visitor) -> None:
    st.write(
        "A CSV file with the columns `subject,clip,rater,emotion,intensity`, one line per vote, becomes a round of its "
        "own: agreement, ties and releases then work as for any other. Its raters are marked as imported. Votes that a "
        "clip lacks, and ties, wait for raters who join the round."
    )
    left, middle, right = st.columns([2, 2, 1])
    corpus = left.selectbox("Corpus", corpora, format_func=lambda row: row.name, key="corpus of ratings file")
    name = middle.text_input("Name of the round", _free_name(f"{corpus.name}-imported", taken), max_chars=64,
                             key=f"imported round {corpus.id} {len(taken)}")  # fmt: skip
    votes_per_clip = right.number_input("Votes per clip", 1, 20, 3, key="imported votes per clip")
    given = st.file_uploader("Ratings", ["csv", "txt", "tsv"], key="ratings file")
    if not st.button("Bring them in", icon=":material/upload_file:", disabled=given is None):
        return
    try:
        with st.spinner("Reading and checking the ratings"):
            table = exchange.parse_ratings(given.getvalue(), given.name)
        with st.spinner("Storing the ratings"), writing(engine()) as session:
            made = imported.import_ratings(
                session, corpus.id, name, table, who.viewer, int(votes_per_clip), given.name
            )
    except ValueError as error:
        notices.refusal(error)
        return
    notices.once(f"{made.name}: {len(table):,} ratings are in.", ":material/upload_file:")
    st.rerun()
