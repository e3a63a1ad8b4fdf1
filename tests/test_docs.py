"""What the documents say is true: files, commands, names and links."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import readme_tree

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_lists_every_file_as_it_describes_itself():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme_tree.written(readme) == readme_tree.render(), "run `python -m tests.readme_tree`"


def test_every_module_says_what_it_is():
    undescribed = [path for package in readme_tree.PACKAGES for path in (ROOT / package).rglob("*.py")
                   if not readme_tree._first_line(path)]
    assert undescribed == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_pictures_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def commands() -> set[str]:
    """The modules that the documents run with `python -m`."""
    text = "\n".join(document.read_text("utf-8") for document in DOCUMENTS)
    named = set(re.findall(r"python3? -m ([a-z_]+(?:\.[a-z0-9_]+)*)", text))
    return named - {"workbench", "tests", "pip"}  # the first two do not return, or run what is running


@pytest.mark.parametrize("module", sorted(commands()))
def test_every_command_in_the_documents_runs_and_helps(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_the_table_of_the_papers_words_names_what_exists():
    readme = (ROOT / "README.md").read_text("utf-8")
    table = readme[readme.index("## The paper's words") :]
    names = re.findall(r"`((?:db|labeling|eavanet|evaluation|workbench)\.[\w.]+)`", table)
    assert len(names) >= 8
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
