"""Exports beside what one gets from trimesh or pydelatin alone: time, size, triangles, verdicts. All in one run.

::

    python benchmarks/exporting.py DEM [--image RGB] [-o docs/results/export.json]

A script of its own: the peers (trimesh, pydelatin, gltf-validator) are no dependencies. Times are told only as ratios
to that of the first row of their table, measured in the same process, one after the other, best of three.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from pydelatin import Delatin

from im2dem.core.ground import ground_basis
from im2dem.core.mesh import GridMesh, bounded_mesh, regular_mesh
from im2dem.pipeline.export import ExportOptions, export_file
from im2dem.pipeline.export_source import open_heights

REPEATS = 3
VALIDATE = (
    'const fs=require("fs");require("gltf-validator").validateBytes(new Uint8Array(fs.readFileSync(0)))'
    ".then(r=>process.stdout.write(JSON.stringify(r.issues)));"
)


def best_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result) of the fastest of three runs."""
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


def meshes(heights: NDArray[np.float32], bound: float) -> list[dict[str, Any]]:
    """Ours beside pydelatin and the full grid."""

    def delatin() -> tuple[Any, Any, Any, Any]:
        made = Delatin(heights, max_error=bound)
        vertices = np.asarray(made.vertices)
        # Its second coordinate counts from the last row.
        row = heights.shape[0] - 1 - vertices[:, 1].astype(int)
        return row, vertices[:, 0].astype(int), vertices[:, 2], np.asarray(made.triangles)

    def ours(made: GridMesh) -> tuple[Any, Any, Any, Any]:
        return made.row, made.col, made.height, made.triangles

    rows, first = [], None
    for name, work in (
        ("im2dem bounded_mesh", lambda: ours(bounded_mesh(heights, bound))),
        ("pydelatin", delatin),
        ("full grid", lambda: ours(regular_mesh(heights))),
    ):
        seconds, made = best_of(work)
        first = first or seconds
        rows.append({
            "row": name, "time_ratio": round(seconds / first, 2), "triangles": len(made[3]),
            "largest_error_m": round(largest_error(heights, *made), 3),
        })  # fmt: skip
    return rows


def models(dem: Path, image: Path | None, bound: float, folder: Path) -> list[dict[str, Any]]:
    """GLB and STL beside trimesh fed with the full grid."""
    with open_heights(dem) as model:
        heights, axes = model.read(model.grid.window), ground_basis(model.grid)[:2]

    def trimesh_only(kind: str) -> Path:
        path = folder / f"trimesh.{kind}"
        trimesh.Trimesh(*regular_mesh(heights).placed(*axes), process=False).export(path)
        return path

    def ours(kind: str, picture: Path | None) -> Path:
        path = folder / f"ours.{kind}"
        export_file(dem, path, ExportOptions(kind, image=picture, max_error_m=bound, overwrite=True))
        return path

    rows, first = [], {}
    for name, kind, work in (
        ("im2dem GLB, textured", "glb", lambda: ours("glb", image)),
        ("trimesh-only GLB, full grid, no picture", "glb", lambda: trimesh_only("glb")),
        ("im2dem STL, closed body", "stl", lambda: ours("stl", None)),
        ("trimesh-only STL, full grid, open sheet", "stl", lambda: trimesh_only("stl")),
    ):
        seconds, path = best_of(work)
        first.setdefault(kind, seconds)
        read = trimesh.load(path, force="mesh")
        rows.append({
            "row": name, "time_ratio": round(seconds / first[kind], 2), "mb": round(path.stat().st_size / 1e6, 2),
            "faces": len(read.faces), "watertight": bool(read.is_watertight), "validator": verdict(path),
        })  # fmt: skip
    return rows


def verdict(path: Path) -> str | None:
    """What the Khronos validator says about a GLB; None for other formats or without Node.js and the package."""
    node = shutil.which("node")
    if path.suffix != ".glb" or node is None:
        return None
    done = subprocess.run([node, "-e", VALIDATE], input=path.read_bytes(), capture_output=True, check=False)
    if done.returncode:
        return None
    issues = json.loads(done.stdout)
    return f"{issues['numErrors']} errors, {issues['numWarnings']} warnings, {issues['numInfos']} remarks"


def others(dem: Path, folder: Path) -> list[dict[str, Any]]:
    """Sizes of all other formats."""
    names = {"3mf": "x.3mf", "png16": "x.png", "r16": "x.r16", "exr": "x.exr", "pmtiles": "x.pmtiles",
             "contours": "x.gpkg", "hillshade": "x.tif", "xyz": "x.xyz.gz"}  # fmt: skip
    rows = []
    for to, name in names.items():
        start = time.perf_counter()
        made = export_file(dem, folder / name, ExportOptions(to))
        rows.append({"row": to, "seconds": time.perf_counter() - start, "mb": round(made.size_bytes / 1e6, 2)})
    first = rows[0]["seconds"]
    return [{"row": r["row"], "time_ratio": round(r["seconds"] / first, 2), "mb": r["mb"]} for r in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dem", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--max-error", type=float, default=10.0)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    with open_heights(asked.dem) as model:
        heights = model.read(model.grid.window)
    # pydelatin knows no voids: the largest void-free square from the south-eastern corner is compared.
    side = min(heights.shape)
    while not np.isfinite(heights[-side:, -side:]).all():
        side -= 8
    square = np.ascontiguousarray(heights[-side:, -side:])
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "dem": f"{asked.dem.parent.name}/{asked.dem.name}, {heights.shape[0]} x {heights.shape[1]} px",
            "max_error_m": asked.max_error,
            "meshes": {"square_px": side, "rows": meshes(square, asked.max_error)},
            "models": models(asked.dem, asked.image, asked.max_error, Path(folder)),
            "others": others(asked.dem, Path(folder)),
        }
    text = json.dumps(result, indent=1) + "\n"
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
