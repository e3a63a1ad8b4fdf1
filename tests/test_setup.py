"""Set-up from a checkout: `python3 -m workbench` and `python3 -m tests`, the settings that the app ships with."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

import pytest

from db import access
from db.session import open_database, writing
from tests import __main__ as tests_command
from tests.app_server import AppServer
from workbench import __main__ as workbench_command
from workbench import bootstrap

ROOT = Path(__file__).resolve().parents[1]
OLDER_PYTHONS = ("python3.6", "python3.7", "python3.8", "python3.9", "python3.10")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of a small project without anything to download, which `bootstrap` takes for ours."""
    root = tmp_path / "check out"  # a space, as on many desktops
    (root / "small_project").mkdir(parents=True)
    (root / "small_project" / "__init__.py").touch()
    (root / "pyproject.toml").write_text(
        '[project]\nname = "small"\nversion = "1"\ndependencies = ["small-torch==1"]\n'
        "[project.optional-dependencies]\nspeech = []\ndev = []\n"
    )
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "VENV", root / ".venv")
    monkeypatch.setattr(bootstrap, "STAMP", root / ".venv" / "eavanet-stamp.json")
    return root


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip would have been asked to install; nothing is."""
    asked: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "_pip", lambda python, what, quiet=False: asked.append(what))
    return asked


# What is there --------------------------------------------------------------------------------------------------


def test_this_environment_has_the_project_and_starts_at_once():
    assert bootstrap.missing_requirements(tests_command.EXTRAS) == []
    called = []
    assert bootstrap.run("tests", tests_command.EXTRAS, lambda arguments: called.append(arguments) or 7) == 7
    assert len(called) == 1


def test_a_requirement_of_another_version_is_missing(checkout: Path):
    (checkout / "pyproject.toml").write_text(
        '[project]\nname = "small"\ndependencies = ["pytest>=1", "numpy==0.1", "no-such-package"]\n'
    )
    assert bootstrap.missing_requirements([]) == ["numpy==0.1", "no-such-package"]


def test_torch_is_the_first_requirement_and_pinned():
    assert re.fullmatch(r"torch==[\d.]+", bootstrap.requirements([])[0])


# Making the environment -----------------------------------------------------------------------------------------


def test_the_first_set_up_makes_an_environment_and_installs_torch_first(checkout: Path, installed, capsys):
    python, made = bootstrap.prepare([])
    assert made
    assert Path(python) == checkout / ".venv/bin/python"
    prefix = subprocess.check_output([python, "-c", "import sys; print(sys.prefix)"], text=True).strip()
    assert prefix == str(checkout / ".venv")
    assert installed[:2] == [["small-torch==1"], ["--editable", str(checkout)]]
    assert installed[2][:2] == ["--only-binary", ":all:"]
    assert json.loads((checkout / ".venv/eavanet-stamp.json").read_text())["extras"] == []
    said = capsys.readouterr().out
    assert "Making the virtual environment" in said
    assert "Set up in" in said

    installed.clear()
    assert bootstrap.prepare([]) == (python, False), "a second start installs nothing"
    assert installed == []

    bootstrap.prepare(["dev"])
    assert installed[1] == ["--editable", f"{checkout}[dev]"], "what the tests need on top"
    assert bootstrap.prepare([]) == (python, False), "and the app needs no new set-up after that"
    assert bootstrap.prepare(["dev"]) == (python, False)

    (checkout / "pyproject.toml").write_text((checkout / "pyproject.toml").read_text() + "# another version\n")
    inode = (checkout / ".venv/pyvenv.cfg").stat().st_ino
    assert bootstrap.prepare([])[1], "out of date"
    assert (checkout / ".venv/pyvenv.cfg").stat().st_ino == inode, "brought up to date where it is"


def test_a_half_made_environment_is_made_again(checkout: Path, installed, monkeypatch: pytest.MonkeyPatch):
    venv.create(checkout / ".venv", with_pip=False, symlinks=True)  # as after Ctrl-C in the middle
    made_again = []
    monkeypatch.setattr(bootstrap, "_make_venv", lambda: made_again.append(True))
    assert bootstrap.prepare([])[1]
    assert made_again == [True]


def test_a_set_up_that_failed_is_not_taken_for_finished(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    venv.create(checkout / ".venv", symlinks=True)
    monkeypatch.setattr(bootstrap, "_works", lambda python: True)

    def fail(python, what, quiet=False):
        raise bootstrap.SetUpFailed("no network")

    monkeypatch.setattr(bootstrap, "_pip", fail)
    for _ in range(2):
        with pytest.raises(bootstrap.SetUpFailed, match="no network"):
            bootstrap.prepare([])
        assert not (checkout / ".venv/eavanet-stamp.json").exists()


def test_a_voice_that_cannot_be_had_does_not_stop_the_set_up(checkout: Path, monkeypatch, capsys):
    venv.create(checkout / ".venv", symlinks=True)
    monkeypatch.setattr(bootstrap, "_works", lambda python: True)

    def only_with_the_source(python, what, quiet=False):
        if "--only-binary" in what:
            raise bootstrap.SetUpFailed("no wheel")

    monkeypatch.setattr(bootstrap, "_pip", only_with_the_source)
    assert bootstrap.prepare([])[1]
    assert "will speak with a simpler voice" in capsys.readouterr().out


def test_two_set_ups_at_once_wait_for_each_other(checkout: Path, tmp_path: Path):
    code = f"""
