"""`python -m eavanet.performer`: a process that stays, so that the next face speaks within a second.

The app starts it when somebody first animates. It reads requests as lines of JSON and answers in lines of JSON:

    {"id": 1, "do": "animate", "animation": ID, "run": NAME, "sound": PATH, "subject": ..., "face": ..., "emotion": ...,
     "intensity": ..., "other": ..., "weight": ..., "about": {...}}         (emotion or other: null where there is none)
    {"id": 2, "do": "export", "animation": ID, "kind": "glb" | "mp4"}
    {"id": 3, "do": "warm", "run": NAME}

    {"id": 1, "progress": 0.4, "message": "..."} ...  then  {"id": 1, "done": {...}}  or  {"id": 1, "error": "..."}

Models and what they heard stay in memory, the last few of each. It ends with its input, and after `--idle` seconds.
"""

import argparse
import contextlib
import json
import select
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from db import animations, playback, store
from db.corpus.wav import write_audio
from db.models import now
from eavanet.animate import template_of, write_film, write_glb_file, write_npy
from eavanet.audio import SAMPLE_RATE
from eavanet.checkpoint import Checkpoint, load_checkpoint
from eavanet.distributed import chosen_device
from eavanet.generate import Heard, Manner, check_speaks, frames_of, hear, speak, speaker_index, style_for, windows
from eavanet.recording import read_recording
from eavanet.run import Run

MODELS_KEPT = 2
HEARD_KEPT = 8
LONGEST_KEPT_S = 120.0  # what was heard of a longer recording is not kept
Say = Callable[[float, str], None]


