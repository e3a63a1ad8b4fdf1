"""The audit trail: a chain of hashes that shows every change to what was recorded."""

import contextlib
import threading

import pytest
from sqlalchemy import Engine, text

from db import events
from db.session import reading, writing


def test_events_form_a_chain_that_verifies(engine: Engine):
    with writing(engine) as session:
        first = events.record(session, "system", "opened", {"zeta": 1, "alpha": "ä"})
        second = events.record(session, "rater:1", "rating.saved", {"clip": 7})
    assert first.payload == '{"alpha":"ä","zeta":1}'
    assert (first.previous_sha256, second.previous_sha256) == (events.GENESIS, first.sha256)
    with reading(engine) as session:
        assert events.verify(session) is None
        assert events.head(session) == (2, second.sha256)


def test_an_empty_chain_verifies(sqlite_engine: Engine):
    with reading(sqlite_engine) as session:
        assert events.verify(session) is None
        assert events.head(session) == (0, events.GENESIS)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE events SET payload = '{}' WHERE id = 2",
        "UPDATE events SET actor = 'rater:9' WHERE id = 2",
        "UPDATE events SET at = '2020-01-01 00:00:00.000000' WHERE id = 2",
        "DELETE FROM events WHERE id = 1",
    ],
)
def test_verify_names_the_event_that_somebody_tampered_with(sqlite_engine: Engine, tampering: str):
    with writing(sqlite_engine) as session:
        for number in range(3):
            events.record(session, "system", "counted", {"number": number})
    with sqlite_engine.begin() as connection:
        connection.execute(text("DROP TRIGGER events_refuse_update"))
        connection.execute(text("DROP TRIGGER events_refuse_delete"))
        connection.execute(text(tampering))
    with reading(sqlite_engine) as session:
        assert events.verify(session) == 2


def test_an_event_of_a_transaction_that_fails_is_not_recorded(engine: Engine):
    with contextlib.suppress(ZeroDivisionError), writing(engine) as session:
        events.record(session, "system", "opened", {})
        raise ZeroDivisionError
    with reading(engine) as session:
        assert events.head(session).count == 0


def test_a_payload_that_is_no_json_is_refused(sqlite_engine: Engine):
    with pytest.raises(ValueError, match="Out of range"), writing(sqlite_engine) as session:
        events.record(session, "system", "opened", {"x": float("nan")})


def test_events_recorded_from_many_threads_at_once_form_one_chain(engine: Engine):
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                with writing(engine) as session:
                    events.record(session, f"rater:{number}", "counted", {"turn": turn})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with reading(engine) as session:
        assert events.verify(session) is None
        assert events.head(session).count == 60
