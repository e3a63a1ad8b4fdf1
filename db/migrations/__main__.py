"""For who changes the tables: `python -m db.migrations revision "what changes"` drafts the next migration.

The draft is the difference between `db.models` and the migrations so far, found on a database in memory.
"""

import argparse

from alembic import command
from sqlalchemy import create_engine

from db.migrations import HEAD, alembic_config


def draft(message: str) -> str:
    """Write the next migration's draft under `versions/`; returns its path."""
    with create_engine("sqlite://").begin() as connection:
        config = alembic_config(connection)
        command.upgrade(config, "head")
        script = command.revision(config, message, autogenerate=True, rev_id=f"{int(HEAD) + 1:04d}")
    return script.path


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m db.migrations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    revision = commands.add_parser("revision", help="draft a migration from the present models")
    revision.add_argument("message", help='what changes, e.g. "add raters.email"')
    path = draft(parser.parse_args().message)
    print(f"{path}\nRead it, mend it, set HEAD in db/migrations/__init__.py, and run the tests.")


if __name__ == "__main__":
    main()
