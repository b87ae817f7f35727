"""No data: one sentinel in files, NaN in memory. The only place that compares values with a nodata value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NODATA = -9999.0
"""What im2dem writes where there is no value."""

_NOT_A_MEASUREMENT = 1e37
"""Sentinels of float32 files are written with 3 to 17 digits (-3.4e38 ...); no measurement is that large."""

_SPIKE_SIDE_PX = 9

_FADE_PX = 32.0
"""Distance over which a filled value fades from its nearest neighbour to the mean of the band."""


def is_nodata(data: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """True where a value is the nodata value, is not finite, or is too large to be one.

    Parameters
    ----------
    data
        Any shape, any real type, any unit. Compared in its own type, so that a float64 sentinel is not lost
        by rounding.
    nodata
        The value that the file declares, NaN included; None = none declared. A value outside the range of an
        integer type matches nothing.

    Returns
    -------
    Same shape as `data`.
    """
    if np.issubdtype(data.dtype, np.integer):
        info = np.iinfo(data.dtype)
        if nodata is None or not info.min <= nodata <= info.max or nodata != int(nodata):
            return np.zeros(data.shape, dtype=np.bool_)
        return np.asarray(data == data.dtype.type(int(nodata)))
    # NaN fails every comparison, so "not (small enough)" catches NaN, infinity and huge sentinels in one
    # pass.
    missing = np.asarray(~(np.abs(data) < _NOT_A_MEASUREMENT))
    if nodata is not None and abs(nodata) < _NOT_A_MEASUREMENT:
        missing |= data == data.dtype.type(nodata)
    return missing


def to_nan(data: NDArray[Any], nodata: float | None) -> NDArray[np.float32]:
    """float32 copy with NaN where `is_nodata`.

    Parameters
    ----------
    data
        Any shape, any real type, any unit.
    nodata
        The value that the file declares, or None.

    Returns
    -------
    Same shape and unit, float32.

    >>> to_nan(np.array([1, 0, 255], dtype=np.uint8), 0)
    array([  1.,  nan, 255.], dtype=float32)
    """
    missing = is_nodata(data, nodata)
    with np.errstate(over="ignore", invalid="ignore"):
        out = data.astype(np.float32)
    out[missing] = np.nan
    return out


def from_nan(data: NDArray[np.floating], nodata: float = NODATA) -> NDArray[np.float32]:
    """float32 copy with `nodata` where a value is not finite.

    Parameters
    ----------
    data
        Any shape, any unit, NaN = no data.
    nodata
        What to write there.

    Returns
    -------
    Same shape and unit, float32, all finite when `nodata` is.

    >>> from_nan(np.array([1.5, np.nan], dtype=np.float32))
    array([ 1.500e+00, -9.999e+03], dtype=float32)
    """
    return np.where(np.isfinite(data), data, nodata).astype(np.float32)


def without_spikes(dem: NDArray[np.float32], limit_m: float) -> NDArray[np.float32]:
    """Heights without single pixels and thin lines that stand far out of, or far below, what is around them.

    Height models that were decoded from pictures have them along coasts, where the colours of land and sea mix.

    Parameters
    ----------
    dem
        (row, col), metres; NaN = no data.
    limit_m
        Pixels farther from the median of the 9 x 9 around them become NaN; choose more than 4 pixels of the steepest
        slope can rise.

    Returns
    -------
    Shape of `dem`.
    """
    around = ndimage.median_filter(fill(dem), _SPIKE_SIDE_PX)
    return np.where(np.abs(dem - around) > limit_m, np.float32(np.nan), dem)


def fill(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy without NaN: near the valid part its edge goes on, far away there is the mean of the band.

    The model must see something where there is no data, and a step at the edge of the valid part would look
    like a cliff to it. The nearest value n at distance d (pixels) is faded to the band's mean m as
    ``m + (n - m) exp(-(d - 1) / 32)``: no step at the edge, no stripes to infinity.

    Parameters
    ----------
    data
        Shape (band, row, col), any unit, NaN = no data.

    Returns
    -------
    Same shape and unit, no NaN. A band without one valid value becomes 0.
    """
    out = np.array(data, dtype=np.float32)
    missing = ~np.isfinite(out)
    previous: NDArray[np.bool_] | None = None
    for values, holes in zip(out, missing, strict=True):
        if not holes.any():
            continue
        if holes.all():
            values[...] = 0.0
            continue
        if previous is None or not np.array_equal(previous, holes):  # bands mostly share their holes
            distance, nearest = ndimage.distance_transform_edt(holes, return_indices=True)
            fade = np.exp(-(distance[holes] - 1.0) / _FADE_PX).astype(np.float32)
            source = tuple(axis[holes] for axis in nearest)
            previous = holes
        mean = np.float32(values[~holes].mean(dtype=np.float64))
        values[holes] = mean + (values[source] - mean) * fade
    return out
