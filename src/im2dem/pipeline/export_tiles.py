"""Height model to pyramids of web map tiles: Terrarium, Mapbox Terrain-RGB, PMTiles."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from im2dem.core.errors import NoDataError, OutputExistsError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.reduction import block_mean
from im2dem.export.pmtiles import write_pmtiles
from im2dem.export.terrain_rgb import ENCODINGS, tile_png
from im2dem.io.atomic import check_target, new_file, output_error
from im2dem.io.warp import warp_to_grid

from .export_options import ExportOptions
from .export_source import HeightModel, pixels_under, require_place, window_over

_TILE_PX = 256
_HALF_WORLD_M = math.pi * 6_378_137.0
_MERCATOR_END_DEG = 85.0511  # where the square of web map tiles ends
_MOST_TILES = 500_000
# A zoom level is skipped when its pixels would be less than this much finer than the raster's.
_ZOOM_SLACK = 0.25
_FIRST_OVERVIEW, _OVERVIEW_PX = 4, 2048
Heights = NDArray[np.float32]
Result = tuple[list[Path], dict[str, Any]]


@dataclass(eq=False)
class Sampler:
    """Heights on any georeferenced grid; coarse grids read coarse copies, which are made once."""

    model: HeightModel
    _coarse: dict[int, tuple[Heights, Grid]] = field(default_factory=dict)

    def sample(self, target: Grid) -> Heights:
        """Heights on a grid, shape (row, col), metres, NaN where there are none: bilinear."""
        grid = self.model.grid
        window = window_over(grid, target)
        if window is None:
            return np.full(target.shape, np.nan, dtype=np.float32)
        ratio = pixels_under(grid, window, target)
        factor = _FIRST_OVERVIEW
        if ratio < factor:
            data, source = self.model.read(window), grid.crop(window)
        else:
            while factor * 2 <= ratio:
                factor *= 2
            data, source = self._overview(factor)
        heights: Heights = warp_to_grid(data[None], source, target)[0]
        return heights

    def _overview(self, factor: int) -> tuple[Heights, Grid]:
        if factor not in self._coarse:
            grid = self.model.grid
            if factor > _FIRST_OVERVIEW:
                finer, finer_grid = self._overview(factor // 2)
                self._coarse[factor] = block_mean(finer, 2), finer_grid.coarsen(2)
            else:
                self._coarse[factor] = self.model.reduced(factor), grid.coarsen(factor)
        return self._coarse[factor]


def bounds_lonlat(grid: Grid) -> tuple[float, float, float, float]:
    """(west, south, east, north) of a georeferenced grid, degrees on WGS 84.

    Raises
    ------
    UsageError
        It crosses the 180th meridian, or lies out of bounds of its reference system.
    """
    west, south, east, north = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform_bounds(
        *grid.bounds
    )
    if not (math.isfinite(west + south + east + north) and west < east and south < north):
        raise UsageError(
            f"the DEM reaches from {west:g} to {east:g} degrees east: tiles across the 180th meridian are not made; "
            "cut it into two (gdalwarp -te, rio clip)"
        )
    return max(west, -180.0), max(south, -90.0), min(east, 180.0), min(north, 90.0)


def web_tile_grid(zoom: int, x: int, y: int) -> Grid:
    """The grid of a web map tile of 256 pixels, y from the north."""
    side = 2 * _HALF_WORLD_M / 2**zoom
    pixel = side / _TILE_PX
    corner = Affine(pixel, 0, x * side - _HALF_WORLD_M, 0, -pixel, _HALF_WORLD_M - y * side)
    return Grid((_TILE_PX, _TILE_PX), corner, "EPSG:3857")


def zoom_range(grid: Grid, bounds: tuple[float, float, float, float]) -> tuple[int, int]:
    """(lowest, highest) zoom: from all of it in about one tile to tiles as fine as the raster."""
    latitude = math.radians((bounds[1] + bounds[3]) / 2)
    pixel = 2 * _HALF_WORLD_M * math.cos(latitude) / _TILE_PX
    highest = math.ceil(math.log2(pixel / (grid.gsd_m or 1.0)) - _ZOOM_SLACK)
    (left, top), (right, bottom) = _mercator(bounds[0], bounds[3]), _mercator(bounds[2], bounds[1])
    lowest = math.floor(-math.log2(max(right - left, bottom - top)))
    highest = min(max(highest, 0), 22)
    return min(max(lowest, 0), highest), highest


def _mercator(lon: float, lat: float) -> tuple[float, float]:
    """Place on the web map, 0..1 from its north-west corner."""
    lat = math.radians(min(max(lat, -_MERCATOR_END_DEG), _MERCATOR_END_DEG))
    return lon / 360 + 0.5, 0.5 - math.asinh(math.tan(lat)) / (2 * math.pi)


def pyramid(
    sample: Callable[[int, int, int], Heights], zooms: tuple[int, int], bounds: tuple[float, float, float, float]
) -> Iterator[tuple[int, int, int, Heights]]:
    """Web map tiles with heights in them; coarse ones are means of the four *heights* under each pixel.

    Parameters
    ----------
    sample
        Heights of a tile (zoom, x, y) of the highest zoom, shape (256, 256), metres, NaN = no data.
    zooms
        (lowest, highest).
    bounds
        (west, south, east, north), degrees.

    Returns
    -------
    zoom, x, y and heights of every tile that has one; memory holds a few tiles a zoom.
    """
    (left, top), (right, bottom) = _mercator(bounds[0], bounds[3]), _mercator(bounds[2], bounds[1])

    def build(zoom: int, x: int, y: int) -> Generator[tuple[int, int, int, Heights], None, Heights | None]:
        side = 0.5**zoom
        if x * side >= right or (x + 1) * side <= left or y * side >= bottom or (y + 1) * side <= top:
            return None
        if zoom == zooms[1]:
            heights = sample(zoom, x, y)
        else:
            whole = np.full((2 * _TILE_PX, 2 * _TILE_PX), np.nan, dtype=np.float32)
            for down in (0, 1):
                for across in (0, 1):
                    child = yield from build(zoom + 1, 2 * x + across, 2 * y + down)
                    if child is not None:
                        whole[down * _TILE_PX :, across * _TILE_PX :][:_TILE_PX, :_TILE_PX] = child
            heights = block_mean(whole, 2)
        if not np.isfinite(heights).any():
            return None
        if zoom >= zooms[0]:
            yield zoom, x, y, heights
        return heights

    yield from build(0, 0, 0)


def export_map_tiles(model: HeightModel, target: Path, options: ExportOptions) -> Result:
    """A folder z/x/y.png with tilejson.json, or one .pmtiles file."""
    require_place(model, "map tiles")
    encoding = (options.encoding or "terrarium") if options.to == "pmtiles" else options.to
    if encoding not in ENCODINGS:
        raise UsageError(f"--encoding must be one of {', '.join(ENCODINGS)}, got {encoding!r}")
    bounds = bounds_lonlat(model.grid)
    if bounds[1] >= _MERCATOR_END_DEG or bounds[3] <= -_MERCATOR_END_DEG:
        raise UsageError(
            f"{model.reader.name}: lies beyond {_MERCATOR_END_DEG:.2f} degrees of latitude, where map tiles end; "
            "choose --to quantized-mesh, or a format without tiles"
        )
    zooms = options.zoom or zoom_range(model.grid, bounds)
    check_count(zooms[1], bounds)
    sampler = Sampler(model)
    nodata_m = options.nodata_m or 0.0
    total, sampled = _count(zooms[1], bounds), 0

    def sample(zoom: int, x: int, y: int) -> Heights:
        nonlocal sampled
        sampled += 1
        model.progress("writing tiles", min(sampled, total), total)
        return sampler.sample(web_tile_grid(zoom, x, y))

    tiles = pyramid(sample, zooms, bounds)
    pictures = ((zoom, x, y, tile_png(heights, encoding, nodata_m)) for zoom, x, y, heights in tiles)
    about = model.facts | {
        "name": Path(model.reader.name).stem,
        "type": "baselayer",
        "format": "png",
        "encoding": encoding,
        "tileSize": _TILE_PX,
        "minzoom": zooms[0],
        "maxzoom": zooms[1],
        "bounds": list(bounds),
        "nodata": f"pixels without a height are written as {nodata_m:g} m; tiles without any height are left out",
    }
    if options.to == "pmtiles":
        check_target(target, options.overwrite)
        with new_file(target, options.overwrite) as sink:
            count = write_pmtiles(sink, pictures, about, bounds)
    else:
        with new_folder(target, options.overwrite, "tilejson.json") as folder:
            count = 0
            for zoom, x, y, content in pictures:
                place = folder / str(zoom) / str(x)
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{y}.png").write_bytes(content)
                count += 1
            if count == 0:
                raise NoDataError(f"{model.reader.name}: not one pixel has a height; check its nodata value")
            told = about | {"tilejson": "3.0.0", "tiles": [_template(options.url)]}
            (folder / "tilejson.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return [target], {"tiles": count, "zoom": list(zooms), "encoding": encoding}


def _template(url: str | None) -> str:
    """Where a map finds the tiles; without an address MapLibre looks beside its own page, not beside tilejson.json."""
    return "{z}/{x}/{y}.png" if url is None else url.rstrip("/") + "/{z}/{x}/{y}.png"


def check_count(zoom: int, bounds: tuple[float, float, float, float]) -> None:
    """Raise where a level would have more tiles than anybody wants to wait for.

    Raises
    ------
    UsageError
        More than half a million.
    """
    count = _count(zoom, bounds)
    if count > _MOST_TILES:
        raise UsageError(f"zoom {zoom} would make {count:,} tiles; give a lower --zoom, e.g. --zoom 0-{zoom - 2}")


def _count(zoom: int, bounds: tuple[float, float, float, float]) -> int:
    """Web map tiles of a level that lie over the bounds."""
    (left, top), (right, bottom) = _mercator(bounds[0], bounds[3]), _mercator(bounds[2], bounds[1])
    side = 1 << zoom
    across = math.ceil(right * side) - math.floor(left * side)
    return across * (math.ceil(bottom * side) - math.floor(top * side))


@contextmanager
def new_folder(target: Path, overwrite: bool, marker: str) -> Iterator[Path]:
    """A folder that gets its name when it is finished; with `overwrite` it replaces one that holds `marker`.

    Raises
    ------
    OutputExistsError
        It is there and `overwrite` is False, or it holds something else than an earlier export.
    OutputError
        The folder above it is missing or not writable, disk full.
    """
    if os.path.lexists(target):
        if not overwrite:
            raise OutputExistsError(f"{target} exists already; choose another name or pass --overwrite")
        if not (target / marker).is_file():
            raise OutputExistsError(f"{target} is no earlier export (it holds no {marker}); choose another name")
    else:
        check_target(target, overwrite)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        yield part
        if target.exists():
            shutil.rmtree(target)
        os.replace(part, target)
    except OSError as error:
        if isinstance(error, OutputExistsError):
            raise
        raise output_error(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
