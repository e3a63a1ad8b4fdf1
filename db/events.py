"""The audit trail: who did what, when; nothing in it can be changed without it showing.

Each event carries the hash of the one before it. Triggers refuse to change or delete events (see `migrations`);
who works around them breaks the chain, and `verify` names the place. Cutting off the newest events leaves a
valid, shorter chain: compare `head` with the one that an earlier export wrote down.
"""

import datetime
import hashlib
import json
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.models import Event, now

GENESIS = "0" * 64  # what the first event carries in place of an earlier hash
# Any fixed number: on PostgreSQL, who appends to the chain holds this advisory lock until the transaction ends.
_LOCK_KEY = 0x65_76_65_6E_74_73


class Head(NamedTuple):
    """The newest event; as long as it is in the chain, nothing before it was cut off or changed."""

    count: int
    sha256: str


def record(session: Session, actor: str, kind: str, payload: dict) -> Event:
    """Append an event to the chain, in the transaction of `session` (a `writing` one).

    `actor` is "researcher:<id>", "rater:<id>", "command" or "system"; `kind` is a word or two, such as
    "rating.saved"; `payload` must be JSON. What one transaction records and what it writes are stored together
    or not at all. Record as the last thing in a transaction: on PostgreSQL, others who record wait until it ends.
    """
    canonical = canonical_json(payload)
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    session.flush()
    last = session.scalar(select(Event.sha256).order_by(Event.id.desc()).limit(1))
    event = Event(at=now(), actor=actor, kind=kind, payload=canonical, previous_sha256=last or GENESIS)
    event.sha256 = _hash(event)
    session.add(event)
    session.flush()
    return event


def verify(session: Session) -> int | None:
    """The id of the first event that does not fit what came before it, or None if the whole chain holds."""
    previous = GENESIS
    for event in session.scalars(select(Event).order_by(Event.id).execution_options(yield_per=1000)):
        if event.previous_sha256 != previous or event.sha256 != _hash(event):
            return event.id
        previous = event.sha256
        session.expunge(event)
    return None


def newest(session: Session, limit: int | None = 200, kind: str | None = None) -> list[Event]:
    """The newest events, newest first; those of one `kind`, if it is given; all of them with `limit` None."""
    wanted = select(Event).order_by(Event.id.desc()).limit(limit)
    return list(session.scalars(wanted.where(Event.kind == kind) if kind else wanted))


def kinds(session: Session) -> list[str]:
    """Which kinds of events there are."""
    return list(session.scalars(select(Event.kind).distinct().order_by(Event.kind)))


def head(session: Session) -> Head:
    """How many events there are, and the hash of the newest; to be written into exports."""
    last = session.scalar(select(Event.sha256).order_by(Event.id.desc()).limit(1))
    return Head(session.scalar(select(func.count()).select_from(Event)) or 0, last or GENESIS)


def canonical_json(value: object) -> str:
    """JSON with one spelling per value: sorted keys, no spaces, no NaN. Raises ValueError or TypeError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _hash(event: Event) -> str:
    at = event.at.astimezone(datetime.UTC).isoformat(timespec="microseconds")
    content = canonical_json([event.previous_sha256, at, event.actor, event.kind, event.payload])
    return hashlib.sha256(content.encode()).hexdigest()
