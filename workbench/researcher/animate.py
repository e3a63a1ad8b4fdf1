"""Animate: a recording, a speaker and an emotion in, a face that speaks out, in seconds."""

from pathlib import Path

import streamlit as st
from sqlalchemy import select

from db import animations, catalogue, store
from db.catalogue import ClipFilter
from db.models import Clip, Subject
from db.session import reading
from eavanet.planning import stages_planned
from eavanet.standing import RunStanding, list_runs
from labeling.emotions import EMOTIONS
from workbench.performance import STAGE
from workbench.researcher import notices, places
from workbench.researcher.animation_view import show_animations, show_ticket
from workbench.researcher.choosing import choose
from workbench.researcher.training import SYSTEMS
from workbench.session import Visitor, engine

SOURCES = ("Record", "Upload", "A clip of the corpus")


def page(who: Visitor) -> None:
    """What to animate on the left, the face and what was made before on the right."""
    st.title("Animate", anchor=False)
    runs = [run for run in list_runs(engine(), archived=False) if _usable(run)]
    runs.sort(key=lambda run: run.row.system != "eavanet")  # what shows emotions first; else the newest
    if not runs:
        notices.nothing_here(
            "No model can speak yet.",
            "Train a system on a label release first; after its first epochs it can already be tried here.",
            places.TRAIN, "Train a model",
        )  # fmt: skip
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        run = choose("run", [_Choice(run) for run in runs], "Model", lambda choice: choice.words).run
        if st.session_state.get("warmed run") != run.row.name:
            st.session_state["warmed run"] = run.row.name
            STAGE.ask(do="warm", run=run.row.name)  # loads while the person records
        sound, name = _speech(run)
        request = _wishes(run)
        ready = sound is not None and "animation ticket" not in st.session_state
        pressed = st.button(
            "Make the face speak", type="primary", icon=":material/play_circle:", disabled=not ready, width="stretch",
            help=None if sound else "Record or choose some speech first",
        )  # fmt: skip
        if pressed and sound is not None:
            _ask(request | {"run": run.row.name, "sound": str(sound), "about": {"name": name, "by": who.viewer}})
        show_ticket()
    with right:
        show_animations(who)


class _Choice:
    """A run as an entry of the list of models."""

    def __init__(self, run: RunStanding):
        self.run, self.id, self.name = run, run.row.id, run.row.name

    @property
    def words(self) -> str:
        """The run's name and how it stands."""
        title = SYSTEMS[self.run.row.system]
        if _published(self.run):
            return f"{self.name} ({title}, published)"
        return f"{self.name} ({title}, {self.run.status}, {self.run.epoch} of {self.run.row.epochs} epochs)"


def _usable(run: RunStanding) -> bool:
    if not (run.folder / "run.json").is_file():
        return False
    return _published(run) or run.epoch > sum(stages_planned(run.row.settings.get("training", {}))[:-1])


def _published(run: RunStanding) -> bool:
    return "published" in run.row.manifest


def _speech(run: RunStanding) -> tuple[Path | None, str]:
    """The recording that is to be spoken, and what to call it."""
    source = st.segmented_control("Speech", SOURCES, default=SOURCES[0], required=True, key="speech source")
    if source == "A clip of the corpus":
        return _corpus_clip(run)
    if source == "Upload":
        given = st.file_uploader(
            "A recording of speech", type=list(animations.ENDINGS), key="speech file",
            help="Any rate, mono or stereo. Some formats need ffmpeg, which comes with the workbench.",
        )  # fmt: skip
        name = given.name if given else ""
    else:
        given = st.audio_input("Speak", sample_rate=16_000, key="speech recording")
        name = "recording.wav"
    if given is None:
        return None, ""
    try:
        return animations.keep_recording(given.getvalue(), name), name
    except ValueError as error:
        notices.refusal(error)
        return None, ""


def _corpus_clip(run: RunStanding) -> tuple[Path | None, str]:
    with reading(engine()) as session:
        found = catalogue.list_clips(session, ClipFilter(run.row.corpus_id, statuses=("usable",)))
        names = dict(zip(found["clip_id"], found["clip"], strict=True))
        chosen = st.selectbox("Clip", list(names), format_func=names.get, key=f"speech clip {run.row.corpus_id}")
        clip = session.get(Clip, int(chosen)) if chosen is not None else None
    if clip is None or clip.audio_path is None:
        return None, ""
    path = store.stored_path(clip.audio_path)
    st.audio(str(path))
    return path, clip.name


def _wishes(run: RunStanding) -> dict:
    """Speaker, face, and what the system can be told of the style."""
    known = list(run.row.settings["model"]["subjects"])
    with reading(engine()) as session:
        subjects = session.scalars(
            select(Subject.name).where(Subject.corpus_id == run.row.corpus_id, Subject.template_row.is_not(None))
            .order_by(Subject.name)
        ).all()  # fmt: skip
    left, right = st.columns(2)
    speaker = left.selectbox("Way of speaking of", known, key=f"speaker {run.row.id}",
                             help="The condition subject: one that the model was trained on")  # fmt: skip
    faces = [speaker, *(name for name in subjects if name != speaker)]
    face = right.selectbox("Face of", faces, key=f"face {run.row.id} {speaker}",
                           help="The template: any subject of the corpus")  # fmt: skip
    manner = _emotion(run) if run.row.system == "eavanet" else _blend(run, speaker, known)
    return {"subject": speaker, "face": face, "emotion": None, "intensity": 1.0, "other": None, "weight": 1.0} | manner


def _emotion(run: RunStanding) -> dict:
    """Emotion and intensity, of a system that shows emotions."""
    trained = run.row.manifest.get("clips", {}).get("train", {})
    shown = [emotion for emotion in EMOTIONS if trained.get(emotion, 1)]
    emotion = st.segmented_control("Emotion", shown, default=shown[0], required=True, key=f"emotion {run.row.id}",
                                   format_func=str.capitalize)  # fmt: skip
    if len(shown) < len(EMOTIONS):
        st.caption(f"Not trained on: {', '.join(set(EMOTIONS) - set(shown))}.")
    intensity = 1.0
    if emotion != "neutral" and "neutral" in shown:
        intensity = st.slider(
            "Intensity", 0.0, 2.0, 1.0, 0.05, key="intensity",
            help="Between neutral (0) and the emotion as it was trained (1): Eq. (8) of the paper, its alpha.",
        )  # fmt: skip
        if intensity > 1:
            st.caption(":orange-badge[:material/warning: exaggerated] Beyond what the paper evaluates.")
    return {"emotion": emotion, "intensity": float(intensity)}


def _blend(run: RunStanding, speaker: str, known: list[str]) -> dict:
    """A second speaker to take style from, of a system whose style is the speaker's."""
    others = [name for name in known if name != speaker]
    other = st.selectbox(
        "Mixed with the style of", [None, *others], key=f"other {run.row.id} {speaker}",
        format_func=lambda name: name or "nobody",
        help=f"{SYSTEMS[run.row.system]} knows no emotions; its style is the speaker's, or one between two speakers'.",
    )  # fmt: skip
    if other is None:
        return {}
    weight = st.slider(f"Part of {speaker}'s own style", 0.0, 1.0, 0.5, 0.05, key="blend weight")
    return {"other": other, "weight": float(weight)}


def _ask(request: dict) -> None:
    animation = animations.new_id()
    st.session_state["animation ticket"] = STAGE.ask(do="animate", animation=animation, **request)
    st.rerun()

