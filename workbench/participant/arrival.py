"""The way into a study by a link for everybody, or from a crowd platform: `/study/<token>`.

Whoever has joined goes on at `/?participant=<token>`, a personal address that also works on another device. A crowd
platform's ids are in the first request only: what the browser shows and remembers is the address it is sent on to.
"""

import html
from importlib import resources

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from db.session import reading, writing
from db.study_models import Study
from evaluation.study import joining
from evaluation.study.design import text_in
from evaluation.study.refusals import StudyRefused
from workbench import texts
from workbench.session import PARTICIPANT_PARAMETER, engine
from workbench.texts import Texts

COOKIE = "eavanet_study_{study}"  # who this browser is in a study, so that the same link leads back to it
LIFETIME_S = 60 * 24 * 3600
STOPS = {"full": "full", "closed": "closed", "paused": "study_paused", "left": "left"}


async def arrive(request: Request) -> Response:
    """GET /study/<token>: the welcome page, or on to where the visitor was; from Prolific, on at once.

    A look at the page joins nobody, so that programs which follow links take no part; the button does.
    """
    return await run_in_threadpool(_arrive, request)


async def join(request: Request) -> Response:
    """POST /study/<token>: the welcome page's button."""
    return await run_in_threadpool(_join, request)


def _arrive(request: Request) -> Response:
    token, prolific = request.path_params["token"], "PROLIFIC_PID" in request.query_params
    t = _language(request)
    with reading(engine()) as session:
        study = joining.study_by_open_token(session, token)
        if study is None:
            return _page(t, *_stop(t, "bad_link"), status=404)
        back = _known(session, request, study)
        crowd = study.design["entry"] == "prolific"
        title, languages, study_id = text_in(study.design["title"], t.language), study.design["languages"], study.id
    if prolific and crowd:
        return _enter(request, t, study_id, prolific=True)
    if back is not None:
        return _on(request, study_id, back)
    if crowd:
        return _page(t, title, t("study.prolific_link_text"), status=403)
    if t.language not in languages:
        t = texts.load(languages[0])
    refused = _refusal(study_id)
    if refused:
        return _page(t, *_stop(t, refused), status=403)
    button = f'<form method="post"><button>{html.escape(t("study.take_part"))}</button></form>'
    return _page(t, title, t("study.come_back"), form=button)


def _join(request: Request) -> Response:
    t = _language(request)
    with reading(engine()) as session:
        study = joining.study_by_open_token(session, request.path_params["token"])
        back = _known(session, request, study) if study else None
        study_id, crowd = (study.id, study.design["entry"] == "prolific") if study else (None, False)
    if study_id is None:
        return _page(t, *_stop(t, "bad_link"), status=404)
    if crowd:
        return _page(t, "Prolific", t("study.prolific_link_text"), status=403)
    return _on(request, study_id, back) if back else _enter(request, t, study_id)  # a double click joins once


def _enter(request: Request, t: Texts, study_id: int, prolific: bool = False) -> Response:
    asked = request.query_params
    try:
        with writing(engine()) as session:
            if prolific:
                _, token = joining.join_prolific(
                    session, study_id, asked["PROLIFIC_PID"], asked.get("SESSION_ID", ""), t.language
                )
            else:
                _, token = joining.join_open(session, study_id, t.language)
    except StudyRefused as refused:
        return _page(t, *_stop(t, STOPS.get(refused.reason, "bad_link")), status=403)
    return _on(request, study_id, token)


def _known(session, request: Request, study: Study) -> str | None:
    """The token of the participant whom this browser was, if it is good still."""
    token = request.cookies.get(COOKIE.format(study=study.id))
    participant = joining.participant_by_token(session, token) if token else None
    return token if participant is not None and participant.study_id == study.id else None


def _refusal(study_id: int) -> str | None:
    """Why nobody new is let in, if so."""
    with reading(engine()) as session:
        study = session.get_one(Study, study_id)
        if study.status != "running":
            return STOPS.get(study.status, "bad_link")
        try:
            joining.refuse_if_full(session, study)
        except StudyRefused as refused:
            return STOPS[refused.reason]
    return None


def _on(request: Request, study_id: int, token: str) -> Response:
    """On to the personal address, which is relative: a proxy may serve us below a path of its own."""
    response = RedirectResponse(f"../?{PARTICIPANT_PARAMETER}={token}", 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE.format(study=study_id), token, max_age=LIFETIME_S, httponly=True, samesite="lax",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


def _language(request: Request) -> Texts:
    """The first of the browser's languages that the interface speaks."""
    wanted = [part.split(";")[0].strip()[:2].lower() for part in request.headers.get("accept-language", "").split(",")]
    return texts.load(next((code for code in wanted if code in texts.languages()), texts.DEFAULT_LANGUAGE))


def _stop(t: Texts, why: str) -> tuple[str, str]:
    return t(f"study.{why}_title"), t(f"study.{why}_text")


def _page(t: Texts, title: str, text: str, form: str = "", status: int = 200) -> HTMLResponse:
    page = resources.files("workbench.participant").joinpath("welcome.html").read_text("utf-8")
    filled = {"language": t.language, "title": html.escape(title), "text": html.escape(text), "form": form}
    for name, value in filled.items():
        page = page.replace(f"{{{name}}}", value)
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})
