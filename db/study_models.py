"""The tables of studies: what was frozen, who takes part, what they were shown, and what they answered.

Responses and watching are only ever appended, and the design of a launched study cannot be changed: triggers refuse it
(see `migrations`). Which system is on which side is in `StudyTrial` alone, and never leaves the server.
"""

import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models import Base, Clip, Corpus, now
from db.result_models import PredictionSet


class Study(Base):
    """One version of a study. An edit after the launch makes a new version, which begins as a draft."""

    __tablename__ = "studies"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        CheckConstraint("kind IN ('ab', 'mos')", name="kind_known"),
        CheckConstraint("status IN ('draft', 'running', 'paused', 'closed')", name="status_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(8))
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    status: Mapped[str] = mapped_column(String(16), default="draft")
    design: Mapped[dict] = mapped_column(JSON)  # see evaluation.study.design; frozen by the launch
    design_sha256: Mapped[str | None] = mapped_column(String(64))  # over design and stimuli; None: a draft
    open_token_sha256: Mapped[str | None] = mapped_column(String(64), unique=True)  # of the link for everybody
    launch_job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    launched_at: Mapped[datetime.datetime | None]
    closed_at: Mapped[datetime.datetime | None]
    unblinded_at: Mapped[datetime.datetime | None]

    corpus: Mapped[Corpus] = relationship()
    systems: Mapped[list["StudySystem"]] = relationship(order_by="StudySystem.position")
    items: Mapped[list["StudyItem"]] = relationship(order_by="StudyItem.position")


class StudySystem(Base):
    """A system (A/B) or condition (MOS) under study; without a prediction set it is the truth, the clips themselves."""

    __tablename__ = "study_systems"
    __table_args__ = (UniqueConstraint("study_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))  # as tables show it
    position: Mapped[int]
    set_id: Mapped[int | None] = mapped_column(ForeignKey("prediction_sets.id"))
    set_sha256: Mapped[str | None] = mapped_column(String(64))  # of the predictions at the launch

    set: Mapped[PredictionSet | None] = relationship()


class StudyItem(Base):
    """A clip in a study: one that counts, or one to practise on."""

    __tablename__ = "study_items"
    __table_args__ = (
        UniqueConstraint("study_id", "clip_id"),
        CheckConstraint("role IN ('main', 'practice')", name="role_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clips.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    position: Mapped[int]

    clip: Mapped[Clip] = relationship()


class Stimulus(Base):
    """One rendered film: an item by a system; `shifted` ones, whose sound is late, are for catch trials."""

    __tablename__ = "study_stimuli"
    __table_args__ = (UniqueConstraint("item_id", "system_id", "shifted"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("study_items.id"))
    system_id: Mapped[int] = mapped_column(ForeignKey("study_systems.id"), index=True)
    shifted: Mapped[bool]
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    n_bytes: Mapped[int]  # the same for all stimuli of an item
    duration_ms: Mapped[int]

    item: Mapped[StudyItem] = relationship()
    system: Mapped[StudySystem] = relationship()


class StudySlot(Base):
    """A participant's place: a row of the order design. It comes back when its lease ends or its holder leaves."""

    __tablename__ = "study_slots"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    number: Mapped[int]  # 2j and 2j + 1 are mirror images; from the planned n on: for late returns
    row: Mapped[int]  # of the Williams square
    participant_id: Mapped[int | None] = mapped_column(ForeignKey("study_participants.id"), unique=True)
    lease_ends_at: Mapped[datetime.datetime | None]
    completed_at: Mapped[datetime.datetime | None]


class StudyParticipant(Base):
    """Somebody who answers; known by a pseudonym only, and by the hash of a link's token.

    Test participants never count; simulated ones count and are marked wherever their answers are.
    """

    __tablename__ = "study_participants"
    __table_args__ = (
        UniqueConstraint("study_id", "pseudonym"),
        UniqueConstraint("study_id", "crowd_sha256"),
        CheckConstraint("source IN ('personal', 'open', 'prolific', 'test', 'simulated')", name="source_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    pseudonym: Mapped[str] = mapped_column(String(32))
    source: Mapped[str] = mapped_column(String(16))
    token_sha256: Mapped[str | None] = mapped_column(String(64), unique=True)  # None: withdrawn, or simulated
    crowd_sha256: Mapped[str | None] = mapped_column(String(64))  # keyed; of the platform's id for the person
    session_sha256: Mapped[str | None] = mapped_column(String(64))  # keyed; of the platform's session
    language: Mapped[str] = mapped_column(String(8), default="en")
    slot_number: Mapped[int | None]  # whose order the trials follow; stays when the slot went to somebody else
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    consented_at: Mapped[datetime.datetime | None]
    sound_checked_at: Mapped[datetime.datetime | None]
    instructions_read_at: Mapped[datetime.datetime | None]
    paused_at: Mapped[datetime.datetime | None]
    finished_at: Mapped[datetime.datetime | None]
    left_at: Mapped[datetime.datetime | None]  # withdrew; what was answered stays
    completion_code: Mapped[str | None] = mapped_column(String(64))  # made when the last answer is stored

    study: Mapped[Study] = relationship()

    @property
    def test(self) -> bool:
        """Whether the answers never count."""
        return self.source == "test"

    @property
    def simulated(self) -> bool:
        """Whether a program answers."""
        return self.source == "simulated"


class StudyTrial(Base):
    """One screen of one participant: two stimuli (A/B) or one, on the left (MOS)."""

    __tablename__ = "study_trials"
    __table_args__ = (
        UniqueConstraint("participant_id", "number"),
        CheckConstraint("role IN ('main', 'practice', 'catch')", name="role_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    participant_id: Mapped[int] = mapped_column(ForeignKey("study_participants.id"))
    number: Mapped[int]  # 0.. in the participant's order
    block: Mapped[int]  # which comparison (A/B); 0 in MOS; -1 for practice
    role: Mapped[str] = mapped_column(String(16))
    left_id: Mapped[int] = mapped_column(ForeignKey("study_stimuli.id"))
    right_id: Mapped[int | None] = mapped_column(ForeignKey("study_stimuli.id"))
    answered_at: Mapped[datetime.datetime | None]

    participant: Mapped[StudyParticipant] = relationship()
    left: Mapped[Stimulus] = relationship(foreign_keys=left_id)
    right: Mapped[Stimulus | None] = relationship(foreign_keys=right_id)


class StudyView(Base):
    """A trial opened in one browser tab, with the random names under which its films are fetched there.

    The names are kept as they are: they are good only while the trial is open, and a page that is drawn again must
    get the same ones.
    """

    __tablename__ = "study_views"
    __table_args__ = (UniqueConstraint("trial_id", "tab"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("study_trials.id"))
    tab: Mapped[str] = mapped_column(String(64))
    left_token: Mapped[str] = mapped_column(String(32), unique=True)
    right_token: Mapped[str | None] = mapped_column(String(32), unique=True)
    made_at: Mapped[datetime.datetime] = mapped_column(default=now)
    opened_at: Mapped[datetime.datetime | None]  # None: fetched ahead, the trial before is still open

    trial: Mapped[StudyTrial] = relationship()


class StudyWatching(Base):
    """What a tab reported about its films, one row a message; append-only. Times of the browser are durations only."""

    __tablename__ = "study_watching"
    __table_args__ = (Index("ix_study_watching_of_view", "view_id", "side"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    view_id: Mapped[int] = mapped_column(ForeignKey("study_views.id"))
    side: Mapped[str] = mapped_column(String(8))  # "left" or "right"
    plays: Mapped[int]  # begun since the last message, as are all these
    ended: Mapped[int]  # times the end was reached without skipping
    watched_ms: Mapped[int]
    stalls: Mapped[int]
    hidden_ms: Mapped[int]  # the page was not visible while it played
    received_at: Mapped[datetime.datetime] = mapped_column(default=now)

    view: Mapped[StudyView] = relationship()


class StudyResponse(Base):
    """The answer to one question of one trial; append-only, and one only."""

    __tablename__ = "study_responses"
    __table_args__ = (
        UniqueConstraint("trial_id", "question"),
        CheckConstraint("preferred IN ('left', 'right', 'none')", name="preferred_known"),
        CheckConstraint("(preferred IS NULL) <> (score IS NULL)", name="preference_or_score"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("study_trials.id"))
    question: Mapped[str] = mapped_column(String(32))
    preferred: Mapped[str | None] = mapped_column(String(8))
    score: Mapped[int | None]
    plays_left: Mapped[int]
    plays_right: Mapped[int]
    watched_ms: Mapped[int]
    replays: Mapped[int]
    stalls: Mapped[int]
    hidden_ms: Mapped[int]
    answer_ms: Mapped[int]  # from opening to the answer, by the server's clock
    viewport: Mapped[str] = mapped_column(String(16), default="")  # "1280x720"
    browser: Mapped[str] = mapped_column(String(200), default="")
    answered_at: Mapped[datetime.datetime] = mapped_column(default=now)

    trial: Mapped[StudyTrial] = relationship()
