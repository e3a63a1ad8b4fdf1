"""Who may come in: personal links, printed links, browser sessions, the password."""

import datetime
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from db import access, events, passwords
from db.models import Event, Rater, ResearcherKey, now
from db.session import reading, writing

PHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_and_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheaper hash than a deployment's, and no memory of the wrong passwords of another test."""
    monkeypatch.setattr(passwords, "_SCRYPT", {"n": 2**10, "r": 8, "p": 1})
    monkeypatch.setattr(access, "brake", passwords.SignInBrake())


# Tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_has_256_random_bits_and_is_safe_in_an_address():
    tokens = {access.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)


@given(st.text(alphabet=st.characters(codec=None)))
def test_whatever_stands_in_an_address_can_be_looked_up(token: str):
    assert re.fullmatch(r"[0-9a-f]{64}", access.hash_token(token))


# Raters ---------------------------------------------------------------------------------------------------------


def test_a_rater_comes_in_by_the_personal_link_and_only_its_hash_is_stored(engine: Engine):
    with writing(engine) as session:
        rater, token = access.add_rater(session, "  Ann   Lee ", "ko")
    with reading(engine) as session:
        found = access.rater_by_token(session, token)
        assert (found.id, found.name, found.language) == (rater.id, "Ann Lee", "ko")
        assert access.rater_by_token(session, token[:-1]) is None
        assert access.rater_by_token(session, "") is None
        stored = str([session.execute(text(f"SELECT * FROM {table}")).all() for table in ("raters", "events")])
    assert token not in stored
    assert access.hash_token(token) in stored


@pytest.mark.parametrize(
    ("name", "language", "message"),
    [
        ("", "en", "1 to 64 printable characters"),
        ("   ", "en", "1 to 64 printable characters"),
        ("x" * 65, "en", "this one has 65"),
        ("Ann\x00", "en", "printable"),
        ("Ann", "English", "no language code"),
        ("Ben", "en", "there is a rater named 'Ben' already"),
    ],
)
def test_an_impossible_rater_is_refused_with_the_reason(sqlite_engine: Engine, name: str, language: str, message: str):
    with writing(sqlite_engine) as session:
        access.add_rater(session, "Ben")
    with pytest.raises(ValueError, match=message), writing(sqlite_engine) as session:
        access.add_rater(session, name, language)


def test_a_new_link_replaces_the_old_one(engine: Engine):
    with writing(engine) as session:
        rater, old = access.add_rater(session, "Ann")
    with writing(engine) as session:
        new = access.rotate_token(session, rater.id)
    with reading(engine) as session:
        assert access.rater_by_token(session, old) is None
        assert access.rater_by_token(session, new).id == rater.id


def test_a_withdrawn_link_stops_at_once_and_a_new_one_lets_the_rater_in_again(engine: Engine):
    with writing(engine) as session:
        rater, token = access.add_rater(session, "Ann")
        assert access.may_view(session, f"rater:{rater.id}")
    with writing(engine) as session:
        access.revoke_rater(session, rater.id)
        access.revoke_rater(session, rater.id)
    with reading(engine) as session:
        assert access.rater_by_token(session, token) is None
        assert not access.may_view(session, f"rater:{rater.id}")
    with writing(engine) as session:
        again = access.rotate_token(session, rater.id)
        assert access.rater_by_token(session, again) is not None
        assert access.may_view(session, f"rater:{rater.id}")
    with reading(engine) as session:
        kinds = [event.kind for event in session.scalars(select(Event).order_by(Event.id))]
        assert kinds == ["rater.added", "rater.revoked", "rater.link_replaced"]
        assert events.verify(session) is None


