"""The trial panel: a browser component that shows the films of one trial, asks the questions and saves the answers.

It plays one film at a time, lets nobody answer before every film was played to its end, and keeps the answers until
the server confirms that they are stored (see `film.js` and `trial_panel.js`).
"""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import resources
from typing import Any

import streamlit as st

from evaluation.study.serving import TrialView
from workbench.participant.saving import Outcome
from workbench.texts import Texts

KEY = "trial"


@functools.cache
def _component() -> Callable[..., Any]:
    def text(name: str) -> str:
        return resources.files("workbench.participant").joinpath(name).read_text("utf-8")

    return st.components.v2.component(
        "eavanet_trial_panel",
        html=text("trial_panel.html"),
        css=text("trial_panel.css"),
        js=text("film.js") + text("trial_panel.js"),
    )


def panel_data(
    t: Texts, view: TrialView, *, key: str, tab: str, reported: Mapping[str, Any], outcome: Outcome | None
) -> dict[str, Any]:
    """All that the browser is told about a trial: two sides, random names, questions. Nothing tells a system.

    key: the browser's name for the trial. reported: what of this tab's playing has arrived, by side.
    """
    films = {"left": view.left} | ({"right": view.right} if view.right else {})
    return {
        "key": key,
        "tab": tab,
        "films": {side: film_address(token) for side, token in films.items()},
        "ahead": [film_address(token) for token in view.ahead],
        "may_answer": view.may_answer,
        "scale": view.right is None,
        "questions": [asdict(question) for question in view.questions],
        "reported": reported,
        "outcome": asdict(outcome) if outcome else None,
        "language": t.language,
        "texts": t.section("trial"),
    }


def film_address(token: str) -> str:
    """Where the browser fetches a film; relative, so that it works where a proxy serves the app below a path."""
    return f"film/{token}"


def trial_panel(
    data: Mapping[str, Any], *, on_watched: Callable[[dict], None], on_answer: Callable[[dict], None]
) -> None:
    """Show the panel. The callbacks run before the page does and get the browser's message."""

    def told(event: str, handle: Callable[[dict], None]) -> Callable[[], None]:
        def run() -> None:
            message = st.session_state[KEY][event]
            if isinstance(message, dict):
                handle(message)

        return run

    _component()(
        key=KEY,
        # As bytes: in anything else Streamlit looks for data frames, and imports pandas to do so.
        data=json.dumps(data).encode(),
        on_watched_change=told("watched", on_watched),
        on_answer_change=told("answer", on_answer),
    )
