"""Exports beside what one gets from trimesh or pydelatin alone: time, size, triangles, verdicts. All in one run.

The peers (trimesh, pydelatin) and the Khronos validator are no dependencies: a row whose program is not installed says
so. Times are ratios to the first row of their table, measured one after the other in one process, the best of a few.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from harness import ROOT, Bar, Outcome, Setup, Table, number, say
from numpy.typing import NDArray

from im2dem.core.grid import Grid
from im2dem.core.ground import ground_basis
from im2dem.core.mesh import GridMesh, bounded_mesh, regular_mesh
from im2dem.core.raster import Raster
from im2dem.io.cog import write_raster
from im2dem.pipeline.export import ExportOptions, export_file

SIDE, QUICK_SIDE = 769, 257
BOUND_M = 5.0
REPEATS = 3
VALIDATE = (
    'const fs=require("fs");require("gltf-validator").validateBytes(new Uint8Array(fs.readFileSync(0)))'
    ".then(r=>process.stdout.write(JSON.stringify(r.issues)));"
)
EXPLAIN = (
    "A drawn relief of {side} x {side} pixels of 10 m, a fifth as high as wide; triangles may lie "
    f"{BOUND_M:g} m from any pixel. Largest errors are measured here, at every pixel under every triangle. pydelatin "
    "may put corners anywhere and so needs fewer triangles; ours halves squares, so that meshes can be cut into tiles "
    "that fit, and knows voids."
)


def run(setup: Setup) -> Outcome:
    """Meshes, models and all other formats of one drawn relief."""
    side = QUICK_SIDE if setup.quick else SIDE
    heights = relief(side)
    with tempfile.TemporaryDirectory(prefix="im2dem-export-") as folder:
        dem = Path(folder) / "dem.tif"
        grid = Grid(heights.shape, Affine(10, 0, 4e5, 0, -10, 5.2e6), "EPSG:32632")
        write_raster(dem, Raster(heights[None], grid, ("height",), "m", "EGM2008"))
        mesh_table, worst = meshes(heights)
        model_table, verdict = models(dem, heights, grid, Path(folder))
        tables = mesh_table, model_table, others(dem, Path(folder))
    bars = [Bar("No pixel farther from the mesh than asked", f"<= {BOUND_M:g} m", f"{worst:.3f} m", worst <= BOUND_M)]
    if verdict is not None:
        bars.append(Bar("Khronos validator on a textured GLB", "no error, no warning", verdict, verdict == "0 / 0"))
    return Outcome((EXPLAIN.format(side=side), *tables), tuple(bars))


def relief(side: int) -> NDArray[np.float32]:
    """A fractal surface (power law -1.1 of the squared frequency), shape (side, side), metres."""
    rng = np.random.default_rng(1)
    f = np.fft.rfftfreq(side)[None, :] ** 2 + np.fft.fftfreq(side)[:, None] ** 2
    f[0, 0] = 1
    z = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * f**-1.1, s=(side, side))
    return np.asarray((z - z.min()) / np.ptp(z) * 2 * side, dtype=np.float32)


def best_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result) of the fastest of a few runs."""
    times, result = [], None
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def largest_error(heights: NDArray[np.float32], row: Any, col: Any, z: Any, triangles: Any) -> float:
    """Largest vertical distance of a pixel from a mesh, metres: all triangles, all pixels."""
    worst = 0.0
    for chunk in np.array_split(triangles, max(1, len(triangles) // 50_000)):
        r, c, h = row[chunk], col[chunk], z[chunk]
        size = np.maximum(np.ptp(r, axis=1), np.ptp(c, axis=1))
        for side in np.unique(size):
            here = size == side
            offset = np.arange(side + 1)
            rr = (r[here].min(1)[:, None, None] + offset[:, None]).astype(float)
            cc = (c[here].min(1)[:, None, None] + offset[None, :]).astype(float)
            a, b, d = ((r[here, k, None, None], c[here, k, None, None]) for k in range(3))
            area = (b[1] - a[1]) * (d[0] - a[0]) - (d[1] - a[1]) * (b[0] - a[0])
            v = ((cc - a[1]) * (d[0] - a[0]) - (d[1] - a[1]) * (rr - a[0])) / area
            w = ((b[1] - a[1]) * (rr - a[0]) - (cc - a[1]) * (b[0] - a[0])) / area
            inside = (v >= 0) & (w >= 0) & (v + w <= 1)
            h0, h1, h2 = (h[here, k, None, None] for k in range(3))
            value = h0 + v * (h1 - h0) + w * (h2 - h0)
            pixel = heights[
                np.minimum(rr, heights.shape[0] - 1).astype(int), np.minimum(cc, heights.shape[1] - 1).astype(int)
            ]
            gap = np.abs(value - pixel)[inside]
            worst = max(worst, float(gap.max(initial=0)))
    return worst


def meshes(heights: NDArray[np.float32]) -> tuple[Table, float]:
    """Ours beside pydelatin and the full grid, and the largest error of ours, metres."""

    def delatin() -> tuple[Any, Any, Any, Any]:
        from pydelatin import Delatin

        made = Delatin(heights, max_error=BOUND_M)
        vertices = np.asarray(made.vertices)
        # Its second coordinate counts from the last row.
        row = heights.shape[0] - 1 - vertices[:, 1].astype(int)
        return row, vertices[:, 0].astype(int), vertices[:, 2], np.asarray(made.triangles)

    def ours(made: GridMesh) -> tuple[Any, Any, Any, Any]:
        return made.row, made.col, made.height, made.triangles

    rows, errors, first = [], [], None
    for name, needs, work in (
        ("im2dem, error-bounded", "numpy", lambda: ours(bounded_mesh(heights, BOUND_M))),
        ("pydelatin alone", "pydelatin", delatin),
        ("full grid", "numpy", lambda: ours(regular_mesh(heights))),
    ):
        if find_spec(needs) is None:
            rows.append((name, "not installed", "-", "-"))
            continue
        seconds, made = best_of(work)
        first = first or seconds
        errors.append(largest_error(heights, *made))
        rows.append((name, number(seconds / first, 2), f"{len(made[3]):,}", number(errors[-1])))
        say(f"  {rows[-1]}")
    return Table("Meshes", ("", "time", "triangles", "largest error m"), tuple(rows)), errors[0]


def models(dem: Path, heights: NDArray[np.float32], grid: Grid, folder: Path) -> tuple[Table, str | None]:
    """GLB and STL beside trimesh fed with the full grid, and the validator's word on our GLB."""

    def trimesh_only(kind: str) -> Path:
        import trimesh

        path = folder / f"trimesh.{kind}"
        trimesh.Trimesh(*regular_mesh(heights).placed(*ground_basis(grid)[:2]), process=False).export(path)
        return path

    def ours(kind: str) -> Path:
        path = folder / f"ours.{kind}"
        export_file(dem, path, ExportOptions(kind, max_error_m=BOUND_M, overwrite=True))
        return path

    rows, first, verdicts = [], {}, []
    for name, kind, work in (
        ("im2dem GLB, textured", "glb", lambda: ours("glb")),
        ("trimesh-only GLB, full grid, no picture", "glb", lambda: trimesh_only("glb")),
        ("im2dem STL, closed body", "stl", lambda: ours("stl")),
        ("trimesh-only STL, full grid, open sheet", "stl", lambda: trimesh_only("stl")),
    ):
        if find_spec("trimesh") is None:
            rows.append((name, "trimesh is not installed", "-", "-", "-", "-"))
            continue
        seconds, path = best_of(work)
        first.setdefault(kind, seconds)
        faces, closed = read_by_trimesh(path)
        verdicts.append(validator(path))
        rows.append((
            name, number(seconds / first[kind], 2), number(path.stat().st_size / 1e6, 2), f"{faces:,}", closed,
            verdicts[-1] or "-",
        ))  # fmt: skip
        say(f"  {rows[-1]}")
    columns = ("", "time", "MB", "faces", "watertight", "validator, errors / warnings")
    return Table("Models, read back by trimesh", columns, tuple(rows)), verdicts[0] if verdicts else None


def read_by_trimesh(path: Path) -> tuple[int, str]:
    """Faces, and whether the body is closed: "yes" or "no"."""
    import trimesh

    read = trimesh.load(path, force="mesh")
    return len(read.faces), "yes" if read.is_watertight else "no"


def validator(path: Path) -> str | None:
    """The Khronos validator's errors / warnings on a GLB; None for other formats, without Node.js or the package."""
    node = shutil.which("node")
    if path.suffix != ".glb" or node is None:
        return None
    environment = os.environ | {"NODE_PATH": str(ROOT / "viewer/node_modules")}
    done = subprocess.run(
        [node, "-e", VALIDATE], input=path.read_bytes(), capture_output=True, check=False, env=environment
    )
    if done.returncode:
        return None
    issues = json.loads(done.stdout)
    return f"{issues['numErrors']} / {issues['numWarnings']}"


def others(dem: Path, folder: Path) -> Table:
    """Times and sizes of all other formats."""
    names = {
        "3mf": "x.3mf", "obj": "x.obj", "png16": "x.png", "r16": "x.r16", "exr": "x.exr", "terrarium": "t",
        "mapbox": "m", "pmtiles": "x.pmtiles", "quantized-mesh": "q", "contours": "x.gpkg", "hillshade": "x.tif",
        "xyz": "x.xyz.gz",
    }  # fmt: skip
    rows, first = [], None
    for to, name in names.items():
        start = time.perf_counter()
        made = export_file(dem, folder / name, ExportOptions(to))
        seconds = time.perf_counter() - start
        first = first or seconds
        told = f"{made.figures['tiles']:,} tiles" if "tiles" in made.figures else ""
        rows.append((to, number(seconds / first, 2), number(made.size_bytes / 1e6, 2), told))
        say(f"  {rows[-1]}")
    return Table("All other formats, one run each", ("", "time", "MB", ""), tuple(rows))
