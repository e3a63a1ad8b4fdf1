"""The tables. One class per word of the field; see the README for how they follow from one another.

Ratings and events are only ever appended: triggers (see `migrations`) refuse to change or delete them.
Times are UTC. Paths are relative to the data root, or absolute where a source is read in place.
"""

import datetime

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def now() -> datetime.datetime:
    """The present moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)


class UtcDateTime(TypeDecorator[datetime.datetime]):
    """A moment in UTC on every database; SQLite itself forgets the time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value}: a stored moment needs a time zone")
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value, dialect):
        if value is None:
            return None
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


class Base(DeclarativeBase):
    """All tables; constraints have fixed names so that migrations can change them."""

    type_annotation_map = {datetime.datetime: UtcDateTime}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Corpus(Base):
    """A collection of clips with one topology, indexed by an import."""

    __tablename__ = "corpora"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    source: Mapped[str] = mapped_column(Text)  # the folder that was imported; never written to
    layout: Mapped[str] = mapped_column(String(16))  # "peers" or "raw"
    synthetic: Mapped[bool]
    licence: Mapped[str] = mapped_column(Text, default="")
    description: Mapped[str] = mapped_column(Text, default="")
    frames_per_second: Mapped[float]
    n_vertices: Mapped[int]
    n_faces: Mapped[int]
    normalisation: Mapped[str] = mapped_column(String(32))  # how coordinates came to their unit
    mm_per_unit: Mapped[float | None]  # millimetres per coordinate unit, where the corpus has a scale
    loudness: Mapped[str] = mapped_column(String(8), default="peak")  # what -3 dB refers to: "peak" or "rms"
    sha256: Mapped[str] = mapped_column(String(64))  # over all that was read
    imported_at: Mapped[datetime.datetime] = mapped_column(default=now)

    subjects: Mapped[list["Subject"]] = relationship(back_populates="corpus", order_by="Subject.name")
    clips: Mapped[list["Clip"]] = relationship(back_populates="corpus", order_by="Clip.name")
    problems: Mapped[list["ImportProblem"]] = relationship(back_populates="corpus")