def test_a_simulated_rater_gets_no_link(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        session.add(Rater(name="sim", simulated=True))
    with pytest.raises(ValueError, match="no person"), writing(sqlite_engine) as session:
        access.rotate_token(session, 1)
    with pytest.raises(ValueError, match="no rater 77"), writing(sqlite_engine) as session:
        access.revoke_rater(session, 77)


# Researchers ----------------------------------------------------------------------------------------------------


def signed_in(engine: Engine) -> str:
    with writing(engine) as session:
        return access.sign_in_with_link(session, access.new_sign_in_link(session))


def test_a_printed_link_signs_in_until_its_server_withdraws_it(engine: Engine):
    with writing(engine) as session:
        link = access.new_sign_in_link(session)
    with writing(engine) as session:
        cookie = access.sign_in_with_link(session, link)
        assert access.sign_in_with_link(session, link) not in (None, cookie), "another browser"
        assert access.sign_in_with_link(session, link + "x") is None
        assert access.sign_in_with_link(session, cookie) is None, "a cookie is no link"
    with writing(engine) as session:
        access.revoke_sign_in_link(session, link)
        access.revoke_sign_in_link(session, link)
    with writing(engine) as session:
        assert access.sign_in_with_link(session, link) is None
        assert access.researcher_session(session, cookie) is not None, "who is in stays in"


def test_each_server_has_a_link_of_its_own(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        first, second = access.new_sign_in_link(session), access.new_sign_in_link(session)
        access.revoke_sign_in_link(session, second)
        assert access.sign_in_with_link(session, first) is not None


def test_signing_out_ends_this_browsers_session_and_no_other(engine: Engine):
    mine, others = signed_in(engine), signed_in(engine)
    with writing(engine) as session:
        viewer = f"researcher:{access.researcher_session(session, mine).id}"
        assert access.may_view(session, viewer)
        access.sign_out(session, mine)
        access.sign_out(session, mine)
        access.sign_out(session, "nonsense")
    with reading(engine) as session:
        assert access.researcher_session(session, mine) is None
        assert not access.may_view(session, viewer)
        assert access.researcher_session(session, others) is not None


@pytest.mark.parametrize("kind", ["link", "session"])
def test_what_has_expired_is_no_good(sqlite_engine: Engine, kind: str):
    with writing(sqlite_engine) as session:
        link = access.new_sign_in_link(session)
        cookie = access.sign_in_with_link(session, link)
    with writing(sqlite_engine) as session:
        for key in session.scalars(select(ResearcherKey)):
            lifetime = datetime.timedelta(seconds=access.SESSION_LIFETIME_S)
            assert now() < key.expires_at <= now() + (access.LINK_LIFETIME if key.kind == "link" else lifetime)
            if key.kind == kind:
                key.expires_at = now() - datetime.timedelta(seconds=1)
    with writing(sqlite_engine) as session:
        assert (access.sign_in_with_link(session, link) is None) == (kind == "link")
        assert (access.researcher_session(session, cookie) is None) == (kind == "session")


@pytest.mark.parametrize(
    "viewer", ["", "rater", "rater:", "rater:x", "rater:1 ", "rater:-1", "rater:²", "rater:" + "9" * 40, "nobody:1",
               "researcher:1", "researcher:999", ":1", "rater:1:1"],
)  # fmt: skip
def test_a_viewer_that_is_nobody_may_see_nothing(sqlite_engine: Engine, viewer: str):
    with writing(sqlite_engine) as session:
        access.new_sign_in_link(session)  # researcher_keys 1 is a link: nobody looks with it
        assert not access.may_view(session, viewer)


# The password ---------------------------------------------------------------------------------------------------


def test_the_password_signs_in_and_is_stored_as_a_salted_hash(engine: Engine):
    with writing(engine) as session:
        assert not access.has_password(session)
        access.set_password(session, PHRASE)
        assert access.has_password(session)
    with writing(engine) as session:
        cookie = access.sign_in_with_password(session, PHRASE)
    with reading(engine) as session:
        assert access.researcher_session(session, cookie) is not None
        stored = session.scalar(select(ResearcherKey.secret_hash).where(ResearcherKey.kind == "password"))
    assert stored.startswith("scrypt$1024$8$1$")
    assert passwords.hash_password(PHRASE) != stored, "each has a salt of its own"


def test_a_deployments_hash_costs_as_much_as_it_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(passwords, "_SCRYPT", {"n": 2**15, "r": 8, "p": 1})
    assert passwords.password_matches(PHRASE, passwords.hash_password(PHRASE))


def test_a_wrong_password_is_refused(sqlite_engine: Engine):
    with pytest.raises(access.SignInRefused, match="No password is set"), writing(sqlite_engine) as session:
        access.sign_in_with_password(session, PHRASE)
    with writing(sqlite_engine) as session:
        access.set_password(session, PHRASE)
    for wrong in ("", PHRASE.upper(), PHRASE + " ", "\udc80"):
        with pytest.raises(access.SignInRefused, match="not the password"), writing(sqlite_engine) as session:
            access.sign_in_with_password(session, wrong)


def test_a_new_password_ends_the_old_one_and_all_sessions_but_mine(engine: Engine):
    mine, others = signed_in(engine), signed_in(engine)
    with writing(engine) as session:
        access.set_password(session, PHRASE)
    mine, others = signed_in(engine), signed_in(engine)
    with writing(engine) as session:
        me = access.researcher_session(session, mine)
        access.set_password(session, "another long phrase", f"researcher:{me.id}", keep_session=me.id)
    with writing(engine) as session:
        assert access.researcher_session(session, mine) is not None
        assert access.researcher_session(session, others) is None
        access.sign_in_with_password(session, "another long phrase")
    with pytest.raises(access.SignInRefused), writing(engine) as session:
        access.sign_in_with_password(session, PHRASE)


def test_a_short_password_is_refused_and_the_old_one_stays(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        access.set_password(session, PHRASE)
    with pytest.raises(ValueError, match="has 11 characters; it needs 12"), writing(sqlite_engine) as session:
        access.set_password(session, "x" * 11)
    with writing(sqlite_engine) as session:
        access.sign_in_with_password(session, PHRASE)


def test_guessing_is_slowed_down_and_the_right_password_waits_too():
    moment = [0.0]
    brake = passwords.SignInBrake(clock=lambda: moment[0])
    for _ in range(brake.FREE):
        brake.check()
    with pytest.raises(access.SignInRefused, match="wait 3 seconds"):
        brake.check()
    guesses = 0
    while moment[0] < 24 * 3600:
        try:
            brake.check()
            guesses += 1
        except access.SignInRefused:
            moment[0] += 1
    assert guesses < 300, "about one in five minutes, for a day"
    brake.succeeded()
    for _ in range(brake.FREE):
        brake.check()


def test_wrong_passwords_count_although_their_transactions_are_undone(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        access.set_password(session, PHRASE)
    for _ in range(passwords.SignInBrake.FREE):
        with pytest.raises(access.SignInRefused, match="not the password"), writing(sqlite_engine) as session:
            access.sign_in_with_password(session, "wrong")
    with pytest.raises(access.SignInRefused, match="Too many wrong passwords"), writing(sqlite_engine) as session:
        access.sign_in_with_password(session, PHRASE)


def test_the_command_sets_the_password(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(PHRASE + "\n"))
    assert access.main(["password", "--stdin"]) == 0
    with writing(sqlite_engine) as session:
        access.sign_in_with_password(session, PHRASE)
    assert PHRASE not in capsys.readouterr().out


def test_the_command_refuses_two_different_answers_and_short_ones(sqlite_engine: Engine, monkeypatch, capsys):
    answers = iter([PHRASE, PHRASE + "x", "short", "short"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    assert access.main(["password"]) == 1
    assert "the two passwords differ; nothing was changed" in capsys.readouterr().err
    assert access.main(["password"]) == 1
    assert "has 5 characters" in capsys.readouterr().err
    with reading(sqlite_engine) as session:
        assert not access.has_password(session)
