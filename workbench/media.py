"""Media for the browser: short-lived addresses that say nothing, and the files behind them.

An address is `/clip/<token>` (Streamlit keeps `/media` for itself). The token is encrypted with the data root's
own key and holds what is asked for and who may see it, so it is different every time, reveals no name, and needs
no table: any app process of the same data root can serve it. Who asks is checked again at every request, so a
revoked link stops at once.
"""

import contextlib
import functools
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from db import access, animations, store
from db.animations import Animation
from db.models import Clip, Corpus
from db.predictions import prediction_playback
from db.result_models import Prediction, TrainingRun
from db.session import reading
from eavanet.samples import sample_path
from evaluation.study import serving
from evaluation.study.refusals import MissingStimulus
from workbench.player import PlayerSource
from workbench.session import engine

log = logging.getLogger(__name__)

LIFETIME_S = 12 * 3600
CONTENT_TYPES = {
    "playback": "application/gzip",
    "topology": "application/gzip",
    "audio": "audio/wav",
    "video": "video/mp4",
    "sample": "application/gzip",  # of a training run
    "prediction": "application/gzip",
    "animation": "application/gzip",
    "speech": "audio/wav",  # of an animation
}
# Nothing that is served tells what it is: no name, no date, nothing to compare, nothing kept in a cache.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Disposition": "inline"}


def secret_key() -> bytes:
    """The data root's own key, made once; whoever has it can make addresses, so it never leaves the server."""
    return _key_in(store.data_root())


@functools.lru_cache(maxsize=4)
def _key_in(root: Path) -> bytes:
    path = root / "media.key"
    if not path.exists():
        # Written aside and linked: two servers that start at once agree on one key, and nobody reads half of it.
        partial = root / f".media.key.{os.getpid()}"
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
        partial.unlink()
    return path.read_bytes()


def _cipher() -> Fernet:
    return Fernet(secret_key())


def media_url(kind: str, row_id: int | str, viewer: str, number: int = 0) -> str:
    """A fresh address for one file; `viewer` is "rater:<id>" or "researcher:<session id>".

    number: which of a row's files, where it has several: the epoch of a run's sample.
    """
    assert kind in CONTENT_TYPES, kind
    token = _cipher().encrypt(json.dumps([kind, row_id, viewer, number]).encode())
    # Relative, so that it also works where a proxy serves the app below a path of its own.
    return f"clip/{token.decode().rstrip('=')}"


def clip_source(clip: Clip, viewer: str) -> PlayerSource:
    """What the player needs to show `clip` to `viewer`; addresses only for what the clip has."""
    return PlayerSource(
        id=str(clip.id),
        playback_url=media_url("playback", clip.id, viewer) if clip.playback_path else None,
        topology_url=media_url("topology", clip.corpus_id, viewer) if clip.playback_path else None,
        audio_url=media_url("audio", clip.id, viewer) if clip.audio_path else None,
        video_url=media_url("video", clip.id, viewer) if clip.video_path else None,
        frames_per_second=clip.corpus.frames_per_second,
        topology_id=str(clip.corpus_id),  # fetched once, although its address is another one every time
    )


class _AnonymousFile(FileResponse):
    """A file, in ranges where asked, without the headers that tell one file from another: no name, date or tag."""

    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        self.headers.setdefault("content-length", str(stat_result.st_size))


def sample_source(run: TrainingRun, epoch: int, clip: Clip, viewer: str) -> PlayerSource:
    """What a training run made of `clip` after `epoch`, with the clip's own sound; see `eavanet.samples`."""
    return replace(
        clip_source(clip, viewer),
        id=f"run-{run.id}-{epoch}",
        playback_url=media_url("sample", run.id, viewer, epoch),
        topology_url=media_url("topology", clip.corpus_id, viewer),
        video_url=None,
    )


def prediction_source(prediction: Prediction, viewer: str) -> PlayerSource:
    """What a system predicted for a clip, with the clip's own sound."""
    clip = prediction.clip
    return replace(
        clip_source(clip, viewer),
        id=f"prediction-{prediction.id}-{prediction.sha256[:12]}",
        playback_url=media_url("prediction", prediction.id, viewer),
        topology_url=media_url("topology", clip.corpus_id, viewer),
        video_url=None,
    )


def animation_source(animation: Animation, corpus: Corpus, viewer: str) -> PlayerSource:
    """What the player needs to show an animation, whose faces have the triangles of `corpus`."""
    return PlayerSource(
        id=animation.id,
        playback_url=media_url("animation", animation.id, viewer),
        topology_url=media_url("topology", corpus.id, viewer),
        audio_url=media_url("speech", animation.id, viewer),
        video_url=None,
        frames_per_second=animation.about["frames_per_second"],
        topology_id=f"corpus-{corpus.id}-{corpus.sha256[:12]}",
    )


def _file_for(kind: str, row_id: int | str, viewer: str, number: int) -> Path | None:
    with reading(engine()) as session:
        if not access.may_view(session, viewer):
            return None
        if kind in ("animation", "speech", "sample", "prediction") and not viewer.startswith("researcher:"):
            return None
        if kind in ("animation", "speech"):
            return animations.file_of(str(row_id), "playback" if kind == "animation" else "speech")
        if kind == "topology":
            corpus = session.get(Corpus, row_id)
            return store.corpus_folder(corpus.name) / "topology.bin" if corpus else None
        if kind == "prediction":
            return prediction_playback(session, int(row_id))
        if kind == "sample":
            run = session.get(TrainingRun, row_id)
            return sample_path(store.stored_path(run.folder), number) if run else None
        clip = session.get(Clip, row_id)
        stored = getattr(clip, f"{kind}_path", None) if clip else None
        return store.stored_path(stored) if stored else None


async def serve_media(request: Request) -> Response:
    """GET /clip/<token>: the bytes, 403 for a token that is not (or no longer) good, 404 for a lost file."""
    token = request.path_params["token"]
    try:
        message = _cipher().decrypt(token + "=" * (-len(token) % 4), ttl=LIFETIME_S)
        kind, row_id, viewer, number = json.loads(message)
    except (InvalidToken, ValueError):
        return PlainTextResponse("This address has expired; reload the page.", 403, HEADERS)
    path = await run_in_threadpool(_file_for, kind, row_id, viewer, number)
    if path is None:
        return PlainTextResponse("This address has expired; reload the page.", 403, HEADERS)
    if not path.is_file():
        return PlainTextResponse("The file is missing in the data folder; import the corpus again.", 404, HEADERS)
    return _AnonymousFile(path, headers=HEADERS, media_type=CONTENT_TYPES[kind])


async def serve_film(request: Request) -> Response:
    """GET /film/<token>: a film of a study's trial under its random name, good for that trial in that tab.

    All films have one content type and one name, none; those of a trial have one size.
    """

    def find() -> Path | None:
        with reading(engine()) as session:
            return serving.film(session, request.path_params["token"])

    try:
        path = await run_in_threadpool(find)
    except MissingStimulus:
        log.exception("a participant asked for a film that is gone")
        return PlainTextResponse("This film is missing; tell the people who run the study.", 404, HEADERS)
    if path is None:
        return PlainTextResponse("This address has expired; reload the page.", 403, HEADERS)
    return _AnonymousFile(path, headers=HEADERS, media_type="video/mp4")
