"""Faces drawn off screen with pyvista: stills and films with one camera and one light, and heat maps of distances.

    python -m evaluation.render --sets eavanet-1-biwi-a,faceformer-1-biwi-a --clips F2_e31,F3_e12 --out films

makes an MP4 with sound per clip, the truth and each system side by side; with --heat each face is coloured by its
distance to the truth or to neutral. Clips are drawn in parallel processes. The camera is set by the clip's template
alone, so that all systems are seen alike. The same input gives the same film.

Where no OpenGL is to be had, VTK would end the whole process; so this is tried in a child process first.
"""

import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from db import store
from evaluation.render_sound import gain

if TYPE_CHECKING:
    import pyvista

SIZE = 512  # pixels; a multiple of 16, as codecs like it
SKIN = "#d8b8a4"
INSIDE = "#3a2621"  # of the mouth, where a mesh without colours is open
# A warm key from the upper left and a cool fill, both beside the camera: (towards where, intensity, colour). Each light
# more costs a fifth of the speed.
LIGHTS = (((-0.5, 0.7, 1.1), 0.85, "#fff6ee"), ((1.2, 0.1, 0.8), 0.3, "#e8efff"))
SKIN_LIGHT = {"ambient": 0.2}
HEAT_LIGHT = {"ambient": 0.35, "diffuse": 0.65}  # to be read more than to look round: never brighter than the scale
HEAT = "YlOrRd"  # light where nothing is wrong, so that the face stays visible; readable without colour vision
MARGIN = 1.25  # the template's extent fills 1 / MARGIN of the picture
PACKAGES = "libegl1 libgl1-mesa-dri (Debian, Ubuntu), mesa-libEGL mesa-dri-drivers (Fedora)"
_TRY = (
    "import pyvista; p = pyvista.Plotter(off_screen=True, window_size=(16, 16)); p.add_mesh(pyvista.Sphere()); p.show()"
)
_TRY_TIMEOUT_S = 120


class CannotRender(RuntimeError):
    """This machine cannot draw off screen; the message says what to install."""


@dataclass(frozen=True)
class Look:
    """What all faces of a picture share. limit: the distance at the end of the heat map's colours, corpus units."""

    triangles: NDArray
    template: NDArray  # (V, 3): sets the camera
    colours: NDArray | None = None  # (V, 3) uint8, the corpus's own
    limit: float | None = None
    size: int = SIZE


@functools.cache
def check_graphics() -> None:
    """Raises CannotRender, once tried in a child process, if nothing can be drawn off screen."""
    try:
        tried = subprocess.run([sys.executable, "-c", _TRY], capture_output=True, text=True, timeout=_TRY_TIMEOUT_S)
        reason = (tried.stderr.strip() or f"it ended with {tried.returncode}").splitlines()[-1]
        failed = tried.returncode != 0
    except subprocess.TimeoutExpired:
        failed, reason = True, "it did not end"
    if failed:
        raise CannotRender(
            f"nothing can be drawn off screen here ({reason}); install OpenGL for servers: {PACKAGES}, or pip install "
            "vtk-osmesa"
        )


