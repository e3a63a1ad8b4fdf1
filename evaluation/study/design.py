"""The design of a study: everything that is frozen at the launch, checked as a whole, and one spelling as JSON.

What the participants see (questions, scale, instructions, consent) is there once per language. Which clips are shown is
either a list or a rule; the launch writes down which clips the rule gave.
"""

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from db import events, store
from db.splits import PARTS

SCHEMA_VERSION = 1
KINDS = ("ab", "mos")
ENTRIES = ("personal", "open", "prolific")
CATCHES = ("none", "shifted")
INTERVALS = ("two-way", "bootstrap", "participants", "items", "independent")
MOST_TRIALS = 400  # nobody sits through more
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
Texts = Mapping[str, str]  # language code -> text


class BadDesign(ValueError):
    """A design that cannot be carried out; the message says which field, what was found and what is possible."""


@dataclass(frozen=True)
class System:
    """A system (A/B) or condition (MOS): a prediction set, or, without one, the recorded clips themselves (GT)."""

    name: str
    predictions: str | None = None

    def __post_init__(self) -> None:
        _expect(self.name.strip() == self.name and 1 <= len(self.name) <= 64 and self.name.isprintable(),
                f"system {self.name[:70]!r}: a name has 1 to 64 printable characters")  # fmt: skip
        _expect(" vs " not in self.name, f"system {self.name!r}: ' vs ' stands between the two of a comparison")


@dataclass(frozen=True)
class Question:
    """What is asked of a pair (A/B) or a clip (MOS); all questions of a study are on one screen."""

    key: str
    text: Texts

    def __post_init__(self) -> None:
        _expect(bool(_KEY.fullmatch(self.key)),
                f"question {self.key[:40]!r}: a key has small letters, digits and '_', at most 32")  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """The answers of a MOS study: whole numbers from low to high, with names for the two ends."""

    low: int = 1
    high: int = 5
    low_text: Texts = field(default_factory=dict)
    high_text: Texts = field(default_factory=dict)

    def __post_init__(self) -> None:
        _expect(self.low < self.high and self.high - self.low <= 20,
                f"scale {self.low} to {self.high}: expected 2 to 21 whole numbers, the lowest first")  # fmt: skip


@dataclass(frozen=True)
class Clips:
    """Which clips are shown: `names`, or `count` of a split's part, drawn with emotions and subjects balanced."""

    names: tuple[str, ...] = ()
    split: str | None = None
    part: str = "biwi-b"
    count: int = 30

    def __post_init__(self) -> None:
        _expect(len(set(self.names)) == len(self.names), "clips: one is named twice")
        _expect(bool(self.names) or self.split is not None, "clips: name some, or a split to draw them from")
        _expect(self.part in PARTS, f"clips: part {self.part!r}; expected one of {', '.join(PARTS)}")
        _expect(self.count >= 1, f"clips: {self.count} are to be drawn; expected 1 or more")

    @property
    def number(self) -> int:
        """How many clips are shown."""
        return len(self.names) or self.count


@dataclass(frozen=True)
class Catch:
    """Trials that somebody who watches and listens passes: the sound comes `shift_ms` late.

    A/B: the same system twice, one of them late; the one in time is right, asked by `question`. MOS: a late one is
    right if scored at most `at_most`. The system is `system`, by default the first.
    """

    kind: str = "none"
    count: int = 0
    shift_ms: int = 500
    question: str = ""
    at_most: int = 3
    system: str = ""

    def __post_init__(self) -> None:
        _expect(self.kind in CATCHES, f"catch trials {self.kind!r}: expected one of {', '.join(CATCHES)}")
        _expect(self.count >= 0, f"{self.count} catch trials: expected 0 or more")
        _expect((self.kind == "none") == (self.count == 0), "catch trials: a kind needs a number, and a number a kind")
        _expect(100 <= self.shift_ms <= 2000, f"catch trials {self.shift_ms} ms late: expected 100 to 2000")


