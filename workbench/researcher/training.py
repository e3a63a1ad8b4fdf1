"""Train: choose data, system and settings, see what will run and how long it should take, and start it."""

import shlex
from typing import Any

import pandas as pd
import streamlit as st

from db import catalogue, store
from db.models import Corpus, Job, LabelRelease, Split
from db.session import reading
from eavanet import planning
from eavanet.planning import Pace, Wanted
from eavanet.split import PARTS, LabelledSplit, load_split, training_warnings
from eavanet.standing import list_runs
from labeling.emotions import EMOTIONS
from workbench import jobs
from workbench.researcher import notices, places
from workbench.researcher.choosing import choose
from workbench.researcher.job_view import show_jobs
from workbench.researcher.training_form import OptionsUnavailable, changed, settings_form, training_options
from workbench.session import Visitor, engine

SYSTEMS = {"eavanet": "EavaNet", "faceformer": "FaceFormer", "codetalker": "CodeTalker"}
PART_WORDS = {"train": "training", "validation": "validation", "biwi-a": "BIWI-A", "biwi-b": "BIWI-B"}


def page(who: Visitor) -> None:
    """Data, what to train, its settings, what will run; then the trainings that were started here."""
    st.title("Train", anchor=False)
    data = _data()
    if data is not None:
        _plan(*data, who)
    st.subheader("Started from here", anchor=False)
    show_jobs(who, "eavanet.train", after=_outcome)


def _data() -> tuple[Corpus, LabelledSplit] | None:
    """The corpus and the labelled split to train on; None, with what to do first, if there is none."""
    with reading(engine()) as session:
        corpora = catalogue.corpora(session)
    if not corpora:
        notices.nothing_here(
            "There is no corpus to train on yet.",
            "Make the demo corpus or import one; then have it labelled, or let simulated raters do it.",
            places.IMPORT, "Import a corpus",
        )  # fmt: skip
        return None
    columns = st.columns(3)
    with columns[0]:
        corpus = choose("corpus", corpora, "Corpus")
    with reading(engine()) as session:
        releases = catalogue.releases_of(session, corpus.id)
        splits = catalogue.splits_of(session, corpus.id)
    if not releases or not splits:
        what = "a label release" if not releases else "a split"
        notices.nothing_here(
            f"The corpus {corpus.name} has no {what.partition(' ')[2]} yet.",
            f"A training needs {what}: which emotion each clip shows, and which clips it may learn from.",
            places.RELEASES, f"Make {what}",
        )  # fmt: skip
        return None
    with columns[1]:
        release = choose("release", releases, "Label release")
    with columns[2]:
        split = choose("split", splits, "Split")
    loaded = _split(corpus, release, split)
    _show_data(corpus, release, loaded)
    return corpus, loaded


def _split(corpus: Corpus, release: LabelRelease, split: Split) -> LabelledSplit:
    mark = (store.database_url(), corpus.sha256, release.sha256, split.sha256)
    return _split_at(mark, corpus.name, release.name, split.name)


@st.cache_resource(max_entries=4, show_spinner=False)
def _split_at(mark: tuple, corpus: str, release: str, split: str) -> LabelledSplit:
    with reading(engine()) as session:
        return load_split(session, corpus, release, split)


def _show_data(corpus: Corpus, release: LabelRelease, split: LabelledSplit) -> None:
    counts = split.counts()
    rows = [
        {"part": PART_WORDS[part], "clips": sum(counts[part].values()),
         **{emotion: counts[part].get(emotion, 0) for emotion in EMOTIONS},
         "minutes": sum(clip.n_frames for clip in split.parts[part]) / corpus.frames_per_second / 60,
         "subjects": ", ".join(sorted({clip.subject for clip in split.parts[part]})) or "none"}
        for part in PARTS
    ]  # fmt: skip
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, height="content",
        column_config={"part": st.column_config.TextColumn("Part", pinned=True), "clips": "Clips",
                       "minutes": st.column_config.NumberColumn("Minutes", format="%.1f"), "subjects": "Subjects"},
    )  # fmt: skip
    notices.synthetic_notice(
        corpus=corpus.name if corpus.synthetic else None,
        simulated_raters=len(release.summary.get("simulated_raters", [])),
    )


