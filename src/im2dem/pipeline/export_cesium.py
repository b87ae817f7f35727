"""Height model to the terrain tiles of Cesium: a pyramid of quantized meshes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from im2dem.core.errors import NoDataError
from im2dem.core.grid import Grid
from im2dem.core.mesh import bounded_mesh, vertex_normals
from im2dem.export.quantized_mesh import TileExtent, placed_on_earth, write_quantized_mesh

from .export_options import ExportOptions
from .export_source import HeightModel, require_place
from .export_tiles import Result, Sampler, bounds_lonlat, check_count, new_folder

_SIDE = 64
# Cesium's own estimate of the error of level 0 from a raster of 65 posts, metres; a quarter of it is allowed here.
_LEVEL_0_ERROR_M = 6_378_137.0 * 2 * math.pi * 0.25 / (65 * 2)
_ERROR_SHARE = 0.25
_DEGREE_M = 111_320.0
# A level is left out when its posts would be closer than this many pixels: they could show nothing new.
_CLOSEST = 1.0
# So many tiles a side are meshed in one piece, with so many around them: what a triangle's split asks of its
# neighbours reaches no further, so pieces agree on the edges that they share. Both are even, as diagonals alternate.
_PIECE, _AROUND = 16, 2
Span = tuple[int, int]


def highest_level(grid: Grid) -> int:
    """The finest level whose posts are no closer than the pixels, 0 to 22."""
    posts = 180 / _SIDE * _DEGREE_M / (_CLOSEST * (grid.gsd_m or 1.0))
    return min(max(math.floor(math.log2(posts)), 0), 22)


def export_quantized_mesh(model: HeightModel, target: Path, options: ExportOptions) -> Result:
    """A folder z/x/y.terrain with layer.json, geographic tiles counted from the south."""
    require_place(model, "terrain tiles")
    bounds = bounds_lonlat(model.grid)
    zooms = (0, options.zoom[1] if options.zoom else highest_level(model.grid))
    check_count(zooms[1], bounds)
    sampler = Sampler(model)
    nodata_m = options.nodata_m or 0.0
    spans = [_spans(zoom, bounds) for zoom in range(zooms[1] + 1)]
    total = sum((xs[1] - xs[0]) * (ys[1] - ys[0]) for xs, ys in spans)
    count, found = 0, False
    with new_folder(target, options.overwrite, "layer.json") as folder:
        for zoom, (xs, ys) in enumerate(spans):
            for x in range(*xs):
                (folder / str(zoom) / str(x)).mkdir(parents=True, exist_ok=True)
            for west in range(xs[0], xs[1], _PIECE):
                for south in range(ys[0], ys[1], _PIECE):
                    piece = (west, min(west + _PIECE, xs[1])), (south, min(south + _PIECE, ys[1]))
                    heights, grid = piece_heights(sampler, zoom, piece, (xs, ys))
                    found |= bool(np.isfinite(heights).any())
                    filled = np.where(np.isfinite(heights), heights, nodata_m)
                    for x, y, content in piece_tiles(filled, grid, zoom, piece):
                        (folder / str(zoom) / str(x) / f"{y}.terrain").write_bytes(content)
                        count += 1
                        model.progress("writing tiles", count, total)
        if not found:
            raise NoDataError(f"{model.reader.name}: not one pixel has a height; check its nodata value")
        about = model.facts | {
            "tilejson": "2.1.0",
            "name": Path(model.reader.name).stem,
            "version": "1.0.0",
            "format": "quantized-mesh-1.0",
            "scheme": "tms",
            "projection": "EPSG:4326",
            "tiles": ["{z}/{x}/{y}.terrain"],
            "extensions": ["octvertexnormals"],
            "bounds": [-180, -90, 180, 90],
            "valid_bounds": list(bounds),
            "minzoom": 0,
            "maxzoom": zooms[1],
            "available": [
                [{"startX": xs[0], "startY": ys[0], "endX": xs[1] - 1, "endY": ys[1] - 1}] for xs, ys in spans
            ],
            "vertical": "heights are written as they are; Cesium takes them as heights above the WGS 84 ellipsoid",
            "nodata": f"ground without a height stands at {nodata_m:g} m",
        }
        (folder / "layer.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return [target], {"tiles": count, "zoom": list(zooms)}


def _spans(zoom: int, bounds: tuple[float, float, float, float]) -> tuple[Span, Span]:
    """First tile and the one after the last, in x and in y (from the south)."""
    if zoom == 0:  # a client starts from both tiles of the world
        return (0, 2), (0, 1)
    side = 180 / 2**zoom
    xs = (math.floor((bounds[0] + 180) / side), math.ceil((bounds[2] + 180) / side))
    return xs, (math.floor((bounds[1] + 90) / side), math.ceil((bounds[3] + 90) / side))


def piece_heights(
    sampler: Sampler, zoom: int, piece: tuple[Span, Span], level: tuple[Span, Span]
) -> tuple[NDArray[np.float32], Grid]:
    """Heights at the posts of some tiles and of a few around them, with their grid.

    Parameters
    ----------
    sampler
        Of the height model.
    zoom
        Level.
    piece
        First tile and the one after the last, in x and in y.
    level
        The same of all tiles of the level; posts beyond are NaN without being looked for.

    Returns
    -------
    Shape (64 n + 1, 64 m + 1), metres, NaN = no data; its first row and column begin at a tile of even number.
    """
    (west, east), (south, north) = piece
    first_x = max(west - west % 2 - _AROUND, level[0][0] - level[0][0] % 2)
    last_x = min(east + _AROUND, level[0][1])
    first_y = max(south - _AROUND, level[1][0])
    last_y = min(north + north % 2 + _AROUND, level[1][1] + level[1][1] % 2)
    step = 180 / 2**zoom / _SIDE
    shape = (_SIDE * (last_y - first_y) + 1, _SIDE * (last_x - first_x) + 1)
    corner = Affine(step, 0, first_x * _SIDE * step - 180 - step / 2, 0, -step, last_y * _SIDE * step - 90 + step / 2)
    whole = Grid(shape, corner, "EPSG:4326")
    xs = max(first_x, level[0][0]), min(last_x, level[0][1])
    ys = max(first_y, level[1][0]), min(last_y, level[1][1])
    rows = slice(_SIDE * (last_y - ys[1]), _SIDE * (last_y - ys[0]) + 1)
    cols = slice(_SIDE * (xs[0] - first_x), _SIDE * (xs[1] - first_x) + 1)
    heights = np.full(shape, np.nan, dtype=np.float32)
    inner = Affine.translation(cols.start, rows.start)
    inside = Grid((rows.stop - rows.start, cols.stop - cols.start), corner @ inner, "EPSG:4326")
    heights[rows, cols] = sampler.sample(inside)
    return heights, whole


def piece_tiles(
    heights: NDArray[np.floating], grid: Grid, zoom: int, piece: tuple[Span, Span]
) -> Iterator[tuple[int, int, bytes]]:
    """x, y and content of the tiles of a piece, cut from one mesh: neighbours share corners, heights and normals.

    Parameters
    ----------
    heights, grid
        As `piece_heights` gives them, without NaN.
    zoom, piece
        As there.
    """
    mesh = bounded_mesh(heights, _ERROR_SHARE * _LEVEL_0_ERROR_M / 2**zoom, _SIDE)
    side = 180 / 2**zoom
    first_x = round((grid.transform.c + grid.transform.a / 2 + 180) / side)
    last_y = round((grid.transform.f + grid.transform.e / 2 + 90) / side)
    rows, cols = (n // _SIDE for n in mesh.shape)
    extent = TileExtent(
        first_x * side - 180, (last_y - rows) * side - 90, (first_x + cols) * side - 180, last_y * side - 90
    )
    normals = vertex_normals(placed_on_earth(mesh, extent), mesh.triangles)
    for row, col, corners, tile in mesh.blocks(_SIDE):
        x, y = first_x + col, last_y - 1 - row
        if not (piece[0][0] <= x < piece[0][1] and piece[1][0] <= y < piece[1][1]):
            continue
        content = io.BytesIO()
        own = TileExtent(x * side - 180, y * side - 90, (x + 1) * side - 180, (y + 1) * side - 90)
        write_quantized_mesh(content, tile, own, normals[corners])
        yield x, y, content.getvalue()
