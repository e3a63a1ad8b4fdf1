"""The tables of what was trained and predicted. The tables before and behind them are in `models`."""

import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.models import Base, Clip, Corpus, Subject, now

SYSTEMS = ("eavanet", "faceformer", "codetalker")  # those that are trained here


class TrainingRun(Base):
    """One training: what it was given, how far it is, and the folder where its checkpoints lie.

    `status` is what the training itself wrote last. One that was killed still says "running"; whether its process
    lives is for its job, or the lock on its folder, to tell.
    """

    __tablename__ = "training_runs"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'finished', 'stopped', 'failed')", name="status_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    system: Mapped[str] = mapped_column(String(16))
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    release_id: Mapped[int | None] = mapped_column(ForeignKey("label_releases.id"), index=True)
    split_id: Mapped[int | None] = mapped_column(ForeignKey("splits.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    folder: Mapped[str] = mapped_column(Text)
    settings: Mapped[dict] = mapped_column(JSON)
    manifest: Mapped[dict] = mapped_column(JSON)  # as in the checkpoint: hashes of the data, seed, environment
    status: Mapped[str] = mapped_column(String(16), index=True)
    epoch: Mapped[int] = mapped_column(default=0)  # finished ones
    epochs: Mapped[int]
    message: Mapped[str] = mapped_column(Text, default="")  # why it ended
    archived: Mapped[bool] = mapped_column(default=False)  # put away by a researcher; nothing is deleted
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime.datetime] = mapped_column(default=now)

    corpus: Mapped[Corpus] = relationship()


class PredictionSet(Base):
    """What one system predicted for some clips: a run's checkpoint, or another program's folder of files."""

    __tablename__ = "prediction_sets"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    system: Mapped[str] = mapped_column(String(64))  # as tables show it: "EavaNet", "VOCA"
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("training_runs.id"), index=True)  # None: made elsewhere
    part: Mapped[str | None] = mapped_column(String(16))  # of the run's split
    emotion: Mapped[str | None] = mapped_column(String(16))  # asked of all clips; None: each clip's label
    intensity: Mapped[float | None]  # alpha of Eq. (8); None for systems without
    synthetic: Mapped[bool]
    simulated: Mapped[bool]
    source: Mapped[dict] = mapped_column(JSON)  # the checkpoint with its hashes, or the folder that was imported
    sha256: Mapped[str] = mapped_column(String(64))  # over the files
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)

    corpus: Mapped[Corpus] = relationship()
    run: Mapped[TrainingRun | None] = relationship()
    predictions: Mapped[list["Prediction"]] = relationship(back_populates="set")


class Prediction(Base):
    """One clip's predicted motion under one condition subject, as a vertex file of the peers' layout."""

    __tablename__ = "predictions"
    __table_args__ = (Index("ix_predictions_of_set", "set_id", "clip_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("prediction_sets.id"))
    clip_id: Mapped[int] = mapped_column(ForeignKey("clips.id"), index=True)
    condition_subject_id: Mapped[int | None] = mapped_column(ForeignKey("subjects.id"))  # None: not conditioned
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    n_frames: Mapped[int]  # in the file
    first_frame: Mapped[int] = mapped_column(default=0)  # where in the file the clip, trimmed to the speech, begins

    set: Mapped[PredictionSet] = relationship(back_populates="predictions")
    clip: Mapped[Clip] = relationship()
    condition_subject: Mapped[Subject | None] = relationship()
