"""Settings: how researchers get in, where the data are, backups, and the record of who did what."""

import platform
import shutil
from importlib import metadata
from pathlib import Path

import pandas as pd
import streamlit as st
from sqlalchemy import make_url

from db import access, backup, events, store
from db.models import Event
from db.session import reading, writing
from workbench.researcher import notices
from workbench.researcher.downloads import downloads
from workbench.researcher.job_view import show_jobs
from workbench.session import Visitor, engine

SHOWN_EVENTS = 200
SIGN_OUT_FORM = """
<form method="post" action="sign-out" target="_top">
  <button style="font: inherit; padding: .45rem .9rem; border-radius: .5rem; cursor: pointer; color: inherit;
                 background: transparent; border: 1px solid color-mix(in srgb, currentColor 30%, transparent)">
    Sign out of this browser
  </button>
</form>
"""


def page(who: Visitor) -> None:
    """The four parts, in tabs."""
    st.title("Settings", anchor=False)
    access_tab, data_tab, jobs_tab, record_tab = st.tabs(["Access", "Data and backups", "Jobs", "Record of events"])
    with access_tab:
        _password(who)
        st.divider()
        st.html(SIGN_OUT_FORM)
    with data_tab:
        _data()
        st.divider()
        _backups(who)
    with jobs_tab:
        show_jobs(who, limit=20)
    with record_tab:
        _record(who)


def _password(who: Visitor) -> None:
    with reading(engine()) as session:
        present = access.has_password(session)
    st.subheader("Researchers' password", anchor=False)
    if present:
        st.write(
            "A password is set. Researchers sign in with it, or with the link that the workbench prints at its start."
        )
    else:
        st.write(
            "No password is set: researchers sign in with the link that the workbench prints at its start. A password "
            "is needed before the workbench may listen to other machines."
        )
    with st.form("password", border=False, clear_on_submit=True, width=460):
        hint = f"{access.PASSWORD_MINIMUM} characters or more; a phrase of a few words is best."
        first = st.text_input("New password", type="password", autocomplete="new-password", help=hint)
        again = st.text_input("New password once more", type="password", autocomplete="new-password")
        sent = st.form_submit_button("Change the password" if present else "Set the password", icon=":material/key:")
    if not sent:
        return
    if first != again:
        notices.refusal(ValueError("the two passwords differ; nothing was changed"))
        return
    try:
        with writing(engine()) as session:
            access.set_password(session, first, who.viewer, keep_session=who.row_id)
    except ValueError as error:
        notices.refusal(error)
        return
    st.success("The password is set. All other browsers are signed out.", icon=":material/check_circle:")


def _data() -> None:
    st.subheader("Where things are", anchor=False)
    root = store.data_root()
    url = make_url(store.database_url())
    size = Path(url.database).stat().st_size if url.get_backend_name() == "sqlite" and url.database else None
    free = shutil.disk_usage(root).free
    database = url.render_as_string(hide_password=True) + (f" ({size / 1e6:.1f} MB)" if size else "")
    st.markdown(
        f"""
| | |
| --- | --- |
| Data root | `{root}` ({free / 1e9:.0f} GB free) |
| Database | `{database}` |
| Version | {_version()}, Python {platform.python_version()}, Streamlit {st.__version__} |
"""
    )


def _version() -> str:
    try:
        return f"EavaNet Workbench {metadata.version('eavanet-workbench')}"
    except metadata.PackageNotFoundError:
        return "EavaNet Workbench, run from its checkout"


def _backups(who: Visitor) -> None:
    st.subheader("Backups of the database", anchor=False)
    st.write(
        "A backup is a consistent copy of the database, made while everything goes on. The files of corpora are not "
        "part of it: an import makes them again from the source."
    )
    try:
        if st.button("Back up now", icon=":material/backup:"):
            made = backup.back_up(engine())
            with writing(engine()) as session:
                events.record(session, who.viewer, "database.backed_up", {"file": made.name})
            st.success(f"Made {made.name}.", icon=":material/check_circle:")
    except (backup.BackupRefused, OSError) as error:
        notices.refusal(error)
    copies = sorted((store.data_root() / "backups").glob("*.sqlite"), reverse=True)
    if not copies:
        st.caption("There is no backup yet.")
        return
    copy = st.selectbox(
        "Backups", copies, format_func=lambda path: f"{path.stem} ({path.stat().st_size / 1e6:.1f} MB)", width=460
    )
    st.download_button("Download", copy.read_bytes, copy.name, "application/vnd.sqlite3", icon=":material/download:",
                       on_click="ignore")  # fmt: skip
    st.caption(f"To put it back, stop the workbench and run `python -m db.backup restore {copy}`.")


def _record(who: Visitor) -> None:
    st.write(
        "Whatever changes something is written down here, with who did it and when. Each entry carries the hash of the "
        "one before it, so that nothing in it can be changed or left out without it showing."
    )
    with reading(engine()) as session:
        count, newest_hash = events.head(session)
        kinds = events.kinds(session)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("Kind", kinds, index=None, placeholder="all", width=260)
        if st.button("Verify the record", icon=":material/verified:"):
            _verify(count)
        st.space("stretch")
        downloads("events", lambda: _as_table(None, None), who, what="events")
    st.dataframe(
        _as_table(SHOWN_EVENTS, kind), hide_index=True, height=420,
        column_config={
            "id": st.column_config.NumberColumn("No.", width="small"),
            "at": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm:ss", timezone="UTC"),
            "actor": "Who", "kind": "What", "payload": st.column_config.TextColumn("Details", width="large"),
        },
        column_order=["id", "at", "actor", "kind", "payload"],
    )  # fmt: skip
    st.caption(
        f"{count:,} entries; the newest has the hash `{newest_hash[:16]}`. The table shows the newest {SHOWN_EVENTS}."
    )


def _verify(count: int) -> None:
    with st.spinner("Verifying"), reading(engine()) as session:
        broken = events.verify(session)
    if broken is None:
        st.success(f"All {count:,} entries are as they were written.", icon=":material/verified:")
    else:
        st.error(
            f"Entry {broken} is not what was written, or one before it is missing. Compare with a backup.",
            icon=":material/gpp_bad:",
        )


def _as_table(limit: int | None, kind: str | None) -> pd.DataFrame:
    with reading(engine()) as session:
        rows: list[Event] = events.newest(session, limit, kind)
    columns = ["id", "at", "actor", "kind", "payload", "previous_sha256", "sha256"]
    return pd.DataFrame([[getattr(row, name) for name in columns] for row in rows], columns=columns)
