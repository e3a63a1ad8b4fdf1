"""One run: how it stands, what it learned so far, a clip growing better, its settings, and what can be done with it."""

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from db.models import Job
from db.session import reading, writing
from eavanet import planning, records
from eavanet.standing import RunStanding, best_epoch, find_run, metrics_of, newest_stage, stages_of
from workbench import jobs
from workbench.researcher import charts, notices
from workbench.researcher.downloads import downloads
from workbench.researcher.run_charts import CODE_CURVES, CURVES, MACHINE_CURVES, heading, run_figure
from workbench.researcher.run_sample import show_sample
from workbench.researcher.training import duration
from workbench.session import Visitor, engine

STATUS_WORDS = {
    "running": "running", "finished": "finished", "stopped": "stopped", "failed": "failed",
    "died": "ended unexpectedly",
}  # fmt: skip
ICONS = {
    "running": ":material/hourglass_top:", "finished": ":material/check_circle:", "stopped": ":material/stop_circle:",
    "failed": ":material/error:", "died": ":material/power_off:",
}  # fmt: skip
LIVE_S = 2.0
TABLE_S = 20.0
DEVICES = {"": "a GPU if there is one", "cpu": "the processor"}


def read_metrics(run: RunStanding) -> list[dict[str, Any]]:
    """What was measured in every epoch; read again only when there is more."""
    try:
        stat = (run.folder / "metrics.jsonl").stat()
    except OSError:
        return []
    return _metrics_at(str(run.folder), stat.st_mtime_ns, stat.st_size, run)


@st.cache_data(max_entries=200, show_spinner=False)
def _metrics_at(folder: str, changed: int, size: int, _run: RunStanding) -> list[dict[str, Any]]:
    return metrics_of(_run.folder)


def show_run(run: RunStanding, who: Visitor) -> None:
    """Head with actions, then curves, sample, settings and log."""
    st.subheader(run.row.name, anchor=False)
    if run.marks:
        st.markdown(
            " ".join(f":orange-badge[:material/science: {mark}]" for mark in run.marks)
            + " Numbers from here are for trying things out, never results."
        )
    if run.status == "running":
        _live(run.row.id, who, run.epoch, time.monotonic())
    else:
        _head(run, who)
        _curves(run)
    st.markdown("**A validation clip growing better**")
    show_sample(run, who)
    settings, log, files = st.tabs(["Settings", "Log", "Files and record"])
    with settings:
        _settings(run)
    with log:
        _live_log(run) if run.status == "running" else _log(run)
    with files:
        _files(run, who)


@st.fragment(run_every=LIVE_S)
def _live(run_id: int, who: Visitor, shown_epoch: int, shown_at: float) -> None:
    jobs.refresh(engine())
    run = find_run(engine(), run_id)
    if run is None or run.status != "running":
        if run is not None:
            notices.once(f"{run.row.name}: {STATUS_WORDS[run.status]}", ICONS[run.status])
        st.rerun()
    if run.epoch != shown_epoch and time.monotonic() - shown_at > TABLE_S:
        st.rerun()  # the whole page, for the table above
    _head(run, who)
    _curves(run)


# How it stands --------------------------------------------------------------------------------------------------------


def _head(run: RunStanding, who: Visitor) -> None:
    metrics = read_metrics(run)
    job = _job(run)
    _status(run, job, metrics)
    _numbers(run, metrics)
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.status == "running":
            _stop(run, job, who)
        else:
            _resume(run, who)
            _archive(run, who)
        st.space("stretch")
        downloads(f"run-{run.row.name}", lambda: pd.DataFrame(metrics), who, what="metrics of a run",
                  label="Export the metrics")  # fmt: skip


def _job(run: RunStanding) -> Job | None:
    if run.row.job_id is None:
        return None
    with reading(engine()) as session:
        return session.get(Job, run.row.job_id)


def _status(run: RunStanding, job: Job | None, metrics: list[dict[str, Any]]) -> None:
    where = f"epoch {run.epoch} of {run.row.epochs}"
    if run.status == "running":
        share = job.progress if job and job.status == "running" and job.progress else run.epoch / run.row.epochs
        doing = job.message if job and job.status == "running" and job.message else where
        st.progress(min(1.0, share), text=f"{doing} · {_left(run, metrics)}")
    elif run.status == "finished":
        st.success(f"Finished: {where}.", icon=ICONS["finished"])
    elif run.status == "stopped":
        st.info(f"Stopped after {where}; it can go on. {_sentence(run.message)}", icon=ICONS["stopped"])
    else:
        st.error(
            f"{STATUS_WORDS[run.status].capitalize()} after {where}: {run.message or 'no reason is known'}. "
            "What was kept is intact.", icon=ICONS[run.status],
        )  # fmt: skip


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _left(run: RunStanding, metrics: list[dict[str, Any]]) -> str:
    seconds = [entry.get("epoch_seconds", entry.get("seconds")) for entry in newest_stage(metrics)[-5:]]
    if not seconds or None in seconds:
        return "the first epoch tells how long it takes"
    codes = sum(planning.stages_planned(run.row.settings.get("training", {}))[:-1])
    to, then = (codes, ", then it learns to speak") if run.epoch < codes else (run.row.epochs, "")
    return f"about {duration(sum(seconds) / len(seconds) * (to - run.epoch))} left{then}"


