"""What every exporter needs of a height model: its heights, its place on the ground, and what its heights are."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer

from im2dem.core.errors import GridMismatchError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.preview import to_rgb8
from im2dem.core.reduction import read_reduced, reduction_factor
from im2dem.core.scaling import strips
from im2dem.io.environment import gdal_env, quiet_georeference
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.io.reader import FileReader
from im2dem.io.scene import all_tags
from im2dem.io.warp import warp_to_grid

log = logging.getLogger("im2dem")

_ASPECT_TOLERANCE = 0.01
_EDGE_POINTS = 21
_MARGIN_PX = 3


Progress = Callable[[str, int, int], None]


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody is listening."""


@dataclass(frozen=True, eq=False)
class HeightModel:
    """An open height model.

    Parameters
    ----------
    reader
        One band, metres (or pixel sizes, see `metres`).
    heights
        What they are, in words: relative, above a datum, or not said.
    metres
        Metres in one unit of the heights; None: heights in pixel sizes and no scale known.
    progress
        Told what is going on: (stage, done, total).
    """

    reader: FileReader
    heights: str
    metres: float | None
    progress: Progress = _silent

    @property
    def grid(self) -> Grid:
        """Georeference of the whole raster."""
        return self.reader.grid

    @property
    def facts(self) -> dict[str, Any]:
        """What every file says of itself."""
        unit = "metre" if self.metres is not None else "pixel size (no scale known)"
        return {"heights": self.heights, "unit": unit, "crs": short_crs(self.grid.crs)}

    def read(self, window: Window) -> NDArray[np.float32]:
        """Heights of a window in metres (pixel sizes when no scale is known), shape (row, col), NaN = no data."""
        heights: NDArray[np.float32] = self.reader.read(window)[0] * np.float32(self.metres or 1.0)
        return heights

    def told_strips(self, stage: str, rows: int | None = None) -> Iterator[Window]:
        """Windows of whole rows from the top, with a word to `progress` after each."""
        for window in strips(self.grid, rows) if rows else strips(self.grid):
            yield window
            self.progress(stage, window.row_stop, self.grid.height)

    def reduced(self, factor: int) -> NDArray[np.float32]:
        """All heights as means of blocks of `factor` pixels a side."""
        heights: NDArray[np.float32] = read_reduced(self.reader, factor)[0] * np.float32(self.metres or 1.0)
        return heights


@contextmanager
def open_heights(
    path: str | os.PathLike[str], gsd_m: float | None = None, progress: Progress | None = None
) -> Iterator[HeightModel]:
    """A height model with all that it says about its heights.

    Raises
    ------
    NotAnImageError, UnsupportedTypeError, UsageError
        As `io.geotiff.open_dem`.
    """
    with open_dem(path, gsd_m=gsd_m) as reader:
        metres = reader.grid.gsd_m if reader.info.unit == "px" else 1.0
        yield HeightModel(reader, _in_words(path, reader), metres, progress or _silent)


