"""Studies: what was frozen, who takes part, what they were shown and what they answered."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Rows of these are only ever added.
APPEND_ONLY = ("study_watching", "study_responses")
FROZEN = "design, design_sha256, name, version, kind, corpus_id, launched_at"  # of a launched study


def upgrade() -> None:
    """Make the tables, and the triggers that keep answers and launched designs from being changed."""
    _design()
    _people()
    _answers()
    _guard()


def _design() -> None:
    """The studies, their systems, clips and films."""
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("design", sa.JSON(), nullable=False),
        sa.Column("design_sha256", sa.String(length=64), nullable=True),
        sa.Column("open_token_sha256", sa.String(length=64), nullable=True),
        sa.Column("launch_job_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("launched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unblinded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('ab', 'mos')", name=op.f("ck_studies_kind_known")),
        sa.CheckConstraint("status IN ('draft', 'running', 'paused', 'closed')", name=op.f("ck_studies_status_known")),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_studies_corpus_id_corpora")),
        sa.ForeignKeyConstraint(["launch_job_id"], ["jobs.id"], name=op.f("fk_studies_launch_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_studies_name_version")),
        sa.UniqueConstraint("open_token_sha256", name=op.f("uq_studies_open_token_sha256")),
    )
    op.create_index(op.f("ix_studies_corpus_id"), "studies", ["corpus_id"], unique=False)

    op.create_table(
        "study_systems",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("set_id", sa.Integer(), nullable=True),
        sa.Column("set_sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["set_id"], ["prediction_sets.id"], name=op.f("fk_study_systems_set_id_prediction_sets")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_systems_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_systems")),
        sa.UniqueConstraint("study_id", "name", name=op.f("uq_study_systems_study_id_name")),
    )
    op.create_index(op.f("ix_study_systems_study_id"), "study_systems", ["study_id"], unique=False)

    op.create_table(
        "study_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("clip_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint("role IN ('main', 'practice')", name=op.f("ck_study_items_role_known")),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name=op.f("fk_study_items_clip_id_clips")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_items_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_items")),
        sa.UniqueConstraint("study_id", "clip_id", name=op.f("uq_study_items_study_id_clip_id")),
    )
    op.create_index(op.f("ix_study_items_clip_id"), "study_items", ["clip_id"], unique=False)
    op.create_index(op.f("ix_study_items_study_id"), "study_items", ["study_id"], unique=False)

    op.create_table(
        "study_stimuli",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("system_id", sa.Integer(), nullable=False),
        sa.Column("shifted", sa.Boolean(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("n_bytes", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["study_items.id"], name=op.f("fk_study_stimuli_item_id_study_items")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_stimuli_study_id_studies")),
        sa.ForeignKeyConstraint(
            ["system_id"], ["study_systems.id"], name=op.f("fk_study_stimuli_system_id_study_systems")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_stimuli")),
        sa.UniqueConstraint("item_id", "system_id", "shifted", name=op.f("uq_study_stimuli_item_id_system_id_shifted")),
    )
    op.create_index(op.f("ix_study_stimuli_study_id"), "study_stimuli", ["study_id"], unique=False)
    op.create_index(op.f("ix_study_stimuli_system_id"), "study_stimuli", ["system_id"], unique=False)


def _people() -> None:
    """Who takes part, and their places in the order design."""
    op.create_table(
        "study_participants",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("pseudonym", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=True),
        sa.Column("crowd_sha256", sa.String(length=64), nullable=True),
        sa.Column("session_sha256", sa.String(length=64), nullable=True),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("slot_number", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sound_checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("instructions_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completion_code", sa.String(length=64), nullable=True),
        sa.CheckConstraint(
            "source IN ('personal', 'open', 'prolific', 'test', 'simulated')",
            name=op.f("ck_study_participants_source_known"),
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_participants_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_participants")),
        sa.UniqueConstraint("study_id", "crowd_sha256", name=op.f("uq_study_participants_study_id_crowd_sha256")),
        sa.UniqueConstraint("study_id", "pseudonym", name=op.f("uq_study_participants_study_id_pseudonym")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_study_participants_token_sha256")),
    )
    op.create_index(op.f("ix_study_participants_study_id"), "study_participants", ["study_id"], unique=False)

    op.create_table(
        "study_slots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("participant_id", sa.Integer(), nullable=True),
        sa.Column("lease_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["participant_id"], ["study_participants.id"], name=op.f("fk_study_slots_participant_id_study_participants")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_slots_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_slots")),
        sa.UniqueConstraint("participant_id", name=op.f("uq_study_slots_participant_id")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_study_slots_study_id_number")),
    )
    op.create_index(op.f("ix_study_slots_study_id"), "study_slots", ["study_id"], unique=False)


def _answers() -> None:
    """What was shown and watched, and the answers."""
    op.create_table(
        "study_trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("block", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("left_id", sa.Integer(), nullable=False),
        sa.Column("right_id", sa.Integer(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('main', 'practice', 'catch')", name=op.f("ck_study_trials_role_known")),
        sa.ForeignKeyConstraint(["left_id"], ["study_stimuli.id"], name=op.f("fk_study_trials_left_id_study_stimuli")),
        sa.ForeignKeyConstraint(
            ["participant_id"],
            ["study_participants.id"],
            name=op.f("fk_study_trials_participant_id_study_participants"),
        ),
        sa.ForeignKeyConstraint(
            ["right_id"], ["study_stimuli.id"], name=op.f("fk_study_trials_right_id_study_stimuli")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_trials")),
        sa.UniqueConstraint("participant_id", "number", name=op.f("uq_study_trials_participant_id_number")),
    )

    op.create_table(
        "study_views",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("tab", sa.String(length=64), nullable=False),
        sa.Column("left_token", sa.String(length=32), nullable=False),
        sa.Column("right_token", sa.String(length=32), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["trial_id"], ["study_trials.id"], name=op.f("fk_study_views_trial_id_study_trials")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_views")),
        sa.UniqueConstraint("left_token", name=op.f("uq_study_views_left_token")),
        sa.UniqueConstraint("right_token", name=op.f("uq_study_views_right_token")),
        sa.UniqueConstraint("trial_id", "tab", name=op.f("uq_study_views_trial_id_tab")),
    )

    op.create_table(
        "study_watching",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("view_id", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("plays", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Integer(), nullable=False),
        sa.Column("watched_ms", sa.Integer(), nullable=False),
        sa.Column("stalls", sa.Integer(), nullable=False),
        sa.Column("hidden_ms", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["view_id"], ["study_views.id"], name=op.f("fk_study_watching_view_id_study_views")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_watching")),
    )
    op.create_index("ix_study_watching_of_view", "study_watching", ["view_id", "side"], unique=False)

    op.create_table(
        "study_responses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("question", sa.String(length=32), nullable=False),
        sa.Column("preferred", sa.String(length=8), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("plays_left", sa.Integer(), nullable=False),
        sa.Column("plays_right", sa.Integer(), nullable=False),
        sa.Column("watched_ms", sa.Integer(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("stalls", sa.Integer(), nullable=False),
        sa.Column("hidden_ms", sa.Integer(), nullable=False),
        sa.Column("answer_ms", sa.Integer(), nullable=False),
        sa.Column("viewport", sa.String(length=16), nullable=False),
        sa.Column("browser", sa.String(length=200), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("preferred IN ('left', 'right', 'none')", name=op.f("ck_study_responses_preferred_known")),
        sa.CheckConstraint(
            "(preferred IS NULL) <> (score IS NULL)", name=op.f("ck_study_responses_preference_or_score")
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["study_trials.id"], name=op.f("fk_study_responses_trial_id_study_trials")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_responses")),
        sa.UniqueConstraint("trial_id", "question", name=op.f("uq_study_responses_trial_id_question")),
    )


def _guard() -> None:
    """Let the database itself refuse to change answers, and the design of a study that was launched."""
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for action in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuse_{action.lower()} BEFORE {action} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {action} refused'); END"
                )
        for action in (f"UPDATE OF {FROZEN}", "DELETE"):
            op.execute(
                f"CREATE TRIGGER studies_refuse_{action.split()[0].lower()} BEFORE {action} ON studies "
                "WHEN OLD.launched_at IS NOT NULL "
                "BEGIN SELECT RAISE(ABORT, 'studies: a launched one is frozen; make a new version'); END"
            )
        return
    for table in APPEND_ONLY:  # the function refuse_change is of 0001
        op.execute(
            f"CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        f"CREATE TRIGGER studies_refuse_change BEFORE UPDATE OF {FROZEN} OR DELETE ON studies FOR EACH ROW "
        "WHEN (OLD.launched_at IS NOT NULL) EXECUTE FUNCTION refuse_change()"
    )
