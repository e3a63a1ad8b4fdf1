"""Who is this? The one place where a page learns who looks at it, and the database that all pages share."""

import functools
from dataclasses import dataclass
from typing import Literal

import streamlit as st
from sqlalchemy import Engine

from db import access, store
from db.models import Rater
from db.session import open_database, reading
from db.study_models import StudyParticipant
from evaluation.study.joining import participant_by_token

COOKIE = "eavanet_session"
RATER_PARAMETER = "rater"  # /?rater=<token> is a rater's personal link
PARTICIPANT_PARAMETER = "participant"  # /?participant=<token> is a participant's, in a study


@dataclass(frozen=True)
class Visitor:
    """The person in front of a page, as the server knows them."""

    role: Literal["researcher", "rater", "participant", "nobody"]
    row_id: int | None = None  # raters.id, study_participants.id or researcher_keys.id
    name: str = ""
    language: str = "en"
    link_failed: bool = False  # came with a personal link that is wrong or revoked

    @property
    def viewer(self) -> str:
        """The name under which media are handed out and events recorded."""
        return f"{self.role}:{self.row_id}"


@functools.lru_cache(maxsize=4)
def _engine(url: str) -> Engine:
    return open_database(url)


def engine() -> Engine:
    """The database of this app process, opened and migrated once."""
    return _engine(store.database_url())


def visitor() -> Visitor:
    """Look up who this is, anew at every run of a page, so that a revoked link stops at the next click.

    A personal link wins over a researcher's cookie: a researcher who tries a rater's link sees what the rater sees.
    """
    token = st.query_params.get(RATER_PARAMETER)
    in_study = st.query_params.get(PARTICIPANT_PARAMETER)
    with reading(engine()) as session:
        if in_study is not None:
            participant = participant_by_token(session, in_study)
            return _as_participant(participant) if participant else Visitor("participant", link_failed=True)
        if token is not None:
            rater = access.rater_by_token(session, token)
            return _as_visitor(rater) if rater else Visitor("nobody", link_failed=True)
        cookie = st.context.cookies.get(COOKIE)
        row = access.researcher_session(session, cookie) if cookie else None
        return Visitor("researcher", row.id, "researcher") if row else Visitor("nobody")


def _as_visitor(rater: Rater) -> Visitor:
    return Visitor("rater", rater.id, rater.name, rater.language)


def _as_participant(participant: StudyParticipant) -> Visitor:
    return Visitor("participant", participant.id, participant.pseudonym, participant.language)
