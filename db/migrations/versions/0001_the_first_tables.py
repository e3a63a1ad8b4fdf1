"""The first tables, and the triggers that keep what was recorded from being changed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Rows of these are only ever added: what a rater answered, what happened, and what was released.
APPEND_ONLY = ("ratings", "events", "label_releases", "release_labels", "release_subjects")


def upgrade() -> None:
    """Make all tables, on SQLite or PostgreSQL."""
    _corpora()
    _people_and_events()
    _labelling()
    _releases()
    make_append_only(APPEND_ONLY)


def make_append_only(tables: tuple[str, ...]) -> None:
    """Let the database itself refuse to change or delete rows of these tables."""
    if op.get_bind().dialect.name == "sqlite":
        for table in tables:
            for action in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuse_{action.lower()} BEFORE {action} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {action} refused'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in tables:
        op.execute(
            f"CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def _corpora() -> None:
    """Corpora, their subjects and clips."""
    op.create_table(
        "corpora",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("layout", sa.String(length=16), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("frames_per_second", sa.Double(), nullable=False),
        sa.Column("n_vertices", sa.Integer(), nullable=False),
        sa.Column("n_faces", sa.Integer(), nullable=False),
        sa.Column("normalisation", sa.String(length=32), nullable=False),
        sa.Column("mm_per_unit", sa.Double(), nullable=True),
        sa.Column("loudness", sa.String(length=8), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corpora")),
        sa.UniqueConstraint("name", name=op.f("uq_corpora_name")),
    )

    op.create_table(
        "subjects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("template_row", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_subjects_corpus_id_corpora")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("corpus_id", "name", name=op.f("uq_subjects_corpus_id_name")),
    )
    op.create_index(op.f("ix_subjects_corpus_id"), "subjects", ["corpus_id"], unique=False)

    op.create_table(
        "clips",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sentence", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("vertices_path", sa.Text(), nullable=True),
        sa.Column("vertices_sha256", sa.String(length=64), nullable=True),
        sa.Column("audio_path", sa.Text(), nullable=True),
        sa.Column("source_audio_path", sa.Text(), nullable=True),
        sa.Column("source_audio_sha256", sa.String(length=64), nullable=True),
        sa.Column("playback_path", sa.Text(), nullable=True),
        sa.Column("video_path", sa.Text(), nullable=True),
        sa.Column("source_frames", sa.Integer(), nullable=False),
        sa.Column("source_duration_s", sa.Double(), nullable=False),
        sa.Column("first_frame", sa.Integer(), nullable=False),
        sa.Column("n_frames", sa.Integer(), nullable=False),
        sa.Column("gain_db", sa.Double(), nullable=False),
        sa.CheckConstraint("status IN ('usable', 'outlier', 'broken')", name=op.f("ck_clips_status_known")),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_clips_corpus_id_corpora")),
        sa.ForeignKeyConstraint(["subject_id"], ["subjects.id"], name=op.f("fk_clips_subject_id_subjects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clips")),
        sa.UniqueConstraint("corpus_id", "name", name=op.f("uq_clips_corpus_id_name")),
    )
    op.create_index(op.f("ix_clips_corpus_id"), "clips", ["corpus_id"], unique=False)
    op.create_index(op.f("ix_clips_subject_id"), "clips", ["subject_id"], unique=False)

    op.create_table(
        "original_ratings",
        sa.Column("clip_id", sa.Integer(), nullable=False),
        sa.Column("adjective", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name=op.f("fk_original_ratings_clip_id_clips")),
        sa.PrimaryKeyConstraint("clip_id", "adjective", name=op.f("pk_original_ratings")),
    )

    op.create_table(
        "import_problems",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("clip", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_import_problems_corpus_id_corpora")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_problems")),
    )
    op.create_index(op.f("ix_import_problems_corpus_id"), "import_problems", ["corpus_id"], unique=False)


def _people_and_events() -> None:
    """Raters, researchers' keys, the audit trail and background jobs."""
    op.create_table(
        "raters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=True),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("imported", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("instructions_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raters")),
        sa.UniqueConstraint("name", name=op.f("uq_raters_name")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_raters_token_sha256")),
    )

    op.create_table(
        "researcher_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('password', 'link', 'session')", name=op.f("ck_researcher_keys_kind_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_researcher_keys")),
    )
    op.create_index(op.f("ix_researcher_keys_kind"), "researcher_keys", ["kind"], unique=False)
    op.create_index(op.f("ix_researcher_keys_secret_hash"), "researcher_keys", ["secret_hash"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("previous_sha256", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("previous_sha256", name=op.f("uq_events_previous_sha256")),
        sa.UniqueConstraint("sha256", name=op.f("uq_events_sha256")),
    )
    op.create_index(op.f("ix_events_kind"), "events", ["kind"], unique=False)

    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("command", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Double(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("process_started", sa.String(length=64), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("started_by", sa.String(length=80), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('running', 'done', 'failed', 'cancelled', 'died')", name=op.f("ck_jobs_status_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_status"), "jobs", ["status"], unique=False)


def _labelling() -> None:
    """Rounds, who rates which clip, and the ratings."""
    op.create_table(
        "labeling_rounds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("votes_per_clip", sa.Integer(), nullable=False),
        sa.Column("repeat_share", sa.Double(), nullable=False),
        sa.Column("practice_clips", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("instructions", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_labeling_rounds_corpus_id_corpora")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labeling_rounds")),
        sa.UniqueConstraint("name", name=op.f("uq_labeling_rounds_name")),
    )
    op.create_index(op.f("ix_labeling_rounds_corpus_id"), "labeling_rounds", ["corpus_id"], unique=False)

    op.create_table(
        "assignments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.Integer(), nullable=False),
        sa.Column("clip_id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("freed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('vote', 'adjudication', 'repeat', 'practice')", name=op.f("ck_assignments_kind_known")
        ),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name=op.f("fk_assignments_clip_id_clips")),
        sa.ForeignKeyConstraint(["rater_id"], ["raters.id"], name=op.f("fk_assignments_rater_id_raters")),
        sa.ForeignKeyConstraint(
            ["round_id"], ["labeling_rounds.id"], name=op.f("fk_assignments_round_id_labeling_rounds")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
    )
    op.create_index(op.f("ix_assignments_clip_id"), "assignments", ["clip_id"], unique=False)
    op.create_index(
        "ix_assignments_rater_position", "assignments", ["rater_id", "round_id", "position"], unique=False
    )
    op.create_index(op.f("ix_assignments_round_id"), "assignments", ["round_id"], unique=False)
    op.create_index(
        "uq_assignments_one_rater_per_slot",
        "assignments",
        ["round_id", "clip_id", "slot"],
        unique=True,
        sqlite_where=sa.text("slot IS NOT NULL AND freed_at IS NULL"),
        postgresql_where=sa.text("slot IS NOT NULL AND freed_at IS NULL"),
    )
    op.create_index(
        "uq_assignments_one_vote_per_rater",
        "assignments",
        ["round_id", "clip_id", "rater_id"],
        unique=True,
        sqlite_where=sa.text("kind IN ('vote', 'adjudication') AND freed_at IS NULL"),
        postgresql_where=sa.text("kind IN ('vote', 'adjudication') AND freed_at IS NULL"),
    )

    op.create_table(
        "ratings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("assignment_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("client_key", sa.String(length=64), nullable=False),
        sa.Column("emotion", sa.String(length=16), nullable=True),
        sa.Column("intensity", sa.Integer(), nullable=True),
        sa.Column("problem", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("plays", sa.Integer(), nullable=False),
        sa.Column("coverage", sa.Double(), nullable=False),
        sa.Column("watched_s", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "emotion IN ('happy', 'angry', 'sadness', 'neutral')", name=op.f("ck_ratings_emotion_known")
        ),
        sa.CheckConstraint(
            "problem IN ('cannot_tell', 'broken_clip')", name=op.f("ck_ratings_problem_known")
        ),
        sa.CheckConstraint(
            "(problem IS NULL AND emotion IS NOT NULL AND intensity IS NOT NULL)"
            " OR (problem IS NOT NULL AND emotion IS NULL AND intensity IS NULL)",
            name=op.f("ck_ratings_answer_or_problem"),
        ),
        sa.CheckConstraint("intensity BETWEEN 1 AND 5", name=op.f("ck_ratings_intensity_1_to_5")),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignments.id"], name=op.f("fk_ratings_assignment_id_assignments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ratings")),
        sa.UniqueConstraint("assignment_id", "revision", name=op.f("uq_ratings_assignment_id_revision")),
        sa.UniqueConstraint("client_key", name=op.f("uq_ratings_client_key")),
    )
    op.create_index(op.f("ix_ratings_assignment_id"), "ratings", ["assignment_id"], unique=False)


def _releases() -> None:
    """Label releases, and splits made from them."""
    op.create_table(
        "label_releases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("policy", sa.String(length=16), nullable=False),
        sa.Column("minimum_votes", sa.Integer(), nullable=False),
        sa.Column("allow_partial", sa.Boolean(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("ratings_sha256", sa.String(length=64), nullable=False),
        sa.Column("n_ratings", sa.Integer(), nullable=False),
        sa.Column("n_ties", sa.Integer(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_label_releases_corpus_id_corpora")
        ),
        sa.ForeignKeyConstraint(
            ["round_id"], ["labeling_rounds.id"], name=op.f("fk_label_releases_round_id_labeling_rounds")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_releases")),
        sa.UniqueConstraint("corpus_id", "name", name=op.f("uq_label_releases_corpus_id_name")),
    )
    op.create_index(op.f("ix_label_releases_corpus_id"), "label_releases", ["corpus_id"], unique=False)
    op.create_index(op.f("ix_label_releases_round_id"), "label_releases", ["round_id"], unique=False)

    op.create_table(
        "release_labels",
        sa.Column("release_id", sa.Integer(), nullable=False),
        sa.Column("clip_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=16), nullable=True),
        sa.Column("tie", sa.Boolean(), nullable=False),
        sa.Column("n_votes", sa.Integer(), nullable=False),
        sa.Column("happy", sa.Integer(), nullable=False),
        sa.Column("angry", sa.Integer(), nullable=False),
        sa.Column("sadness", sa.Integer(), nullable=False),
        sa.Column("neutral", sa.Integer(), nullable=False),
        sa.Column("mean_intensity", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name=op.f("fk_release_labels_clip_id_clips")),
        sa.ForeignKeyConstraint(
            ["release_id"], ["label_releases.id"], name=op.f("fk_release_labels_release_id_label_releases")
        ),
        sa.PrimaryKeyConstraint("release_id", "clip_id", name=op.f("pk_release_labels")),
    )

    op.create_table(
        "release_subjects",
        sa.Column("release_id", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("score_low", sa.Double(), nullable=True),
        sa.Column("score_high", sa.Double(), nullable=True),
        sa.Column("n_ratings", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"], ["label_releases.id"], name=op.f("fk_release_subjects_release_id_label_releases")
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name=op.f("fk_release_subjects_subject_id_subjects")
        ),
        sa.PrimaryKeyConstraint("release_id", "subject_id", name=op.f("pk_release_subjects")),
    )

    op.create_table(
        "splits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("release_id", sa.Integer(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_splits_corpus_id_corpora")),
        sa.ForeignKeyConstraint(
            ["release_id"], ["label_releases.id"], name=op.f("fk_splits_release_id_label_releases")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_splits")),
        sa.UniqueConstraint("corpus_id", "name", name=op.f("uq_splits_corpus_id_name")),
    )
    op.create_index(op.f("ix_splits_corpus_id"), "splits", ["corpus_id"], unique=False)

    op.create_table(
        "split_members",
        sa.Column("split_id", sa.Integer(), nullable=False),
        sa.Column("clip_id", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.CheckConstraint(
            "part IN ('train', 'validation', 'biwi-a', 'biwi-b')", name=op.f("ck_split_members_part_known")
        ),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name=op.f("fk_split_members_clip_id_clips")),
        sa.ForeignKeyConstraint(["split_id"], ["splits.id"], name=op.f("fk_split_members_split_id_splits")),
        sa.PrimaryKeyConstraint("split_id", "clip_id", name=op.f("pk_split_members")),
    )
