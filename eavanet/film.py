"""Draws a film of a moving face; `animate` starts it in a process of its own, `python -m eavanet.film FOLDER FPS OUT`.

FOLDER holds vertices.npy (T, 3V), triangles.npy (F, 3), sound.wav and perhaps colours.npy (V, 3).
"""

import argparse
import sys
from pathlib import Path

import numpy as np

SIZE = 512  # pixels; a multiple of 16, as video codecs like it


def main(folder: Path, fps: float, out: Path) -> int:
    """Draw the film; returns the exit status."""
    try:
        import imageio_ffmpeg
        import pyvista
    except ImportError as error:
        print(f"{error.name} is not installed (pip install pyvista imageio-ffmpeg)", file=sys.stderr)
        return 1
    vertices = np.load(folder / "vertices.npy", mmap_mode="r")
    vertices = vertices.reshape(len(vertices), -1, 3)
    triangles = np.load(folder / "triangles.npy")
    faces = np.column_stack([np.full(len(triangles), 3), triangles]).ravel()
    mesh = pyvista.PolyData(np.array(vertices[0]), faces)
    plotter = pyvista.Plotter(off_screen=True, window_size=(SIZE, SIZE))
    colours = folder / "colours.npy"
    look = {"color": "#d8b8a4"} if not colours.exists() else {"scalars": np.load(colours), "rgb": True}
    actor = plotter.add_mesh(mesh, smooth_shading=True, ambient=0.2, **look)
    shown = actor.mapper.dataset  # for smooth shading pyvista draws a copy of the mesh
    plotter.camera_position = "xy"
    plotter.reset_camera()
    plotter.camera.zoom(1.3)
    film = imageio_ffmpeg.write_frames(
        str(out), (SIZE, SIZE), fps=fps, audio_path=str(folder / "sound.wav"), audio_codec="aac", macro_block_size=16,
        output_params=["-f", "mp4"],
    )  # fmt: skip
    film.send(None)
    plotter.show(auto_close=False)
    for frame in vertices:
        mesh.points = np.array(frame)
        smooth = mesh.compute_normals(cell_normals=False, split_vertices=False, consistent_normals=False)
        shown.points = mesh.points
        shown.point_data["Normals"] = smooth.point_data["Normals"]
        plotter.render()
        film.send(np.ascontiguousarray(plotter.image[..., :3]))
    film.close()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m eavanet.film", description="Draw a film of a moving face.")
    parser.add_argument("folder", type=Path, help="holds vertices.npy, triangles.npy, sound.wav, perhaps colours.npy")
    parser.add_argument("fps", type=float)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    raise SystemExit(main(given.folder, given.fps, given.out))
