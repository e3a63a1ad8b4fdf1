"""What a run made of one validation clip, epoch by epoch, in the player beside the truth."""

from dataclasses import replace

import streamlit as st
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from db.models import Clip
from db.session import reading
from eavanet.planning import stages_planned
from eavanet.samples import sample_path, sampled_clip, sampled_epochs
from eavanet.standing import RunStanding
from workbench import media
from workbench.player import PlayerSource, player
from workbench.researcher.clip_view import source_of
from workbench.session import Visitor, engine

REFRESH_S = 10.0


def show_sample(run: RunStanding, who: Visitor) -> None:
    """The samples with a slider of epochs; new ones turn up by themselves while the run trains."""
    if run.status == "running":
        _growing(run, who)
    else:
        _sample(run, who)


@st.fragment(run_every=REFRESH_S)
def _growing(run: RunStanding, who: Visitor) -> None:
    _sample(run, who)


def _sample(run: RunStanding, who: Visitor) -> None:
    epochs, about = sampled_epochs(run.folder), sampled_clip(run.folder)
    if not epochs or about is None:
        st.caption("After the first epoch, and whenever the validation loss improved, a clip is predicted and kept.")
        return
    clip = _clip(run.row.corpus_id, about["clip"])
    if clip is None or not clip.playback_path:
        st.caption(f"The clip {about['clip']} is no longer in the corpus, or cannot be played.")
        return
    epoch = _chosen(run.row.id, epochs)
    source = _source(run, epoch, clip, who)
    truth = source_of(clip, who)
    player(
        source, key=f"sample {run.row.id}", compare=truth, labels=(f"after epoch {epoch}", "truth"), height=420,
    )  # fmt: skip
    codes = sum(stages_planned(run.row.settings.get("training", {}))[:-1])
    style = f"; the style is taken from {about['style']}" if "style" in about else ""
    made = "rebuilt from its codes: no speech is heard yet" if epoch <= codes else "the sound is the clip's own"
    st.caption(
        f"{about['clip']} of the validation set, {about['emotion']}{style}; {made}. Kept whenever the validation loss "
        "improved; early epochs more closely than late ones."
    )


def _clip(corpus_id: int, name: str) -> Clip | None:
    with reading(engine()) as session:
        return session.scalar(
            select(Clip).where(Clip.corpus_id == corpus_id, Clip.name == name).options(joinedload(Clip.corpus))
        )


def _chosen(run_id: int, epochs: list[int]) -> int:
    """The epoch to show: the newest, unless another one was chosen."""
    if len(epochs) == 1:
        return epochs[0]
    remembered = st.session_state.get(f"sampled epoch {run_id}")
    value = remembered if remembered in epochs else epochs[-1]
    # The slider is another one when there are more epochs; it then begins where it stood.
    epoch = st.select_slider("Epoch", epochs, value=value, key=f"sample {run_id} of {hash(tuple(epochs))}")
    st.session_state[f"sampled epoch {run_id}"] = None if epoch == epochs[-1] else epoch
    return epoch


def _source(run: RunStanding, epoch: int, clip: Clip, who: Visitor) -> PlayerSource:
    """Its addresses, made once per browser session: fresh ones at every run would load it anew."""
    known = st.session_state.setdefault("sample sources", {})
    name = (run.row.id, epoch, sample_path(run.folder, epoch).stat().st_mtime_ns)
    if name not in known:
        made = media.sample_source(run.row, epoch, clip, who.viewer)
        # A run that was resumed writes an epoch's sample again.
        known[name] = replace(made, id=f"{made.id}-{name[2]}", topology_id=source_of(clip, who).topology_id)
        while len(known) > 200:
            del known[next(iter(known))]
    return known[name]