def _numbers(run: RunStanding, metrics: list[dict[str, Any]]) -> None:
    if not metrics:
        st.caption("No epoch is finished yet. Before the first one, the audio features of all clips are computed.")
        return
    best, last = best_epoch(metrics) or {}, metrics[-1]
    own = _own_number(best)
    columns = st.columns(5 if own else 4)
    columns[0].metric("Epoch", f"{run.epoch} / {run.row.epochs}")
    columns[1].metric(
        "Best validation loss" if "validation/total" in best else "Best training loss",
        f"{best.get('validation/total', best.get('train/total', float('nan'))):.4g}", help=f"epoch {best.get('epoch')}",
    )
    lips, still = best.get("validation/lip_vertex_error"), best.get("validation/lip_vertex_error_of_template")
    columns[2].metric(
        "Lips, of the template's error", f"{lips / still:.1%}" if lips is not None and still else "not measured",
        help="Lip vertex error on the validation clips at the best epoch, as a share of the motionless template's",
    )
    if own:
        columns[3].metric(*own[:2], help=own[2])
    columns[-1].metric("Per epoch", duration(last.get("epoch_seconds", last.get("seconds", 0.0))))
    st.caption(
        f":material/memory: {run.row.manifest.get('environment', {}).get('device', 'unknown device')} · at most "
        f"{last.get('memory_mb', 0):,.0f} MB · {last.get('waiting_for_data', 0):.1%} of the training time waiting for "
        f"data · learning rate {last.get('learning_rate', 0):g}"
    )


