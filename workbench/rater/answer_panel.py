"""The answer panel: a browser component where a rater chooses an emotion and its intensity, saves, or goes back.

It keeps the choice in the browser until the server confirms that it is stored (see `answer_panel.js`).
"""

import functools
import json
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from typing import Any

import streamlit as st

from labeling.emotions import EMOTIONS
from workbench.rater.saving import REASONS, Outcome
from workbench.texts import Texts

KEY = "answer"
HOTKEYS = {"happy": "H", "angry": "A", "sadness": "S", "neutral": "N"}


@functools.cache
def _component() -> Callable[..., Any]:
    def text(name: str) -> str:
        return resources.files("workbench.rater").joinpath(name).read_text("utf-8")

    return st.components.v2.component(
        "eavanet_answer_panel",
        html=text("answer_panel.html"),
        css=text("answer_panel.css"),
        js=text("answer_panel.js"),
    )


def answer_panel(
    t: Texts,
    *,
    answer_key: str,
    clip_id: str,
    answer: dict | None,
    watching_optional: bool,
    can_undo: bool,
    revising: bool,
    outcome: Outcome | None,
    progress: str,
    on_save: Callable[[dict], None],
    on_undo: Callable[[dict], None],
    on_leave: Callable[[dict], None],
) -> None:
    """Show the panel for the answer called `answer_key`, with `answer` filled in if there is one already.

    `clip_id` is the `PlayerSource.id` of the clip: until the player has played it to its end, in this view or an
    earlier one, only a broken clip can be saved, unless `watching_optional`. The callbacks run before the page does
    and get the browser's message: its `key` names the answer that it belongs to, which need not be the one that is
    shown by then.
    """

    def told(event: str, handle: Callable[[dict], None]) -> Callable[[], None]:
        def run() -> None:
            message = st.session_state[KEY][event]
            if isinstance(message, dict):
                handle(message)

        return run

    data = {
        "key": answer_key,
        "clip": clip_id,
        "answer": answer,
        "watching_optional": watching_optional,
        "can_undo": can_undo,
        "revising": revising,
        "outcome": {**asdict(outcome), "progress": progress} if outcome else None,
        "language": t.language,
        "emotions": [{"key": key, "word": t(f"emotion.{key}"), "hotkey": HOTKEYS[key]} for key in EMOTIONS],
        "reasons": [{"problem": problem, "reasons": list(reasons)} for problem, reasons in REASONS.items()],
        "texts": {
            **t.section("panel"),
            "how_strongly": t("intensity.question"),
            "low": t("intensity.low"),
            "high": t("intensity.high"),
        },
    }
    _component()(
        key=KEY,
        # As bytes: in anything else Streamlit looks for data frames, and imports pandas to do so, which would cost
        # the first rater after a start more than a second.
        data=json.dumps(data).encode(),
        on_save_change=told("save", on_save),
        on_undo_change=told("undo", on_undo),
        on_leave_change=told("leave", on_leave),
    )
