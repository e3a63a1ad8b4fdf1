"""What was trained, and what it predicted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "training_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("system", sa.String(length=16), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("release_id", sa.Integer(), nullable=True),
        sa.Column("split_id", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('running', 'finished', 'stopped', 'failed')", name=op.f("ck_training_runs_status_known")
        ),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_training_runs_corpus_id_corpora")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_training_runs_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["release_id"], ["label_releases.id"], name=op.f("fk_training_runs_release_id_label_releases")
        ),
        sa.ForeignKeyConstraint(["split_id"], ["splits.id"], name=op.f("fk_training_runs_split_id_splits")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_runs")),
        sa.UniqueConstraint("name", name=op.f("uq_training_runs_name")),
    )
    op.create_index(op.f("ix_training_runs_corpus_id"), "training_runs", ["corpus_id"], unique=False)
    op.create_index(op.f("ix_training_runs_release_id"), "training_runs", ["release_id"], unique=False)
    op.create_index(op.f("ix_training_runs_split_id"), "training_runs", ["split_id"], unique=False)
    op.create_index(op.f("ix_training_runs_status"), "training_runs", ["status"], unique=False)

    op.create_table(
        "prediction_sets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("system", sa.String(length=64), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("part", sa.String(length=16), nullable=True),
        sa.Column("emotion", sa.String(length=16), nullable=True),
        sa.Column("intensity", sa.Double(), nullable=True),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_prediction_sets_corpus_id_corpora")),
        sa.ForeignKeyConstraint(["run_id"], ["training_runs.id"], name=op.f("fk_prediction_sets_run_id_training_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_sets")),
        sa.UniqueConstraint("name", name=op.f("uq_prediction_sets_name")),
    )
    op.create_index(op.f("ix_prediction_sets_corpus_id"), "prediction_sets", ["corpus_id"], unique=False)
    op.create_index(op.f("ix_prediction_sets_run_id"), "prediction_sets", ["run_id"], unique=False)

    op.create_table(
        "predictions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("clip_id", sa.Integer(), nullable=False),
        sa.Column("condition_subject_id", sa.Integer(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("n_frames", sa.Integer(), nullable=False),
        sa.Column("first_frame", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name=op.f("fk_predictions_clip_id_clips")),
        sa.ForeignKeyConstraint(
            ["condition_subject_id"], ["subjects.id"], name=op.f("fk_predictions_condition_subject_id_subjects")
        ),
        sa.ForeignKeyConstraint(["set_id"], ["prediction_sets.id"], name=op.f("fk_predictions_set_id_prediction_sets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions")),
    )
    op.create_index(op.f("ix_predictions_clip_id"), "predictions", ["clip_id"], unique=False)
    op.create_index("ix_predictions_of_set", "predictions", ["set_id", "clip_id"], unique=False)
