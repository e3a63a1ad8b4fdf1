"""Which corpus, round or release is looked at; the choice goes with the researcher from page to page."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

from workbench.researcher.places import asked_for

Row = TypeVar("Row")


def choose(
    what: str, rows: Sequence[Row], label: str, format_func: Callable[[Row], str] = lambda row: row.name, **options: Any
) -> Row:
    """One of `rows` (never empty): the one the address asks for, else the one chosen last, else the first.

    `what` names the choice in the address and in the session, such as "corpus".
    """
    remembered = f"chosen {what}"
    ids = [row.id for row in rows]
    wanted = asked_for(what)
    if wanted in ids and st.session_state.get(f"followed {what}") != wanted:
        # An address is followed once; afterwards the person's own choice counts.
        st.session_state[f"followed {what}"] = st.session_state[remembered] = wanted
        st.session_state.pop(f"choose {what}", None)
    before = st.session_state.get(remembered)
    chosen = st.selectbox(
        label,
        ids,
        index=ids.index(before) if before in ids else 0,
        format_func=lambda row_id: format_func(rows[ids.index(row_id)]),
        key=f"choose {what}",
        **options,
    )
    st.session_state[remembered] = chosen
    return rows[ids.index(chosen)]