def _in_words(path: str | os.PathLike[str], reader: FileReader) -> str:
    """What the heights are: from the side-car of `im2dem predict`, else from the tags."""
    side_car = Path(f"{os.fspath(path)}.json")
    if side_car.is_file():
        try:
            told = json.loads(side_car.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            told = None
        if isinstance(told, dict) and isinstance(told.get("heights"), str):
            return str(told["heights"])
    with gdal_env(), quiet_georeference(), rasterio.open(path) as dataset:
        tags = all_tags(dataset)
    if "relative" in tags.get("IM2DEM_VERTICAL_DATUM", ""):
        return "relative: no vertical datum, the zero is arbitrary"
    if reader.info.unit == "px":
        return "relative, in pixel sizes"
    datum = reader.info.vertical_datum
    return f"above {datum}" if datum else "vertical datum not said"


def short_crs(crs: str | None) -> str | None:
    """A reference system in at most 80 characters."""
    return None if crs is None else crs if len(crs) <= 80 else crs[:77] + "..."


def whole_heights(model: HeightModel, max_px: int, tell: bool = True) -> tuple[NDArray[np.float32], Grid, int]:
    """All heights with the longer side at most `max_px`: means of blocks, with a word in the log (`tell`).

    Returns
    -------
    Heights (row, col) in metres, NaN = no data; their grid; the side of a block in pixels (1: as they are).
    """
    grid = model.grid
    factor = reduction_factor(grid.shape, max_px)
    if factor > 1 and tell:
        log.warning(
            "the DEM has %d x %d pixels; blocks of %d x %d are averaged for this format (--max-px changes that)",
            *grid.shape, factor, factor,
        )  # fmt: skip
    return model.reduced(factor), grid.coarsen(factor), factor


def pixel_size(grid: Grid) -> tuple[float, float]:
    """Ground size of a pixel along columns and rows, metres; 1 x 1 when no scale is known."""
    return grid.pixel_size_m() or (1.0, 1.0)


@lru_cache(maxsize=16)
def _between(source: str | None, target: str | None) -> Transformer:
    """Making one takes longer than warping a tile."""
    return Transformer.from_crs(source, target, always_xy=True)


def positions(
    transform: Affine, x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Many points through an affine transform: two arrays of one shape in, two out."""
    t = transform
    return t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f


def window_over(source: Grid, target: Grid, margin_px: int = _MARGIN_PX) -> Window | None:
    """The part of `source` under `target`, whichever reference systems they have, or None when they share no ground.

    Parameters
    ----------
    source, target
        Both with a reference system.
    margin_px
        Pixels more on every side.
    """
    share = np.linspace(0, 1, _EDGE_POINTS)
    col, row = (axis.ravel() for axis in np.meshgrid(share * target.width, share * target.height))
    x, y = positions(target.transform, col, row)
    if source.crs != target.crs:
        x, y = _between(target.crs, source.crs).transform(x, y)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return None
    col, row = positions(~source.transform, np.asarray(x)[known], np.asarray(y)[known])
    first_row, first_col = math.floor(row.min()) - margin_px, math.floor(col.min()) - margin_px
    height, width = math.ceil(row.max()) + margin_px - first_row, math.ceil(col.max()) + margin_px - first_col
    return Window(first_row, first_col, height, width).intersection(source.window)


def pixels_under(source: Grid, window: Window, target: Grid) -> float:
    """Pixels of `source` along one of `target`, at the middle of a window of `source`."""
    middle = source.transform @ (window.col_off + window.width / 2, window.row_off + window.height / 2)
    x, y = middle if source.crs == target.crs else _between(source.crs, target.crs).transform(*middle)
    col, row = ~target.transform @ (x, y)
    corners = positions(target.transform, np.array([col, col + 1, col]), np.array([row, row, row + 1]))
    if source.crs != target.crs:
        corners = _between(target.crs, source.crs).transform(*corners)
    cols, rows = positions(~source.transform, *(np.asarray(axis) for axis in corners))
    area = abs((cols[1] - cols[0]) * (rows[2] - rows[0]) - (cols[2] - cols[0]) * (rows[1] - rows[0]))
    return math.sqrt(area) if math.isfinite(area) else max(window.shape) / max(target.shape)


def picture_over(image: str | os.PathLike[str], grid: Grid, max_px: int) -> NDArray[np.uint8]:
    """A picture over exactly the extent of a grid.

    Parameters
    ----------
    image
        Path; any reference system, or none.
    grid
        Of the heights.
    max_px
        Longest side of the result, pixels.

    Returns
    -------
    uint8, shape (row, col, 3), grey where the picture has nothing; as many pixels as it has over this extent, or fewer.

    Raises
    ------
    GridMismatchError
        They share no ground, or one has no georeference and the aspect ratios differ.
    """
    with open_reader(image) as reader:
        placed = reader.grid.crs is not None and grid.crs is not None
        window = window_over(reader.grid, grid) if placed else reader.grid.window
        if window is None:
            raise GridMismatchError(f"{image}: shows no ground of the DEM; give a picture of the same place")
        if not placed:
            ratio = reader.grid.width / reader.grid.height / (grid.width / grid.height)
            if abs(math.log(ratio)) > _ASPECT_TOLERANCE:
                raise GridMismatchError(
                    f"{image}: {reader.grid.height} x {reader.grid.width} pixels over a DEM of {grid.height} x "
                    f"{grid.width}: without a georeference in both they must agree in aspect ratio; georeference both"
                )
        factor = max(1, max(window.shape) // max_px)
        data, source = read_reduced(reader, factor, window), reader.grid.crop(window).coarsen(factor)
    # The picture's own detail over this extent, not more.
    detail = max(source.shape) / max(grid.shape)
    scale = min(max(detail, 1e-6), max_px / max(grid.shape))
    size = max(2, round(grid.height * scale)), max(2, round(grid.width * scale))
    if placed:
        stretch = Affine.scale(grid.width / size[1], grid.height / size[0])
        data = warp_to_grid(data, source, Grid(size, grid.transform @ stretch, grid.crs))
        return to_rgb8(data)
    resized = Image.fromarray(to_rgb8(data)).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def require_place(model: HeightModel, what: str) -> None:
    """Raise unless the height model lies somewhere on Earth.

    Raises
    ------
    UsageError
        It has no reference system, or a local one.
    """
    if model.grid.lonlat(model.grid.height / 2, model.grid.width / 2) is None:
        raise UsageError(
            f"{model.reader.name}: has no place on Earth (reference system: {short_crs(model.grid.crs) or 'none'}), "
            f"and {what} need one; georeference it first (gdal_edit.py -a_srs, or rio edit-info --crs)"
        )