import pathlib, time
from workbench import bootstrap
bootstrap.ROOT = pathlib.Path({str(checkout)!r})
with bootstrap._one_at_a_time():
    log = pathlib.Path({str(tmp_path / "log")!r})
    with log.open("a") as file: file.write("in ")
    time.sleep(0.3)
    with log.open("a") as file: file.write("out ")
"""
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate()[0] for process in running)
    assert "Another set-up is running; waiting for it" in said
    assert (tmp_path / "log").read_text() == "in out in out "


# What it says when something is missing -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def older_python() -> str:
    """The oldest Python 3 that is installed and too old for us."""
    for name in OLDER_PYTHONS:
        if shutil.which(name) and subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode == 0:
            return name
    pytest.skip("no older Python is installed")


@pytest.mark.parametrize("command", [["-m", "workbench"], ["-m", "tests"], [str(ROOT / "workbench")]])
def test_an_older_python_is_told_what_it_needs(older_python: str, command: list[str]):
    ran = subprocess.run([older_python, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert re.fullmatch(r"\nThis needs Python 3\.11 or newer; this is 3\.\d+\.\d+\. \S.+\n", ran.stderr)


def test_what_runs_on_an_older_python_is_written_for_it():
    for file in ("workbench/__init__.py", "workbench/__main__.py", "workbench/bootstrap.py", "tests/__main__.py"):
        ast.parse((ROOT / file).read_text(), feature_version=(3, 6))


def test_an_interpreter_that_is_too_old_hears_of_a_newer_one(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(bootstrap, "OLDEST", (3, 99))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/x" if name == "python3.99" else None)
    assert bootstrap.run("workbench", [], lambda arguments: 0) == 1
    assert "See python.org/downloads" in capsys.readouterr().err
    monkeypatch.setattr(bootstrap, "OLDEST", (3, 15))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/x" if name == "python3.16" else None)
    assert bootstrap.run("workbench", [], lambda arguments: 0) == 1
    assert "Try python3.16 instead of python3." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "The disk is full"),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('<...>: Failed to "
            "establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/torch/\n"
            "ERROR: No matching distribution found for torch==2.13.0",
            "could not be reached.*HTTPS_PROXY",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", r"torch==2.13.0 cannot be had for Python 3\.\d+"),
        ("ERROR: Could not install: [Errno 13] Permission denied: '/x'", "cannot be written to"),
        ("error: subprocess-exited-with-error", "pip's message is above"),
    ],
)
def test_a_failed_installation_is_explained(output: str, message: str):
    assert re.search(message, bootstrap.explain(output))


def test_pip_failing_for_want_of_a_network_is_explained(checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(bootstrap.SetUpFailed, match="could not be reached"):
        bootstrap._pip(sys.executable, ["no-such-package-of-ours==1"])
    assert "NewConnectionError" in capfd.readouterr().err


def test_a_python_without_venv_names_debians_package(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(bootstrap.SetUpFailed, match=r"apt-get install python3-venv \(or python3\.\d+-venv\)"):
        bootstrap.prepare([])


def test_a_full_disk_is_said_before_anything_is_made(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(bootstrap.SetUpFailed, match="Make room and try again"):
        bootstrap.prepare([])
    assert not (checkout / ".venv").exists()


def test_a_set_up_that_did_not_help_does_not_run_for_ever(checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv(bootstrap.INSTALLED, str(checkout))
    assert bootstrap.run("workbench", [], lambda arguments: 0) == 1
    assert "small-torch==1 cannot be found" in capsys.readouterr().err


# Handing over ---------------------------------------------------------------------------------------------------


def test_the_data_lie_where_the_command_was_typed_to_mean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert bootstrap.environment()["EAVANET_DATA"] == str(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    assert bootstrap.environment()["EAVANET_DATA"] == str(ROOT / "data")
    monkeypatch.setenv("EAVANET_DATA", "mine")
    assert bootstrap.environment()["EAVANET_DATA"] == str(tmp_path / "mine")


@pytest.mark.parametrize("how", [["-m", "tests"], [str(ROOT / "tests")]])
def test_the_test_command_passes_its_arguments_on_from_any_folder(tmp_path: Path, how: list[str]):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    chosen = "test_torch_is_the_first_requirement_and_pinned"
    ran = subprocess.run(
        [sys.executable, *how, "-q", "tests/test_setup.py", "-k", chosen], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_the_test_command_installs_system_packages_only_when_told_and_allowed(monkeypatch: pytest.MonkeyPatch, capsys):
    asked: list = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(tests_command, "missing_packages", lambda: ["chromium", "postgresql"])
    monkeypatch.setattr(tests_command, "install", lambda packages: asked.append(packages))
    monkeypatch.setattr(bootstrap, "hand_over", lambda command, variables: asked.append(command) or 0)
    monkeypatch.setattr(tests_command, "can_install", lambda: True)
    tests_command.run_tests(["-x"])
    assert asked.pop() == [sys.executable, "-m", "pytest", "-x"]
    assert asked == []
    assert "apt-get install chromium postgresql" in capsys.readouterr().out
    tests_command.run_tests(["--install-system", "-x"])
    assert asked == [["chromium", "postgresql"], [sys.executable, "-m", "pytest", "-x"]]
    asked.clear()
    monkeypatch.setenv("CI", "true")
    tests_command.run_tests([])
    assert asked[0] == ["chromium", "postgresql"]
    asked.clear()
    monkeypatch.setattr(tests_command, "can_install", lambda: False)
    tests_command.run_tests(["--install-system", "-x"])
    assert asked == [[sys.executable, "-m", "pytest", "-x"]]


@pytest.mark.parametrize(("processors", "expected"), [(1, []), (None, []), (2, ["-n", "2", "--dist", "loadfile"])])
def test_the_whole_suite_runs_two_files_at_a_time_where_two_processors_are(monkeypatch, processors, expected):
    asked: list = []
    monkeypatch.setattr(tests_command, "missing_packages", lambda: [])
    monkeypatch.setattr(bootstrap, "hand_over", lambda command, variables: asked.append(command) or 0)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    tests_command.run_tests([])
    assert asked == [[sys.executable, "-m", "pytest", *expected]]


def test_the_app_command_makes_the_demo_corpus_once(data_root: Path, monkeypatch: pytest.MonkeyPatch, sqlite_engine):
    ran: list = []
    monkeypatch.setattr(workbench_command.subprocess, "call", lambda command, **_: ran.append(command) or 0)
    monkeypatch.setattr(bootstrap, "hand_over", lambda command, variables: ran.append(command) or 0)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    workbench_command.start_app(["--server.port", "8600"])
    assert [command[1:] for command in ran] == [
        ["-m", "db.corpus", "demo"],
        ["-m", "streamlit", "run", str(ROOT / "workbench/Home.py"), "--server.port", "8600"],
    ]
    ran.clear()
    monkeypatch.setattr(workbench_command, "has_corpus", lambda: True)
    workbench_command.start_app([])
    assert len(ran) == 1


def test_the_app_command_says_why_there_is_no_demo_corpus(monkeypatch: pytest.MonkeyPatch, sqlite_engine):
    monkeypatch.setattr(workbench_command.subprocess, "call", lambda command, **_: 1)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with pytest.raises(bootstrap.SetUpFailed, match="could not be made"):
        workbench_command.start_app([])


def test_the_app_command_refuses_a_database_that_it_cannot_use(data_root: Path, monkeypatch: pytest.MonkeyPatch):
    (data_root / "eavanet.sqlite").write_bytes(b"nonsense" * 1000)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with pytest.raises(bootstrap.SetUpFailed, match="no database of the workbench"):
        workbench_command.start_app([])


def test_ctrl_c_during_the_set_up_ends_it_cleanly(checkout: Path):
    # A shell that runs the tests in the background lets its children ignore Ctrl-C; this one shall notice it.
    code = f"""
