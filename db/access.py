"""Who may come in: raters by personal links, researchers by a printed link or a password.

Every secret is random (256 bits) or chosen by a researcher, is shown once, and is kept as a hash only. A lost link
is replaced, never looked up; whatever was handed out can be withdrawn, and stops at the next click.
"""

import argparse
import datetime
import getpass
import hashlib
import hmac
import re
import secrets
import sys

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import events
from db.models import Rater, ResearcherKey, now
from db.passwords import SignInBrake, SignInRefused, hash_password, password_matches
from db.session import DatabaseUnusable, open_database, writing

SESSION_LIFETIME_S = 14 * 24 * 3600  # of a researcher's browser session
LINK_LIFETIME = datetime.timedelta(days=30)  # of a printed link, should its server not withdraw it at its end
PASSWORD_MINIMUM = 12  # characters; a phrase of a few words has them

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")


# Tokens -------------------------------------------------------------------------------------------------------


def new_token() -> str:
    """256 random bits as 43 characters that are safe in an address."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is stored of a token. It is random, so a plain hash is enough: there is nothing to guess from."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


# Raters -------------------------------------------------------------------------------------------------------


def add_rater(
    session: Session, name: str, language: str = "en", actor: str = "researcher"
) -> tuple[Rater, str]:
    """A new rater and the token of their personal link, which cannot be shown again.

    Raises ValueError for an empty, too long or taken name, or a language code that is none.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise ValueError(f"a rater's name has 1 to 64 printable characters, this one has {len(name)}: {name[:80]!r}")
    if not _LANGUAGE.fullmatch(language):
        raise ValueError(f"{language[:20]!r} is no language code such as en or ko")
    if session.scalar(select(Rater.id).where(Rater.name == name)) is not None:
        raise ValueError(f"there is a rater named {name!r} already; choose another name")
    token = new_token()
    rater = Rater(name=name, language=language, token_sha256=hash_token(token))
    session.add(rater)
    session.flush()
    events.record(session, actor, "rater.added", {"rater": rater.id, "name": name, "language": language})
    return rater, token


def rater_by_token(session: Session, token: str) -> Rater | None:
    """Whose personal link this is; None for a wrong, replaced or withdrawn one."""
    rater = session.scalar(select(Rater).where(Rater.token_sha256 == hash_token(token)))
    return rater if rater and rater.revoked_at is None else None


def rotate_token(session: Session, rater_id: int, actor: str = "researcher") -> str:
    """A new token for a rater's personal link; the old link stops, a withdrawn rater can come in again.

    Raises ValueError if there is no such rater, or it is no person (simulated, or imported from a file).
    """
    rater = _rater(session, rater_id)
    if rater.simulated or rater.imported:
        raise ValueError(f"{rater.name} is no person who could use a link")
    token = new_token()
    was_revoked = rater.revoked_at is not None
    rater.token_sha256, rater.revoked_at = hash_token(token), None
    events.record(session, actor, "rater.link_replaced", {"rater": rater_id, "was_revoked": was_revoked})
    return token


def revoke_rater(session: Session, rater_id: int, actor: str = "researcher") -> None:
    """Withdraw a rater's link; what they rated stays. Repeating it changes nothing. Raises ValueError."""
    rater = _rater(session, rater_id)
    if rater.revoked_at is None:
        rater.token_sha256, rater.revoked_at = None, now()
        events.record(session, actor, "rater.revoked", {"rater": rater_id})


def _rater(session: Session, rater_id: int) -> Rater:
    rater = session.get(Rater, rater_id)
    if rater is None:
        raise ValueError(f"there is no rater {rater_id}")
    return rater


# Researchers: printed links and browser sessions ---------------------------------------------------------------


def new_sign_in_link(session: Session) -> str:
    """A token for a link that signs researchers in; each server prints its own, others' links stay good."""
    token = new_token()
    session.add(ResearcherKey(kind="link", secret_hash=hash_token(token), expires_at=now() + LINK_LIFETIME))
    session.flush()
    return token


def sign_in_with_link(session: Session, token: str) -> str | None:
    """A browser session's token, or None if the link is wrong, withdrawn or too old."""
    link = _good_key(session, "link", token)
    if link is None:
        return None
    return _new_browser_session(session, f"link:{link.id}")


def revoke_sign_in_link(session: Session, token: str) -> None:
    """Withdraw a printed link; who signed in with it stays signed in."""
    link = _good_key(session, "link", token)
    if link is not None:
        link.revoked_at = now()


def researcher_session(session: Session, cookie_token: str) -> ResearcherKey | None:
    """The browser session that a cookie stands for; None if it is wrong, ended or too old."""
    return _good_key(session, "session", cookie_token)


