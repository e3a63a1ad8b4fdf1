"""Splits of a corpus: made from a release, read from a file, looked at, exported."""

import pandas as pd
import streamlit as st

from db import catalogue, splits
from db.models import Corpus, LabelRelease, Split
from db.session import reading, writing
from labeling.emotions import EMOTIONS
from workbench.researcher import notices
from workbench.researcher.choosing import choose
from workbench.researcher.downloads import downloads
from workbench.session import Visitor, engine

EXPLAINED = """
The labelled clips of the **selected** subjects are divided 8 : 1 : 1 into training, validation and **BIWI-A**, so that
every subject and every emotion has its share in each part. **BIWI-B** is drawn from the **other** subjects: speakers
that a model has never seen. The paper's 183 usable clips of five subjects give 146, 18 and 19, and 30 for BIWI-B. The
same seed gives the same split; a stored split is never changed.
"""


def show_splits(corpus: Corpus, releases: list[LabelRelease], who: Visitor) -> None:
    """Stored splits first, then both ways to a new one."""
    with reading(engine()) as session:
        stored = catalogue.splits_of(session, corpus.id)
    if stored:
        _stored(corpus, stored, who)
    with st.expander(
        "Make a split from a release", icon=":material/call_split:", expanded=not stored and bool(releases)
    ):
        st.markdown(EXPLAINED)
        if releases:
            _from_release(corpus, releases, {split.name for split in stored}, who)
        else:
            st.caption("It needs a label release first.")
    with st.expander("Take a split from a file", icon=":material/upload_file:"):
        _from_file(corpus, who)


def _stored(corpus: Corpus, stored: list[Split], who: Visitor) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = choose("split", stored, "Split", width=320)
        st.space("stretch")
        downloads(f"split-{split.name}", lambda: _members(split), who, what="split")
    origin = "from a file" if split.seed is None else f"seed {split.seed}"
    st.caption(f"Made {split.created_at:%Y-%m-%d %H:%M} UTC, {origin}; fingerprint `{split.sha256[:12]}`.")
    members = _members(split)
    counts = pd.crosstab(members["part"], members["label"]).reindex(
        [p for p in splits.PARTS if p in set(members["part"])]
    )
    # In the paper's order; "" stands for clips of a split that came as a file.
    counts = counts[[emotion for emotion in EMOTIONS if emotion in counts]]
    counts.insert(0, "clips", members.groupby("part").size())
    counts.insert(1, "subjects", members.groupby("part")["subject"].agg(lambda names: ", ".join(sorted(set(names)))))
    st.dataframe(
        counts.reset_index(), hide_index=True, height="content",
        column_config={"part": st.column_config.TextColumn("Part", pinned=True), "clips": "Clips",
                       "subjects": st.column_config.TextColumn("Subjects", width="medium")},
    )  # fmt: skip


def _members(split: Split) -> pd.DataFrame:
    with reading(engine()) as session:
        return catalogue.split_members(session, split)


def _from_release(corpus: Corpus, releases: list[LabelRelease], taken: set[str], who: Visitor) -> None:
    left, right = st.columns(2)
    with left:
        release = choose("release", releases, "Release")
    free = next(name for n in range(1, len(taken) + 2) if (name := f"split-{n}") not in taken)
    name = right.text_input("Name of the split", free, max_chars=64, key=f"split name {free}").strip()
    left, right = st.columns(2)
    seed = left.number_input("Seed", 0, 2**31 - 1, 0, key="split seed")
    biwi_b = right.number_input("Clips for BIWI-B", 0, 100_000, splits.PAPER_BIWI_B, help="30 in the paper")
    if st.button("Make the split", type="primary", icon=":material/call_split:"):
        try:
            with writing(engine()) as session:
                made = splits.split_release(
                    session, session.get_one(LabelRelease, release.id), name, seed=int(seed), biwi_b=int(biwi_b),
                    actor=who.viewer,
                )  # fmt: skip
        except ValueError as error:
            notices.refusal(error)
            return
        _made(made)


def _from_file(corpus: Corpus, who: Visitor) -> None:
    st.write(
        "A CSV file with the columns `clip` and `part`; parts are "
        + ", ".join(f"`{part}`" for part in splits.PARTS)
        + "."
    )
    name = st.text_input("Name of the split", max_chars=64, key="name of split from file").strip()
    given = st.file_uploader("File", ["csv", "txt", "tsv"], key="split file")
    if st.button("Store the split", icon=":material/upload_file:", disabled=not (given and name)):
        try:
            parts = splits.from_csv(given.getvalue().decode("utf-8-sig"))
            with writing(engine()) as session:
                made = splits.store_split(session, corpus.id, name, parts, actor=who.viewer)
        except UnicodeDecodeError:
            notices.refusal(ValueError(f"{given.name}: is no text in UTF-8; save it as 'CSV UTF-8'"))
            return
        except ValueError as error:
            notices.refusal(error)
            return
        _made(made)


def _made(split: Split) -> None:
    st.session_state["chosen split"] = split.id
    st.session_state.pop("choose split", None)
    notices.once(f"The split {split.name} is stored.", ":material/call_split:")
    st.rerun()
