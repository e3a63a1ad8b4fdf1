"""The clip player: a Streamlit component that shows a moving face with its sound, as a 3D mesh or as a video.

What runs in the browser is in `src/` (readable) and `static/` (bundled, served under a name that changes with the
content). Nothing here knows what a rater or a study is.
"""

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
EVENTS = ("ended", "paused", "error")
MOST_FACES = 6  # more are too small to judge


@dataclass(frozen=True)
class PlayerSource:
    """One clip as the browser gets it.

    `id` names the clip within a page (addresses change with every request, the id does not). A mesh needs
    `playback_url` and `topology_url` (see `db.playback`), a video needs `video_url`; sound for the mesh comes
    from `audio_url`, and without it the mesh plays silently. Clips with one `topology_id` share one topology,
    which is then fetched once.
    """

    id: str
    playback_url: str | None
    topology_url: str | None
    audio_url: str | None
    video_url: str | None
    frames_per_second: float
    topology_id: str | None = None

    def __post_init__(self) -> None:
        if (self.playback_url is None) != (self.topology_url is None):
            raise ValueError(f"clip {self.id}: a mesh needs both playback_url and topology_url")
        if not self.frames_per_second > 0:
            raise ValueError(f"clip {self.id}: frames_per_second is {self.frames_per_second}, must be above 0")


@cache
def default_texts() -> dict[str, str]:
    """Every word that the player shows, in English, by key; a translation gives the same keys."""
    return json.loads((HERE / "texts.json").read_text("utf-8"))


@cache
def static_files() -> dict[str, Path]:
    """The files that the browser loads by address, by the content-hashed name under which they are served."""
    bundle = HERE / "static" / "player.js"
    return {f"player-{hashlib.sha256(bundle.read_bytes()).hexdigest()[:16]}.js": bundle}


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "eavanet_player",
        html='<div class="eavanet-player-place"></div>\n',
        css=".eavanet-player-place {\n  width: 100%;\n}\n",
        js=(HERE / "mount.js").read_text("utf-8"),
    )


def player(
    source: PlayerSource,
    *,
    key: str,
    upcoming: PlayerSource | None = None,
    autoplay: bool = False,
    texts: Mapping[str, str] | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    compare: PlayerSource | Sequence[PlayerSource] | None = None,
    labels: Sequence[str] | None = None,
    heat: float | None = None,
    heat_labels: tuple[str, str] | None = None,
    height: int | None = None,
    keyboard: bool = True,
    events: Collection[str] = ("ended", "error"),
) -> dict[str, Any] | None:
    """Show `source`, and `compare` (one or several) beside it if given: one clock, one camera, the sound of `source`.

    heat: colours each face of `compare` by how far each vertex is from where it is in `source` in the frame in view;
    the distance, in corpus units, at which the colours end. As exact as the playback files: see `db.playback`.
    heat_labels: what stands at the ends of the scale of colours, such as ("0", "3 mm").

    `upcoming` is fetched while the present clip plays, so that the next clip shows at once. `on_event` is called
    before the page runs again, with a dict: `id`, `type` (one of `EVENTS`; only those in `events` are sent, since
    each makes the page run again), `plays` (complete passes), `coverage` (0..1, share of the frames of the present
    pass that were really played through), `watched_s`, `stalls`, `hidden` (how often the page went out of sight),
    `source` ("mesh" or "video") and `message` (of an error). Returns the event that made the page run, or None.
    In the browser, "ended" and "error" are also dispatched on the document as "eavanet-player", whatever `events`
    says: for a component that need not wait for the server.

    A new run of the page with the same `key` and `source.id` leaves the player as it is; another `heat` colours the
    faces anew where they are. Raises ValueError for texts or events that the player does not know, for more than
    `MOST_FACES` clips, for labels that are not one per clip, and for a heat that is not positive.
    """
    beside = [] if compare is None else [compare] if isinstance(compare, PlayerSource) else list(compare)
    if 1 + len(beside) > MOST_FACES:
        raise ValueError(f"player compare: {1 + len(beside)} clips side by side, at most {MOST_FACES}")
    if labels is not None and len(labels) != 1 + len(beside):
        raise ValueError(f"player labels: {len(labels)} for {1 + len(beside)} clips")
    if heat is not None and not 0 < heat < math.inf:
        raise ValueError(f"player heat: {heat}, must be above 0")
    _require_known("texts", texts or {}, default_texts())
    _require_known("events", events, EVENTS)

    def report() -> None:
        event = st.session_state[key].event
        if on_event is not None and event is not None:
            on_event(event)

    data = {
        "key": key,
        "module": f"assets/{next(iter(static_files()))}",
        "source": asdict(source),
        "upcoming": asdict(upcoming) if upcoming else None,
        "compare": [asdict(one) for one in beside],
        "labels": list(labels) if labels else None,
        "heat": heat,
        "heat_labels": list(heat_labels) if heat_labels else None,
        "autoplay": autoplay,
        "texts": {**default_texts(), **(texts or {})},
        "height": height,
        "keyboard": keyboard,
        "events": sorted(events),
    }
    return _component()(key=key, data=data, on_event_change=report).event


def _require_known(what: str, given: Collection[str], known: Collection[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"player {what}: {', '.join(unknown)} unknown; known are {', '.join(sorted(known))}")
