"""`python3 -m tests`: set up and run the tests. Arguments go to pytest, for example `-k ratings`.

Some tests need Chromium, a PostgreSQL server or a software OpenGL. What is missing is named, and these tests are
skipped; `--install-system` installs it first (Debian and Ubuntu, as root; CI=true does the same).
"""

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

if not __package__:  # run as a folder, `python3 path/to/tests`: let `workbench` be found
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from workbench import bootstrap

EXTRAS = ["dev", "postgres"]
INSTALL = "--install-system"


def run_tests(arguments: "list[str]") -> int:
    """Run pytest in this environment; returns only if it could not be started. Raises SetUpFailed."""
    wanted = INSTALL in arguments or os.environ.get("CI") == "true"
    missing = missing_packages()
    if missing and wanted and can_install():
        install(missing)
    elif missing:
        print(
            f"-- Some tests will be skipped: they want {', '.join(missing)}. "
            f"On Debian: apt-get install {' '.join(missing)}",
            flush=True,
        )
    arguments = [argument for argument in arguments if argument != INSTALL] or in_parallel()
    # Tests have data roots of their own; a lab's must not be in reach.
    variables = {k: v for k, v in bootstrap.environment().items() if not k.startswith("EAVANET_")}
    return bootstrap.hand_over([sys.executable, "-m", "pytest"] + arguments, variables)


def in_parallel() -> "list[str]":
    """Two files at a time for the whole suite, where there are processors for it; a file's tests stay together."""
    return ["-n", "2", "--dist", "loadfile"] if (os.cpu_count() or 1) > 1 else []


def missing_packages() -> "list[str]":
    """Debian's names of the system packages that some tests want and that are not there."""
    from tests import conftest, postgres_server

    missing = []
    if conftest.find_chromium() is None:
        missing.append("chromium")
    try:
        postgres_server.find_binaries()
    except postgres_server.Unavailable:
        missing.append("postgresql")
    if sys.platform == "linux" and ctypes.util.find_library("EGL") is None:
        missing += ["libegl1", "libgl1-mesa-dri"]
    return missing


def can_install() -> bool:
    """Whether this is Debian or a relative, and we may install packages."""
    return shutil.which("apt-get") is not None and hasattr(os, "geteuid") and os.geteuid() == 0


def install(packages: "list[str]") -> None:
    """Install Debian packages; a failure is said and not fatal: the tests that need them are skipped."""
    print(f"-- Installing {', '.join(packages)}", flush=True)
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["update"], ["install", "--yes", "--no-install-recommends"] + packages):
        if subprocess.call(["apt-get", "-qq"] + command, env=quiet, stdout=subprocess.DEVNULL):
            print(f"-- apt-get {command[0]} failed; going on without", flush=True)
            return


if __name__ == "__main__":
    sys.exit(bootstrap.run("tests", EXTRAS, run_tests))
