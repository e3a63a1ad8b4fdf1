"""Nothing that reaches a participant's browser tells which system made a film.

One test looks at everything that a real browser receives in a whole session; the others let a classifier guess the
side from all that a browser can see of a film without looking at it. Each is shown a leak on purpose, and finds it.
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from db import store
from db.models import now
from db.session import open_database, reading, writing
from db.study_models import Stimulus, Study, StudyItem, StudyParticipant, StudySystem, StudyTrial
from evaluation.study import joining, serving
from evaluation.study.design import Catch, System
from tests.app_server import AppServer
from tests.study_films import film_study
from tests.study_world import ab_design, begin, launched
from workbench import media

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')")

# Names that occur nowhere by chance, not even in a film's bytes.
ANIMALS = {
    "systems": (
        System("Quokka-net", "quokka-run-7"), System("Recorded-wombat"), System("Numbatformer", "numbat-run-3"),
    ),
    "comparisons": (("Quokka-net", "Recorded-wombat"), ("Quokka-net", "Numbatformer")),
}
LATE = "wombat-instructions"


# What a browser can see of a film -------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What came back for an address."""

    status: int
    headers: dict[str, str]
    body: bytes


def get_films(*tokens: str, **headers: str) -> list[Answer]:
    """The server's answers to films' addresses, to the last byte."""
    answers: list[Answer] = []

    async def get() -> None:
        answers.extend([await _get_film(token, headers) for token in tokens])

    # In a thread, since an open browser keeps an event loop in this one.
    thread = threading.Thread(target=lambda: asyncio.run(get()))
    thread.start()
    thread.join()
    return answers


async def _get_film(token: str, headers: dict[str, str]) -> Answer:
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    where = {"path": f"/film/{token}", "path_params": {"token": token}}
    scope = {"type": "http", "method": "GET", "headers": given, **where}
    sent: list[dict] = []

    async def receive() -> dict:
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    await (await media.serve_film(Request(scope)))(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:]))


def seen_of(token: str, answer: Answer) -> list[float]:
    """Size, headers and name of a film, as numbers."""
    assert answer.status == 200
    headers = hashlib.sha256(repr(sorted(answer.headers.items())).encode()).digest()[:4]
    return [float(answer.headers["content-length"]), *headers, *bytes.fromhex(token)[:4]]


def walk(session: Session, person: int) -> list[tuple[serving.TrialView, bool]]:
    """Every trial as the page gets it, and whether the first system is on the left; none is answered in the end."""
    begin(session, person)
    trials = list(session.scalars(select(StudyTrial).where(StudyTrial.participant_id == person)))
    seen = []
    for trial in sorted(trials, key=lambda trial: trial.number):
        view = serving.open_trial(session, person, "a-tab-of-theirs")
        assert view is not None and view.number == trial.number
        seen.append((view, trial.left.system.name == "Quokka-net"))
        trial.answered_at = now()
        session.flush()
    for trial in trials:
        trial.answered_at = None  # so that all the films can be fetched
    return seen


