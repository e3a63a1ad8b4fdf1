"""Set-up from a checkout, with nothing but Python: what `python3 -m workbench` and `python3 -m tests` share.

Makes `.venv` if it is missing or out of date, installs the project into it, and hands over to it. An interpreter that
has all that `pyproject.toml` asks for is used as it is. Only the standard library is imported here, and the syntax
is old enough for Python 3.6, so that an old interpreter can say what it needs instead of failing on a parse.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "eavanet-stamp.json"  # what was installed; written last, so a half-made environment has none
INSTALLED = "EAVANET_INSTALLED"  # in the environment of who is handed over to: do not set up again and again
SPACE_GB = 2.5  # for the environment without CUDA; pip's own message follows where that is not enough


class SetUpFailed(Exception):
    """The set-up cannot go on; the message says why and what to do."""


def run(module: str, extras: "list[str]", then: "Callable[[list[str]], int]") -> int:
    """Call `then(arguments)` in an environment with the project and `extras`, making it where needed.

    `module` is what runs again inside the new environment. Returns the exit status for the shell.
    """
    try:
        check_python()
        missing = missing_requirements(extras)
        if not missing:
            return then(sys.argv[1:])
        if os.environ.get(INSTALLED) == str(ROOT):
            lost = ", ".join(missing)
            raise SetUpFailed(f"The set-up ended well, but {lost} cannot be found. Remove {VENV} and try again.")
        with _one_at_a_time():
            python, installed = prepare(extras)
        variables = environment()
        if installed:
            variables[INSTALLED] = str(ROOT)
        return hand_over([python, "-m", module] + sys.argv[1:], variables)
    except SetUpFailed as why:
        print(f"\n{why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


def check_python() -> None:
    """Raise SetUpFailed if this interpreter is too old; the message names a newer one if there is one."""
    if sys.version_info[:2] >= OLDEST:
        return
    newer = [f"python3.{minor}" for minor in range(20, OLDEST[1] - 1, -1)]
    found = next((name for name in newer if shutil.which(name)), None)
    hint = f"Try {found} instead of python3." if found else "See python.org/downloads, or your system's packages."
    raise SetUpFailed(
        f"This needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {platform.python_version()}. {hint}"
    )


# What is installed ----------------------------------------------------------------------------------------------


def requirements(extras: "list[str]") -> "list[str]":
    """What `pyproject.toml` asks for, torch first."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["dependencies"] + [r for e in extras for r in project["optional-dependencies"][e]]


def missing_requirements(extras: "list[str]") -> "list[str]":
    """The requirements that this interpreter does not meet."""
    from importlib import metadata

    try:
        from packaging.requirements import Requirement
    except ImportError:  # streamlit needs it too: without it, this is not our environment
        return requirements(extras)
    missing = []
    for line in requirements(extras):
        requirement = Requirement(line)
        try:
            met = requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
        except metadata.PackageNotFoundError:
            met = False
        if not met:
            missing.append(line)
    return missing


def stamp(extras: "list[str]") -> dict:
    """What an environment is made from; it is out of date when this changes."""
    return {
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "python": platform.python_version(),
        "extras": sorted(extras),
    }


def prepare(extras: "list[str]") -> "tuple[str, bool]":
    """Make or complete `.venv`; returns its interpreter, and whether anything was installed. Raises SetUpFailed."""
    python = str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    written = _read_stamp()
    wanted = stamp(extras)
    same = all(written.get(key) == wanted[key] for key in ("pyproject", "python"))
    if not inside and same and set(extras) <= set(written["extras"]) and _works(python):
        return python, False
    # Extras add up: setting up the tests must not make the next start of the app a new set-up, or the reverse.
    extras = sorted(set(extras) | set(written.get("extras", []) if same else []))
    with contextlib.suppress(OSError):
        STAMP.unlink()
    if not inside and (written.get("python", wanted["python"]) != wanted["python"] or not _works(python)):
        _make_venv()
    _install(python, extras)
    STAMP.write_text(json.dumps(stamp(extras)), "utf-8")
    return python, True


