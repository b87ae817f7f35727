"""One picture, or more bands, for one height model or area: streamed block by block into one file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import Transformer

from im2dem.core.errors import NoDataError, RemoteError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.dataset.area import GEOGRAPHIC, Area, area_of_grid, outer_rings, transform
from im2dem.dataset.file_source import is_north_up_in_metres
from im2dem.dataset.plan import Block, Chip, utm_zone
from im2dem.dataset.scene_reading import BlockReading
from im2dem.dataset.scene_source import SceneSource
from im2dem.dataset.sources import Log
from im2dem.io.cog import CogOptions, create_cog
from im2dem.io.geotiff import open_dem

from .build import Progress

MOST_PIXELS = 20_000 * 20_000


@dataclass(frozen=True)
class PictureReport:
    """What was made.

    Parameters
    ----------
    output
        The raster.
    shape
        Rows, columns.
    bands
        Names.
    valid_share
        Share of pixels with a picture.
    dates
        Days that it shows.
    events, problems
        Scenes read, failed ...; the first few failures in words.
    """

    output: Path
    shape: tuple[int, int]
    bands: tuple[str, ...]
    valid_share: float
    dates: tuple[str, ...]
    events: dict[str, int]
    problems: tuple[str, ...]


def grid_for(dem: str | Path | None, area: Area | None, gsd_m: float | None) -> Grid:
    """The grid of a picture: that of the height model where it is in metres, else UTM, snapped to whole pixels.

    Raises
    ------
    UsageError
        Neither is given, or the area spans more than a zone of 20,000 x 20,000 pixels.
    """
    if dem is not None:
        with open_dem(dem) as reader:
            grid = reader.grid
        if is_north_up_in_metres(grid) and gsd_m is None:
            return grid
        area = area_of_grid(grid, Path(dem).name)
        gsd_m = gsd_m or max(10.0, round(grid.gsd_m or 10.0))
    if area is None:
        raise UsageError("a height model or an area is wanted")
    step = gsd_m or 10.0
    points = [p for g in area.geometries for ring in outer_rings(g) for p in ring]
    lon, lat = (sum(p[k] for p in points) / len(points) for k in (0, 1))
    crs = f"EPSG:{utm_zone(lon, lat)}"
    rings = [ring for g in area.geometries for ring in outer_rings(transform(g, GEOGRAPHIC, crs))]
    xs, ys = ([p[k] for ring in rings for p in ring] for k in (0, 1))
    left, top = math.floor(min(xs) / step), math.ceil(max(ys) / step)
    width, height = math.ceil(max(xs) / step) - left, top - math.floor(min(ys) / step)
    if width * height > MOST_PIXELS:
        raise UsageError(f"the picture would be {width} x {height} pixels; take larger ones (--gsd) or a smaller area")
    return Grid((height, width), Affine(step, 0, left * step, 0, -step, top * step), crs)


def build_picture(
    source: SceneSource,
    grid: Grid,
    output: str | Path,
    block_px: int = 1024,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PictureReport:
    """Write the picture of a grid.

    Parameters
    ----------
    source
        Where scenes come from; its bands are those of `source.pictures`.
    grid
        Georeferenced.
    output
        GeoTIFF (COG, float32 reflectance, NaN as -9999).
    block_px
        Side of the blocks that are read at a time: what bounds the memory.
    overwrite
        Replace the output.
    progress
        Called with (stage, done, total).

    Raises
    ------
    NoDataError
        No scene shows the ground anywhere.
    RemoteError
        A block could not be read: a picture with a hole that nobody asked for is not written.
    """
    if grid.crs is None:
        raise UsageError("a picture is asked for by its place; the grid has no reference system")
    Transformer.from_crs(grid.crs, GEOGRAPHIC)  # fails early on a grid that is not on Earth
    log, seen, dates = Log(), 0, set[str]()
    bands = source.band_names
    windows = [
        Window(r, c, min(block_px, grid.height - r), min(block_px, grid.width - c))
        for r in range(0, grid.height, block_px)
        for c in range(0, grid.width, block_px)
    ]
    tags = {"IM2DEM_SOURCE": source.catalog.url, "IM2DEM_COLLECTION": source.pictures.collection}
    with create_cog(output, grid, bands, options=CogOptions(unit="1", tags=tags, overwrite=overwrite)) as writer:
        for i, window in enumerate(windows):
            square = grid.crop(window)
            block = Block(f"block {i}", square, ((Chip(f"block {i}", square), Window(0, 0, *window.shape)),))
            picture, days = BlockReading(source, block, None, log).picture()
            if log.counts["scenes failed"] and not np.isfinite(picture).all():
                raise RemoteError(f"{log.problems[0]}; run the same command again")
            writer.write(window, picture)
            seen += int(np.isfinite(picture).all(axis=0).sum())
            dates |= set(days)
            if progress is not None:
                progress("blocks", i + 1, len(windows))
        if seen == 0:
            raise NoDataError("no scene shows the ground there; allow other dates or more cloud")
    share = seen / (grid.height * grid.width)
    return PictureReport(
        writer.path, grid.shape, bands, share, tuple(sorted(dates)), dict(log.counts), tuple(log.problems)
    )
