"""`python -m eavanet.animate --audio speech.wav --emotion angry --intensity 0.3 --out face.npy|.glb|.mp4`

    .npy   (T, 3V) float32, as the peers' predictions
    .glb   glTF with morph targets, for Blender and other 3D programs
    .mp4   a film with the sound; needs pyvista and imageio-ffmpeg, and runs in a process of its own
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sqlalchemy import select
from torch import Tensor

from db import store
from db.clips import load_template
from db.corpus.wav import write_audio
from db.models import Corpus, Subject
from db.session import DatabaseUnusable, open_database, reading
from eavanet.audio import SAMPLE_RATE
from eavanet.checkpoint import Checkpoint, load_checkpoint
from eavanet.distributed import chosen_device
from eavanet.generate import Manner, check_speaks, latent_motion, speaker_index, style_for, vertices
from eavanet.gltf import factored, write_glb
from eavanet.recording import read_recording
from eavanet.run import find_checkpoint

KINDS = (".npy", ".glb", ".mp4")


def main(arguments: list[str] | None = None) -> int:
    """Animate one recording; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        summary = _animate(given)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary) if given.json else _told(summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.animate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio", type=Path, required=True, help="any rate and number of channels")
    parser.add_argument("--emotion", help="EavaNet: happy, angry, sadness or neutral")
    parser.add_argument("--intensity", type=float, default=1.0, help="EavaNet: 0 neutral, 1 the emotion, above it "
                        "exaggerated")
    parser.add_argument("--blend", metavar="SUBJECT", help="FaceFormer and CodeTalker: mix in this speaker's style")
    parser.add_argument("--weight", type=float, default=0.5, help="with --blend: the part of --subject's own style, "
                        "0 to 1 (default: 0.5)")
    parser.add_argument("--out", type=Path, required=True, help="file.npy, file.glb or file.mp4")
    parser.add_argument("--checkpoint", help="a run's name or a folder (default: the newest run's best)")
    parser.add_argument("--subject", help="whose way of speaking; one that the model knows (default: the first)")
    parser.add_argument("--face", help="a subject of the corpus, or a .npy file (V, 3) (default: --subject's)")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser  # fmt: skip


def _animate(given: argparse.Namespace) -> dict:
    if given.out.suffix not in KINDS:
        raise ValueError(f"{given.out}: expected a name that ends in {', '.join(KINDS)}")
    began = time.perf_counter()
    samples = read_recording(given.audio)
    checkpoint = load_checkpoint(find_checkpoint(given.checkpoint), chosen_device(given.device))
    check_speaks(checkpoint)
    model = checkpoint.model
    subject = given.subject or model.config.subjects[0]
    manner = Manner(given.emotion, given.intensity, given.blend, given.weight if given.blend else 1.0)
    speaker, style = speaker_index(model, subject), style_for(model, subject, manner)
    face = template_of(checkpoint, given.face or subject)
    latent = latent_motion(model, samples, speaker, style)
    write = {".npy": write_npy, ".glb": write_glb_file, ".mp4": write_film}[given.out.suffix]
    write(given.out, checkpoint, latent, face, samples)
    return {
        "out": str(given.out),
        "frames": len(latent),
        "frames_per_second": model.config.frames_per_second,
        "audio_s": len(samples) / SAMPLE_RATE,
        "took_s": time.perf_counter() - began,
        "emotion": given.emotion,
        "intensity": given.intensity,
        "exaggerated": given.intensity > 1,
        "system": checkpoint.system.name,
        "subject": subject,
        "blend": given.blend,
        "weight": manner.weight,
        "checkpoint": str(checkpoint.folder),
        "random_encoder": checkpoint.manifest["encoder"]["random"],
    }


def template_of(checkpoint: Checkpoint, name: str) -> np.ndarray:
    """The face (V, 3) float32 called `name`: a subject of the model, a .npy file, or a subject of its corpus.

    Raises ValueError if there is none, or it has another number of vertices than the model's faces.
    """
    config = checkpoint.model.config
    if name in config.subjects:
        return checkpoint.face.templates[config.subjects.index(name)].numpy()
    if name.endswith(".npy"):
        face = np.load(name, allow_pickle=False).astype(np.float32)
        if face.size != 3 * config.n_vertices:
            raise ValueError(f"{name}: shape {face.shape}, the model makes faces of {config.n_vertices} vertices")
        return face.reshape(-1, 3)
    corpus = checkpoint.manifest["corpus"]["name"]
    engine = open_database()
    with reading(engine) as session:
        found = session.scalars(select(Subject).join(Corpus).where(Corpus.name == corpus, Subject.name == name)).first()
        face = None if found is None else load_template(found).astype(np.float32)
    engine.dispose()
    if face is None:
        raise ValueError(f"face {name}: neither a subject of corpus {corpus} nor a .npy file")
    return face


def write_npy(path: Path, checkpoint: Checkpoint, latent: Tensor, face: np.ndarray, _: np.ndarray) -> None:
    """(T, 3V) float32, block by block, so that a long recording needs no more memory than a short one."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(latent), face.size)}
    with store.atomic_write(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in vertices(checkpoint, latent, face):
            file.write(np.ascontiguousarray(block, dtype="<f4").data)


def write_glb_file(path: Path, checkpoint: Checkpoint, latent: Tensor, face: np.ndarray, _: np.ndarray) -> None:
    """glTF: the templates' mesh, the motion as a few morph targets and their weights over time."""
    layer, kept = checkpoint.model.to_vertices, checkpoint.face
    bias = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
    height = float(np.ptp(face[:, 1]))
    with torch.inference_mode():
        arrays = [x.detach().float().cpu().numpy() for x in (latent, layer.weight, bias)]
    colours = None if kept.colours is None else kept.colours.numpy()
    fps = checkpoint.model.config.frames_per_second
    write_glb(path, face, kept.triangles.numpy(), colours, factored(*arrays, height), fps)


def write_film(path: Path, checkpoint: Checkpoint, latent: Tensor, face: np.ndarray, samples: np.ndarray) -> None:
    """An .mp4 with sound, drawn by a child process (a graphics library that fails ends its process).

    Raises ValueError with what is missing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_npy(folder / "vertices.npy", checkpoint, latent, face, samples)
        np.save(folder / "triangles.npy", checkpoint.face.triangles.numpy())
        if checkpoint.face.colours is not None:
            np.save(folder / "colours.npy", checkpoint.face.colours.numpy())
        write_audio(folder / "sound.wav", samples, SAMPLE_RATE)
        command = [sys.executable, "-m", "eavanet.film", name, str(checkpoint.model.config.frames_per_second)]
        with store.atomic_write(path) as partial:
            run = subprocess.run([*command, str(partial)], capture_output=True, text=True)
            if run.returncode:
                reason = (run.stderr.strip() or f"it ended with {run.returncode}").splitlines()[-1]
                raise ValueError(f"{path}: no film could be drawn: {reason}; .npy and .glb need no graphics")


def _told(summary: dict) -> str:
    marked = " (exaggerated)" if summary["exaggerated"] else ""
    emotion = f"{summary['emotion']} at {summary['intensity']:g}{marked}, " if summary["emotion"] else ""
    mixed = f" mixed with {summary['blend']} ({summary['weight']:g})" if summary["blend"] else ""
    return (
        f"{summary['out']}: {summary['frames']} frames, {emotion}spoken as {summary['subject']}{mixed}; "
        f"{summary['took_s']:.1f} s for {summary['audio_s']:.1f} s of audio"
    )


if __name__ == "__main__":
    # A job that is cancelled gets SIGTERM; like Ctrl-C, it must leave nothing half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())