def _read_stamp() -> dict:
    try:
        return json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _works(python: str) -> bool:
    # An interrupted set-up, or a Python that was upgraded away, leaves an environment without pip or interpreter.
    try:
        check = [python, "-c", f"import pip, sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"]
        return subprocess.call(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _make_venv() -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetUpFailed(
            "This Python cannot make a virtual environment: its module venv or ensurepip is missing.\n"
            f"On Debian and Ubuntu: apt-get install python3-venv (or python3.{sys.version_info[1]}-venv)"
        )
    if shutil.disk_usage(str(ROOT)).free < SPACE_GB * 1e9:
        raise SetUpFailed(f"The set-up needs {SPACE_GB} GB in {ROOT}, and less is free. Make room and try again.")
    _say(f"Making the virtual environment {VENV}")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode:
        raise SetUpFailed(f"Could not make {VENV}:\n{made.stdout.decode('utf-8', 'replace').strip()}")


def _install(python: str, extras: "list[str]") -> None:
    torch = requirements([])[0]
    project = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    started = time.time()
    _say(f"Installing {torch} (the largest part; some minutes on a slow line)")
    _pip(python, [torch])
    _say("Installing the workbench and what it needs")
    _pip(python, ["--editable", project])
    _say("Installing the demo corpus's voice (optional)")
    try:
        _pip(python, ["--only-binary", ":all:"] + requirements(["speech"])[len(requirements([])) :], quiet=True)
    except SetUpFailed:
        _say("There is no espeak-ng for this machine: the demo corpus will speak with a simpler voice")
    _say(f"Set up in {time.time() - started:.0f} s")


def _pip(python: str, what: "list[str]", quiet: bool = False) -> None:
    command = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    if quiet or not sys.stdout.isatty():
        command.append("--quiet")
    settings = dict(os.environ, PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_NO_INPUT="1")
    errors = []
    with subprocess.Popen(command + what, stderr=subprocess.PIPE, env=settings) as process:
        for line in process.stderr:
            errors.append(line.decode("utf-8", "replace"))
            if not quiet:
                sys.stderr.write(errors[-1])
                sys.stderr.flush()
    if process.returncode:
        raise SetUpFailed(explain("".join(errors)))


def explain(output: str) -> str:
    """What to do about an installation that failed, from what pip wrote."""
    if re.search(r"No space left on device|Errno 28|Disk quota exceeded", output):
        return "The disk is full. Make room (pip also uses the folder for temporary files) and run this again."
    if re.search(
        r"NewConnectionError|name resolution|Network is unreachable|ConnectTimeout|ConnectionError|ProxyError"
        r"|ReadTimeout|getaddrinfo failed|Connection (refused|reset|broken)",
        output,
    ):
        return (
            "The package index could not be reached. Check the connection (and the proxy: HTTPS_PROXY), then run this "
            "again; what was downloaded is kept."
        )
    found = re.search(r"No matching distribution found for (\S+)", output)
    if found:
        return (
            f"{found.group(1)} cannot be had for Python {platform.python_version()} on {platform.system()} "
            f"{platform.machine()}. If the connection and the package index are all right, try another version of "
            f"Python, from {OLDEST[0]}.{OLDEST[1]} on."
        )
    if re.search(r"Permission denied|Errno 13", output):
        return f"{ROOT} cannot be written to. Use a checkout that belongs to you."
    return "The installation failed; pip's message is above. After mending the cause, run this again."


# Handing over ---------------------------------------------------------------------------------------------------


def environment() -> dict:
    """The environment for the project's processes: they find the packages and the data from any folder."""
    path = [str(ROOT)] + [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(ROOT)]
    # As seen from where the command was typed; without it, the data lie in the checkout.
    data = os.path.abspath(os.path.expanduser(os.environ.get("EAVANET_DATA") or str(ROOT / "data")))
    variables = dict(os.environ, PYTHONPATH=os.pathsep.join(path), EAVANET_DATA=data)
    variables.pop(INSTALLED, None)
    return variables


def hand_over(command: "list[str]", variables: dict) -> int:
    """Become `command`, running in the checkout; its signals and its exit status are then ours."""
    os.chdir(str(ROOT))
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # there, exec would give the prompt back while the command still runs
        return subprocess.call(command, env=variables)
    os.execve(command[0], command, variables)


@contextlib.contextmanager
def _one_at_a_time() -> "Iterator[None]":
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(str(ROOT / ".venv.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("Another set-up is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(message: str) -> None:
    print("-- " + message, flush=True)