def _plan(corpus: Corpus, split: LabelledSplit, who: Visitor) -> None:
    try:
        with st.spinner("Looking at what this machine can train with; this takes some seconds, once"):
            options = training_options()
    except OptionsUnavailable as error:
        notices.refusal(error)
        if st.button("Try again", icon=":material/refresh:"):
            st.rerun()
        return
    st.subheader("What to train", anchor=False)
    wanted = _wanted(options, corpus, split)
    if wanted is None:
        return
    chosen, training = wanted
    st.subheader("What will run", anchor=False)
    _what_runs(options, corpus, split, chosen, training, who)


def _wanted(options: dict, corpus: Corpus, split: LabelledSplit) -> tuple[Wanted, dict[str, Any]] | None:
    """What is asked for, and all settings of its training; None if something in the form cannot be."""
    by_system: dict[str, list[str]] = {system: [] for system in options["systems"]}
    for name, preset in options["presets"].items():
        by_system[preset["system"]].append(name)
    columns = st.columns([2, 2, 3, 3])
    system = columns[0].selectbox("System", list(by_system), format_func=lambda s: SYSTEMS.get(s, s), key="system")
    names = by_system[system]
    small = [number for number, name in enumerate(names) if corpus.synthetic and name.endswith("demo")]
    preset = columns[1].selectbox("Preset", names, small[0] if small else 0, key=f"preset {system}")
    free = _free_name(preset)
    name = columns[2].text_input("Name of the run", free, max_chars=64, key=f"run name {free}").strip()
    labels = {device["name"]: device["label"] for device in options["devices"]}
    device = columns[3].selectbox("Device", list(labels), format_func=labels.get, key="device")
    st.caption(options["presets"][preset]["about"])
    try:
        training, model = settings_form({**options, **options["systems"][system]}, preset)
        _check_name(name)
    except ValueError as error:
        notices.refusal(error)
        return None
    given = options["presets"][preset]
    return Wanted(
        system, preset, name, corpus.name, split.release.name, split.split.name, device,
        changed(training, given["training"]), changed(model, given["model"]),
    ), training  # fmt: skip


def _runs_here() -> set[str]:
    return {path.parent.name for path in (store.data_root() / "runs").glob("*/run.json")}


def _free_name(preset: str) -> str:
    taken = {path.name for path in (store.data_root() / "runs").glob("*")}
    return next(name for n in range(1, len(taken) + 2) if (name := f"{preset}-{n}") not in taken)


def _check_name(name: str) -> None:
    if store.checked_name(name, "run") in _runs_here():
        raise ValueError(f"run {name} exists; take another name, or go on with it on its page")


def _what_runs(
    options: dict, corpus: Corpus, split: LabelledSplit, wanted: Wanted, training: dict[str, Any], who: Visitor
) -> None:
    command = planning.training_command(wanted)
    rehearsal = [*command, "--dry-run", "--json"]
    measured = _measured(rehearsal)
    device = next(device for device in options["devices"] if device["name"] == wanted.device)
    pace = planning.earlier_pace(
        list_runs(engine()), system=wanted.system, n_vertices=corpus.n_vertices, device_model=device["model"],
        training=training,
    )  # fmt: skip
    _numbers(split, training, measured, pace)
    stops = _warnings(options, split, training, wanted.system)
    st.code(f"python -m {shlex.join(command)}", language="bash", wrap_lines=True)
    with st.container(horizontal=True):
        if st.button("Start training", type="primary", icon=":material/play_arrow:", disabled=stops):
            jobs.start(engine(), f"Train {wanted.name}", command, who.viewer)
            st.session_state["run to follow"] = wanted.name
            notices.once(f"The training {wanted.name} is starting.", ":material/play_arrow:")
            places.go(places.RUNS)
        if st.button(
            "Measure first", icon=":material/timer:", disabled=stops,
            help="Takes a few steps on the chosen device and keeps nothing but the audio features, which the training "
            "then finds ready.",
        ):  # fmt: skip
            jobs.start(engine(), f"Measure {wanted.name}", rehearsal, who.viewer)
            st.rerun()
    with st.expander("On a Slurm cluster", icon=":material/dns:"):
        st.write(
            "Run this where `sbatch` works, with the data root on a disk that the nodes share. The run then appears "
            "under Runs like any other; requeued, it goes on from its last checkpoint."
        )
        st.code(f"python -m {shlex.join(planning.cluster_command(wanted))}", language="bash", wrap_lines=True)


