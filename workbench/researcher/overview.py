"""Overview: what is here, how far it has come, and what to do next."""

from dataclasses import dataclass

import streamlit as st
from sqlalchemy import func, select

from db import catalogue
from db.models import LabelingRound
from db.result_models import TrainingRun
from db.session import reading
from labeling import votes
from workbench.researcher import notices, places
from workbench.researcher.job_view import running_jobs
from workbench.researcher.places import Place
from workbench.session import Visitor, engine


@dataclass(frozen=True)
class Step:
    """One step on the way from a corpus to a trained model. `link` is where it is done, `hint` what is to do there."""

    title: str
    done: bool
    state: str
    hint: str
    place: Place
    link: str


@dataclass(frozen=True)
class Standing:
    """What the steps depend on; the newest round stands for all."""

    n_corpora: int
    n_raters: int
    newest_round: LabelingRound | None
    votes_done: int
    votes_total: int
    n_ties: int
    n_releases: int
    n_splits: int
    n_runs: int


def page(who: Visitor) -> None:
    """The steps on the left, corpora and rounds on the right."""
    st.title("Overview", anchor=False)
    running_jobs(who)
    with reading(engine()) as session:
        corpora = catalogue.corpora(session)
        counts = [catalogue.corpus_counts(session, corpus) for corpus in corpora]
        rounds = catalogue.rounds(session)
        standing = _standing(session, len(corpora), rounds)
    if not corpora:
        _welcome()
        return
    steps = _steps(standing)
    _next_step(steps)
    left, right = st.columns([11, 9], gap="large")
    with left:
        st.subheader("From a corpus to labels", anchor=False)
        for step in steps:
            _show_step(step)
    with right:
        st.subheader("What is here", anchor=False)
        made_up = next((corpus.name for corpus in corpora if corpus.synthetic), None)
        notices.synthetic_notice(corpus=made_up)
        for corpus, count in zip(corpora, counts, strict=True):
            _corpus_card(corpus, count)
        for labelling_round in rounds[:5]:
            _round_card(labelling_round)


def _welcome() -> None:
    st.write(
        "Welcome. The workbench takes a corpus of talking 3D faces to a labelled data set, and on to faces that speak "
        "with any emotion: raters watch its clips in the browser and name the emotion, the paper's Algorithm 1 decides "
        "from their votes, and EavaNet learns from the labels."
    )
    with st.container(border=True):
        st.markdown("**Begin with a corpus**")
        st.write(
            "The demo corpus takes about a minute to make and shows everything, with synthetic speakers. A real corpus "
            "is imported from a folder on this machine."
        )
        if st.button("Make the demo corpus or import one", type="primary", icon=":material/upload:"):
            places.go(places.IMPORT)


def _standing(session, n_corpora: int, rounds: list[LabelingRound]) -> Standing:
    newest = rounds[0] if rounds else None
    done = total = ties = 0
    if newest is not None:
        progress = votes.clip_progress(session, newest.id)
        done, total = int(progress["answered"].sum()), int(progress["slots"].sum())
        ties = len(votes.tied_clips(session, newest.id))
    raters = catalogue.raters(session)
    n_releases, n_splits = catalogue.release_and_split_counts(session)
    n_runs = session.scalar(select(func.count()).where(TrainingRun.epoch > 0)) or 0
    return Standing(n_corpora, len(raters), newest, done, total, ties, n_releases, n_splits, n_runs)


def _steps(now: Standing) -> list[Step]:
    has_round = now.newest_round is not None
    all_in = has_round and now.votes_done >= now.votes_total
    missing = now.votes_total - now.votes_done
    return [
        Step("A corpus", now.n_corpora > 0, _count(now.n_corpora, "corpus", "corpora"),
             "Make the demo corpus, or import one from a folder.", places.IMPORT, "Import"),
        Step("Raters", now.n_raters > 0, _count(now.n_raters, "rater"),
             "Create raters and send each their personal link.", places.RATERS, "Create raters"),
        Step("A labelling round", has_round, now.newest_round.name if has_round else "none yet",
             "Start a round: it hands the clips out to the raters.", places.RATERS, "Start a round"),
        Step("Ratings", all_in, f"{now.votes_done:,} of {now.votes_total:,} votes" if has_round else "none yet",
             f"Raters rate through their links; {missing:,} votes are missing.",
             places.PROGRESS, "See the progress"),
        Step("Ties", bool(all_in and not now.n_ties), f"{now.n_ties:,} to decide" if has_round else "",
             "Ask further raters about clips without a majority.", places.PROGRESS, "Decide ties"),
        Step("A label release", now.n_releases > 0, _count(now.n_releases, "release"),
             "Run Algorithm 1 and keep its result.", places.RELEASES, "Make a release"),
        Step("A split", now.n_splits > 0, _count(now.n_splits, "split"),
             "Divide the labelled clips into training, validation and test.", places.RELEASES, "Make a split"),
        Step("A trained model", now.n_runs > 0, _count(now.n_runs, "run"),
             "Train EavaNet on the labels, and watch it learn.", places.TRAIN, "Train a model"),
    ]  # fmt: skip


def _count(number: int, one: str, many: str = "") -> str:
    return "none yet" if number == 0 else f"{number:,} {one if number == 1 else many or one + 's'}"


def _next_step(steps: list[Step]) -> None:
    step = next((step for step in steps if not step.done), None)
    if step is None:
        st.success("Every step is done. Make a face speak, or look at what the runs have learned.",
                   icon=":material/task_alt:")  # fmt: skip
        with st.container(horizontal=True):
            places.link(places.ANIMATE)
            places.link(places.RUNS)
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Next: {step.title.lower()}**  \n{step.hint}", width="stretch")
        if st.button(step.link, type="primary", icon=step.place.icon):
            places.go(step.place)


def _show_step(step: Step) -> None:
    icon = ":green[:material/check_circle:]" if step.done else ":gray[:material/radio_button_unchecked:]"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{icon} **{step.title}**  :gray[{step.state}]", width="stretch")
        places.link(step.place, step.link if not step.done else step.place.title)


def _corpus_card(corpus, counts) -> None:
    with st.container(border=True):
        st.markdown(
            f":material/movie: **{corpus.name}**{' :orange-badge[synthetic]' if corpus.synthetic else ''}  \n"
            f"{counts.clips.get('usable', 0):,} usable of {counts.total:,} clips, {counts.subjects} subjects, "
            f"{counts.duration_s / 60:.0f} min of speech"
        )
        places.link(places.CLIPS, "Look at its clips", corpus=corpus.id)


def _round_card(labelling_round: LabelingRound) -> None:
    with reading(engine()) as session:
        raters = votes.rater_progress(session, labelling_round.id)
        clips = votes.clip_progress(session, labelling_round.id)
    done, total = int(clips["answered"].sum()), int(clips["slots"].sum())
    with st.container(border=True):
        state = ":gray-badge[closed]" if labelling_round.closed_at else ":green-badge[open]"
        st.markdown(f":material/checklist: **{labelling_round.name}** {state}  \nCorpus {labelling_round.corpus.name}")
        st.progress(done / max(total, 1), text=f"{done:,} of {total:,} votes by {len(raters)} raters")
        if raters["simulated"].any():
            st.markdown(":orange-badge[:material/science: simulated raters]")
        places.link(places.PROGRESS, "See the progress", round=labelling_round.id)
