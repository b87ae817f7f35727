"""The temporary files that a cloud-optimised GeoTIFF is made of: full resolution and overviews, not compressed.

Compressing is left to the end, so windows that cross blocks are updated in place and the size on disk is known.
GDAL would make the overviews by reading everything once more, compressing, unpacking and compressing again; here
they are made while the rows are in memory, each in a file that GDAL takes for the overviews of the one before: `.ovr`,
`.ovr.ovr` and so on. A VRT would say the same, but a server's jobs have no driver for VRTs.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window as FileWindow

from im2dem.core.grid import Grid, Window
from im2dem.core.nodata import NODATA

from .pyramid import Pyramid, overview_shapes

BLOCK_PX = 512
# Of 8-bit pictures: 0 is no data, so that the darkest pixel is 1.
BYTE_NODATA = 0
_MOST_LEVELS = 24  # overviews of a raster of 2^32 pixels a side


class CogParts:
    """Full resolution and overviews of a raster beside its target, `<stem>.part.tif*`.

    Parameters
    ----------
    target
        The raster that will be.
    grid
        Its georeference.
    crs
        The same reference system for GDAL.
    bands
        Its bands.
    dtype
        Of the values in the file. "uint8" holds digital numbers 1 to 255, 0 is no data.
    """

    def __init__(
        self, target: Path, grid: Grid, crs: CRS | None, bands: int, dtype: Literal["float32", "uint8"] = "float32"
    ) -> None:
        self._target, self._grid, self._crs, self._bands, self._dtype = target, grid, crs, bands, dtype
        self._pyramid = Pyramid(grid.shape, BLOCK_PX, self._write_overview)
        self._rows: Any = None
        self._overviews: list[Any] = []

    @property
    def is_open(self) -> bool:
        """Whether rows can be written."""
        return self._rows is not None

    @property
    def n_bytes(self) -> int:
        """What the files take on the disk."""
        return sum(self._file_bytes(shape) for shape in self._shapes())

    def open(self, tags: Mapping[str, str], descriptions: tuple[str, ...], unit: str) -> None:
        """Make the files, after throwing away what a killed run has left of them."""
        self.discard()
        for number, shape in enumerate(self._shapes()):
            dataset = rasterio.open(
                self._path(number),
                "w",
                driver="GTiff",
                height=shape[0],
                width=shape[1],
                count=self._bands,
                dtype=self._dtype,
                crs=self._crs if number == 0 else None,
                transform=self._grid.transform if number == 0 else Affine.identity(),
                nodata=BYTE_NODATA if self._dtype == "uint8" else NODATA,
                tiled=True,
                blockxsize=BLOCK_PX,
                blockysize=BLOCK_PX,
                interleave="band",
                bigtiff="IF_SAFER",
                **({"photometric": "RGB"} if self._dtype == "uint8" and self._bands == 3 else {}),
            )
            if number:
                self._overviews.append(dataset)
            else:
                self._rows = dataset
        self._rows.update_tags(**tags, AREA_OR_POINT="Area")
        self._rows.descriptions = descriptions
        self._rows.units = (unit,) * self._bands

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        """Store a window, float32 (band, row, col), NaN = no data."""
        _store(self._rows, window, data)
        self._pyramid.feed(window, data)

    def close(self) -> bool:
        """Close the files; False: what was still in memory did not fit on the disk, which GDAL only logs."""
        for dataset in (self._rows, *self._overviews):
            dataset.close()
        self._rows, self._overviews = None, []
        shapes = self._shapes() if self._pyramid.is_complete else self._shapes()[:1]
        return all(self._path(n).stat().st_size >= self._file_bytes(shape) for n, shape in enumerate(shapes))

    def close_quietly(self) -> None:
        """Close files that will be thrown away: the error that led here matters more."""
        for dataset in (self._rows, *self._overviews):
            if dataset is not None:
                with suppress(RasterioError, OSError):
                    dataset.close()
        self._rows, self._overviews = None, []

    def source(self) -> Path:
        """What GDAL copies: the rows, without the overviews where rows did not come from top to bottom."""
        if not self._pyramid.is_complete:
            self._remove(1)
        return self._path(0)

    def discard(self) -> None:
        """Remove the files; those that are not there do not matter."""
        self._remove(0)

    def _remove(self, first: int) -> None:
        for number in range(first, _MOST_LEVELS):
            path = self._path(number)
            try:
                for ending in ("", ".aux.xml"):
                    path.with_name(path.name + ending).unlink(missing_ok=True)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:  # no file is called that, nor more
                    return
                raise

    def _write_overview(self, level: int, window: Window, data: NDArray[np.float32]) -> None:
        _store(self._overviews[level], window, data)

    def _shapes(self) -> list[tuple[int, int]]:
        return [self._grid.shape, *overview_shapes(self._grid.shape, BLOCK_PX)]

    def _file_bytes(self, shape: tuple[int, int]) -> int:
        blocks = -(-shape[0] // BLOCK_PX) * -(-shape[1] // BLOCK_PX)
        return blocks * BLOCK_PX**2 * np.dtype(self._dtype).itemsize * self._bands

    def _path(self, number: int) -> Path:
        return self._target.with_name(f"{self._target.stem}.part.tif{'.ovr' * number}")


def _store(dataset: Any, window: Window, data: NDArray[np.float32]) -> None:
    valid = np.isfinite(data)
    is_byte = dataset.dtypes[0] == "uint8"
    if is_byte:
        # Rounded here and not by GDAL, which would make 0, no data, of what is dark.
        data = np.clip(np.rint(data), BYTE_NODATA + 1, 255)
    if not valid.all():
        data = np.where(valid, data, np.float32(BYTE_NODATA if is_byte else NODATA))
    values = data.astype(np.uint8) if is_byte else data
    dataset.write(values, window=FileWindow(window.col_off, window.row_off, window.width, window.height))
