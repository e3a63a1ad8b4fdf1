"""`python3 -m workbench`: set up, make the demo corpus if there is no corpus yet, start the app.

Arguments go to Streamlit, for example `--server.port 8600`.
"""

import os
import subprocess
import sys
from pathlib import Path

if not __package__:  # run as a folder, `python3 path/to/workbench`: let `workbench` be found
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from workbench import bootstrap


def start_app(arguments: "list[str]") -> int:
    """Start the app in this environment; returns only if it could not be started. Raises SetUpFailed."""
    variables = bootstrap.environment()
    # Before the packages are imported that read it.
    os.environ.update(variables)
    if not has_corpus():
        make_demo_corpus(variables)
    app = str(bootstrap.ROOT / "workbench" / "Home.py")
    return bootstrap.hand_over([sys.executable, "-m", "streamlit", "run", app] + arguments, variables)


def has_corpus() -> bool:
    """Whether anything was imported into the data root. Raises SetUpFailed if its database cannot be used."""
    from sqlalchemy import select

    from db.models import Corpus
    from db.session import DatabaseUnusable, open_database, reading

    try:
        engine = open_database()
    except (DatabaseUnusable, OSError) as error:
        raise bootstrap.SetUpFailed(str(error)) from error
    with reading(engine) as session:
        return session.scalar(select(Corpus.id).limit(1)) is not None


def make_demo_corpus(variables: dict) -> None:
    """Make and import the demo corpus, in a child process that shows its progress. Raises SetUpFailed."""
    print("-- Making the demo corpus (once; about a minute)", flush=True)
    command = [sys.executable, "-m", "db.corpus", "demo"]
    if subprocess.call(command, env=variables, cwd=str(bootstrap.ROOT)):
        raise bootstrap.SetUpFailed(
            "The demo corpus could not be made; the message above says why. `python -m db.corpus demo` tries again, "
            "`streamlit run workbench/Home.py` starts the app without it."
        )


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        sys.exit(0)
    sys.exit(bootstrap.run("workbench", [], start_app))
