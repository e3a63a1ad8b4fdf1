"""Runs: every training there is, how it stands, one to look at closely or several side by side."""

import pandas as pd
import streamlit as st

from db.models import Job, now
from db.session import reading, writing
from eavanet import records
from eavanet.standing import RunStanding, best_epoch, list_runs
from workbench import jobs
from workbench.researcher import notices, places
from workbench.researcher.job_view import live_jobs
from workbench.researcher.run_compare import show_comparison
from workbench.researcher.run_view import STATUS_WORDS, read_metrics, show_run
from workbench.researcher.training import SYSTEMS, duration
from workbench.session import Visitor, engine

RECENT_S = 24 * 3600  # so long a training that did not begin is spoken of


def page(who: Visitor) -> None:
    """Trainings that are starting, the table, and what was chosen in it."""
    st.title("Runs", anchor=False)
    jobs.refresh(engine())
    runs = list_runs(engine())
    _starting(runs, who)
    _copied_in(who)
    if not runs:
        notices.nothing_here(
            "Nothing was trained yet.",
            "A training needs a corpus with a label release and a split. Its progress, what it learned, and a clip of "
            "the validation set growing better appear here.",
            places.TRAIN, "Train",
        )  # fmt: skip
        return
    chosen = _table(runs)
    if len(chosen) == 1:
        show_run(chosen[0], who)
    elif chosen:
        show_comparison(chosen, who)
    else:
        st.caption("Choose a run in the table to look at it, or several to compare them.")


def _starting(runs: list[RunStanding], who: Visitor) -> None:
    """Jobs whose training has not written its row yet, and those that never will."""
    known = {run.row.job_id for run in runs}
    with reading(engine()) as session:
        started = [job for job in jobs.list_jobs(session) if _is_training(job) and job.id not in known]
    running = [job.id for job in started if job.status == "running"]
    if running:
        live_jobs(who, running)
        _wait_for_rows(tuple(running))
    recent = [
        job for job in started
        if job.status in ("failed", "died") and (now() - job.started_at).total_seconds() < RECENT_S
    ]  # fmt: skip
    for job in recent[:3]:
        st.error(f"{job.title} did not begin: {job.message or 'it ended without saying why'}", icon=":material/error:")


def _is_training(job: Job) -> bool:
    return job.command[0] == "eavanet.train" and "--dry-run" not in job.command


@st.fragment(run_every=2.0)
def _wait_for_rows(job_ids: tuple[int, ...]) -> None:
    if any(run.row.job_id in job_ids for run in list_runs(engine())):
        st.rerun()


def _copied_in(who: Visitor) -> None:
    """Folders of runs that the database does not know."""
    with reading(engine()) as session:
        names = records.unregistered(session)
    if not names:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        one = len(names) == 1
        st.markdown(
            f"**{'A run lies' if one else f'{len(names)} runs lie'} in the data root that the database does not "
            f"know:** {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}", width="stretch",
        )  # fmt: skip
        if st.button("Take in", icon=":material/library_add:"):
            _take_in(names, who)


def _take_in(names: list[str], who: Visitor) -> None:
    taken = []
    for name in names:
        try:
            with writing(engine()) as session:
                records.register(session, name, who.viewer)
            taken.append(name)
        except ValueError as error:
            notices.refusal(error)
    if taken:
        notices.once(f"Taken in: {', '.join(taken)}.", ":material/library_add:")
    if len(taken) == len(names):
        st.rerun()


# The table ------------------------------------------------------------------------------------------------------------


def _table(runs: list[RunStanding]) -> list[RunStanding]:
    """All runs, or all but the archived; returns those chosen."""
    archived = sum(run.row.archived for run in runs)
    with st.container(horizontal=True, vertical_alignment="center"):
        words = st.text_input(
            "Search", key="run words", placeholder="Search names", label_visibility="collapsed", width=260,
            icon=":material/search:",
        )  # fmt: skip
        with_archived = bool(archived) and st.toggle(f"With {archived} archived", key="runs with archived")
    asked = places.asked_for("run")
    shown = [
        run for run in runs
        if (with_archived or not run.row.archived or run.row.id == asked) and words.lower() in run.row.name.lower()
    ]  # fmt: skip
    if not shown:
        st.caption("No run fits." if words else "All runs are archived.")
        return []
    remembered = _remembered(shown, asked)
    # A new key where the rows are others; the choice then begins with what was chosen before.
    key = f"runs {hash(tuple((run.row.id, run.status, run.epoch) for run in shown))}"
    picked = st.dataframe(
        pd.DataFrame([_row(run) for run in shown]), hide_index=True, height=min(38 + 35 * len(shown), 318),
        on_select="rerun", selection_mode="multi-row", key=key, placeholder="", column_config=_columns(),
        selection_default={"selection": {"rows": [i for i, run in enumerate(shown) if run.row.id in remembered]}},
    )  # fmt: skip
    chosen = [shown[row] for row in picked.selection.rows if row < len(shown)]
    st.session_state["chosen runs"] = [run.row.id for run in chosen]
    return chosen


def _remembered(shown: list[RunStanding], asked: int | None) -> list[int]:
    if asked is not None and st.session_state.get("followed run") != asked:
        st.session_state["followed run"] = asked
        return [asked]
    begun = [run.row.id for run in shown if run.row.name == st.session_state.get("run to follow")]
    if begun:  # a training that was started here, now that it has begun
        del st.session_state["run to follow"]
        return begun
    remembered = st.session_state.get("chosen runs")
    if remembered is not None:
        return remembered
    running = [run.row.id for run in shown if run.status == "running"]
    return [(running or [shown[0].row.id])[0]]


def _row(run: RunStanding) -> dict:
    metrics = read_metrics(run)
    best = best_epoch(metrics) or {}
    lips, still = best.get("validation/lip_vertex_error"), best.get("validation/lip_vertex_error_of_template")
    seconds = sum(entry.get("epoch_seconds", entry.get("seconds", 0.0)) for entry in metrics)
    return {
        "run": run.row.name,
        "system": SYSTEMS.get(run.row.system, run.row.system),
        "status": STATUS_WORDS[run.status] + (", archived" if run.row.archived else ""),
        "progress": run.epoch / max(1, run.row.epochs),
        "epoch": f"{run.epoch} of {run.row.epochs}",
        "best": best.get("validation/total"),
        "lips": lips / still if lips is not None and still else None,
        "time": duration(seconds) if metrics else "",
        "corpus": run.row.corpus.name,
        "marks": ", ".join(run.marks),
        "begun": run.row.created_at,
    }


def _columns() -> dict:
    return {
        "run": st.column_config.TextColumn("Run", pinned=True),
        "system": "System",
        "status": "Status",
        "progress": st.column_config.ProgressColumn(
            "Progress", format="percent", min_value=0, max_value=1, width="small"
        ),
        "epoch": "Epoch",
        "best": st.column_config.NumberColumn("Best validation loss", format="%.4g"),
        "lips": st.column_config.NumberColumn(
            "Lips, of template", format="%.3f",
            help="Lip vertex error at the best epoch, as a share of that of the motionless template: below 1 is better",
        ),
        "time": "Time",
        "corpus": "Corpus",
        "marks": st.column_config.TextColumn("Marks", help="Why its numbers are for trying out only, never results"),
        "begun": st.column_config.DatetimeColumn("Begun (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC"),
    }  # fmt: skip
