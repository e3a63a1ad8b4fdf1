"""What the pages know of a round's answers, computed once per state of the round.

Ratings are only ever appended, so a round with the same newest rating has the same answers; whatever takes longer
than a moment is kept under that mark.
"""

import pandas as pd
import streamlit as st

from db import store
from db.session import reading
from labeling import agreement, votes
from labeling.agreement import Coefficient
from workbench.session import engine

Mark = tuple[str, int, int, int]  # database, round, number of ratings, newest rating


def mark_of(round_id: int) -> Mark:
    """Tells one state of a round from another."""
    with reading(engine()) as session:
        return (store.database_url(), round_id, *votes.mark(session, round_id))


@st.cache_data(max_entries=8, show_spinner="Reading the answers")
def answers_at(mark: Mark) -> pd.DataFrame:
    """All newest answers of the round; see `labeling.votes.answers`."""
    with reading(engine()) as session:
        return votes.answers(session, mark[1])


@st.cache_data(max_entries=16, show_spinner="Computing agreement (intervals from 1,000 resamples of the clips)")
def alphas_at(mark: Mark) -> dict[str, Coefficient]:
    """Krippendorff's alpha for "emotion" and "intensity", and Fleiss' kappa as "fleiss"."""
    counted = votes.votes(answers_at(mark))
    return {
        "emotion": agreement.krippendorff_alpha(counted, "emotion"),
        "intensity": agreement.krippendorff_alpha(counted, "intensity"),
        "fleiss": agreement.fleiss_kappa(counted),
    }


@st.cache_data(max_entries=16, show_spinner="Comparing the raters")
def raters_at(mark: Mark) -> pd.DataFrame:
    """By rater: with_others, n_with_others, mean_intensity, n_repeats, same_emotion, intensity_difference, seconds."""
    answers = answers_at(mark)
    others = agreement.with_the_others(votes.votes(answers)).rename(
        columns={"n_clips": "n_with_others", "agreement": "with_others"}
    )
    tables = (others, agreement.with_themselves(answers), votes.pace(answers))
    return pd.concat([table.set_index("rater") for table in tables], axis=1).sort_index()


@st.cache_data(max_entries=16, show_spinner="Comparing the raters")
def kappas_at(mark: Mark) -> pd.DataFrame:
    """Cohen's kappa of every two raters; see `labeling.agreement.cohen_kappas`."""
    return agreement.cohen_kappas(votes.votes(answers_at(mark)))


@st.cache_data(max_entries=16, show_spinner="Comparing the raters")
def confusion_at(mark: Mark) -> pd.DataFrame:
    """How often one rater's emotion met another's; see `labeling.agreement.confusion`."""
    return agreement.confusion(votes.votes(answers_at(mark)))
