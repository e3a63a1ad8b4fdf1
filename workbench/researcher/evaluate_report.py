"""The report: made by a job, looked at in the page, and taken away."""

import io
import json
import zipfile
from pathlib import Path

import streamlit as st

from db import store
from db.models import Corpus, now
from db.session import reading
from workbench import jobs
from workbench.session import Visitor, engine

HEIGHT = 900


def show_report(corpus: Corpus, who: Visitor) -> None:
    """The newest report of the corpus, and a button that makes it anew."""
    folder = store.data_root() / "reports" / corpus.name
    record = _record(folder)
    with st.container(horizontal=True, vertical_alignment="center"):
        label = "Make the report" if record is None else "Make it anew"
        if st.button(label, type="primary", icon=":material/description:", disabled=_running()):
            jobs.start(engine(), f"Report on {corpus.name}", ["evaluation.report", "--corpus", corpus.name], who.viewer)
            st.rerun()
        if record is not None:
            stem = f"report-{corpus.name}-{now():%Y%m%d}"
            st.download_button("HTML", (folder / "report.html").read_bytes, f"{stem}.html", "text/html",
                               icon=":material/download:", on_click="ignore")  # fmt: skip
            st.download_button("Everything (.zip)", lambda: zipped(folder), f"{stem}.zip", "application/zip",
                               icon=":material/folder_zip:", on_click="ignore")  # fmt: skip
    if record is None:
        st.write(
            "Tables I to V and Figures 2 to 4 of the paper for what is in this workbench: one HTML page, Markdown, "
            "LaTeX that compiles, CSV and JSON, each number with its interval, n, method and the hashes it came from."
        )
        return
    missing = [why for table in record["tables"] for why in table["missing"]]
    missing += [figure["missing"] for figure in record["figures"] if figure["missing"]]
    if missing:
        with st.expander(f"Not filled yet: {len(dict.fromkeys(missing))}", icon=":material/pending:"):
            st.markdown("\n".join(f"- {why}" for why in dict.fromkeys(missing)))
    page = folder / "report.html"
    if page.exists():
        st.iframe(page, height=HEIGHT)


def _record(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _running() -> bool:
    with reading(engine()) as session:
        return any(job.status == "running" and job.command[0] == "evaluation.report" for job in jobs.list_jobs(session))


def zipped(folder: Path) -> bytes:
    """All files of a report, in one folder, without times: the same report gives the same archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder)}"), path.read_bytes())
    return buffer.getvalue()