@dataclass
class Performer:
    """The models and recordings in memory, and what can be asked."""

    device: torch.device
    _models: OrderedDict[Path, Checkpoint] = field(default_factory=OrderedDict)
    _heard: OrderedDict[tuple[Path, Path], Heard] = field(default_factory=OrderedDict)

    def answer(self, request: dict[str, Any], say: Say) -> dict[str, Any]:
        """Do what is asked. Raises ValueError or OSError with words for the person who asked."""
        does = {"animate": self.animate, "export": self.export, "warm": self.warm}
        return does[request["do"]](request, say)

    def warm(self, request: dict[str, Any], say: Say) -> dict[str, Any]:
        """Load a run's best checkpoint before it is needed."""
        return {"checkpoint": self.model(request["run"], say).folder.name}

    def animate(self, request: dict[str, Any], say: Say) -> dict[str, Any]:
        """Make a new animation; what it is told of is in its about.json."""
        checkpoint = self.model(request["run"], say)
        model = checkpoint.model
        speaker = speaker_index(model, request["subject"])
        style = style_for(model, request["subject"], _manner(request))
        face = template_of(checkpoint, request["face"])
        samples = read_recording(Path(request["sound"]))
        if not np.any(samples):
            raise ValueError("the recording is silent: there is nothing to speak. Is the microphone the right one?")
        total = frames_of(len(samples), model.config.frames_per_second)
        with store.atomic_folder(animations.folder_of(request["animation"])) as folder:
            _refuse_too_large(folder, total * face.size * 4)
            heard = self.heard(checkpoint, Path(request["sound"]), samples, total, say)
            latent = speak(model, heard, total, speaker, style)
            say(0.7, "shaping the face")
            write_npy(folder / "motion.npy", checkpoint, latent, face, samples)
            say(0.8, "packing it for the player")
            motion = np.load(folder / "motion.npy", mmap_mode="r").reshape(total, -1, 3)
            packed = playback.encode_playback(motion, model.config.frames_per_second)
            (folder / "motion.bin").write_bytes(packed)
            write_audio(folder / "speech.wav", samples, SAMPLE_RATE)
            about = request["about"] | self._about(request, checkpoint, total, len(samples))
            (folder / "about.json").write_text(json.dumps(about, indent=1))
        return about

    def export(self, request: dict[str, Any], say: Say) -> dict[str, Any]:
        """Write an animation as a film or for 3D programs, from what was stored."""
        found = animations.find_animation(request["animation"])
        if found is None:
            raise ValueError("this animation is not there any more; make it again")
        about, kind = found.about, request["kind"]
        if path := animations.file_of(found.id, kind):
            return {"path": str(path)}
        if not (Run(about["run"]).folder / Path(about["checkpoint"]).name).exists():
            raise ValueError(
                "the checkpoint that made this animation was since replaced by a better one of its run; make the "
                "animation again. What was made is there as vertices (.npy)"
            )
        checkpoint = self.model(about["run"], say, about["checkpoint"])
        model = checkpoint.model
        samples = read_recording(found.folder / "speech.wav")
        say(0.2, "listening")
        heard = self.heard(checkpoint, found.folder / "speech.wav", samples, about["frames"], lambda *_: None)
        latent = speak(
            model, heard, about["frames"], speaker_index(model, about["subject"]),
            style_for(model, about["subject"], _manner(about)),
        )  # fmt: skip
        face = template_of(checkpoint, about["face"])
        say(0.4, "drawing the film" if kind == "mp4" else "writing the file")
        path = found.folder / animations.FILES[kind]
        {"mp4": write_film, "glb": write_glb_file}[kind](path, checkpoint, latent, face, samples)
        return {"path": str(path)}

    def model(self, run: str, say: Say, checkpoint: str | None = None) -> Checkpoint:
        """A run's best checkpoint, or the named one, from memory or from the disk."""
        folder = Run(run).checkpoint() if checkpoint is None else Run(run).folder / Path(checkpoint).name
        if folder not in self._models:
            say(0.05, "loading the model")
            loaded = load_checkpoint(folder, self.device)
            check_speaks(loaded)
            self._models[folder] = loaded
            self._forget()
        self._models.move_to_end(folder)
        return self._models[folder]

    def heard(
        self, checkpoint: Checkpoint, sound: Path, samples: np.ndarray, total: int, say: Say
    ) -> Iterator[tuple[int, int, torch.Tensor]]:
        """What the model hears of a recording, part by part; short ones are kept for the next emotion."""
        key = (checkpoint.folder, sound)
        if key in self._heard and self._heard[key].total == total:
            self._heard.move_to_end(key)
            yield from self._heard[key].parts
            return
        config, parts = checkpoint.model.config, []
        count = len(windows(total, config.frames_per_second))
        keep = len(samples) <= LONGEST_KEPT_S * SAMPLE_RATE
        for number, part in enumerate(hear(checkpoint.model, samples, n_frames=total), start=1):
            say(0.1 + 0.6 * number / count, "listening")
            if keep:
                parts.append(part)
            yield part
        if keep:
            self._heard[key] = Heard(parts, total)
            self._forget()

    def _forget(self) -> None:
        while len(self._models) > MODELS_KEPT:
            self._models.popitem(last=False)
        while len(self._heard) > HEARD_KEPT:
            self._heard.popitem(last=False)
        for key in [key for key in self._heard if key[0] not in self._models]:
            del self._heard[key]

    def _about(self, request: dict[str, Any], checkpoint: Checkpoint, frames: int, n_samples: int) -> dict[str, Any]:
        manifest = checkpoint.manifest
        return {
            "run": request["run"], "checkpoint": checkpoint.folder.name, "epoch": manifest["epoch"],
            "corpus": manifest["corpus"]["name"], "subject": request["subject"], "face": request["face"],
            "system": checkpoint.system.name, "emotion": request["emotion"], "intensity": request["intensity"],
            "exaggerated": request["intensity"] > 1, "other": request.get("other"),
            "weight": request.get("weight", 1.0), "frames": frames, "audio_s": n_samples / SAMPLE_RATE,
            "frames_per_second": checkpoint.model.config.frames_per_second,
            "n_vertices": checkpoint.model.config.n_vertices, "created_at": now().isoformat(),
            "synthetic": manifest["corpus"]["synthetic"],
            "simulated": manifest.get("release", {}).get("simulated", False),
            "random_encoder": manifest["encoder"]["random"],
        }  # fmt: skip


def _manner(asked: dict[str, Any]) -> Manner:
    """From a request or from what is stored of an animation; those from before other systems name no other speaker."""
    return Manner(asked["emotion"], asked["intensity"], asked.get("other"), asked.get("weight", 1.0))


def _refuse_too_large(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < 2 * needed:
        raise OSError(
            f"this recording makes {needed / 1e9:.1f} GB of motion, and {free / 1e9:.1f} GB are free; make space, or "
            "use a shorter one"
        )


def serve(performer: Performer, idle_s: float) -> None:
    """Answer requests from standard input until it ends, or nobody asked for `idle_s` seconds."""
    with open(0, "rb", buffering=0, closefd=False) as requests:  # unbuffered: `select` sees all that was not read yet
        while select.select([requests], [], [], idle_s)[0]:
            line = requests.readline()
            if not line:
                return
            _serve_one(performer, json.loads(line))


def _serve_one(performer: Performer, request: dict[str, Any]) -> None:
    def say(share: float, message: str) -> None:
        _tell({"id": request["id"], "progress": round(share, 3), "message": message})

    try:
        _tell({"id": request["id"], "done": performer.answer(request, say)})
    except (ValueError, OSError) as error:
        _tell({"id": request["id"], "error": str(error)})
    except torch.OutOfMemoryError:
        _tell({"id": request["id"], "error": "the GPU's memory is full; another program or training uses it"})


def _tell(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.performer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--idle", type=float, default=600.0, help="seconds without a request until it ends")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    given = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        serve(Performer(chosen_device(given.device)), given.idle)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
