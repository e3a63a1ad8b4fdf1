"""Label releases: run Algorithm 1 on a round, look at the result, keep it for good, and split it for training."""

import streamlit as st

from db import catalogue
from db.models import Corpus, LabelingRound, LabelRelease
from db.session import reading, writing
from labeling import algorithm1, releases
from labeling.releases import Preview
from workbench.researcher import notices, places
from workbench.researcher.choosing import choose
from workbench.researcher.release_files import release_files
from workbench.researcher.release_view import POLICIES, show_result
from workbench.researcher.round_data import Mark, mark_of
from workbench.researcher.splits_view import show_splits
from workbench.session import Visitor, engine

VIEWS = ("Releases", "Make a release", "Splits")


def page(who: Visitor) -> None:
    """Releases there are, a new one, and splits."""
    st.title("Label releases", anchor=False)
    with reading(engine()) as session:
        corpora = catalogue.corpora(session)
        rounds = catalogue.rounds(session)
    if not rounds:
        notices.nothing_here(
            "There is nothing to release yet.",
            "Algorithm 1 turns the votes of a labelling round into one label per clip and selects expressive subjects.",
            places.RATERS, "Create raters and start a round",
        )  # fmt: skip
        return
    corpus = choose("corpus", corpora, "Corpus", width=320)
    rounds = [labelling_round for labelling_round in rounds if labelling_round.corpus_id == corpus.id]
    with reading(engine()) as session:
        made = catalogue.releases_of(session, corpus.id)
    if st.session_state.pop("show releases", False):  # before the tabs exist in this run
        st.session_state["release view"] = "Releases"
    tabs = dict(zip(VIEWS, st.tabs(VIEWS, key="release view", on_change="rerun",
                                   default="Releases" if made else "Make a release"), strict=True))  # fmt: skip
    views = {
        "Releases": lambda: _releases(corpus, made, who),
        "Make a release": lambda: _make(corpus, rounds, made, who),
        "Splits": lambda: show_splits(corpus, made, who),
    }
    for name, tab in tabs.items():
        if tab.open:
            with tab:
                views[name]()


def _releases(corpus: Corpus, made: list[LabelRelease], who: Visitor) -> None:
    if not made:
        notices.nothing_here(
            "This corpus has no label release yet.", "Make one from a labelling round under “Make a release”."
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        release = choose(
            "release",
            made,
            "Release",
            lambda row: f"{row.name} ({row.created_at:%Y-%m-%d %H:%M} UTC, {row.policy})",
            width=420,
        )
        st.space("stretch")
        release_files(release, who)
    with reading(engine()) as session:
        labels = releases.release_labels(session, release.id)
        subjects = releases.release_subjects(session, release.id)
    notices.synthetic_notice(
        corpus=corpus.name if corpus.synthetic else None, simulated_raters=len(release.summary["simulated_raters"])
    )
    partial = ", partial" if release.allow_partial else ""
    st.caption(
        f"Round {release.summary['round']}, {release.n_ratings:,} votes of {len(release.summary['raters'])} raters; "
        f"policy {release.policy}{partial}; threshold {release.threshold:g}, strictly; fingerprint of the votes "
        f"`{release.ratings_sha256[:12]}`, of the result `{release.sha256[:12]}`. A release never changes."
    )
    show_result(labels, subjects, release.summary, release.policy, release.threshold, f"release {release.id}")


def _make(corpus: Corpus, rounds: list[LabelingRound], made: list[LabelRelease], who: Visitor) -> None:
    if not rounds:
        notices.nothing_here(
            "This corpus has no labelling round.", "A round collects the votes that a release is made of.",
            places.RATERS, "Start a round",
        )  # fmt: skip
        return
    left, right = st.columns([1, 2])
    with left:
        labelling_round = choose("round", rounds, "Labelling round")
    policy = right.selectbox("What happens to ties", list(POLICIES), format_func=POLICIES.get, key="policy")
    try:
        found = preview_at(mark_of(labelling_round.id), policy)
    except ValueError as error:  # no vote yet
        st.info(f"{str(error)[:1].upper()}{str(error)[1:]}.", icon=":material/pending:")
        return
    corpus_name = corpus.name if corpus.synthetic else None
    notices.synthetic_notice(corpus=corpus_name, simulated_raters=len(found.summary["simulated_raters"]))
    with st.container(border=True):
        st.markdown("**This is what the release would be**")
        _left_out(found, labelling_round)
        _keep(corpus, found, who)
    show_result(found.result.labels, found.result.subjects, found.summary, policy, algorithm1.THRESHOLD, "preview")


@st.cache_data(max_entries=8, show_spinner="Running Algorithm 1, with intervals and sensitivity")
def preview_at(mark: Mark, policy: str) -> Preview:
    """What a release of the round would be, computed once per state of the round."""
    with reading(engine()) as session:
        return releases.preview(session, mark[1], policy)


def _left_out(found: Preview, labelling_round: LabelingRound) -> None:
    labels = found.result.labels
    enough = labels["n_votes"] >= labelling_round.votes_per_clip
    open_ties = int((labels["tie"] & labels["label"].isna() & enough).sum())
    if found.missing:
        st.warning(
            f"{len(found.missing):,} clips have fewer than {labelling_round.votes_per_clip} votes, such as "
            f"{', '.join(found.missing[:5])}.", icon=":material/pending:",
        )  # fmt: skip
        places.link(places.PROGRESS, "See what is missing", round=labelling_round.id)
    if open_ties:
        st.info(f"{open_ties:,} tied clips would have no label.", icon=":material/balance:")
        places.link(places.PROGRESS, "Ask further raters about them", round=labelling_round.id)
    if found.excluded:
        with st.expander(f"{len(found.excluded):,} clips are left out because raters call them broken"):
            st.table({"clip": list(found.excluded), "what raters said": list(found.excluded.values())})
    if not (found.missing or open_ties):
        st.success("Every clip has its votes, and none is tied.", icon=":material/check_circle:")


def _keep(corpus: Corpus, found: Preview, who: Visitor) -> None:
    with reading(engine()) as session:
        suggested = releases.next_name(session, corpus.id)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Name of the release", suggested, max_chars=64, width=280, key=f"release name {suggested}"
        ).strip()
        partial = bool(found.missing) and st.checkbox(
            "Allow a partial release", help="Clips that lack votes get no label"
        )
        pressed = st.button(
            "Make the release",
            type="primary",
            icon=":material/new_releases:",
            disabled=bool(found.missing) and not partial,
        )
    if not pressed:
        return
    try:
        with writing(engine()) as session:
            release = releases.make_release(session, found, name=name, allow_partial=partial, actor=who.viewer)
    except ValueError as error:
        notices.refusal(error)
        return
    st.session_state["chosen release"] = release.id
    st.session_state["show releases"] = True
    notices.once(f"The release {release.name} is made.", ":material/new_releases:")
    st.rerun()