class Painter:
    """Draws faces of one topology with one camera; to be closed. Raises CannotRender."""

    def __init__(self, look: Look):
        check_graphics()
        import pyvista

        self.look = look
        faces = np.column_stack([np.full(len(look.triangles), 3), look.triangles]).ravel()
        self.mesh = self._smoothed(pyvista.PolyData(np.array(look.template, dtype=np.float64), faces))
        self.plotter = pyvista.Plotter(off_screen=True, window_size=(look.size, look.size))
        self.plotter.background_color = "white"
        # pyvista's own smooth shading draws a copy of the mesh, whose colours it does not draw anew.
        lit = SKIN_LIGHT if look.limit is None else HEAT_LIGHT
        actor = self.plotter.add_mesh(self.mesh, smooth_shading=False, **lit, **self._colouring())
        actor.prop.interpolation = "gouraud"
        self.plotter.remove_all_lights()
        for place, intensity, colour in LIGHTS:
            self.plotter.add_light(
                pyvista.Light(position=place, light_type="camera light", intensity=intensity, color=colour)
            )
        self._aim()
        self.plotter.show(auto_close=False)

    @staticmethod
    def _smoothed(mesh: "pyvista.PolyData") -> "pyvista.PolyData":
        return mesh.compute_normals(cell_normals=False, split_vertices=False, consistent_normals=False)

    def _colouring(self) -> dict:
        if self.look.limit is not None:
            self.mesh.point_data["distance"] = np.zeros(len(self.look.template))
            clim = (0.0, self.look.limit)
            return {"scalars": "distance", "cmap": HEAT, "clim": clim, "show_scalar_bar": False}
        if self.look.colours is not None:
            return {"scalars": self.look.colours, "rgb": True}
        return {"color": SKIN, "backface_params": {"color": INSIDE, "ambient": 0.2}}

    def _aim(self) -> None:
        low, high = self.look.template.min(axis=0), self.look.template.max(axis=0)
        camera: pyvista.Camera = self.plotter.camera
        centre = (low + high) / 2
        camera.focal_point, camera.position = centre, centre + np.array([0, 0, 10 * np.ptp(self.look.template)])
        camera.up = (0, 1, 0)
        camera.parallel_projection = True
        camera.parallel_scale = MARGIN * max(high[0] - low[0], high[1] - low[1]) / 2
        self.plotter.reset_camera_clipping_range()

    def draw(self, vertices: ArrayLike, distances: ArrayLike | None = None) -> NDArray[np.uint8]:
        """The face (V, 3) as a picture (size, size, 3); distances (V,) colour a heat map."""
        self.mesh.points = np.array(vertices, dtype=np.float64)
        self.mesh.point_data["Normals"] = self._smoothed(self.mesh.copy()).point_data["Normals"]
        if self.look.limit is not None:
            # Setting the normals made them the active array.
            self.mesh.point_data["distance"] = np.asarray(distances, dtype=np.float64)
            self.mesh.set_active_scalars("distance")
        self.plotter.render()
        return np.ascontiguousarray(self.plotter.image[..., :3])

    def close(self) -> None:
        """Give the graphics' memory back."""
        self.plotter.close()

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def distances(vertices: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """The Euclidean distance of each vertex from where it is in `reference`, (..., V), corpus units."""
    difference = np.asarray(vertices, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    return np.sqrt(np.einsum("...vd,...vd->...v", difference, difference))


def pictures(
    look: Look, motion: Iterable[ArrayLike], references: Iterable[ArrayLike] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """A picture (size, size, 3) of each frame (V, 3); with references, coloured by the distance to theirs."""
    with Painter(look) as painter:
        if references is None:
            for frame in motion:
                yield painter.draw(frame)
            return
        for frame, reference in zip(motion, references, strict=False):
            yield painter.draw(frame, distances(frame, reference))


def write_film(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, sound: Path | None = None) -> int:
    """Write pictures (H, W, 3) as an MP4 (H.264, AAC at one loudness, no metadata); gives how many there were.

    The same pictures and sound give the same bytes. Raises ValueError without a picture or for a sound that cannot be
    read, OSError if ffmpeg fails.
    """
    import imageio_ffmpeg

    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path}: no frame to film")
    height, width = first.shape[:2]
    output = ["-f", "mp4", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
              "-flags:a", "+bitexact", "-movflags", "+faststart", "-threads", "1"]  # fmt: skip
    audio = {}
    if sound:
        audio = {"audio_path": str(sound), "audio_codec": "aac"}
        output += ["-af", f"volume={gain(sound)}dB", "-ar", "48000", "-b:a", "128k"]
    count = 1
    with store.atomic_write(path) as partial:
        film = imageio_ffmpeg.write_frames(
            str(partial), (width, height), fps=fps, quality=None, codec="libx264", macro_block_size=1, **audio,
            output_params=[*output, "-crf", "20"],
        )  # fmt: skip
        with closing(film):
            film.send(None)
            film.send(first)
            for picture in frames:
                film.send(np.ascontiguousarray(picture))
                count += 1
        _require_whole(partial, count)  # imageio does not tell that ffmpeg failed, as on a full disk
    return count


def _require_whole(film: Path, n_frames: int) -> None:
    import imageio_ffmpeg

    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(str(film))
    except RuntimeError:
        written = 0
    if written != n_frames:
        raise OSError(f"{film}: ffmpeg wrote {written} of {n_frames} frames; is the disk full?")


def pad_to(path: Path, size: int) -> None:
    """Make an MP4 exactly `size` bytes long with a box that players skip (ISO 14496-12, `free`).

    Raises ValueError if it is longer already, or so near that no box fits.
    """
    missing = size - path.stat().st_size
    if missing == 0:
        return
    if missing < 8:
        raise ValueError(f"{path}: is {path.stat().st_size} bytes long and cannot become {size}")
    with path.open("ab") as file:
        file.write(missing.to_bytes(4, "big") + b"free" + bytes(missing - 8))


if __name__ == "__main__":
    from evaluation.render_command import main

    raise SystemExit(main())