@dataclass(frozen=True)
class AnalysisPlan:
    """What will be reported, decided before anybody sees a result; `exclusion`: see evaluation.study.exclusions."""

    interval: str = "two-way"
    confidence: float = 0.95
    correction: str = "holm"
    exclusion: Mapping[str, float | None] = field(default_factory=dict)
    hypotheses: str = ""

    def __post_init__(self) -> None:
        _expect(self.interval in INTERVALS, f"interval {self.interval!r}: expected one of {', '.join(INTERVALS)}")
        _expect(self.confidence == 0.95, f"confidence {self.confidence}: all intervals here are at 0.95")
        _expect(self.correction == "holm", f"correction {self.correction!r}: expected 'holm'")
        known = ("max_catch_failures", "min_median_answer_ms", "min_complete")
        _expect(set(self.exclusion) <= set(known), f"exclusion {sorted(self.exclusion)}: expected {', '.join(known)}")


@dataclass(frozen=True)
class Design:
    """A whole study. Raises BadDesign for anything that could not be carried out as it is written."""

    kind: str
    title: Texts
    systems: tuple[System, ...]
    questions: tuple[Question, ...]
    clips: Clips
    participants: int
    instructions: Texts
    consent: Texts
    comparisons: tuple[tuple[str, str], ...] = ()  # A/B: pairs of names of systems
    scale: Scale | None = None  # MOS
    languages: tuple[str, ...] = ("en", "ko")
    practice: int = 2  # trials on clips that do not count
    catch: Catch = field(default_factory=Catch)
    no_preference: bool = False  # A/B: the paper's forced choice, or a third answer
    analysis: AnalysisPlan = field(default_factory=AnalysisPlan)
    entry: str = "personal"
    completion_code: str = ""  # of the crowd platform; empty: one is made for each participant
    break_after: int = 30  # trials between two breaks that are offered; 0: none
    lease_minutes: int = 180  # without a sign of life, after which a place is given to somebody else
    condition_subject: str | None = None  # whose speaking style is asked of all systems; None: drawn per clip
    size: int = 512  # pixels of the films, square
    seed: int = 0
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _expect(self.kind in KINDS, f"kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        _expect(self.schema_version == SCHEMA_VERSION,
                f"design of schema {self.schema_version}, this version knows {SCHEMA_VERSION}")  # fmt: skip
        self._check_systems()
        self._check_questions()
        self._check_texts()
        self._check_numbers()
        self._check_catch()

    def _check_systems(self) -> None:
        names = [system.name for system in self.systems]
        _expect(bool(names) and len(set(names)) == len(names), f"systems {', '.join(names) or 'none'}: each name once")
        if self.kind == "mos":
            _expect(not self.comparisons, "comparisons: a MOS study has none; every condition is rated by itself")
            return
        _expect(bool(self.comparisons), "comparisons: an A/B study needs one or more pairs of systems")
        pairs = [frozenset(pair) for pair in self.comparisons]
        _expect(all(len(pair) == 2 for pair in pairs) and len(set(pairs)) == len(pairs),
                "comparisons: each is of two different systems, and each is there once")  # fmt: skip
        used = set(itertools.chain(*self.comparisons))
        _expect(used == set(names), f"comparisons are of {', '.join(sorted(used))}; systems are {', '.join(names)}")

    def _check_questions(self) -> None:
        keys = [question.key for question in self.questions]
        _expect(bool(keys) and len(set(keys)) == len(keys), f"questions {', '.join(keys) or 'none'}: each key once")
        _expect((self.scale is not None) == (self.kind == "mos"), "scale: a MOS study has one, an A/B study none")
        _expect(self.kind == "ab" or not self.no_preference, "no_preference: only an A/B study has such an answer")

    def _check_texts(self) -> None:
        _expect(bool(self.languages) and len(set(self.languages)) == len(self.languages)
                and all(_LANGUAGE.fullmatch(code) for code in self.languages),
                f"languages {', '.join(self.languages) or 'none'}: expected codes such as en or ko, each once")
        texts = {"title": self.title, "instructions": self.instructions, "consent": self.consent}
        texts |= {f"question {question.key}": question.text for question in self.questions}
        if self.scale is not None:
            texts |= {"scale, low end": self.scale.low_text, "scale, high end": self.scale.high_text}
        for what, text in texts.items():
            missing = [code for code in self.languages if not text.get(code, "").strip()]
            _expect(not missing, f"{what}: no text in {', '.join(missing)}")

    def _check_numbers(self) -> None:
        limits = {"participants": (1, 10_000), "practice": (0, 20), "break_after": (0, MOST_TRIALS),
                  "lease_minutes": (5, 60 * 24 * 60), "size": (128, 1024)}  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            _expect(type(value) is int and low <= value <= high, f"{name} {value!r}: expected {low} to {high}")
        _expect(self.size % 2 == 0, f"size {self.size}: films have an even number of pixels")
        _expect(self.entry in ENTRIES, f"entry {self.entry!r}: expected one of {', '.join(ENTRIES)}")
        _expect(self.entry != "prolific" or bool(self.completion_code),
                "completion_code: Prolific gives one to each study; copy it from there")  # fmt: skip
        _expect(self.completion_code == "" or store.NAME_PATTERN.fullmatch(self.completion_code) is not None,
                f"completion_code {self.completion_code[:40]!r}: expected letters, digits, '_' and '-'")  # fmt: skip
        _expect(self.n_trials <= MOST_TRIALS, f"{self.n_trials} trials per participant: at most {MOST_TRIALS}")
        _expect(self.n_main == self.clips.number or self.clips.number >= 2,
                "clips: 2 or more, so that none comes twice running")  # fmt: skip

    def _check_catch(self) -> None:
        if not self.catch.count:
            return
        _expect(self.catch.system in ("", *(system.name for system in self.systems)),
                f"catch trials of {self.catch.system!r}: it is none of the systems")  # fmt: skip
        _expect(self.catch_question in {question.key for question in self.questions},
                f"catch trials ask {self.catch_question!r}: it is none of the questions")  # fmt: skip
        _expect(self.clips.number >= 3, "catch trials: 3 clips or more, so that none comes twice running")
        _expect(self.catch.count <= self.n_main // 2, f"{self.catch.count} catch trials among {self.n_main} that count")
        if self.scale is not None:
            _expect(self.scale.low <= self.catch.at_most < self.scale.high,
                    f"catch trials are passed by {self.catch.at_most} or less: expected less than the top")  # fmt: skip

    @property
    def n_main(self) -> int:
        """Trials per participant that count."""
        return self.clips.number * (len(self.comparisons) if self.kind == "ab" else len(self.systems))

    @property
    def n_trials(self) -> int:
        """Trials per participant, with practice and catch trials."""
        return self.n_main + self.practice + self.catch.count

    @property
    def catch_question(self) -> str:
        """The question by which catch trials are judged."""
        return self.catch.question or self.questions[0].key

    @property
    def catch_system(self) -> str:
        """The system that catch trials show."""
        return self.catch.system or self.systems[0].name

    def as_dict(self) -> dict[str, Any]:
        """The design as plain JSON."""
        return _plain(dataclasses.asdict(self))

    def sha256(self) -> str:
        """Of the design as canonical JSON: two designs have the same if and only if they are the same."""
        return hashlib.sha256(events.canonical_json(self.as_dict()).encode()).hexdigest()

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The design that `as_dict` wrote, or a person. Raises BadDesign, also for a field that is unknown."""
        try:
            values = dict(given)
            values["systems"] = tuple(System(**system) for system in values["systems"])
            values["questions"] = tuple(Question(**question) for question in values["questions"])
            clips = dict(values["clips"])
            values["clips"] = Clips(**clips | {"names": tuple(clips.get("names", ()))})
            values["comparisons"] = tuple((first, second) for first, second in values.get("comparisons", ()))
            values["languages"] = tuple(values.get("languages", ("en", "ko")))
            values["scale"] = Scale(**values["scale"]) if values.get("scale") else None
            values["catch"] = Catch(**values.get("catch", {}))
            values["analysis"] = AnalysisPlan(**values.get("analysis", {}))
            return cls(**values)
        except BadDesign:
            raise
        except KeyError as error:
            raise BadDesign(f"the design has no {error.args[0]!r}") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise BadDesign(f"the design cannot be read: {error}") from error


def text_in(texts: Texts, language: str) -> str:
    """The text in `language`, or in the first language there is."""
    return texts.get(language) or next(iter(texts.values()), "")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise BadDesign(message)
