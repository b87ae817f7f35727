"""Smooth surfaces over coarse cells whose mean over every cell is exactly the one given.

The bicubic interpolation of a coarse height model does not give the model back when it is averaged over its cells:
it flattens ridges and fills valleys. A spline whose *means* are prescribed does, and is closer to the truth.
Everything is separable and local once the coefficients are known, so it can be evaluated row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import SuperLU, splu

from .errors import GridMismatchError, NoDataError, UsageError

FloatArray = NDArray[np.floating]

_CORRECTIONS = 2


@dataclass(frozen=True)
class CellSurface:
    """How coarse square cells lie over fine pixels.

    Parameters
    ----------
    shape
        (height, width) of the fine grid, pixels.
    factor
        Fine pixels along the side of a cell, at least 1.
    offset
        (rows, columns) by which the first cell reaches out over the upper and the left edge, 0 to factor - 1.

    Raises
    ------
    UsageError
        A factor below 1 or an offset outside its range.

    Examples
    --------
    >>> surface = CellSurface((4, 4), 2)
    >>> cells = np.array([[1.0, 2.0], [3.0, 8.0]])
    >>> fine = surface.rows(surface.coefficients(cells), 0, 4)
    >>> surface.means(fine).round(9).tolist()
    [[1.0, 2.0], [3.0, 8.0]]
    """

    shape: tuple[int, int]
    factor: int
    offset: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.factor < 1 or not all(0 <= o < self.factor for o in self.offset):
            raise UsageError(
                f"cells need a side of at least 1 pixel and an offset of 0 to side - 1, got {self.factor} and "
                f"{self.offset}"
            )

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of cells that touch the fine grid."""
        height, width = (-(-(n + o) // self.factor) for n, o in zip(self.shape, self.offset, strict=True))
        return height, width

    @cached_property
    def _axes(self) -> tuple[_Axis, _Axis]:
        rows, cols = (_Axis.of(n, self.factor, o) for n, o in zip(self.shape, self.offset, strict=True))
        return rows, cols

    def sums(self, data: FloatArray, row_off: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What some fine rows add to every cell.

        Parameters
        ----------
        data
            Shape (row, width), any unit; NaN = no data.
        row_off
            Fine row of the first one.

        Returns
        -------
        Sum and number of valid pixels by cell, float64, shape `cells`.

        Raises
        ------
        GridMismatchError
            Rows of another width, or that leave the grid.
        """
        height, width = data.shape
        if width != self.shape[1] or not 0 <= row_off <= self.shape[0] - height:
            raise GridMismatchError(f"rows of shape {data.shape} from row {row_off} on do not fit a grid {self.shape}")
        valid = np.isfinite(data)
        own, across = (axis.member for axis in self._axes)
        own = own[:, row_off : row_off + height]
        filled = np.where(valid, data, 0.0).astype(np.float64)
        total = (own @ filled) @ across.T
        count = (own @ valid.astype(np.float64)) @ across.T
        return np.asarray(total), np.asarray(count)

    def means(self, data: FloatArray) -> NDArray[np.float64]:
        """Mean of the valid pixels of every cell, shape `cells`; NaN in cells without any.

        `data` has the shape of the fine grid and may be NaN.
        """
        total, count = self.sums(data)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def coefficients(self, cells: FloatArray, within: float = 0.0) -> NDArray[np.float64]:
        """Coefficients of the surface whose mean over every cell is the given one.

        A cubic spline through the means is corrected twice by the spline of what its own means lack; the little
        that is still missing is spread within each cell as a smooth bump. Solving for the spline at once would
        ring: a plain at the foot of mountains gets waves that no interpolation has.

        Parameters
        ----------
        cells
            Means, shape `cells`, any unit, all finite (see `fill_cells`).
        within
            How far a mean may be missed, >= 0, same unit: what is less is noise that a correction would amplify.

        Returns
        -------
        float64 (2, row, col) in the same unit, for `rows`: those of the spline, and the heights of the bumps.

        Raises
        ------
        GridMismatchError
            Another shape.

        Source
        ------
        The correction is iterative back-projection: Irani & Peleg (1991), CVGIP 53(3), 231-239, eq. 4. A spline
        with prescribed means is the histospline of Schoenberg (1973).
        """
        if cells.shape != self.cells:
            raise GridMismatchError(f"means of shape {cells.shape} given for {self.cells} cells")
        missing = np.array(cells, np.float64)
        spline = np.zeros(self.cells)
        rows, cols = self._axes
        for _ in range(1 + _CORRECTIONS):
            half = rows.through.solve(missing)
            spline += cols.through.solve(np.ascontiguousarray(half.T)).T
            missing = cells - (rows.mean_of_spline @ spline) @ cols.mean_of_spline.T
            missing -= np.clip(missing, -within, within)
        return np.stack([spline, missing])

    def plain_coefficients(self, cells: FloatArray) -> NDArray[np.float64]:
        """Coefficients of the cubic spline through the means at the middles of the cells, uncorrected.

        That is what a bicubic interpolation does; its own means are off where the surface bends. Parameter, shape
        and error as in `coefficients`.
        """
        if cells.shape != self.cells:
            raise GridMismatchError(f"means of shape {cells.shape} given for {self.cells} cells")
        rows, cols = self._axes
        half = rows.through.solve(np.asarray(cells, np.float64))
        return np.stack([cols.through.solve(np.ascontiguousarray(half.T)).T, np.zeros(self.cells)])

    def rows(self, coefficients: FloatArray, start: int, stop: int) -> NDArray[np.float64]:
        """Heights of fine rows `start` to `stop`, shape (stop - start, width), in the unit of the coefficients."""
        rows, cols = self._axes
        spline, bumps = coefficients
        return np.asarray(
            (rows.spline[start:stop] @ spline) @ cols.spline.T + (rows.bump[start:stop] @ bumps) @ cols.bump.T
        )

    def linear_rows(self, cells: FloatArray, start: int, stop: int) -> NDArray[np.float64]:
        """Values of cell centres interpolated linearly to fine rows `start` to `stop`; never outside their range."""
        rows, cols = (axis.linear for axis in self._axes)
        return np.asarray((rows[start:stop] @ cells) @ cols.T)


@dataclass(frozen=True)
class _Axis:
    """One axis, sparse: which pixels are in a cell (cell, pixel); weights of cells in a pixel (pixel, cell)."""

    member: sparse.csr_array
    spline: sparse.csr_array
    linear: sparse.csr_array
    bump: sparse.csr_array
    mean_of_spline: sparse.csr_array
    through: SuperLU

    @classmethod
    def of(cls, n: int, factor: int, offset: int) -> _Axis:
        pixel = np.arange(n)
        cell = (pixel + offset) // factor
        cells = int(cell[-1]) + 1
        member = sparse.csr_array((np.ones(n), (cell, pixel)), shape=(cells, n))
        count = np.bincount(cell, minlength=cells)
        position = (pixel + offset + 0.5) / factor - 0.5
        spline = _taps(*_cubic(position), cells)
        first = np.floor(position).astype(np.int64)
        linear = _taps([1 - position + first, position - first], first, cells)
        shape = (1 - (2 * (position - cell)) ** 2) ** 2  # 0 with its slope at the borders of the cell
        shape /= (np.bincount(cell, shape, cells) / count)[cell]
        bump = sparse.csr_array((shape, (pixel, cell)), shape=(n, cells))
        mean = sparse.csr_array(((1 / count)[cell], (cell, pixel)), shape=(cells, n))
        through = splu(_taps(*_cubic(np.arange(float(cells))), cells).tocsc())
        return cls(member, spline, linear, bump, mean @ spline, through)


def _cubic(position: NDArray[np.float64]) -> tuple[list[NDArray[np.float64]], NDArray[np.int64]]:
    """Weights of the four cubic B-splines over positions in cells, and the cell of the first."""
    first = np.floor(position).astype(np.int64)
    t = position - first
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    return [weight / 6 for weight in weights], first - 1


def _taps(weights: list[NDArray[np.float64]], first: NDArray[np.int64], cells: int) -> sparse.csr_array:
    """Weights of consecutive cells; what lies beyond the ends is their mirror image."""
    n = len(first)
    rows = np.tile(np.arange(n), len(weights))
    index = np.concatenate([first + k for k in range(len(weights))]) % (2 * cells)
    columns = np.minimum(index, 2 * cells - 1 - index)
    return sparse.coo_array((np.concatenate(weights), (rows, columns)), shape=(n, cells)).tocsr()


def fill_cells(cells: FloatArray, known: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Copy without voids: each takes the smoothest surface that its surroundings allow.

    Parameters
    ----------
    cells
        Shape (row, col), any unit; NaN = void.
    known
        True where a value counts; default: where it is finite.

    Returns
    -------
    float64, same shape and unit, all finite; known cells are unchanged.

    Raises
    ------
    NoDataError
        Not one known cell.

    Examples
    --------
    >>> fill_cells(np.array([[1.0, np.nan, 3.0]])).round(6).tolist()
    [[1.0, 2.0, 3.0]]
    """
    values = np.asarray(cells, np.float64)
    good = np.isfinite(values) if known is None else known & np.isfinite(values)
    if not good.any():
        raise NoDataError("a coarse height model without one valid cell cannot be filled")
    if good.all():
        return values.copy()
    if min(values.shape) > 2:
        parent_shape = tuple(-(-n // 2) for n in values.shape)
        row, col = (np.arange(n) // 2 for n in values.shape)
        total, count = np.zeros((2, *parent_shape))
        np.add.at(total, (row[:, None], col[None]), np.where(good, values, 0.0))
        np.add.at(count, (row[:, None], col[None]), good)
        parent = fill_cells(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        guess = CellSurface((values.shape[0], values.shape[1]), 2).linear_rows(parent, 0, values.shape[0])
    else:
        guess = np.full(values.shape, values[good].mean())
    out = np.where(good, values, guess)
    for _ in range(_SWEEPS):
        smooth = ndimage.convolve(out, _CROSS, mode="nearest")
        out[~good] = smooth[~good]
    return out


_SWEEPS = 40  # at each of the doubling scales, so that a void of any width settles
_CROSS = np.array([[0.0, 0.25, 0.0], [0.25, 0.0, 0.25], [0.0, 0.25, 0.0]])
