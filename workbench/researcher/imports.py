"""Import: bring a corpus that lies on this machine into the workbench, or make the demo corpus."""

from pathlib import Path

import pandas as pd
import streamlit as st

from db import catalogue, store
from db.corpus.detect import detect_layout
from db.corpus.errors import UnusableCorpus
from db.corpus.settings import LOUDNESS, ImportOptions
from db.models import Job
from db.session import reading
from workbench import jobs
from workbench.researcher import notices, places
from workbench.researcher.job_view import is_check, show_jobs
from workbench.session import Visitor, engine

LAYOUTS = {"peers": "the peers' layout", "raw": "the corpus as distributed"}
EXPLAINED = """
**The peers' layout** (FaceFormer, CodeTalker and most after them): a folder with `vertices_npy/F1_e01.npy`,
`wav/F1_e01.wav`, `templates.pkl` and a `.ply` file with the triangles. `regions/`, `corpus.toml` and
`original_ratings.csv` are read where they are there. The motion is read where it lies.

**The corpus as distributed**: `faces/F1/e01/frame_001.vl` (or one archive per sequence), `rigid_scans/F1.obj`, and
`audio/F1_e01.wav` or `videos/F1_e01.flv`. The motion is normalised and written into the data root, which then needs
about as much space again.

The folder itself is never changed. What is missing or damaged is listed, and everything else is imported. Sound becomes
16 kHz mono, silence before and after is cut together with the frames that belong to it, and the level is set to -3 dB.
"""
NORMALISATIONS = {
    None: "as corpus.toml says, else the layout's default",
    "per-frame": "per frame: centre and area of each frame, as the peers do",
    "template": "template: centre and area of the subject's template",
    "none": "none: coordinates stay as they are",
    "per-axis": "per axis (only to record how files in the peers' layout were made)",
}
LOUDNESSES = {"peak": "the peak", "rms": "the mean level (RMS)"}
TAKES = {None: "named e01 and 01, as in BIWI", "emotional": "without an e, all emotional", "neutral": "all neutral",
         "facexhubert": "01 to 80, of which 41 to 80 are emotional (FaceXHuBERT)"}  # fmt: skip


def page(who: Visitor) -> None:
    """Both ways to a corpus, and what came of earlier ones."""
    st.title("Import", anchor=False)
    st.write("A corpus is imported from a folder on the machine where the workbench runs; nothing is uploaded.")
    with reading(engine()) as session:
        corpora = catalogue.corpora(session)
    folder, demo = st.tabs(["A corpus on this machine", "The demo corpus"], default=_first_tab(bool(corpora)))
    with folder:
        _folder_form(who)
    with demo:
        _demo_form(who, {corpus.name for corpus in corpora})
    st.subheader("Checks and imports", anchor=False)
    show_jobs(who, "db.corpus", after=lambda job: _outcome(job, who))
    if corpora:
        st.subheader("Corpora that are here", anchor=False)
        _corpora(corpora)


def _first_tab(any_corpus: bool) -> str:
    return "A corpus on this machine" if any_corpus else "The demo corpus"


def _folder_form(who: Visitor) -> None:
    with st.expander("Which folders can be imported?", icon=":material/help:"):
        st.markdown(EXPLAINED)
    text = st.text_input("Folder of the corpus", placeholder="/data/BIWI", key="folder").strip()
    layout = None
    if text:
        folder = Path(text).expanduser()
        layout = _look_at(folder)
    name = st.text_input(
        "Name", placeholder="as in corpus.toml, else the folder's name", key="name", max_chars=64, width=420,
        help="Letters, digits, - and _. The corpus has this name everywhere in the workbench.",
    ).strip()  # fmt: skip
    arguments = _options(both=layout is not None and _holds_both(folder))
    if name:
        arguments += ["--name", name]
    problem = _name_problem(name)
    if problem:
        notices.refusal(problem)
    ready = layout is not None and problem is None
    with st.container(horizontal=True):
        if st.button(
            "Check", icon=":material/fact_check:", disabled=not ready, help="Reads everything, changes nothing"
        ):
            _start(who, "check", folder, arguments)
        if st.button("Import", icon=":material/upload:", type="primary", disabled=not ready):
            _start(who, "import", folder, arguments)


def _name_problem(name: str) -> ValueError | None:
    try:
        if name:
            store.checked_name(name, "corpus")
    except ValueError as error:
        return error
    return None


def _look_at(folder: Path) -> str | None:
    """The layout of a folder, said on the page; None if it cannot be imported."""
    if not folder.is_absolute():
        notices.refusal(ValueError(f"{folder}: give the whole path, beginning with /"))
        return None
    try:
        layout = "peers" if _holds_both(folder) else detect_layout(folder)
    except (UnusableCorpus, OSError) as error:
        notices.refusal(error)
        return None
    if _holds_both(folder):
        st.info("This folder holds a corpus in both layouts; choose one below.", icon=":material/folder_copy:")
    else:
        st.success(f"This is {LAYOUTS[layout]}.", icon=":material/folder:")
    return layout


def _holds_both(folder: Path) -> bool:
    return (folder / "vertices_npy").is_dir() and (folder / "faces").is_dir()


