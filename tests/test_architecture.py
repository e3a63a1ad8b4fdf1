"""The rooms and the arrows between them, read from the imports; and what keeps the tree readable."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("db", "labeling", "eavanet", "evaluation", "workbench")
# Each room may import these rooms, and no others.
ARROWS = {
    "db": {"db"},
    "labeling": {"db", "labeling"},
    "eavanet": {"db", "eavanet"},
    "evaluation": {"db", "evaluation"},
    "workbench": set(ROOMS),
}
HEAVY = ("torch", "transformers", "librosa", "pyvista", "vtk", "numba")  # never in the app's process
NOT_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "tools"}
LONGEST_FILE = 500  # lines
# What the models need is installed with the project, whether or not every one of them is there yet.
NOT_IMPORTED = {"torch", "transformers", "safetensors", "pyvista"}


def modules(*rooms: str) -> list[Path]:
    """The Python files of these rooms."""
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def imported_packages(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = path.relative_to(ROOT).parts[: -node.level]  # of a relative import
            found.add(inside[0] if node.level else node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_that_it_may(room: str):
    for path in modules(room):
        forbidden = imported_packages(path) & set(ROOMS) - ARROWS[room]
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def test_only_the_workbench_imports_streamlit():
    for path in modules("db", "labeling", "eavanet", "evaluation"):
        assert "streamlit" not in imported_packages(path), path


def test_data_labels_and_scores_need_no_models():
    for path in modules("db", "labeling", "evaluation"):
        assert not imported_packages(path) & {"torch", "transformers"}, path


def test_nothing_but_tests_imports_tests():
    for path in modules(*ROOMS):
        assert not imported_packages(path) & {"tests", "pytest", "hypothesis", "playwright"}, path


def page_modules() -> list[str]:
    """All modules of the workbench that the app can import."""
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules("workbench")
        if path.name not in ("__main__.py", "Home.py")
    ]


def test_the_app_never_loads_what_makes_it_slow():
    # A full garbage collection takes 265 ms with these loaded, and every rater waits for it.
    code = (
        f"import importlib, sys\nfor name in {page_modules()!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.split() == []


def test_files_are_short_and_well_named():
    for path in modules(*ROOMS, "tests", "benchmarks"):
        lines = path.read_text("utf-8").count("\n")
        assert lines <= LONGEST_FILE, f"{path.relative_to(ROOT)}: {lines} lines"
        odd = NOT_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)
        assert not odd, f"{path.relative_to(ROOT)}: name it after what it holds"


def test_files_say_what_they_are():
    silent = [
        str(path.relative_to(ROOT))
        for path in modules(*ROOMS, "tests", "benchmarks")
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == [], "no docstring at the top"


def test_public_functions_and_classes_say_what_they_do():
    silent = []
    for path in modules(*ROOMS):
        for node in ast.parse(path.read_text("utf-8")).body:
            documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if documented and not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert silent == []


def test_nothing_in_a_room_shadows_a_room():
    # Streamlit puts the app's folder first on the path.
    for folder in ("workbench", "tests"):
        names = {path.stem for path in (ROOT / folder).iterdir()}
        assert not names & set(ROOMS), folder


def tracked_files() -> list[Path]:
    """Text files of the repository; what git ignores is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    text = (".py", ".md", ".toml", ".txt", ".js", ".mjs", ".json", ".css", ".html", ".mako", "")
    return [ROOT / name for name in names if Path(name).suffix in text and (ROOT / name).is_file()]


def test_no_file_knows_the_machine_that_it_was_written_on():
    # Spelled in parts, so that this file does not find itself.
    places = re.compile("|".join([r"/" + "work/(main|shared|scratch)", r"/" + r"home/\w+/", r"/" + r"Users/\w+/"]))
    for path in tracked_files():
        found = places.search(path.read_text("utf-8", "ignore"))
        assert not found, f"{path.relative_to(ROOT)}: {found.group()}"


# Packaging ------------------------------------------------------------------------------------------------------


def declared(*extras: str) -> set[str]:
    """The distributions that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return {re.match(r"[A-Za-z0-9_.-]+", line).group().lower().replace("_", "-") for line in lines}


def distributions_of(paths: list[Path]) -> set[str]:
    """The installed distributions that these files import from, by their normalised names."""
    known = packages_distributions()
    packages = {name for path in paths for name in imported_packages(path)} - set(ROOMS) - sys.stdlib_module_names
    missing = packages - set(known) - {"espeakng_loader", "tests", "benchmarks", "docs", "psycopg", "submitit"}
    assert not missing, f"imported, and not installed: {missing}"
    return {known[name][0].lower().replace("_", "-") for name in packages if name in known}


def test_what_the_rooms_import_is_asked_for():
    assert distributions_of(modules(*ROOMS)) <= declared("speech", "postgres", "slurm")


def test_what_the_tests_and_benchmarks_import_is_asked_for():
    assert distributions_of(modules("tests", "benchmarks")) <= declared("speech", "postgres", "slurm", "dev")


def test_nothing_is_asked_for_that_nobody_imports():
    assert declared() - distributions_of(modules(*ROOMS)) <= NOT_IMPORTED


def test_every_package_is_installed_with_the_project():
    find = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]["find"]
    assert find["include"] == ["workbench*", "eavanet*", "labeling*", "evaluation*", "db*"]
    for room in ROOMS:
        for folder in {path.parent for path in modules(room)} - {ROOT / "db/migrations/versions"}:
            assert (folder / "__init__.py").exists(), f"{folder.relative_to(ROOT)} is no package"
