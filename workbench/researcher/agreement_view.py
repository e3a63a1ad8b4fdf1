"""How well the raters of a round agree, with each other and with themselves."""

import numpy as np
import pandas as pd
import streamlit as st

from db.models import LabelingRound
from labeling.agreement import Coefficient
from labeling.emotions import EMOTIONS
from workbench.researcher import charts
from workbench.researcher.downloads import downloads
from workbench.researcher.round_data import alphas_at, answers_at, confusion_at, kappas_at, mark_of, raters_at
from workbench.session import Visitor

EXPLAINED = """
**Krippendorff's alpha** is 1 for perfect agreement and 0 for what chance would give; it copes with clips that have
different numbers of votes. Emotions are compared as names (nominal), intensities as an ordered scale (ordinal). The
interval (95%) comes from drawing the clips again, 1,000 times. Krippendorff's own advice: from 0.80 on reliable, from
0.67 on for tentative conclusions; emotions in speech usually reach less.

**Fleiss' kappa** says the same for clips with equally many votes; **Cohen's kappa** compares two raters on the clips
that both rated. A coefficient is undefined where everybody gave one and the same answer.
"""


def show_agreement(labelling_round: LabelingRound, who: Visitor) -> None:
    """Coefficients, pairs of raters, confused emotions, and one line per rater."""
    mark = mark_of(labelling_round.id)
    kappas = kappas_at(mark)
    if kappas.empty:
        st.info("No clip has votes of two raters yet; agreement appears with the first.", icon=":material/pending:")
        return
    alphas = alphas_at(mark)
    with st.container(horizontal=True, gap="large"):
        _coefficient("Alpha, emotion", alphas["emotion"])
        _coefficient("Alpha, intensity", alphas["intensity"])
        _coefficient("Fleiss' kappa, emotion", alphas["fleiss"])
    with st.expander("What these numbers mean", icon=":material/help:"):
        st.markdown(EXPLAINED)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Which emotions are confused**")
        st.caption("Of every two votes on a clip: how often one said the row's emotion and the other the column's.")
        confusion = confusion_at(mark)
        shares = confusion.to_numpy() / np.maximum(confusion.to_numpy().sum(axis=1, keepdims=True), 1)
        st.plotly_chart(
            charts.square_figure(shares, EMOTIONS, colour_title="share of the row", number_format=".0%"),
            config=charts.config("confused-emotions"), key="confusion",
        )  # fmt: skip
    with right:
        st.markdown("**Which raters agree**")
        st.caption("Cohen's kappa of every two raters, on the clips that both rated.")
        names, values = _as_square(kappas)
        st.plotly_chart(
            charts.square_figure(values, names, colour_title="kappa"),
            config=charts.config("cohens-kappa"),
            key="kappas",
        )
    st.markdown("**Each rater**")
    _raters(mark)
    with st.container(horizontal=True, horizontal_alignment="right"):
        name = f"{labelling_round.name}-agreement"
        downloads(f"{name}-pairs", lambda: kappas_at(mark), who, what="agreement-of-pairs", label="Pairs of raters")
        downloads(f"{name}-raters", lambda: raters_at(mark).reset_index(names="rater"), who, what="agreement-of-raters",
                  label="Raters")  # fmt: skip


def _coefficient(name: str, found: Coefficient) -> None:
    value = "undefined" if found.value is None else f"{found.value:.2f}"
    if found.low is None:
        interval = f"over {found.n_clips:,} clips"
    else:
        interval = f"{found.low:.2f} to {found.high:.2f} (95%), {found.n_clips:,} clips"
    with st.container(width="content", gap=None):
        st.metric(name, value)
        st.caption(interval)


def _as_square(kappas: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    names = sorted({*kappas["rater"], *kappas["other"]})
    place = {name: index for index, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    for row in kappas.itertuples():
        value = np.nan if row.kappa is None else row.kappa
        values[place[row.rater], place[row.other]] = values[place[row.other], place[row.rater]] = value
    return names, values


def _raters(mark) -> None:
    answers = answers_at(mark)
    cannot = answers[answers["problem"] == "cannot_tell"].groupby("rater").size()
    broken = answers[answers["problem"] == "broken_clip"].groupby("rater").size()
    shown = raters_at(mark).reset_index(names="rater")
    shown["cannot_tell"] = shown["rater"].map(cannot).fillna(0).astype(int)
    shown["broken"] = shown["rater"].map(broken).fillna(0).astype(int)
    shown[["with_others", "same_emotion"]] = 100.0 * shown[["with_others", "same_emotion"]].astype(float)
    percent = {"format": "%.0f%%"}
    st.dataframe(
        shown, hide_index=True, placeholder="", height="content" if len(shown) < 12 else 440, key="agreement of raters",
        column_order=["rater", "with_others", "n_with_others", "mean_intensity", "same_emotion", "n_repeats",
                      "intensity_difference", "cannot_tell", "broken"],
        column_config={
            "rater": st.column_config.TextColumn("Rater", pinned=True),
            "with_others": st.column_config.NumberColumn("With the others", **percent, help="Share of clips on which "
                                                         "this rater names what most of the others name"),
            "n_with_others": st.column_config.NumberColumn("on clips", help="Clips whose other votes have a majority"),
            "mean_intensity": st.column_config.NumberColumn("Mean intensity", format="%.2f"),
            "same_emotion": st.column_config.NumberColumn("With themselves", **percent, help="Share of hidden repeats "
                                                          "with the same emotion"),
            "n_repeats": "on repeats",
            "intensity_difference": st.column_config.NumberColumn("Intensity differs by", format="%.2f", help="Mean "
                                                                  "absolute difference on hidden repeats"),
            "cannot_tell": "Cannot tell", "broken": "Broken",
        },
    )  # fmt: skip