def sessions(engine: Engine, study: Study, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `n` participants see (trials, features), whether the first system is on the left, and the mirrored pair."""
    rows, truth, groups = [], [], []
    for _ in range(n):
        with writing(engine) as session:
            person = joining.invite(session, study.id, 1, "test")[0].participant_id
            seen = walk(session, person)
            pair = session.get_one(StudyParticipant, person).slot_number // 2
        tokens = [token for view, _ in seen for token in (view.left, view.right)]
        films = [seen_of(token, answer) for token, answer in zip(tokens, get_films(*tokens), strict=True)]
        for place, (view, first_left) in enumerate(seen):
            left, right = films[2 * place : 2 * place + 2]
            rows.append([view.number, left[0] - right[0], *left, *right])
            truth.append(first_left)
            groups.append(pair)
    return np.array(rows), np.array(truth), np.array(groups)


def guessed(seen: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    """How often a classifier that learnt from other participants tells the sides; places 2j and 2j + 1 mirror each
    other, so they are kept together."""
    rows, truth, groups = seen
    forest = RandomForestClassifier(30, random_state=0)
    return float((cross_val_predict(forest, rows, truth, groups=groups, cv=GroupKFold(3)) == truth).mean())


def a_study(engine: Engine) -> Study:
    return launched(engine, ab_design(6, 16, **ANIMALS))


def test_size_headers_name_and_order_leave_the_side_to_chance(sqlite_engine: Engine):
    seen = sessions(sqlite_engine, a_study(sqlite_engine), 12)
    assert seen[1].mean() == 0.5  # sides are balanced
    chance = 3 * np.sqrt(0.25 / len(seen[1]))
    assert guessed(seen) < 0.5 + chance


def test_headers_that_differ_would_be_noticed(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch):
    study = a_study(sqlite_engine)
    with writing(sqlite_engine) as session:
        tell = dict(session.execute(select(Stimulus.path, StudySystem.name).join(Stimulus.system)).all())
    plain = media._AnonymousFile

    def leaking(path: Path, headers: dict, **options) -> Response:
        name = tell[str(path.relative_to(store.data_root()))]
        return plain(path, headers={**headers, "X-Made-By": name}, **options)

    monkeypatch.setattr(media, "_AnonymousFile", leaking)
    assert guessed(sessions(sqlite_engine, study, 6)) > 0.8


def test_sizes_that_differ_would_be_noticed(sqlite_engine: Engine):
    study = a_study(sqlite_engine)
    with reading(sqlite_engine) as session:
        films = session.execute(select(Stimulus.path, StudySystem.name).join(Stimulus.system)).all()
    for path, system in films:
        store.stored_path(path).write_bytes(b"x" * (400 if system == "Quokka-net" else 300))
    assert guessed(sessions(sqlite_engine, study, 6)) > 0.8


def test_a_film_has_no_tag_no_date_and_no_name(sqlite_engine: Engine):
    study = a_study(sqlite_engine)
    with writing(sqlite_engine) as session:
        person = joining.invite(session, study.id, 1, "test")[0].participant_id
        begin(session, person)
        view = serving.open_trial(session, person, "a-tab-of-theirs")
        other = serving.open_trial(session, person, "another-tab-of-theirs")
    names = {view.left, view.right, other.left, other.right}
    assert len(names) == 4 and all(len(name) == 32 for name in names)  # 128 bits, for one tab and one side
    left, right = get_films(view.left, view.right)
    assert left.headers == right.headers
    assert not {"etag", "last-modified"} & set(left.headers)
    assert left.headers["cache-control"] == "no-store" and left.headers["content-disposition"] == "inline"
    [part] = get_films(view.left, range="bytes=1-2")
    assert (part.status, part.body) == (206, left.body[1:3])
    assert not {"etag", "last-modified"} & set(part.headers)
    assert get_films("0" * 32)[0].status == 403


# A whole session in a browser ------------------------------------------------------------------------------------


class Recorder:
    """Everything that a page sends and receives: (what it was, its bytes)."""

    def __init__(self, page) -> None:
        self.parts: list[tuple[str, bytes]] = []
        self.responses: list = []
        page.on("request", lambda request: self.note("request", request.method + request.url + str(request.headers)))
        page.on("response", lambda response: self.responses.append(response))
        page.on("websocket", self._listen)

    def _listen(self, socket) -> None:
        self.note("websocket", socket.url)
        socket.on("framereceived", lambda frame: self.note("frame", frame))

    def note(self, kind: str, content: str | bytes) -> None:
        self.parts.append((kind, content.encode() if isinstance(content, str) else content))

    def take_in_responses(self) -> None:
        """Bodies and headers of what was received by HTTP; to be called while the page is still there."""
        for response in self.responses:
            self.note("headers", str(response.all_headers()))
            if response.status == 200:
                self.note(f"body of {response.url}", response.body())
        self.responses.clear()

    def found(self, secrets: set[str]) -> set[str]:
        """The secrets that occur, in whatever case, with where they do."""
        low = [(kind, content.lower()) for kind, content in self.parts]
        return {
            f"{secret} in {kind}"
            for secret in secrets for kind, content in low if secret.lower().encode() in content
        }  # fmt: skip


def secrets_of(engine: Engine, study: Study) -> set[str]:
    """Names, files and hashes that tell a system, a clip, or where things lie on the server."""
    with reading(engine) as session:
        told = {str(store.data_root()), study.name, study.design_sha256}
        for system in session.scalars(select(StudySystem).where(StudySystem.study_id == study.id)):
            told.add(system.name)
        told |= {system["predictions"] for system in study.design["systems"] if system["predictions"]}
        for film in session.scalars(select(Stimulus).where(Stimulus.study_id == study.id)):
            told |= {film.path, film.sha256}
        for item in session.scalars(select(StudyItem).where(StudyItem.study_id == study.id)):
            told.add(item.clip.name)
    return {secret for secret in told if secret}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blinding") / "data"
    folder.mkdir()
    return folder


def test_nothing_in_a_whole_session_names_a_system(
    browser, root: Path, start_app: Callable[..., AppServer], monkeypatch: pytest.MonkeyPatch
):
    from tests.study_visitor import FILMS, StudyVisitor

    monkeypatch.setenv("EAVANET_DATA", str(root))
    engine = open_database()
    telling = {"en": f"We made {LATE}.", "ko": f"{LATE}"}
    pair = {"systems": ANIMALS["systems"][:2], "comparisons": ANIMALS["comparisons"][:1]}
    design = ab_design(3, practice=1, catch=Catch("shifted", 1), instructions=telling, **pair)
    study = film_study(engine, design, "potoroo-study")
    with writing(engine) as session:
        token = joining.invite(session, study.id, 1, "test")[0].token
    app = start_app(root)
    context = browser.new_context()
    visitor = StudyVisitor(context, "about:blank")
    recorder = Recorder(visitor.page)
    visitor.page.goto(f"{app.url}?participant={token}")
    visitor.begin()
    n_trials, sizes = 1 + 3 + 1, set()
    for _ in range(n_trials):
        visitor.watch()
        sizes.add(visitor.page.evaluate(f"""async () => JSON.stringify(await Promise.all({FILMS}.map(
            async f => (await (await fetch(f.querySelector('video').src)).blob()).size)))"""))
        recorder.note("page", visitor.page.content())
        visitor.answer("1", "3")
        recorder.take_in_responses()
    visitor.page.get_by_text("Your completion code").wait_for()
    recorder.note("page", visitor.page.content())
    recorder.take_in_responses()
    films = [kind for kind, _ in recorder.parts if "/film/" in kind]
    assert len(films) == len(set(films)) == 2 * n_trials  # every film once, under a name of its own
    assert all(len(set(size.strip("[]").split(","))) == 1 for size in sizes), "films of a trial differ in size"
    assert recorder.found(secrets_of(engine, study)) == set()
    assert recorder.found({LATE}), "what a study's own text says was not found: the search does not see everything"
    context.close()
    app.stop()
    engine.dispose()
