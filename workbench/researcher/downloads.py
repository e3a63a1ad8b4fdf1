"""Buttons that hand out a table as CSV and as JSON; the files are made when somebody clicks, not before."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from db import events
from db.models import now
from db.session import reading, writing
from labeling import exchange
from workbench.session import Visitor, engine

Content = Callable[[], str | bytes]


def downloads(
    name: str,
    table: Callable[[], pd.DataFrame],
    who: Visitor,
    *,
    what: str,
    label: str = "Export",
    help: str | None = None,
) -> None:
    """A menu with `table()` as CSV and as JSON; `name` begins the files' names, `what` says what the rows are."""
    files(
        {f"{name}.csv": lambda: csv_of(table(), what, who), f"{name}.json": lambda: json_of(table(), what, who)},
        label=label, help=help,
    )  # fmt: skip


def csv_of(table: pd.DataFrame, what: str, who: Visitor) -> str:
    """A table as CSV; that it left the workbench is recorded."""
    _record(table, what, who)
    return exchange.as_csv(table)


def json_of(table: pd.DataFrame, what: str, who: Visitor, **about: object) -> str:
    """A table as JSON with who made it, when, and where the record of events stood; that it left is recorded."""
    _record(table, what, who)
    with reading(engine()) as session:
        head = events.head(session)
    return exchange.as_json(
        table, what, made_by=who.viewer, made_at=now().isoformat(timespec="seconds"), events=head._asdict(), **about
    )


def _record(table: pd.DataFrame, what: str, who: Visitor) -> None:
    with writing(engine()) as session:
        events.record(session, who.viewer, "data.exported", {"what": what, "rows": len(table)})


def files(contents: dict[str, Content], label: str = "Export", help: str | None = None) -> None:
    """A menu of files to download: name -> function that makes the content when it is clicked."""
    with st.popover(label, icon=":material/download:", help=help, key=f"export {' '.join(contents)}"):
        for name, content in contents.items():
            stem, _, ending = name.rpartition(".")
            st.download_button(
                name, content, f"{stem}-{now():%Y%m%d-%H%M}.{ending}",
                {"csv": "text/csv", "json": "application/json"}[ending], on_click="ignore", width="stretch",
                icon=":material/table:" if ending == "csv" else ":material/data_object:", key=f"download {name}",
            )  # fmt: skip
