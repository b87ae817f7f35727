"""Square windows of rasters brought to another number of pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def resample(source: NDArray[np.float32], corner: tuple[int, int], span: int, size_px: int) -> NDArray[np.float32]:
    """A square window of the source, `span` pixels a side from `corner`, made `size_px` a side.

    Parameters
    ----------
    source
        Any quantity, shape (row, col), no NaN in the window, rows lying together.
    corner
        First row and column of the window.
    span
        At most twice `size_px`.

    Raises
    ------
    MissingDependencyError
        Numba is not installed, and `span` is not `size_px`.
    """
    from im2dem.synth.appearance.geometry import resample_rows, transpose
    from im2dem.synth.appearance.workspace import spare

    row, col = corner
    if span == size_px:
        return source[row : row + span, col : col + span].copy()
    sums = _filter(span, size_px)
    middle, turned = spare("middle", size_px, span), spare("turned", span, size_px)
    out = np.empty((size_px, size_px), np.float32)
    resample_rows(source, corner, span, sums, middle)
    transpose(middle, turned)
    resample_rows(turned, (0, 0), span, sums, out)
    return out.T


@lru_cache(1024)
def _filter(span: int, size_px: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """First source pixel and four weights of each output pixel: a tent where pixels are dropped, else Keys' cubic.

    At most every other pixel is dropped (`DemSource.halved`), so that four are enough.

    Source
    ------
    Keys (1981), IEEE Trans. ASSP 29, 1153-1160, eq. 15 with a = -1/2.
    """
    zoom = span / size_px
    reach = zoom if zoom > 1 else 2.0
    at = (np.arange(size_px) + 0.5) * zoom - 0.5
    starts = np.floor(at - reach).astype(np.int64) + 1
    offset = starts[:, None] + np.arange(4) - at[:, None]
    x = np.abs(offset)
    if zoom > 1:
        weights = np.maximum(1 - x / zoom, 0)
        weights /= weights.sum(axis=1, keepdims=True)
        # sampled, a tent leans a little to one side or the other: upright again, or slopes would ripple
        lean = (weights * offset).sum(axis=1, keepdims=True)
        weights *= 1 - lean * (offset - lean) / ((weights * offset**2).sum(axis=1, keepdims=True) - lean**2)
    else:
        weights = np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0))
    return starts, np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
