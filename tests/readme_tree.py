"""The README's list of files, made from the first line of each module's docstring.

    python -m tests.readme_tree     writes it into README.md
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("db", "labeling", "eavanet", "evaluation", "workbench")
BEGIN, END = "<!-- tree -->", "<!-- end of tree -->"


def render() -> str:
    """The tree as Markdown: a heading line per package, then a line per file."""
    lines = []
    for package in PACKAGES:
        lines += ["", f"**`{package}/`** {_first_line(ROOT / package / '__init__.py')}", ""]
        files = sorted((ROOT / package).rglob("*.py"), key=lambda path: (path.parent != ROOT / package, str(path)))
        for path in files:
            if path.name == "__init__.py" and path.parent == ROOT / package or "versions" in path.parts:
                continue
            name = path.relative_to(ROOT / package)
            shown = f"{name.parent}/" if path.name == "__init__.py" else str(name)
            lines.append(f"- `{shown}` {_first_line(path)}")
    return "\n".join([BEGIN, *lines, "", END])


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return docstring.split("\n\n")[0].replace("\n", " ").strip()


def written(readme: str) -> str:
    """The part of the README that `render` makes."""
    return readme[readme.index(BEGIN) : readme.index(END) + len(END)]


if __name__ == "__main__":
    path = ROOT / "README.md"
    text = path.read_text("utf-8")
    path.write_text(text.replace(written(text), render()), "utf-8")
