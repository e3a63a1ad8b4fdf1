"""A rater without a browser: speaks Streamlit's own websocket protocol to the real server, and fetches the media.

It does what the page's scripts do: opens the personal link, fetches the clips, sends an answer, repeats it until
the server says what became of it, connects again when the connection breaks.
"""

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

EMOTIONS = ("happy", "angry", "sadness", "neutral")
ANSWER_TIMEOUT_S = 30.0
CONNECTION_LOST = (OSError, websockets.WebSocketException, asyncio.TimeoutError, EOFError)


@dataclass
class Save:
    """One answer and what it took: seconds from the click until the next clip was on the page."""

    key: str
    emotion: str
    intensity: int
    seconds: float
    attempts: int


@dataclass
class Rater:
    """One simulated browser tab behind a personal link."""

    url: str  # the server's address with a final slash
    token: str
    pause_s: tuple[float, float]  # how long a person takes for a clip
    fetch_media: bool = True
    seed: int = 0
    saves: list[Save] = field(default_factory=list)
    reconnections: int = 0
    bytes_received: int = 0
    problems: list[str] = field(default_factory=list)
    finished: bool = False  # nothing left to rate

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._socket: websockets.ClientConnection | None = None
        self._widgets: dict[str, str] = {}  # component name -> widget id
        self._panel: dict | None = None  # the answer panel's data, as last received
        self._clip: dict | None = None
        self._fetched: set[str] = set()
        self._page = ""
        self._stopped = False
        self._sent = 0

    async def open(self) -> None:
        """Open the personal link and fetch the first clip."""
        await self._run()

    async def rate_until(self, deadline: float) -> None:
        """Rate clip after clip until `deadline` (time.monotonic()), `stop`, or until nothing is left."""
        await asyncio.sleep(self._random.uniform(0, self.pause_s[1]))
        try:
            if self._socket is None:
                await self.open()
            while time.monotonic() < deadline and self._panel is not None and not self._stopped:
                await self._get_media(self._clip["upcoming"])
                await asyncio.sleep(self._random.uniform(*self.pause_s))
                await self._save()
            self.finished = self._panel is None
        finally:
            await self._disconnect()

    def stop(self) -> None:
        """Stop after the answer that is being given."""
        self._stopped = True

    async def _save(self) -> None:
        key = self._panel["key"]
        emotion, intensity = self._random.choice(EMOTIONS), self._random.randint(1, 5)
        answer = {"key": key, "emotion": emotion, "intensity": intensity, "reason": None, "words": "",
                  "watched": {"plays": 1, "coverage": 1.0, "watched_s": 4.0}}  # fmt: skip
        started, self._sent = time.perf_counter(), 0
        while True:
            await self._run(("eavanet_answer_panel", "save", answer))
            outcome = (self._panel or {}).get("outcome")
            if self._panel is None or (outcome and outcome["key"] == key and outcome["settled"]):
                break
            if outcome and outcome["message"]:
                self.problems.append(outcome["message"])
            await asyncio.sleep(0.2)
        saved = self._panel is None or outcome["saved"]
        if saved:
            self.saves.append(Save(key, emotion, intensity, time.perf_counter() - started, self._sent))

    async def _run(self, trigger: tuple[str, str, dict] | None = None) -> None:
        """One run of the page, with a component's event if given; connects first, and again, where needed."""
        while True:
            try:
                if self._socket is None:
                    await self._connect()
                    await asyncio.wait_for(self._exchange(None), ANSWER_TIMEOUT_S)
                    await self._get_media(self._clip and self._clip["source"])
                    if trigger is None or trigger[0] not in self._widgets:
                        return
                await asyncio.wait_for(self._exchange(trigger), ANSWER_TIMEOUT_S)
                return
            except CONNECTION_LOST:
                await self._disconnect()
                self.reconnections += 1
                await asyncio.sleep(0.2)

    async def _connect(self) -> None:
        address = f"ws://{urlsplit(self.url).netloc}/_stcore/stream"
        self._socket = await websockets.connect(
            address, subprotocols=["streamlit"], max_size=None, open_timeout=10, close_timeout=1, ping_interval=None
        )

    async def _disconnect(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(*CONNECTION_LOST):
                await self._socket.close()
        self._socket = None

    async def _exchange(self, trigger: tuple[str, str, dict] | None) -> None:
        message = BackMsg()
        message.rerun_script.query_string = f"rater={self.token}"
        message.rerun_script.page_script_hash = self._page
        if trigger is not None:
            component, event, value = trigger
            state = message.rerun_script.widget_states.widgets.add()
            state.id = f"$$STREAMLIT_INTERNAL_KEY_{self._widgets[component]}__events"
            state.json_trigger_value = json.dumps([{"event": event, "value": value}])
            self._sent += event == "save"
        await self._socket.send(message.SerializeToString())
        panel = clip = None
        async for data in self._socket:
            self.bytes_received += len(data)
            answer = ForwardMsg()
            answer.ParseFromString(data)
            kind = answer.WhichOneof("type")
            if kind == "navigation":
                self._page = answer.navigation.page_script_hash  # another one would count as turning to another page
            if kind == "script_finished":
                self._panel, self._clip = panel, clip
                return
            if kind == "delta" and answer.delta.WhichOneof("type") == "new_element":
                element = answer.delta.new_element
                if element.WhichOneof("type") == "exception":
                    self.problems.append(element.exception.message[:300])
                if element.WhichOneof("type") == "bidi_component":
                    component = element.bidi_component
                    self._widgets[component.component_name] = component.id
                    data = json.loads(component.bytes or component.json or component.mixed.json)
                    if component.component_name == "eavanet_answer_panel":
                        panel = data
                    else:
                        clip = data
        raise EOFError("the server closed the connection")

    async def _get_media(self, source: dict | None) -> None:
        """Fetch a clip's files as the player does: each once, the topology once for all clips."""
        if source is None or not self.fetch_media:
            return
        wanted = {source["id"]: ("playback_url", "audio_url"), source["topology_id"]: ("topology_url",)}
        for name, addresses in wanted.items():
            if name not in self._fetched:
                self._fetched.add(name)
                for address in addresses:
                    if source[address]:
                        self.bytes_received += await _get(self.url, source[address])


async def _get(url: str, path: str) -> int:
    """The size in bytes of what `path` gives; raises OSError unless the answer is 200."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"GET /{path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        await writer.drain()
        body = await reader.read()
    finally:
        writer.close()
    status = body.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise ConnectionError(f"{path[:12]}...: {body[:80]!r}")
    return len(body)
