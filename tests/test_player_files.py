"""The player's files and its Python side, without a browser."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from workbench import player
from workbench.player import PlayerSource, static_files


def test_the_bundle_was_built_from_these_sources():
    folder = Path(player.__file__).parent
    digest = hashlib.sha256()
    for path in [folder / "package.json", *sorted((folder / "src").iterdir(), key=lambda path: path.name)]:
        digest.update(path.read_bytes())
    (bundle,) = static_files().values()
    first_line = bundle.read_text("utf-8").split("\n", 1)[0]
    assert first_line == f"// sources {digest.hexdigest()}", "run `npm install && npm run build` in workbench/player"


def test_the_name_of_the_bundle_changes_with_its_content():
    ((name, path),) = static_files().items()
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in name


def test_the_licence_of_three_lies_beside_the_bundle():
    licence = (Path(player.__file__).parent / "static" / "three-LICENSE.txt").read_text("utf-8")
    assert "MIT License" in licence and "three.js authors" in licence
    assert "MIT licence" in next(iter(static_files().values())).read_text("utf-8")[:400]


def test_every_text_is_used_and_every_used_text_exists():
    folder = Path(player.__file__).parent
    code = "".join(path.read_text("utf-8") for path in [*folder.glob("src/*.js"), folder / "mount.js"])
    texts = json.loads((folder / "texts.json").read_text("utf-8"))
    for key in texts:
        assert key in code or key.startswith("error_") and f'"{key[6:]}"' in code, f"{key} is shown nowhere"
    for key in re.findall(r"texts\.(\w+)", code):
        assert key in texts


def test_sources_and_options_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="needs both playback_url and topology_url"):
        PlayerSource("1", "media/a", None, None, None, 25.0)
    with pytest.raises(ValueError, match="frames_per_second is 0"):
        PlayerSource("1", None, None, None, "media/v", 0)
    source = PlayerSource("1", None, None, None, "media/v", 25.0)
    with pytest.raises(ValueError, match="player texts: plya unknown"):
        player.player(source, key="p", texts={"plya": "Spielen"})
    with pytest.raises(ValueError, match="player events: seen unknown"):
        player.player(source, key="p", events=["seen"])