def _own_number(best: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """What only some systems have to show: its name, its value and what it means."""
    right, used = best.get("validation/emotion_accuracy"), best.get("validation/perplexity")
    if right is not None:
        words = "Validation clips whose emotion the classifier reads from the embedding of their style clip"
        return "Emotions recognised", f"{right:.0%}", words
    if used is not None:
        return "Codes in use", f"{used:.0f}", "The perplexity: so many codes, used equally often, would tell as much"
    return None


def _curves(run: RunStanding) -> None:
    metrics = read_metrics(run)
    if not metrics:
        return
    newest, earlier = newest_stage(metrics), stages_of(metrics)[:-1]
    best = (best_epoch(metrics) or {}).get("epoch")
    codes = "train/reconstruction" in newest[-1]
    if codes:
        st.caption("Stage 1: motion is learned as codes. Speech comes after it.")
    _figures(run, [*(CODE_CURVES if codes else ()), *CURVES], newest, best)
    for stage in earlier:
        with st.expander(f"Stage 1: motion as codes, epochs 1 to {stage[-1]['epoch']}", icon=":material/grid_view:"):
            _figures(run, [*CODE_CURVES, "Lip vertex error"], stage, (best_epoch(stage) or {}).get("epoch"), "codes")
    with st.expander("Time, data and memory", icon=":material/speed:"):
        _figures(run, list(MACHINE_CURVES), metrics, None)
    st.caption("The dotted line is the best epoch, whose checkpoint is kept beside the last one.")


def _figures(
    run: RunStanding, titles: list[str], metrics: Sequence[Mapping[str, Any]], best: int | None, stage: str = ""
) -> None:
    figures = {title: run_figure(title, metrics, best) for title in titles}
    shown = [title for title, figure in figures.items() if figure is not None]
    columns = st.columns(3)
    for number, title in enumerate(shown):
        with columns[number % 3]:
            st.markdown(heading(title))
            st.plotly_chart(
                figures[title], config=charts.config(f"{run.row.name}-{title}"), key=f"{title} {stage} {run.row.id}"
            )


# What can be done -----------------------------------------------------------------------------------------------------


def _stop(run: RunStanding, job: Job | None, who: Visitor) -> None:
    if job is not None and job.status == "running":
        st.button("Stop", icon=":material/stop_circle:", key=f"stop run {run.row.id}", on_click=_cancel,
                  args=(job.id, who), help="What was finished is kept, and it can go on later")  # fmt: skip
        return
    started = run.row.manifest.get("started", {})
    where = f" on {started['host']} as process {started['pid']}" if "pid" in started else ""
    st.caption(f":material/terminal: Started on a terminal{where}; Ctrl-C stops it there.")


def _cancel(job_id: int, who: Visitor) -> None:
    jobs.cancel(engine(), job_id, who.viewer)


def _resume(run: RunStanding, who: Visitor) -> None:
    if not (run.folder / "run.json").exists():
        st.caption("No checkpoint was kept, so there is nothing to go on from.")
        return
    if "published" in run.row.manifest:
        st.caption("A published model: it predicts and animates here, and was trained by its authors.")
        return
    done = run.epoch >= run.row.epochs
    further = run.epoch + max(1, run.row.epochs // 2) if done else run.row.epochs
    with st.popover("Go on with more epochs" if done else "Go on", icon=":material/play_arrow:"):
        to = st.number_input(
            "Up to epoch", run.epoch + 1, None, further, key=f"epochs {run.row.id} {run.epoch}",
            help="All other settings stay as they were. The learning rate goes on falling as planned.",
        )  # fmt: skip
        device = st.selectbox("Device", list(DEVICES), format_func=DEVICES.get, key=f"device {run.row.id}")
        command = ["eavanet.train", "--resume", "--name", run.row.name, "--epochs", str(int(to))]
        command += ["--device", device] if device else []
        st.code(f"python -m {shlex.join(command)}", language="bash", wrap_lines=True)
        if st.button("Go on", type="primary", key=f"resume {run.row.id}", icon=":material/play_arrow:"):
            jobs.start(engine(), f"Train {run.row.name}", command, who.viewer)
            notices.once(f"{run.row.name} goes on.", ":material/play_arrow:")
            st.rerun()


def _archive(run: RunStanding, who: Visitor) -> None:
    label, icon = ("Bring back", ":material/unarchive:") if run.row.archived else ("Archive", ":material/archive:")
    if st.button(label, icon=icon, key=f"archive {run.row.id}",
                 help="Only takes it out of the list; nothing is deleted, and it can be brought back"):  # fmt: skip
        with writing(engine()) as session:
            records.archive(session, run.row.id, not run.row.archived, who.viewer)
        done = "is back in the list" if run.row.archived else "is archived; “With archived” above the table shows it"
        notices.once(f"{run.row.name} {done}.", icon)
        st.rerun()


# What it was given ----------------------------------------------------------------------------------------------------


def _settings(run: RunStanding) -> None:
    settings, manifest = run.row.settings, run.row.manifest
    command = manifest.get("started", {}).get("command")
    if command:
        st.caption("The command that began it, or went on with it last")
        st.code(command, language="bash", wrap_lines=True)
    left, right = st.columns(2)
    with left:
        st.caption("Training")
        rows = {name.replace("_", " "): str(value) for name, value in settings.get("training", {}).items()}
        st.dataframe(pd.DataFrame(rows.items(), columns=["Setting", "Value"]), hide_index=True, height="content")
    with right:
        st.caption("Data and machine")
        st.dataframe(
            pd.DataFrame(_facts(run), columns=["What", "Which"]), hide_index=True, height="content",
        )  # fmt: skip
        about = f"Settings of the run {run.row.name}. Use: python -m eavanet.train --config FILE"
        st.download_button(
            "Training settings as TOML", planning.as_toml(settings.get("training", {}), {}, about),
            f"{run.row.name}.toml", "application/toml", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    with st.expander("The model's settings and the whole manifest", icon=":material/data_object:"):
        st.json({"model": settings.get("model", {}), "manifest": manifest}, expanded=1)


def _facts(run: RunStanding) -> list[tuple[str, str]]:
    manifest = run.row.manifest
    environment = manifest.get("environment", {})
    facts = [(key, manifest.get(key, {})) for key in ("corpus", "release", "split")]
    rows = [(key, f"{told.get('name', '')} ({str(told.get('sha256', ''))[:12]})") for key, told in facts if told]
    rows += [(f"{part} clips", ", ".join(f"{emotion} {n}" for emotion, n in sorted(counts.items())))
             for part, counts in manifest.get("clips", {}).items() if counts]  # fmt: skip
    rows += [("device", environment.get("device", "")), ("code", environment.get("version", "")),
             ("host", manifest.get("started", {}).get("host", "")), ("processes", str(manifest.get("processes", "")))]
    return [row for row in rows if row[1]]


@st.fragment(run_every=LIVE_S)
def _live_log(run: RunStanding) -> None:
    _log(run)


def _log(run: RunStanding) -> None:
    if run.row.job_id is None:
        st.caption("It was started on a terminal, or elsewhere: its log is not here.")
        return
    log = jobs.log_tail(run.row.job_id)
    st.code(log or "Nothing was printed yet.", language=None, wrap_lines=True,
            height=320 if log.count("\n") > 12 else "content")


def _files(run: RunStanding, who: Visitor) -> None:
    st.markdown(
        f"""
| | |
| --- | --- |
| Folder | `{run.folder}` |
| TensorBoard | `tensorboard --logdir {shlex.quote(str(run.folder / 'tensorboard'))}` |
| Begun | {run.row.created_at:%Y-%m-%d %H:%M} UTC |
| Last heard of | {run.row.updated_at:%Y-%m-%d %H:%M} UTC |
"""
    )
    st.caption(
        "The folder holds the best and the last checkpoint, `metrics.jsonl`, and the samples. Copied into another "
        "workbench's data root below `runs/`, it can be taken in there."
    )
