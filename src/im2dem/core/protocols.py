"""The seams between the rooms. Each has a fake in `tests/fakes.py`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .grid import Grid, Window


class RasterReader(Protocol):
    """A picture or a height model that can be read window by window."""

    @property
    def grid(self) -> Grid:
        """Georeference of the whole raster."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in the order `read` returns them."""
        ...

    def read(self, window: Window) -> NDArray[np.float32]:
        """Values of a window, float32 (band, row, col), NaN where there is no data and outside the raster."""
        ...


class RasterWriter(Protocol):
    """A raster that takes finished windows; rows come from top to bottom."""

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        """Store float32 (band, row, col), NaN = no data."""
        ...


class TileModel(Protocol):
    """A network (or anything else) that turns a batch of square tiles into a batch of the same size."""

    @property
    def tile_px(self) -> int:
        """Preferred side of a tile; other sizes may be given, see `min_px`."""
        ...

    @property
    def min_px(self) -> int:
        """Least side of a tile."""
        ...

    @property
    def overlap_px(self) -> int:
        """Least overlap between neighbouring tiles."""
        ...

    @property
    def bands_out(self) -> int:
        """Output bands: 1 (height) or 2 (height, sigma), in the units of the input heights."""
        ...

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (n, band, t, t) to (n, bands_out, t, t), both float32, no NaN."""
        ...
