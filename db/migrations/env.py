"""Alembic runs this to set itself up; `db.migrations` hands it a connection that is in a transaction."""

from alembic import context

from db import result_models, study_models  # noqa: F401  their tables are part of the metadata
from db.models import Base, UtcDateTime


def render_item(kind: str, item: object, _autogen) -> str | bool:
    """How a draft writes our own column type: a migration must not change when the models' code does."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    compare_type=True,
    compare_server_default=True,
    render_item=render_item,
    # SQLite cannot change a table in place; Alembic copies it into a new one.
    render_as_batch=connection.dialect.name == "sqlite",
    # SQLite's tables, too, can be changed in a transaction: the whole upgrade happens or none of it.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
