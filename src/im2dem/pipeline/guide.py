"""Prior and points as further bands of the picture, for nets that take them as input (`guide`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from im2dem.core.anchor_surface import CellSurface, fill_cells
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.protocols import RasterReader
from im2dem.runtime.session import GUIDE_BANDS, OnnxModel

from .anchoring import Anchor

POINT_RADIUS_PX = 2


class GuideReader:
    """Four bands on the picture's grid: prior, whether it is known, points, whether one is painted; metres or 0 and 1.

    A `RasterReader`; every pixel of the scene has a value, voids of the prior are filled smoothly.

    Parameters
    ----------
    anchor
        Prior and points over the picture; either may be missing.
    """

    bands = GUIDE_BANDS

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        prior = anchor.prior
        if prior is not None:
            self._base = prior.surface.coefficients(fill_cells(prior.heights))
            self._known = np.isfinite(prior.heights)

    @property
    def grid(self) -> Grid:
        """That of the picture."""
        return self._anchor.grid

    def read(self, window: Window) -> NDArray[np.float32]:
        """Values of a window, float32 (4, row, col); NaN outside the scene."""
        out = np.full((4, *window.shape), np.nan, np.float32)
        inside = window.intersection(self.grid.window)
        if inside is None:
            return out
        part = out[(slice(None), *inside.slices(window))]
        part[...] = 0.0
        prior, cols = self._anchor.prior, slice(inside.col_off, inside.col_stop)
        if prior is not None:
            part[0] = prior.surface.rows(self._base, inside.row_off, inside.row_stop)[:, cols]
            row, col = (
                (np.arange(start, stop) + offset) // prior.surface.factor
                for start, stop, offset in zip(
                    (inside.row_off, inside.col_off),
                    (inside.row_stop, inside.col_stop),
                    prior.surface.offset,
                    strict=True,
                )
            )
            part[1] = self._known[np.ix_(row, col)]
        self._paint(part, inside)
        return out

    def _paint(self, part: NDArray[np.float32], inside: Window) -> None:
        points = self._anchor.points
        if points is None:
            return
        rows = np.floor(points.row).astype(np.int64) - inside.row_off
        cols = np.floor(points.col).astype(np.int64) - inside.col_off
        for row, col, z in zip(rows, cols, points.z, strict=True):
            stop = row + POINT_RADIUS_PX + 1, col + POINT_RADIUS_PX + 1
            if min(stop) > 0:
                at = np.s_[max(row - POINT_RADIUS_PX, 0) : stop[0], max(col - POINT_RADIUS_PX, 0) : stop[1]]
                part[2][at], part[3][at] = z, 1.0


def once_coarser(anchor: Anchor) -> Anchor:
    """The anchor with its prior averaged over 2 x 2 cells and without points: what a guided net is tested with.

    Given the prior itself, the net would repeat it, and be believed for that.

    Raises
    ------
    UsageError
        There is no prior.
    """
    prior = anchor.prior
    if prior is None:
        raise UsageError("without a prior there is nothing to make coarser")
    cells = prior.heights.shape
    means = CellSurface((cells[0], cells[1]), 2).means(prior.heights)
    surface = CellSurface(prior.surface.shape, 2 * prior.surface.factor, prior.surface.offset)
    return replace(anchor, prior=replace(prior, surface=surface, heights=means), points=None)


class _Joined:
    """The bands of two readers of one grid."""

    def __init__(self, first: RasterReader, second: RasterReader) -> None:
        self._first, self._second = first, second

    @property
    def grid(self) -> Grid:
        return self._first.grid

    @property
    def bands(self) -> tuple[str, ...]:
        return (*self._first.bands, *self._second.bands)

    def read(self, window: Window) -> NDArray[np.float32]:
        return np.concatenate([self._first.read(window), self._second.read(window)])


def guided(picture: RasterReader, model: OnnxModel, anchor: Anchor | None) -> tuple[RasterReader, bool]:
    """The picture, with the guide beside it where there is one and the model takes it.

    Parameters
    ----------
    picture
        As the model wants it.
    model
        The net.
    anchor
        Prior and points, or None.

    Returns
    -------
    What to read, and whether the model will answer with absolute heights (there is a prior in the guide), which
    must be neither levelled nor centred.
    """
    if anchor is None or not model.takes_guide:
        return picture, False
    return _Joined(picture, GuideReader(anchor)), anchor.prior is not None
