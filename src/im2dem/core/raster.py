"""A raster in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .display import raster_html, raster_line
from .errors import GridMismatchError
from .grid import Grid, Window
from .preview import preview_png


@dataclass(frozen=True, eq=False, repr=False)
class Raster:
    """Pixels with their georeference.

    Parameters
    ----------
    data
        float32, shape (band, row, col), NaN = no data.
    grid
        Georeference; its shape is that of one band.
    bands
        One name a band, e.g. ("red", "green", "blue") or ("height", "sigma").
    unit
        Unit of the values: "m", "px" (heights in pixel sizes: no scale known), "1" (reflectance) or "DN".
    vertical_datum
        "EGM2008", "WGS84 ellipsoid" ...; None means relative heights.

    Raises
    ------
    GridMismatchError
        `data`, `grid` and `bands` disagree about the shape.
    """

    data: NDArray[np.float32]
    grid: Grid
    bands: tuple[str, ...]
    unit: str = "m"
    vertical_datum: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", np.asarray(self.data, dtype=np.float32))
        if self.data.shape != (len(self.bands), *self.grid.shape):
            raise GridMismatchError(
                f"data of shape {self.data.shape} given for {len(self.bands)} band(s) on a grid of {self.grid.shape}"
            )

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where every band has a value, shape (row, col)."""
        return np.asarray(np.isfinite(self.data).all(axis=0))

    def band(self, name: str) -> NDArray[np.float32]:
        """One band by name, shape (row, col)."""
        return np.asarray(self.data[self.bands.index(name)])

    def read(self, window: Window) -> NDArray[np.float32]:
        """Values of a window, NaN outside: a Raster is a `RasterReader`."""
        out = np.full((len(self.bands), *window.shape), np.nan, dtype=np.float32)
        inside = window.intersection(self.grid.window)
        if inside is not None:
            out[(slice(None), *inside.slices(window))] = self.data[(slice(None), *inside.slices())]
        return out

    def __repr__(self) -> str:
        return raster_line(self)

    def _repr_html_(self) -> str:
        """What it is and what it looks like, for a notebook."""
        return raster_html(self)

    def _repr_png_(self) -> bytes:
        """The picture alone, for what shows no HTML."""
        return preview_png(self.data, self.grid.pixel_size_m())