class Subject(Base):
    """One recorded person of a corpus (F1..F8, M1..M6 in BIWI)."""

    __tablename__ = "subjects"
    __table_args__ = (UniqueConstraint("corpus_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    template_row: Mapped[int | None]  # row in the corpus's templates.npy; None if the corpus has no template

    corpus: Mapped[Corpus] = relationship(back_populates="subjects")
    clips: Mapped[list["Clip"]] = relationship(back_populates="subject")


class Clip(Base):
    """One subject speaking one sentence: vertices and audio."""

    __tablename__ = "clips"
    __table_args__ = (
        UniqueConstraint("corpus_id", "name"),
        CheckConstraint("status IN ('usable', 'outlier', 'broken')", name="status_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    subject_id: Mapped[int] = mapped_column(ForeignKey("subjects.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))  # <subject>_<sentence>
    sentence: Mapped[str] = mapped_column(String(64))  # "e01".."e40" emotional, "01".."40" neutral takes
    status: Mapped[str] = mapped_column(String(16))  # "usable", "outlier" (all ratings zero), "broken"
    status_reason: Mapped[str] = mapped_column(Text, default="")

    vertices_path: Mapped[str | None] = mapped_column(Text)
    vertices_sha256: Mapped[str | None] = mapped_column(String(64))
    audio_path: Mapped[str | None] = mapped_column(Text)  # 16 kHz, trimmed, levelled
    source_audio_path: Mapped[str | None] = mapped_column(Text)
    source_audio_sha256: Mapped[str | None] = mapped_column(String(64))
    playback_path: Mapped[str | None] = mapped_column(Text)  # see db.playback
    video_path: Mapped[str | None] = mapped_column(Text)  # a rendering, where there is one

    source_frames: Mapped[int] = mapped_column(default=0)
    source_duration_s: Mapped[float] = mapped_column(default=0.0)  # of the audio, before trimming
    first_frame: Mapped[int] = mapped_column(default=0)  # the trim: frames first_frame .. first_frame + n_frames
    n_frames: Mapped[int] = mapped_column(default=0)
    gain_db: Mapped[float] = mapped_column(default=0.0)  # applied to reach -3 dB

    corpus: Mapped[Corpus] = relationship(back_populates="clips")
    subject: Mapped[Subject] = relationship(back_populates="clips")
    original_ratings: Mapped[list["OriginalRating"]] = relationship(back_populates="clip")


class OriginalRating(Base):
    """The corpus's own score of a clip for one emotional adjective."""

    __tablename__ = "original_ratings"

    clip_id: Mapped[int] = mapped_column(ForeignKey("clips.id"), primary_key=True)
    adjective: Mapped[str] = mapped_column(String(64), primary_key=True)
    score: Mapped[float]

    clip: Mapped[Clip] = relationship(back_populates="original_ratings")


class ImportProblem(Base):
    """Something that an import found wrong, in words for the person who has to put it right."""

    __tablename__ = "import_problems"

    id: Mapped[int] = mapped_column(primary_key=True)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    clip: Mapped[str | None] = mapped_column(String(64))  # clip name where it concerns one
    kind: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(Text)

    corpus: Mapped[Corpus] = relationship(back_populates="problems")


class Split(Base):
    """A named division of clips into train, validation, BIWI-A and BIWI-B."""

    __tablename__ = "splits"
    __table_args__ = (UniqueConstraint("corpus_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    release_id: Mapped[int | None] = mapped_column(ForeignKey("label_releases.id"))
    seed: Mapped[int | None]  # None: the split was given as a file
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)

    members: Mapped[list["SplitMember"]] = relationship(back_populates="split")


class SplitMember(Base):
    """One clip's place in a split."""

    __tablename__ = "split_members"
    __table_args__ = (
        CheckConstraint("part IN ('train', 'validation', 'biwi-a', 'biwi-b')", name="part_known"),
    )

    split_id: Mapped[int] = mapped_column(ForeignKey("splits.id"), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clips.id"), primary_key=True)
    part: Mapped[str] = mapped_column(String(16))

    split: Mapped[Split] = relationship(back_populates="members")
    clip: Mapped[Clip] = relationship()


class Rater(Base):
    """A person who rates clips through a personal link; only the hash of the link's token is kept."""

    __tablename__ = "raters"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    token_sha256: Mapped[str | None] = mapped_column(String(64), unique=True)  # None: cannot sign in
    language: Mapped[str] = mapped_column(String(8), default="en")
    simulated: Mapped[bool] = mapped_column(default=False)
    imported: Mapped[bool] = mapped_column(default=False)  # rated elsewhere, came in as a file
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime.datetime | None]
    instructions_read_at: Mapped[datetime.datetime | None]


class LabelingRound(Base):
    """One pass of a group of raters over a corpus, with its settings frozen at the start."""

    __tablename__ = "labeling_rounds"

    id: Mapped[int] = mapped_column(primary_key=True)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    votes_per_clip: Mapped[int]  # the paper's m = 3
    repeat_share: Mapped[float]  # hidden repeats, as a share of a rater's votes
    practice_clips: Mapped[int]
    seed: Mapped[int]
    instructions: Mapped[str] = mapped_column(Text, default="")  # shown after the built-in ones
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime.datetime | None]

    corpus: Mapped[Corpus] = relationship()


class Assignment(Base):
    """A clip that a rater is asked to rate.

    kind: "vote" counts in Algorithm 1 (slots 1..m), "adjudication" is a further vote on a tie or a
    replacement for a "cannot tell" (slots above m), "repeat" measures a rater's own consistency, "practice"
    counts nowhere. A freed assignment stays as a record; its slot may be given to somebody else.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        CheckConstraint("kind IN ('vote', 'adjudication', 'repeat', 'practice')", name="kind_known"),
        # Nobody votes twice on a clip; a slot is held by one rater at a time.
        Index(
            "uq_assignments_one_vote_per_rater", "round_id", "clip_id", "rater_id", unique=True,
            sqlite_where=text("kind IN ('vote', 'adjudication') AND freed_at IS NULL"),
            postgresql_where=text("kind IN ('vote', 'adjudication') AND freed_at IS NULL"),
        ),
        Index(
            "uq_assignments_one_rater_per_slot", "round_id", "clip_id", "slot", unique=True,
            sqlite_where=text("slot IS NOT NULL AND freed_at IS NULL"),
            postgresql_where=text("slot IS NOT NULL AND freed_at IS NULL"),
        ),
        Index("ix_assignments_rater_position", "rater_id", "round_id", "position"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("labeling_rounds.id"), index=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clips.id"), index=True)
    rater_id: Mapped[int | None] = mapped_column(ForeignKey("raters.id"))  # None: waits for a rater
    kind: Mapped[str] = mapped_column(String(16))
    slot: Mapped[int | None]  # None for repeats and practice
    position: Mapped[int]  # in the rater's own order
    done_at: Mapped[datetime.datetime | None]  # when the first rating was stored
    freed_at: Mapped[datetime.datetime | None]

    clip: Mapped[Clip] = relationship()
    rater: Mapped[Rater | None] = relationship()
    round: Mapped[LabelingRound] = relationship()
    ratings: Mapped[list["Rating"]] = relationship(back_populates="assignment", order_by="Rating.revision")


class Rating(Base):
    """What a rater answered: an emotion with its intensity, or why neither can be given.

    Append-only: a correction is a new revision, the newest counts, all are exported.
    """

    __tablename__ = "ratings"
    __table_args__ = (
        UniqueConstraint("assignment_id", "revision"),
        CheckConstraint("emotion IN ('happy', 'angry', 'sadness', 'neutral')", name="emotion_known"),
        CheckConstraint("intensity BETWEEN 1 AND 5", name="intensity_1_to_5"),
        CheckConstraint("problem IN ('cannot_tell', 'broken_clip')", name="problem_known"),
        CheckConstraint(
            "(problem IS NULL AND emotion IS NOT NULL AND intensity IS NOT NULL)"
            " OR (problem IS NOT NULL AND emotion IS NULL AND intensity IS NULL)",
            name="answer_or_problem",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), index=True)
    revision: Mapped[int]
    client_key: Mapped[str] = mapped_column(String(64), unique=True)  # makes a repeated save harmless
    emotion: Mapped[str | None] = mapped_column(String(16))
    intensity: Mapped[int | None]
    problem: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    plays: Mapped[int] = mapped_column(default=0)
    coverage: Mapped[float] = mapped_column(default=0.0)  # share of the clip's frames that were played
    watched_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)

    assignment: Mapped[Assignment] = relationship(back_populates="ratings")


class LabelRelease(Base):
    """The immutable result of Algorithm 1 on a round's ratings."""

    __tablename__ = "label_releases"
    __table_args__ = (UniqueConstraint("corpus_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    round_id: Mapped[int | None] = mapped_column(ForeignKey("labeling_rounds.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    policy: Mapped[str] = mapped_column(String(16))  # "adjudicate", "paper" or "exclude"
    minimum_votes: Mapped[int]
    allow_partial: Mapped[bool]
    threshold: Mapped[float]  # subjects are selected strictly above it; 3 in the paper
    ratings_sha256: Mapped[str] = mapped_column(String(64))
    n_ratings: Mapped[int]
    n_ties: Mapped[int]
    simulated: Mapped[bool]  # synthetic corpus or any simulated rater
    summary: Mapped[dict] = mapped_column(JSON)  # counts before and after, agreement, sensitivity
    sha256: Mapped[str] = mapped_column(String(64))  # over labels and subjects
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)

    labels: Mapped[list["ReleaseLabel"]] = relationship(back_populates="release")
    subjects: Mapped[list["ReleaseSubject"]] = relationship(back_populates="release")


class ReleaseLabel(Base):
    """One clip in a label release."""

    __tablename__ = "release_labels"

    release_id: Mapped[int] = mapped_column(ForeignKey("label_releases.id"), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clips.id"), primary_key=True)
    label: Mapped[str | None] = mapped_column(String(16))  # None: tie left open or excluded
    tie: Mapped[bool]
    n_votes: Mapped[int]
    happy: Mapped[int]
    angry: Mapped[int]
    sadness: Mapped[int]
    neutral: Mapped[int]
    mean_intensity: Mapped[float | None]

    release: Mapped[LabelRelease] = relationship(back_populates="labels")
    clip: Mapped[Clip] = relationship()


class ReleaseSubject(Base):
    """One subject in a label release: the average expression score and whether it passed the threshold."""

    __tablename__ = "release_subjects"

    release_id: Mapped[int] = mapped_column(ForeignKey("label_releases.id"), primary_key=True)
    subject_id: Mapped[int] = mapped_column(ForeignKey("subjects.id"), primary_key=True)
    score: Mapped[float | None]
    score_low: Mapped[float | None]
    score_high: Mapped[float | None]
    n_ratings: Mapped[int]
    selected: Mapped[bool]

    release: Mapped[LabelRelease] = relationship(back_populates="subjects")
    subject: Mapped[Subject] = relationship()


class Event(Base):
    """The audit trail: who did what, when; each row carries the hash of the one before it."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime.datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(80))  # "researcher", "rater:<id>", "command", "system"
    kind: Mapped[str] = mapped_column(String(64), index=True)
    payload: Mapped[str] = mapped_column(Text)  # canonical JSON, as hashed
    previous_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)


class ResearcherKey(Base):
    """A way in for researchers, kept as a hash: a password, a printed sign-in link or a browser session."""

    __tablename__ = "researcher_keys"
    __table_args__ = (CheckConstraint("kind IN ('password', 'link', 'session')", name="kind_known"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    secret_hash: Mapped[str] = mapped_column(String(256), index=True)  # scrypt for passwords, SHA-256 for tokens
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime.datetime | None]
    revoked_at: Mapped[datetime.datetime | None]


class Job(Base):
    """A command that runs as a child process, so that it can be watched, stopped and looked up later."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'done', 'failed', 'cancelled', 'died')", name="status_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    command: Mapped[list] = mapped_column(JSON)  # the arguments after `python -m`
    status: Mapped[str] = mapped_column(String(16), index=True)
    progress: Mapped[float | None]  # 0..1
    message: Mapped[str] = mapped_column(Text, default="")  # last word of progress, or why it ended
    pid: Mapped[int | None]
    process_started: Mapped[str | None] = mapped_column(String(64))  # tells a reused pid from the real one
    exit_code: Mapped[int | None]
    started_by: Mapped[str] = mapped_column(String(80))
    started_at: Mapped[datetime.datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime.datetime | None]
