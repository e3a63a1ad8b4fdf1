"""A participant of a study without a browser: Streamlit's websocket protocol to the real server, and the films.

It does what the trial panel does: fetches the films, and those of the next trial ahead, says that they were watched,
sends the answers and repeats them until the server says what became of them, connects again when the connection breaks.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.rating_client import CONNECTION_LOST, Rater, _get

PANEL = "eavanet_trial_panel"
FILM_MS = 480  # of tests.study_world
WATCHED = {"plays": 1, "ended": 1, "watched_ms": FILM_MS, "stalls": 0, "hidden_ms": 0}


@dataclass
class Answered:
    """One trial's answers and what they took: seconds from Save until the next trial was on the page."""

    key: str
    answers: dict[str, str]
    seconds: float
    attempts: int


@dataclass
class Participant(Rater):
    """One simulated browser tab behind a participant's link; what concerns clips and emotions is replaced."""

    saves: list[Answered] = field(default_factory=list)
    stalls: int = 0  # trials whose films, fetched ahead, were not there yet

    async def answer_until(self, deadline: float) -> None:
        """Answer trial after trial until `deadline` (time.monotonic()), `stop`, or the end."""
        await asyncio.sleep(self._random.uniform(0, self.pause_s[1]))
        try:
            if self._socket is None:
                await self.open()
            while time.monotonic() < deadline and self._panel is not None and not self._stopped:
                await self._films()
                await asyncio.sleep(self._random.uniform(*self.pause_s))
                await self._tell_and_answer()
            self.finished = self._panel is None
        finally:
            await self._disconnect()

    async def _films(self) -> None:
        """Fetch what the trial needs, which should be there already, and what the next one will."""
        if not self.fetch_media:
            return
        now = [one for one in self._panel["films"].values() if one not in self._fetched]
        self.stalls += bool(now and self.saves)
        for address in (*now, *(one for one in self._panel["ahead"] if one not in self._fetched)):
            try:
                self.bytes_received += await _get(self.url, address)
                self._fetched.add(address)
            except CONNECTION_LOST as error:
                self.problems.append(f"a film: {error}"[:80])

    async def _tell_and_answer(self) -> None:
        key = self._panel["key"]
        answers = {one["key"]: self._random.choice(("left", "right")) for one in self._panel["questions"]}
        await self._run((PANEL, "watched", self._message(key)))
        started, self._sent = time.perf_counter(), 0
        while True:
            said = {"answers": answers, "viewport": "1280x800", "browser": "benchmark"}
            await self._run((PANEL, "answer", self._message(key) | said))
            outcome = (self._panel or {}).get("outcome")
            if self._panel is None or (outcome and outcome["key"] == key and outcome["settled"]):
                break
            if outcome and outcome["key"] == key:
                self.problems.append(outcome["message"])
            await asyncio.sleep(0.2)
        if self._panel is None or outcome["saved"]:
            self.saves.append(Answered(key, answers, time.perf_counter() - started, self._sent))

    def _message(self, key: str) -> dict:
        played = {"left": WATCHED, "right": WATCHED}
        return {"key": key, "tab": (self._panel or {}).get("tab"), "played": played}

    async def _exchange(self, trigger: tuple[str, str, dict] | None) -> None:
        message = BackMsg()
        message.rerun_script.query_string = f"participant={self.token}"
        message.rerun_script.page_script_hash = self._page
        if trigger is not None:
            component, event, value = trigger
            state = message.rerun_script.widget_states.widgets.add()
            state.id = f"$$STREAMLIT_INTERNAL_KEY_{self._widgets[component]}__events"
            # Sent again after a new connection, it carries that connection's tab, as the panel's does.
            value = value | {"tab": (self._panel or {}).get("tab")}
            state.json_trigger_value = json.dumps([{"event": event, "value": value}])
            self._sent += event == "answer"
        await self._socket.send(message.SerializeToString())
        panel = None
        async for data in self._socket:
            self.bytes_received += len(data)
            answer = ForwardMsg()
            answer.ParseFromString(data)
            kind = answer.WhichOneof("type")
            if kind == "navigation":
                self._page = answer.navigation.page_script_hash
            if kind == "script_finished":
                self._panel = panel
                return
            if kind == "delta" and answer.delta.WhichOneof("type") == "new_element":
                element = answer.delta.new_element
                if element.WhichOneof("type") == "exception":
                    self.problems.append(element.exception.message[:300])
                if element.WhichOneof("type") == "bidi_component":
                    component = element.bidi_component
                    self._widgets[component.component_name] = component.id
                    panel = json.loads(component.bytes or component.json or component.mixed.json)
        raise EOFError("the server closed the connection")