def _options(both: bool) -> list[str]:
    """The options as arguments of the command; those left alone are left out."""
    default = ImportOptions()
    with st.expander("Options", icon=":material/tune:", expanded=both):
        left, right = st.columns(2)
        layout = left.selectbox("Layout", list(LAYOUTS), format_func=LAYOUTS.get, key="layout") if both else None
        fps = left.number_input("Frames per second", 1.0, 240.0, None, placeholder="as corpus.toml says, else 25")
        how = right.selectbox(
            "Normalisation", list(NORMALISATIONS), format_func=NORMALISATIONS.get,
            help="Of coordinates. Per-frame scaling makes a still face breathe a little, but is what published numbers "
            "are computed on; see docs/corpora.md.",
        )  # fmt: skip
        tolerance = left.number_input(
            "Sound and motion may differ by (frames)", 0.0, 100.0, default.tolerance_frames,
            help="Clips that differ by more are kept as broken.",
        )  # fmt: skip
        takes = right.selectbox("Sentences are", list(TAKES), format_func=TAKES.get)
        loudness = left.selectbox("-3 dB refers to", LOUDNESS, format_func=LOUDNESSES.get)
        top_db = right.number_input("Silence lies below the loudest moment by (dB)", 10.0, 120.0, default.top_db)
    given = {
        "--layout": layout,
        "--fps": fps,
        "--normalisation": how,
        "--tolerance": tolerance if tolerance != default.tolerance_frames else None,
        "--numbering": takes if takes == "facexhubert" else None,
        "--sentences-are": takes if takes in ("emotional", "neutral") else None,
        "--loudness": loudness if loudness != default.loudness else None,
        "--top-db": top_db if top_db != default.top_db else None,
    }
    return [str(part) for option, value in given.items() if value is not None for part in (option, value)]


def _start(who: Visitor, command: str, folder: Path, arguments: list[str]) -> None:
    title = f"{command.capitalize()} {folder.name}"
    jobs.start(engine(), title, ["db.corpus", command, str(folder), *arguments, "--json"], who.viewer)
    st.rerun()


def _demo_form(who: Visitor, present: set[str]) -> None:
    st.write(
        "Fourteen synthetic speakers with voice, face and emotion, made by a program: nobody was recorded. Everything "
        "in the workbench can be tried on it. It has gaps as real corpora have: missing files, and a few outliers."
    )
    left, right = st.columns(2)
    size = left.radio(
        "Face", ["small", "full"], key="demo size",
        format_func={"small": "about 2,000 vertices (a minute, 400 MB)",
                     "full": "23,370 vertices, as BIWI has (some minutes, several GB)"}.get,
    )  # fmt: skip
    layout = right.radio("Written in", list(LAYOUTS), format_func=LAYOUTS.get, key="demo layout")
    name = "demo" + "-full" * (size == "full") + "-raw" * (layout == "raw")
    if name in present:
        st.success(f"The corpus **{name}** is already here.", icon=":material/check_circle:")
    command = ["db.corpus", "demo", "--vertices", size, "--layout", layout, "--json"]
    if st.button("Make the demo corpus", type="primary", icon=":material/auto_awesome:", disabled=name in present):
        jobs.start(engine(), f"Demo corpus ({name})", command, who.viewer)
        st.rerun()


def _outcome(job: Job, who: Visitor) -> None:
    """What a job that has ended found or made."""
    report = jobs.report(job.id)
    if report is None:
        if job.status == "failed" and "--update" in job.message and "--update" not in job.command:
            st.write("Clips that are already here keep their ratings.")
            if st.button("Take the changes over", key=f"update {job.id}", icon=":material/update:"):
                jobs.start(engine(), f"{job.title} again", [*job.command, "--update"], who.viewer)
                st.rerun()
        return
    _report(report.get("imported") or report, job)
    if is_check(job) and st.button("Import it now", key=f"import {job.id}", type="primary", icon=":material/upload:"):
        command = ["db.corpus", "import", *job.command[2:]]
        jobs.start(engine(), job.title.replace("Check", "Import"), command, who.viewer)
        st.rerun()


def _report(report: dict, job: Job) -> None:
    clips = report["clips"]
    st.markdown(
        f"**{report['name']}**, {LAYOUTS.get(report['layout'], report['layout'])}: {report['n_clips']:,} clips of "
        f"{report['n_subjects']} subjects; {clips['usable']:,} usable ({report['duration_s'] / 60:.1f} min), "
        f"{clips['outlier']:,} outliers, {clips['broken']:,} broken. {report['n_vertices']:,} vertices, "
        f"{report['frames_per_second']:g} frames per second, normalisation {report['normalisation']}."
    )
    found = [
        {"what": what, **row}
        for what, rows in (("problem", report["problems"]), ("note", report["notes"]))
        for row in rows
    ]
    if not found:
        st.success("Nothing is missing or damaged.", icon=":material/check_circle:")
        return
    st.dataframe(
        pd.DataFrame(found)[["what", "clip", "message"]], hide_index=True, placeholder="", key=f"found {job.id}",
        height="content" if len(found) < 9 else 320,
        column_config={"what": st.column_config.TextColumn("", width="small"),
                       "clip": st.column_config.TextColumn("Clip", width="small"),
                       "message": st.column_config.TextColumn("What was found", width="large")},
    )  # fmt: skip


def _corpora(corpora: list) -> None:
    for corpus in corpora:
        with reading(engine()) as session:
            counts = catalogue.corpus_counts(session, corpus)
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            synthetic = " · :orange-badge[synthetic]" if corpus.synthetic else ""
            st.markdown(
                f"**{corpus.name}**{synthetic}  \n{counts.total:,} clips, {counts.subjects} subjects, "
                f"{counts.duration_s / 60:.1f} min; from `{corpus.source}`",
                width="stretch",
            )
            places.link(places.CLIPS, "Look at its clips", corpus=corpus.id)
