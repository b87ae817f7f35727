"""Height model to triangles: GLB, OBJ, STL and 3MF."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import NoDataError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.ground import ground_basis
from im2dem.core.mesh import GridMesh, bounded_mesh, solid, with_skirt
from im2dem.core.rtin import LARGEST_BLOCK_PX
from im2dem.export.glb import TexturedSurface, write_glb
from im2dem.export.obj import material, write_obj
from im2dem.export.picture import jpeg, tinted_relief
from im2dem.export.print3d import write_3mf, write_stl
from im2dem.io.atomic import check_target, new_file

from .export_options import ExportOptions
from .export_source import HeightModel, picture_over, pixel_size, whole_heights

_MAX_PX = 4097
_PICTURE_PX = 4096
# Without --max-error: an error of this share of the relief cannot be seen in a model that fills a screen.
_ERROR_SHARE = 1 / 200
# ... and so many triangles are as many as viewers and slicers turn without waiting (GLB: 28 MB, STL: 50 MB).
_MOST_TRIANGLES = 1_000_000
_COARSER = 1.25
_FLATTEST_MM = 1.0
_SMALLEST_BLOCK = 8


def export_model(model: HeightModel, target: Path, options: ExportOptions) -> tuple[list[Path], dict[str, Any]]:
    """A textured surface as GLB or OBJ; returns the files and figures for the summary."""
    paths = [target] if options.to == "glb" else [target, target.with_suffix(".mtl"), target.with_suffix(".jpg")]
    for path in paths:
        check_target(path, options.overwrite)
    heights, grid, factor = whole_heights(model, options.max_px or _MAX_PX)
    mesh, error = _mesh(heights, options.max_error_m)
    z_factor = options.z_factor or 1.0
    points, triangles = mesh.placed(*ground_basis(grid)[:2], z_factor)
    uv = mesh.uv
    middle = _middle(points)
    points = points - (0, 0, middle[2])
    if options.skirt_m:
        before = len(points)
        points, triangles = with_skirt(points, triangles, options.skirt_m * z_factor)
        # `with_skirt` adds a point under each of the rim; it shows the same spot of the picture.
        uv = np.concatenate([uv, uv[_rim_of(points, before)]])
    facts = _facts(model, grid, z_factor, middle[2]) | {"max_error_m": error}
    surface = TexturedSurface(points, triangles, uv, jpeg(_picture(heights, grid, options)), facts)
    if options.to == "glb":
        with new_file(target, options.overwrite) as sink:
            write_glb(sink, surface)
    else:
        with new_file(paths[1], options.overwrite) as sink:
            sink.write(material(paths[2].name).encode("utf-8"))
        with new_file(paths[2], options.overwrite) as sink:
            sink.write(surface.picture_jpeg)
        with new_file(target, options.overwrite) as sink:
            write_obj(sink, surface, paths[1].name)
    return paths, _figures(mesh, error, factor) | {"vertical_exaggeration": z_factor}


def export_print(model: HeightModel, target: Path, options: ExportOptions) -> tuple[list[Path], dict[str, Any]]:
    """A closed body, or several that fit each other, as STL or 3MF in millimetres."""
    rows, cols = options.tiles or (1, 1)
    names = [(r, c) for r in range(rows) for c in range(cols)]
    paths = [target] if len(names) == 1 else [_tile_path(target, r, c) for r, c in names]
    for path in paths:
        check_target(path, options.overwrite)
    heights, grid, factor = whole_heights(model, options.max_px or _MAX_PX)
    row_cuts, col_cuts, block = _cuts(heights.shape, (rows, cols))
    mesh, error = _mesh(heights, options.max_error_m, block)
    z_factor = options.z_factor or 1.0
    points, _ = mesh.placed(*ground_basis(grid)[:2], z_factor)
    longest = float((points[:, :2].max(axis=0) - points[:, :2].min(axis=0)).max())
    scale = (options.size_mm or 150.0) / longest
    low = float(points[:, 2].min())
    relief = (float(points[:, 2].max()) - low) * scale
    base = options.base_mm if options.base_mm is not None else 3.0
    figures = _figures(mesh, error, factor) | {
        "vertical_exaggeration": z_factor, "mm_per_metre": scale, "relief_mm": relief, "base_mm": base,
    }  # fmt: skip
    if relief < _FLATTEST_MM:
        figures["hint"] = f"the relief is {relief:.2f} mm high; a --z-factor of {5 / max(relief, 1e-3):.1g} shows more"
    facts = {
        key: str(value)
        for key, value in (_facts(model, grid, z_factor, low) | {"scale": f"1:{1000 / scale:.0f}"}).items()
    }
    for (r, c), path in zip(names, paths, strict=True):
        part = mesh.part((row_cuts[r], row_cuts[r + 1]), (col_cuts[c], col_cuts[c + 1]))
        corners, triangles = part.placed(*ground_basis(grid)[:2], z_factor)
        corners = (corners - (*_middle(corners)[:2], low)) * scale
        body = solid(corners, triangles, -base)
        body = (body[0] + (0, 0, base), body[1])  # stands on the bed
        with new_file(path, options.overwrite) as sink:
            if options.to == "stl":
                write_stl(sink, *body)
            else:
                write_3mf(sink, {path.stem: body}, facts)
    return paths, figures


def _mesh(
    heights: NDArray[np.float32], max_error_m: float | None, block_px: int = LARGEST_BLOCK_PX
) -> tuple[GridMesh, float]:
    """Triangles and their largest error: the one that was asked for, or one that leaves not too many of them."""
    error = _default_error(heights) if max_error_m is None else max_error_m
    mesh = bounded_mesh(heights, error, block_px)
    while max_error_m is None and (excess := len(mesh.triangles) / _MOST_TRIANGLES) > 1:
        error = float(f"{error * max(_COARSER, math.sqrt(excess)):.2g}")
        before, mesh = len(mesh.triangles), bounded_mesh(heights, error, block_px)
        if len(mesh.triangles) == before:  # along voids and the cuts of tiles no error makes fewer
            break
    return mesh, error


def _default_error(heights: NDArray[np.float32]) -> float:
    finite = heights[np.isfinite(heights)]
    if finite.size == 0:
        raise NoDataError("every height is missing, so there is no surface; check the nodata value of the DEM")
    low, high = np.percentile(finite, [1, 99])
    return float(f"{max(float(high - low) * _ERROR_SHARE, 1e-3):.2g}")


def _picture(heights: NDArray[np.float32], grid: Grid, options: ExportOptions) -> NDArray[np.uint8]:
    if options.image is not None:
        return picture_over(options.image, grid, _PICTURE_PX)
    return tinted_relief(heights, pixel_size(grid), options.z_factor or 1.0)


def _middle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle of the ground plan, and the lowest height."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])


def _rim_of(points: NDArray[np.float64], before: int) -> NDArray[np.int64]:
    """For each point of a skirt, the one that it hangs under: the same place on the ground."""
    order = np.lexsort((points[:before, 1], points[:before, 0]))
    key = points[:before][order][:, 0] + 1j * points[:before][order][:, 1]
    wanted = points[before:, 0] + 1j * points[before:, 1]
    return np.asarray(order[np.searchsorted(key, wanted)])


def _facts(model: HeightModel, grid: Grid, z_factor: float, zero: float) -> dict[str, Any]:
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    return model.facts | {
        "vertical_exaggeration": z_factor,
        "origin_x": x,
        "origin_y": y,
        "zero_at_height": zero / z_factor,
    }


def _figures(mesh: GridMesh, error: float, factor: int) -> dict[str, Any]:
    return {"max_error_m": error, "triangles": len(mesh.triangles), "averaged_blocks_px": factor}


def _tile_path(target: Path, row: int, col: int) -> Path:
    return target.with_name(f"{target.stem}-r{row + 1}-c{col + 1}{target.suffix}")


def _cuts(shape: tuple[int, int], tiles: tuple[int, int]) -> tuple[list[int], list[int], int]:
    """Rows and columns of the cuts, multiples of the largest block (a power of two) that keeps tiles nearly equal."""
    if tiles == (1, 1):
        return [0, shape[0] - 1], [0, shape[1] - 1], 256
    least = min((shape[0] - 1) // tiles[0], (shape[1] - 1) // tiles[1])
    if least < _SMALLEST_BLOCK:
        raise UsageError(
            f"{tiles[0]}x{tiles[1]} tiles of a DEM of {shape[0]} x {shape[1]} pixels would be {least} pixels small; "
            f"at least {_SMALLEST_BLOCK} are wanted: ask for fewer tiles"
        )
    block = min(256, 2 ** int(math.log2(least / 4)))

    def line(length: int, count: int) -> list[int]:
        inner = [round(length * k / count / block) * block for k in range(1, count)]
        return [0, *inner, length]

    return line(shape[0] - 1, tiles[0]), line(shape[1] - 1, tiles[1]), block