def sign_out(session: Session, cookie_token: str) -> None:
    """End a browser session; a token that is not (or no longer) good is no error."""
    key = _good_key(session, "session", cookie_token)
    if key is not None:
        key.revoked_at = now()
        events.record(session, f"researcher:{key.id}", "researcher.signed_out", {})


def may_view(session: Session, viewer: str) -> bool:
    """Whether "rater:<id>" is not withdrawn, or "researcher:<id>" is a session that is still good."""
    role, _, row = viewer.partition(":")
    if not row.isascii() or not row.isdigit() or len(row) > 18:
        return False
    if role == "rater":
        rater = session.get(Rater, int(row))
        return rater is not None and rater.revoked_at is None
    if role == "researcher":
        key = session.get(ResearcherKey, int(row))
        return key is not None and key.kind == "session" and _is_good(key)
    return False


def _new_browser_session(session: Session, how: str) -> str:
    token = new_token()
    expires_at = now() + datetime.timedelta(seconds=SESSION_LIFETIME_S)
    key = ResearcherKey(kind="session", secret_hash=hash_token(token), expires_at=expires_at)
    session.add(key)
    session.flush()
    events.record(session, f"researcher:{key.id}", "researcher.signed_in", {"with": how})
    return token


def _good_key(session: Session, kind: str, token: str) -> ResearcherKey | None:
    # Looking a hash up takes a time that depends on the hash, about which a guesser of tokens learns nothing.
    hashed = hash_token(token)
    key = session.scalar(
        select(ResearcherKey).where(ResearcherKey.kind == kind, ResearcherKey.secret_hash == hashed)
    )
    return key if key and hmac.compare_digest(key.secret_hash, hashed) and _is_good(key) else None


def _is_good(key: ResearcherKey) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now())


# Researchers: the password -------------------------------------------------------------------------------------

brake = SignInBrake()


def has_password(session: Session) -> bool:
    """Whether researchers can sign in by password."""
    return _password(session) is not None


def set_password(
    session: Session, password: str, actor: str = "command", keep_session: int | None = None
) -> None:
    """Set or replace the researchers' password, and end their browser sessions but `keep_session` (its id).

    Raises ValueError if it is too short.
    """
    if len(password) < PASSWORD_MINIMUM:
        raise ValueError(f"the password has {len(password)} characters; it needs {PASSWORD_MINIMUM} or more")
    session.execute(
        update(ResearcherKey)
        .where(ResearcherKey.kind.in_(["password", "session"]), ResearcherKey.revoked_at.is_(None))
        .where(ResearcherKey.id != (keep_session or 0))
        .values(revoked_at=now())
    )
    session.add(ResearcherKey(kind="password", secret_hash=hash_password(password)))
    events.record(session, actor, "researcher.password_set", {})


def sign_in_with_password(session: Session, password: str) -> str:
    """A browser session's token. Raises SignInRefused if the password is wrong, none is set, or it is too early."""
    key = _password(session)
    if key is None:
        raise SignInRefused("No password is set. Use the sign-in link that the workbench printed in its console.")
    brake.check()
    if not password_matches(password, key.secret_hash):
        raise SignInRefused("That is not the password.")
    brake.succeeded()
    return _new_browser_session(session, "password")


def _password(session: Session) -> ResearcherKey | None:
    return session.scalar(
        select(ResearcherKey)
        .where(ResearcherKey.kind == "password", ResearcherKey.revoked_at.is_(None))
        .order_by(ResearcherKey.id.desc())
        .limit(1)
    )


# The command ---------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """`python -m db.access password`: set the researchers' password on the terminal."""
    parser = argparse.ArgumentParser(prog="python -m db.access", description="How researchers get in.")
    commands = parser.add_subparsers(dest="command", required=True)
    password = commands.add_parser(
        "password", help="set the researchers' password; signs all browsers out",
        description="Set the password with which researchers sign in, and sign all browsers out.",
    )  # fmt: skip
    password.add_argument("--stdin", action="store_true", help="read the password from standard input")
    options = parser.parse_args(arguments)
    try:
        chosen = sys.stdin.readline().rstrip("\r\n") if options.stdin else _ask_twice()
        with writing(open_database()) as session:
            set_password(session, chosen)
    except (ValueError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("The password is set; all browsers are signed out.")
    return 0


def _ask_twice() -> str:
    chosen = getpass.getpass(f"New password ({PASSWORD_MINIMUM} characters or more): ")
    if getpass.getpass("Once more: ") != chosen:
        raise ValueError("the two passwords differ; nothing was changed")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