def _measured(rehearsal: list[str]) -> dict[str, Any] | None:
    """What a dry run of the same command, whatever the run's name, found; None if there was none."""
    with reading(engine()) as session:
        done = [job for job in jobs.list_jobs(session) if job.status == "done"]
    found = [job for job in done if _nameless(job.command) == _nameless(rehearsal)]
    return jobs.report(found[0].id) if found else None


def _nameless(command: list[str]) -> list[str]:
    at = command.index("--name") if "--name" in command else len(command)
    return [*command[:at], *command[at + 2 :]]


def _numbers(split: LabelledSplit, training: dict[str, Any], measured: dict | None, pace: Pace | None) -> None:
    clips, epochs = len(split.parts["train"]), training["epochs"]
    steps = -(-clips // training["batch_size"])
    columns = st.columns(4)
    columns[0].metric("Training clips", f"{clips:,}", help=f"of {', '.join(split.subjects)}")
    stages = planning.stages_planned(training)
    apart = f", {' and then '.join(map(str, stages))} of its stages" if len(stages) > 1 else ""
    columns[1].metric("Steps", f"{steps * epochs:,}", help=f"{epochs} epochs of {steps} steps{apart}")
    columns[2].metric("Parameters", f"{measured['parameters'] / 1e6:.1f} M" if measured else "not measured")
    if measured:
        columns[3].metric("Should take", duration(measured["seconds_in_all"]))
        st.caption(
            f"Measured here: {measured['seconds_per_step']:.3g} s per step (median of {measured['steps_measured']}), "
            f"{measured['memory_mb']:,.0f} MB, {measured['trained_parameters']:,} parameters are trained."
        )
    elif pace:
        columns[3].metric("Should take", duration(pace.seconds(clips, stages)))
        unlike = "" if pace.alike else ", which had another batch size or precision"
        st.caption(
            f"Reckoned from the run {pace.run}{unlike}: {pace.seconds(1, stages) / epochs:.3g} s per clip and epoch on "
            "this device."
        )
    else:
        columns[3].metric("Should take", "not measured")
        st.caption("Nothing like it has run on this device yet; “Measure first” tells how long it would take.")


def duration(seconds: float) -> str:
    """A length of time in the two units that matter."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s" if seconds < 600 else f"{round(seconds / 60)} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours / 24:.1f} days"


def _warnings(options: dict, split: LabelledSplit, training: dict[str, Any], system: str) -> bool:
    """Say what is amiss; returns whether it cannot start."""
    encoder = training["encoder"]
    place = planning.encoder_place(encoder, options["random_encoders"])
    lines = training_warnings(split, EMOTIONS if options["systems"][system]["emotional"] else ())
    if len(split.subjects) == 1:
        lines.insert(0, f"all training clips are of {split.subjects[0]}: style and speaker cannot be told apart")
    if place == "random":
        lines.append(
            f"the audio encoder {encoder} is random, it has learned nothing from speech: for trying out, never for "
            "results"
        )
    if lines:
        st.warning("  \n".join(f"{line[:1].upper()}{line[1:]}." for line in lines), icon=":material/warning:")
    if not split.parts["train"]:
        st.error("This split has no labelled training clip in this release.", icon=":material/error:")
        return True
    if place == "absent":
        st.warning(
            f"The audio encoder `{encoder}` is not on this machine; the training will try to fetch it from the Hugging "
            f"Face hub. Without internet: on a machine that has it run `hf download {encoder} --local-dir wav2vec2`, "
            "copy the folder here and give its path as encoder.", icon=":material/cloud_download:",
        )  # fmt: skip
    return False


def _outcome(job: Job) -> None:
    """Below a job that has ended: what came of it."""
    if job.command[-2:] == ["--dry-run", "--json"] and (found := jobs.report(job.id)):
        st.write(
            f"{found['parameters'] / 1e6:.1f} million parameters, {found['seconds_per_step']:.3g} s per step, "
            f"{duration(found['seconds_in_all'])} in all, {found['memory_mb']:,.0f} MB on {found['device']}."
        )
        return
    runs = [run for run in list_runs(engine()) if run.row.job_id == job.id]
    if runs:
        places.link(places.RUNS, f"Look at the run {runs[0].row.name}", run=runs[0].row.id)
