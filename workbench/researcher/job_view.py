"""Jobs as a researcher sees them: how far, how they ended, what they printed."""

from collections.abc import Callable

import streamlit as st

from db.models import Job, now
from db.session import reading
from workbench import jobs
from workbench.researcher import notices
from workbench.session import Visitor, engine

ICONS = {
    "running": ":material/hourglass_top:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
    "died": ":material/power_off:",
}
WORDS = {"running": "running", "done": "done", "failed": "failed", "cancelled": "stopped", "died": "ended unexpectedly"}
# `check` ends with 1 when it found problems: that is an answer, not a failure.
FOUND_PROBLEMS = 1


def show_jobs(
    who: Visitor, module: str | None = None, limit: int = 5, after: Callable[[Job], None] | None = None
) -> None:
    """The newest jobs (those of one module, such as "db.corpus"), live while one runs.

    `after` is called below each job that has ended, to show what came of it.
    """
    jobs.refresh(engine())
    with reading(engine()) as session:
        shown = [job for job in jobs.list_jobs(session) if module in (None, job.command[0])][:limit]
    if not shown:
        st.caption("Nothing has run yet.")
        return
    running = [job.id for job in shown if job.status == "running"]
    if running:
        live_jobs(who, running)
    for job in shown:
        if job.status != "running":
            _ended(job, after)


def running_jobs(who: Visitor) -> None:
    """Jobs that run at present, live; shows nothing if there are none."""
    jobs.refresh(engine())
    with reading(engine()) as session:
        running = [job.id for job in jobs.list_jobs(session) if job.status == "running"]
    if running:
        live_jobs(who, running)


@st.fragment(run_every=1.0)
def live_jobs(who: Visitor, job_ids: list[int]) -> None:
    """These jobs, live, each with a button to stop it; the page runs again when one of them ends."""
    jobs.refresh(engine())
    with reading(engine()) as session:
        shown = [session.get_one(Job, job_id) for job_id in job_ids]
    for job in shown:
        if job.status != "running":
            notices.once(f"{job.title}: {status_words(job)}", ICONS[job.status])
            st.rerun()  # the whole page: what it shows has changed
    for job in shown:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.progress(job.progress or 0.0, text=f"**{job.title}**  {job.message or 'starting'} · {_lasted(job)}")
            st.button("Stop", key=f"stop {job.id}", icon=":material/stop_circle:", on_click=_cancel, args=(job.id, who))


def _cancel(job_id: int, who: Visitor) -> None:
    jobs.cancel(engine(), job_id, who.viewer)


def is_check(job: Job) -> bool:
    """Whether a job only looked at a corpus."""
    return job.command[:2] == ["db.corpus", "check"]


def status_words(job: Job) -> str:
    """How a job stands, in a word or two."""
    if is_check(job) and job.exit_code == FOUND_PROBLEMS and jobs.report(job.id):
        return "problems found"
    return WORDS[job.status]


def _ended(job: Job, after: Callable[[Job], None] | None) -> None:
    words = status_words(job)
    icon = ICONS["done"] if words == "problems found" else ICONS[job.status]
    with st.expander(f"{job.title}: **{words}**, {_when(job)}", icon=icon, expanded=False):
        if job.status in ("failed", "died") and words != "problems found":
            notices.refusal(ValueError(job.message or "it ended without saying why"))
        if after is not None:
            after(job)
        st.caption(f"`python -m {' '.join(job.command)}`  \nby {job.started_by.partition(':')[0]}, took {_lasted(job)}")
        log = jobs.log_tail(job.id)
        if log and not jobs.report(job.id):
            st.code(log, language=None, height=220 if log.count("\n") > 8 else "content")


def _lasted(job: Job) -> str:
    seconds = int(((job.ended_at or now()) - job.started_at).total_seconds())
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"


def _when(job: Job) -> str:
    return f"{job.started_at:%Y-%m-%d %H:%M} UTC"
