"""A raster file that is read window by window, missing pixels as NaN."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window as FileWindow

from im2dem.core.errors import Im2DemError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.nodata import is_nodata

from .bands import ReadPlan
from .environment import UNREADABLE, damaged, gdal_env, is_out_of_memory, too_large
from .scene import SceneInfo

log = logging.getLogger("im2dem")

# Below the deepest trench (-10,935 m) and above the highest known mountain (Olympus Mons, 21.9 km) nothing
# is a height: -32768, -99999, 32767 and 65535 without declaration are sentinels.
_LOWEST_M, _HIGHEST_M = -12_000.0, 30_000.0
# Files have one or two sentinels; so many different numbers in one window are something else.
_MANY = 8


@dataclass(frozen=True)
class Conversion:
    """From stored numbers to values: ``(stored * scale + offset) * to_metres``.

    Parameters
    ----------
    scales, offsets
        One number a band.
    to_metres
        Metres in one unit of the file.
    heights
        Values are heights: the least number of a signed integer type and what no height can be become NaN.
    """

    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    to_metres: float = 1.0
    heights: bool = False

    def apply(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Values of stored numbers, both (band, row, col); see `Conversion`."""
        scale, offset = (np.array(v, dtype=np.float64).reshape(-1, 1, 1) for v in (self.scales, self.offsets))
        with np.errstate(over="ignore", invalid="ignore"):
            values = ((stored * scale + offset) * self.to_metres).astype(np.float32)
            if self.heights:
                values[~((values >= _LOWEST_M) & (values <= _HIGHEST_M))] = np.nan
        if self.heights and np.issubdtype(stored.dtype, np.signedinteger):
            values[stored == np.iinfo(stored.dtype).min] = np.nan
        return values


class FileReader:
    """A raster file as a `RasterReader`; a context manager. Reading is safe from several threads (one at a
    time).

    Made by `open_reader` and `open_dem`.
    """

    def __init__(
        self, dataset: Any, plan: ReadPlan, grid: Grid, info: SceneInfo, conversion: Conversion | None
    ) -> None:
        self._dataset = dataset
        self._plan = plan
        self._grid = grid
        self._info = info
        self._conversion = conversion
        dtypes = dataset.dtypes
        self._dtype = np.result_type(*{dtypes[index - 1] for index in plan.indexes})
        self._lock = threading.Lock()
        self._has_warned = False

    @property
    def grid(self) -> Grid:
        """Georeference of the whole raster."""
        return self._grid

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in the order `read` returns them."""
        return self._plan.names

    @property
    def name(self) -> str:
        """The source as it was given."""
        return str(self._dataset.name)

    @property
    def dtype(self) -> str:
        """Type of the stored numbers, e.g. "uint16"."""
        return str(self._dtype)

    @property
    def info(self) -> SceneInfo:
        """Time, sun, unit, vertical datum, driver."""
        return self._info

    @property
    def fingerprint(self) -> str:
        """Text that changes when the file does: name, size in bytes, time of change in nanoseconds.

        Only the name for sources that are not files of this machine, and of the VRT alone for a VRT.
        """
        try:
            status = os.stat(self.name)
        except OSError:
            return self.name
        return f"{os.path.basename(self.name)} {status.st_size} {status.st_mtime_ns}"

    def read(self, window: Window) -> NDArray[np.float32]:
        """Values of a window.

        Parameters
        ----------
        window
            May reach outside the raster.

        Returns
        -------
        float32 (band, row, col) in `info.unit`, NaN where there is no data and outside the raster.

        Raises
        ------
        NotAnImageError
            The file is truncated or damaged there.
        InputError
            The window does not fit into the memory that there is.
        UsageError
            The reader is closed.
        """
        inside = window.intersection(self._grid.window)
        try:
            if inside == window:
                return self._read_inside(window)
            out = np.full((len(self.bands), *window.shape), np.nan, dtype=np.float32)
            if inside is not None:
                out[(slice(None), *inside.slices(window))] = self._read_inside(inside)
        except (MemoryError, ValueError) as error:
            if isinstance(error, Im2DemError) or not is_out_of_memory(error):
                raise
            raise too_large(self.name, error) from error
        return out

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        with self._lock:
            self._dataset.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_inside(self, window: Window) -> NDArray[np.float32]:
        plan = self._plan
        distinct = tuple(dict.fromkeys(plan.indexes))
        nodata = dict(zip(plan.indexes, plan.nodata, strict=True))  # the same band has the same value
        stored, masked = self._stored(window, distinct)
        missing = np.stack([is_nodata(band, nodata[index]) for index, band in zip(distinct, stored, strict=True)])
        if plan.joint_nodata:
            missing = np.asarray(missing.all(axis=0, keepdims=True))
        if masked is not None:
            missing = missing | masked
        if plan.palette is not None:
            colours = plan.palette[stored[0]]
            stored = np.moveaxis(colours[..., :3], -1, 0)
            missing = missing | (colours[..., 3] == 0)
        if plan.black_limit is not None:
            missing = missing | (np.abs(stored) <= plan.black_limit).all(axis=0)
        if self._conversion is not None:
            values = self._conversion.apply(stored)
            if self._conversion.heights and not self._has_warned:
                self._warn_of_odd_heights(stored[np.isnan(values) & ~missing])
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                values = stored.astype(np.float32)
        values[np.broadcast_to(missing, values.shape)] = np.nan
        if plan.palette is not None or distinct == plan.indexes:
            return values
        return values[[distinct.index(index) for index in plan.indexes]]

    def _warn_of_odd_heights(self, left_out: NDArray[Any]) -> None:
        """Say once that what was left out looks like numbers in another unit, not like a sentinel."""
        known = left_out[np.isfinite(left_out)]
        if known.size < _MANY or np.unique(known).size < _MANY:
            return
        self._has_warned = True
        log.warning(
            "%s: numbers such as %g are no heights in metres (%s to %s m) and were left out as no data; if they are in "
            "another unit, give the file a scale (gdal_edit.py -scale 0.01 for centimetres)",
            self.name,
            float(known[0]),
            f"{_LOWEST_M:,.0f}",
            f"{_HIGHEST_M:,.0f}",
        )

    def _stored(self, window: Window, indexes: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Stored numbers (band, row, col), and True where a mask or the alpha band hides them, or None."""
        where = FileWindow(window.col_off, window.row_off, window.width, window.height)
        dataset, plan = self._dataset, self._plan
        with self._lock, gdal_env():
            if dataset.closed:
                raise UsageError(f"{self.name}: this reader is closed; read inside its with block")
            try:
                stored = dataset.read(indexes, window=where, out_dtype=self._dtype)
                hidden: NDArray[np.bool_] | None = None
                if plan.masked:
                    hidden = dataset.read_masks(indexes, window=where) == 0
                if plan.alpha is not None:
                    clear = dataset.read(plan.alpha, window=where) == 0
                    hidden = clear[None] if hidden is None else hidden | clear
            except UNREADABLE as error:
                raise damaged(self.name, error) from error
        return stored, hidden