import pathlib, signal, sys, time
from workbench import bootstrap
signal.signal(signal.SIGINT, signal.default_int_handler)
bootstrap.ROOT = pathlib.Path({str(checkout)!r})
def prepare(extras):
    print("preparing", flush=True)
    time.sleep(30)
bootstrap.prepare = prepare
sys.exit(bootstrap.run("workbench", [], None))
"""
    running = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout.readline() == "preparing\n"
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=10)[1] == "\nStopped. The same command goes on from here.\n"
    assert running.returncode == 130


# The app --------------------------------------------------------------------------------------------------------


def test_importing_the_bootstrap_needs_the_standard_library_only():
    code = "import sys; sys.path.insert(0, '.'); from workbench import bootstrap, __main__; import tests.__main__"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True)


def test_the_shipped_settings_are_safe_and_quick():
    settings = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["headless"] is True
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["runner"]["postScriptGC"] is False
    assert settings["client"]["showErrorDetails"] == "none"


def test_streamlit_knows_every_shipped_setting():
    code = "from streamlit import config; config.get_config_options(); print(config.get_option('runner.postScriptGC'))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
    assert "not a valid config option" not in ran.stderr


def test_the_app_starts_prints_its_link_and_withdraws_it_at_ctrl_c(data_root: Path, running_app: AppServer):
    link = running_app.sign_in_link
    assert link.startswith(running_app.url)
    started = time.monotonic()
    running_app.stop()
    assert time.monotonic() - started < 8
    assert "Traceback" not in running_app.log()
    with writing(open_database()) as session:
        assert access.sign_in_with_link(session, link.partition("token=")[2]) is None
