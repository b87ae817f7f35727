"""Block means: a raster of any size read strip by strip into one small enough for a page or a model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .grid import Window
from .protocols import RasterReader

_STRIP_PX = 4_000_000


def reduction_factor(shape: tuple[int, int], max_px: int) -> int:
    """Side of the blocks that bring the longer side of `shape` (height, width) to at most `max_px` pixels.

    >>> reduction_factor((1024, 1000), 1024), reduction_factor((1400, 1200), 1024)
    (1, 2)

    Raises
    ------
    UsageError
        `max_px` below 2: no surface is left.
    """
    if max_px < 2:
        raise UsageError(f"a surface needs at least 2 pixels a side, got max_px={max_px}")
    return -(-max(shape) // max_px)


def block_mean(data: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Mean of the values in each block of `factor` x `factor` pixels.

    Parameters
    ----------
    data
        Shape (..., row, col), any unit, NaN = no data. Blocks at the right and lower edge may be cut.
    factor
        Side of a block in pixels.

    Returns
    -------
    Shape (..., ceil(row / factor), ceil(col / factor)). NaN where fewer than half of the block's pixels
    inside the raster have a value, so that a coast neither grows nor shrinks.
    """
    if factor == 1:
        return data
    height, width = data.shape[-2:]
    rows, cols = -(-height // factor), -(-width // factor)
    padded = np.full((*data.shape[:-2], rows * factor, cols * factor), np.nan, dtype=np.float32)
    padded[..., :height, :width] = data
    blocks = padded.reshape(*data.shape[:-2], rows, factor, cols, factor)
    valid = ~np.isnan(blocks)
    total = np.where(valid, blocks, 0).sum(axis=(-3, -1), dtype=np.float64)
    count = valid.sum(axis=(-3, -1))
    inside_rows = np.minimum(factor, height - factor * np.arange(rows))
    inside_cols = np.minimum(factor, width - factor * np.arange(cols))
    enough = 2 * count >= inside_rows[:, None] * inside_cols[None, :]
    out = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=enough & (count > 0))
    return out.astype(np.float32)


def read_reduced(reader: RasterReader, factor: int, window: Window | None = None) -> NDArray[np.float32]:
    """Block means of a raster, or of a window of it, read in strips.

    Parameters
    ----------
    reader
        Any raster.
    factor
        Side of a block in pixels.
    window
        The part that is wanted; None: all of it.

    Returns
    -------
    Shape (band, ceil(row / factor), ceil(col / factor)), NaN = no data; memory holds a few strips beside it.
    """
    window = window or reader.grid.window
    if factor == 1:
        return reader.read(window)
    # Whole blocks a strip, so that no block is ever cut in two.
    step = factor * max(1, _STRIP_PX // (window.width * factor))
    strips = (
        reader.read(Window(window.row_off + row, window.col_off, min(step, window.height - row), window.width))
        for row in range(0, window.height, step)
    )
    return np.concatenate([block_mean(strip, factor) for strip in strips], axis=1)
