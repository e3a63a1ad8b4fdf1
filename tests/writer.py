"""A process that writes to the database until it is killed, for tests of what survives."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Says each number after the commit, and goes on until it is killed.
WRITER = """
import itertools, sys
from db import events
from db.session import open_database, writing
engine = open_database()
for number in itertools.count():
    with writing(engine) as session:
        events.record(session, sys.argv[1], "counted", {"number": number})
    print(number, flush=True)
"""


def start_writer(actor: str) -> subprocess.Popen:
    """Start it on the database that the environment names; its standard output says what it has committed."""
    return subprocess.Popen([sys.executable, "-c", WRITER, actor], cwd=ROOT, stdout=subprocess.PIPE, text=True)
