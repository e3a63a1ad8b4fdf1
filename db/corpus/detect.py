"""Which of the known layouts a folder has, and a word about those that are recognised but not read."""

import re
from pathlib import Path

from db.corpus.errors import UnusableCorpus

_KINECT = re.compile(r"frame_\d+_(rgb\.png|depth\.bin|pose\.txt)")
EXPECTED = (
    "expected either vertices_npy/ with wav/, templates.pkl and a .ply file (the peers' layout), or faces/ with "
    "rigid_scans/ and audio/ or videos/ (the corpus as distributed)"
)
_OTHERS = {
    "codetalker": "these are CodeTalker's intermediate files (.mat); import the folder that its preprocessing wrote "
    "from them (vertices_npy/), or the distributed corpus that they came from",
    "unitalker": "this is UniTalker's layout (an index in .json with id_template.npy); import the corpus that it was "
    "made from",
    "kinect": "this is the Biwi Kinect Head Pose Database: pictures and head poses, without speech or meshes of the "
    "face. The corpus of the paper is the Biwi 3D Audiovisual Corpus of Affective Communication (B3D(AC)^2)",
}


def detect_layout(folder: Path, wanted: str | None = None) -> str:
    """ "peers" or "raw". Raises UnusableCorpus if `folder` is neither, or both and `wanted` does not say which."""
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UnusableCorpus(f"{folder}: {found}; expected the folder of a corpus")
    layouts = [name for name, mark in (("peers", "vertices_npy"), ("raw", "faces")) if (folder / mark).is_dir()]
    if wanted:
        if wanted not in layouts:
            raise UnusableCorpus(f"{folder}: not in the {wanted} layout; {EXPECTED}")
        return wanted
    if len(layouts) == 2:
        raise UnusableCorpus(f"{folder}: holds vertices_npy/ and faces/; say which to read with --layout peers or raw")
    if layouts:
        return layouts[0]
    other = _recognise(folder)
    raise UnusableCorpus(f"{folder}: {_OTHERS[other] if other else _describe(folder)}")


def _recognise(folder: Path) -> str | None:
    # Two levels down is where these sets keep their files; looking everywhere could take minutes.
    for depth in ("", "*/", "*/*/"):
        if any(_KINECT.fullmatch(path.name) for path in folder.glob(f"{depth}frame_*_*.*")):
            return "kinect"
    if any(any(folder.glob(f"{depth}id_template.npy")) for depth in ("", "*/", "*/*/")):
        return "unitalker"
    if any(folder.glob("*/vert/*/*.mat")) or any(folder.glob("data/*/vert/*/*.mat")):
        return "codetalker"
    return None


def _describe(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("."))
    found = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"
    inside = next((name for name in names if (folder / name / "vertices_npy").is_dir()), None)
    hint = f" Did you mean {folder / inside}?" if inside else ""
    return f"holds {found}; {EXPECTED}.{hint}"
