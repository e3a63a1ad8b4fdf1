"""What Algorithm 1 found, before it is kept as a release and after: subjects, labels, how far to trust them."""

import pandas as pd
import streamlit as st

from labeling.emotions import EMOTIONS
from workbench.researcher import charts

POLICIES = {
    "adjudicate": "Adjudicate: a tied clip has no label until a further rater decides",
    "paper": "Paper: the first of happy, angry, sadness, neutral among the tied ones, as printed",
    "exclude": "Exclude: a tied clip is left out",
}


def show_result(
    labels: pd.DataFrame, subjects: pd.DataFrame, summary: dict, policy: str, threshold: float, key: str
) -> None:
    """Everything about one result; `key` keeps its widgets apart from those of another."""
    _numbers(labels, subjects)
    subjects_tab, labels_tab, trust_tab, table_tab = st.tabs(
        ["Subjects", "Emotions", "Sensitivity", "Labels of clips"], key=f"{key} tabs"
    )
    with subjects_tab:
        _subjects(subjects, threshold, key)
    with labels_tab:
        _emotions(labels, summary, key)
    with trust_tab:
        _sensitivity(summary, labels, key)
    with table_tab:
        _table(labels, policy, key)


def _numbers(labels: pd.DataFrame, subjects: pd.DataFrame) -> None:
    selected = subjects.loc[subjects["selected"], "subject"]
    usable = labels["label"].notna() & labels["subject"].isin(selected)
    with st.container(horizontal=True, gap="large"):
        st.metric("Selected subjects", f"{len(selected)} of {len(subjects)}", width="content")
        st.metric("Labelled clips", f"{labels['label'].notna().sum():,} of {len(labels):,}", width="content")
        st.metric("of selected subjects", f"{usable.sum():,}", width="content",
                  help="What training, validation and BIWI-A are drawn from; 183 in the paper.")  # fmt: skip
        st.metric("Ties", f"{labels['tie'].sum():,}", width="content")
    if len(selected):
        st.markdown(f"Selected: {', '.join(f'**{name}**' for name in selected)}")


def _subjects(subjects: pd.DataFrame, threshold: float, key: str) -> None:
    st.caption(
        f"A subject is selected if the mean of all intensities of their clips is strictly greater than {threshold:g}. "
        "Filled dots are selected. Bars are 95% intervals that allow for ratings of one clip, and of one rater, being "
        "alike."
    )
    shown = subjects.rename(columns={"score_low": "low", "score_high": "high"})
    st.plotly_chart(charts.subjects_figure(shown, threshold), config=charts.config("subjects"), key=f"{key} subjects")


def _emotions(labels: pd.DataFrame, summary: dict, key: str) -> None:
    selected = set(summary["selected"])
    after = {emotion: int((labels["label"] == emotion).sum()) for emotion in EMOTIONS}
    of_selected = labels[labels["subject"].isin(selected)]["label"]
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Before: the corpus's own ratings**")
        if summary["original"]:
            st.caption("Usable clips by the adjective that was rated highest.")
            st.plotly_chart(
                charts.adjectives_figure(summary["original"]), config=charts.config("before"), key=f"{key} before"
            )
        else:
            st.caption("The corpus has no original ratings.")
    with right:
        st.markdown("**After: labels by Algorithm 1**")
        st.caption("Clips with a label; pale: all subjects, full: selected subjects.")
        counts = {"all subjects": after, "selected subjects": {e: int((of_selected == e).sum()) for e in EMOTIONS}}
        st.plotly_chart(charts.counts_figure(counts), config=charts.config("after"), key=f"{key} after")


def _sensitivity(summary: dict, labels: pd.DataFrame, key: str) -> None:
    rows = pd.DataFrame(summary["without_each_rater"])
    changing = rows[(rows["gained"].str.len() > 0) | (rows["lost"].str.len() > 0)]
    st.markdown("**Without any one rater**")
    if changing.empty:
        st.success("The same subjects are selected, whichever rater is left out.", icon=":material/check_circle:")
    else:
        names = ", ".join(changing["rater"])
        st.warning(f"Other subjects would be selected without {names}.", icon=":material/warning:")
    rows = rows.assign(gained=rows["gained"].str.join(", "), lost=rows["lost"].str.join(", "))
    st.dataframe(
        rows, hide_index=True, height="content" if len(rows) < 12 else 440, key=f"{key} without",
        column_config={
            "rater": st.column_config.TextColumn("Without", pinned=True), "n_ratings": "Votes",
            "gained": "Subjects gained", "lost": "Subjects lost",
            "changed": st.column_config.NumberColumn("Clips with another majority", help="Ties included"),
        },
    )  # fmt: skip
    model = summary["dawid_skene"]
    st.markdown("**Beside a model of the raters**")
    st.write(
        f"Dawid and Skene's model weighs each rater by how often they seem to err. It would give another label to "
        f"{model['differs']:,} of the {int(labels['label'].notna().sum()):,} labelled clips. It is shown for "
        "comparison and never used for a release."
    )
    accuracy = pd.DataFrame(
        {"rater": list(model["accuracy"]), "accuracy": [100 * v for v in model["accuracy"].values()]}
    )
    st.dataframe(
        accuracy, hide_index=True, height="content" if len(accuracy) < 12 else 440, width=420, key=f"{key} model",
        column_config={"rater": "Rater",
                       "accuracy": st.column_config.NumberColumn("Right by the model", format="%.0f%%")},
    )  # fmt: skip
    alpha = summary["alpha"]["emotion"]
    if alpha[1] is not None:
        st.caption(f"Krippendorff's alpha of the emotions: {alpha[0]:.2f} ({alpha[1]:.2f} to {alpha[2]:.2f}).")


def _table(labels: pd.DataFrame, policy: str, key: str) -> None:
    only = st.segmented_control(
        "Show", ["all", "ties", "without a label"], default="all", key=f"{key} which", label_visibility="collapsed"
    )
    shown = {"ties": labels[labels["tie"]], "without a label": labels[labels["label"].isna()]}.get(only, labels)
    if shown.empty:
        st.caption("There are none.")
        return
    shown = shown.assign(note=["tie" if tie else "" for tie in shown["tie"]])
    st.dataframe(
        shown, hide_index=True, height=min(38 + 35 * len(shown), 420), placeholder="", key=f"{key} labels",
        column_order=["clip", "subject", "label", *EMOTIONS, "n_votes", "mean_intensity", "note"],
        column_config={
            "clip": st.column_config.TextColumn("Clip", pinned=True), "subject": "Subject", "label": "Label",
            **{emotion: st.column_config.NumberColumn(emotion, width="small") for emotion in EMOTIONS},
            "n_votes": st.column_config.NumberColumn("Votes", width="small"),
            "mean_intensity": st.column_config.NumberColumn("Mean intensity", format="%.2f"), "note": "",
        },
    )  # fmt: skip
    st.caption(f"{len(shown):,} clips. Policy: {POLICIES[policy].lower()}.")
