"""Digital numbers to model input, model output to metres: pairs that undo each other.

A picture is stretched between two percentiles of each band. That makes 8-bit pictures, 16-bit reflectance
with or without an offset (Sentinel-2 adds 1000 since baseline 04.00) and floats from 0 to 1 the same model
input: an affine change of the digital numbers cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import NoDataError, UsageError
from .grid import Grid, Window
from .protocols import RasterReader

SLOPE_UNIT = 32.0
"""A height of 1 slope unit is 32 pixel sizes: the training target is (z - mean z) / (32 GSD)."""

_SAMPLE_SIDE = 128
_STRIP_ROWS = 256
_ENOUGH_VALID = 1000
_MIN_RANGE_8_BIT = 16.0
_MIN_RANGE_SHARE = 0.02


@dataclass(frozen=True)
class Stretch:
    """Affine map of each band from digital numbers to [0, 1].

    Parameters
    ----------
    low, high
        One number a band, in the unit of the picture (DN): what becomes 0 and what becomes 1.

    Raises
    ------
    UsageError
        Different lengths, no band, or a band whose `high` is not above `low`.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not self.low:
            raise UsageError(f"a stretch needs one low and one high a band, got {self.low} and {self.high}")
        for low, high in zip(self.low, self.high, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and high > low):
                raise UsageError(f"a stretch needs finite numbers with low < high, got {low} and {high}")

    @classmethod
    def from_samples(cls, samples: NDArray[np.floating], percentiles: tuple[float, float] = (1.0, 99.0)) -> Stretch:
        """The stretch between two percentiles of each band.

        The range is never narrower than 16 DN for pictures in 0..255 and 2 % of the high percentile for
        others, widened on both sides alike: a picture of one colour stays flat instead of being blown up to
        noise.

        Parameters
        ----------
        samples
            Shape (band, n), DN, NaN ignored; see `sample_reader`.
        percentiles
            Low and high, 0..100.

        Raises
        ------
        UsageError
            The percentiles are not in order within 0..100.
        NoDataError
            A band without one finite value.
        """
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise UsageError(f"percentiles must be two numbers in order within 0..100, got {percentiles}")
        lows, highs = [], []
        for number, band in enumerate(np.asarray(samples), start=1):
            values = band[np.isfinite(band)]
            if values.size == 0:
                raise NoDataError(f"band {number} has no valid pixel, so its brightness cannot be scaled")
            low, high = _percentiles(values, percentiles)
            spread = max(high - low, _least_range(values, high))
            middle = (low + high) / 2
            lows.append(middle - spread / 2)
            highs.append(middle + spread / 2)
        return cls(tuple(lows), tuple(highs))

    def apply(self, data: NDArray[np.floating]) -> NDArray[np.float32]:
        """Model input from digital numbers.

        Parameters
        ----------
        data
            Shape (band, ...), DN, NaN = no data.

        Returns
        -------
        Same shape, 0..1 (clipped), NaN kept.

        Raises
        ------
        UsageError
            Another number of bands than the stretch has.
        """
        low, high = self._columns(data)
        # float32 is enough: rounding `low` moves the result by 6e-8 |low| / (high - low), and the least range
        # of 2 % keeps that below 3e-6.
        out: NDArray[np.float32] = np.subtract(data, low, dtype=np.float32)
        out /= high - low
        np.clip(out, 0.0, 1.0, out=out)
        return out

    def invert(self, data: NDArray[np.floating]) -> NDArray[np.float32]:
        """Digital numbers from model input; undoes `apply` wherever that did not clip.

        Parameters
        ----------
        data
            Shape (band, ...), 0..1, NaN = no data.

        Returns
        -------
        Same shape, DN.

        Raises
        ------
        UsageError
            Another number of bands than the stretch has.
        """
        low, high = self._columns(data)
        return np.asarray(data * (high - low) + low, dtype=np.float32)

    def _columns(self, data: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if data.ndim == 0 or data.shape[0] != len(self.low):
            raise UsageError(f"data of shape {data.shape} given to a stretch of {len(self.low)} band(s)")
        shape = (-1,) + (1,) * (data.ndim - 1)
        low, high = (np.array(ends, dtype=np.float32).reshape(shape) for ends in (self.low, self.high))
        return low, high


def _percentiles(values: NDArray[np.floating], percents: tuple[float, float]) -> list[float]:
    """What `np.percentile` says of the same values in float64, to the last bit; NumPy sorts float32 far faster."""
    ordered, found = np.sort(values), []
    for percent in percents:
        place = (ordered.size - 1) * (percent / 100)
        below, share = int(place), place % 1
        a, b = (float(ordered[min(index, ordered.size - 1)]) for index in (below, below + 1))
        found.append(b - (b - a) * (1 - share) if share >= 0.5 else a + (b - a) * share)
    return found


def _least_range(values: NDArray[np.floating], high: float) -> float:
    """Least range in DN: 16 grey levels for pictures in 0..255, 2 % of the level, and never 0."""
    brightest = float(values.max())
    looks_8_bit = 2.0 < brightest <= 255.0 and float(values.min()) >= 0.0
    return max(_MIN_RANGE_8_BIT if looks_8_bit else 0.0, _MIN_RANGE_SHARE * abs(high), 1e-6)


@dataclass(frozen=True)
class ScaledReader:
    """A reader whose values are stretched to model input, 0..1, NaN kept: itself a `RasterReader`.

    Parameters
    ----------
    reader
        The picture in DN.
    stretch
        One low and high for each of its bands.
    """

    reader: RasterReader
    stretch: Stretch

    @property
    def grid(self) -> Grid:
        """Georeference of the picture."""
        return self.reader.grid

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands."""
        return self.reader.bands

    def read(self, window: Window) -> NDArray[np.float32]:
        """Values of a window, float32 (band, row, col), 0..1, NaN = no data or outside the raster."""
        return self.stretch.apply(self.reader.read(window))


def sample_reader(reader: RasterReader, max_pixels: int = 1_000_000) -> NDArray[np.float32]:
    """Pixels spread evenly over a picture, for statistics; deterministic.

    Reads a lattice of windows of 128 x 128 pixels (all of a small picture). When hardly any of them is
    valid, the whole picture is read once in strips and its valid pixels are thinned evenly, so that one
    valid pixel in a scene is found. Holds about `max_pixels` pixels and one strip of rows at a time.

    Parameters
    ----------
    reader
        The picture.
    max_pixels
        About how many pixels to return at most, at least 1.

    Returns
    -------
    Shape (band, n), the unit of the picture, NaN = no data (NaN in a band only where that band has none).

    Raises
    ------
    UsageError
        `max_pixels` below 1.
    """
    if max_pixels < 1:
        raise UsageError(f"at least one pixel must be sampled, got max_pixels={max_pixels}")
    grid = reader.grid
    if grid.height * grid.width <= max_pixels:
        return _flat([reader.read(strip) for strip in strips(grid)], len(reader.bands))
    samples = _flat([reader.read(window) for window in lattice(grid, max_pixels)], len(reader.bands))[:, :max_pixels]
    if np.isfinite(samples).sum(axis=1).min() >= min(_ENOUGH_VALID, max_pixels):
        return samples
    return _valid_pixels(reader, max_pixels)


def strips(grid: Grid, rows: int = _STRIP_ROWS) -> Iterator[Window]:
    """Windows of full width and at most `rows` rows that cover a grid from top to bottom."""
    for row in range(0, grid.height, rows):
        yield Window(row, 0, min(rows, grid.height - row), grid.width)


def lattice(grid: Grid, max_pixels: int) -> Iterator[Window]:
    """Windows of at most 128 x 128 spread evenly over a grid, row by row, about `max_pixels` in all.

    The outer ones are flush with the edges. In a grid smaller than that they overlap.
    """
    side = min(_SAMPLE_SIDE, max(1, math.isqrt(max_pixels)))
    height, width = min(side, grid.height), min(side, grid.width)
    count = max(1, max_pixels // (height * width))
    rows = min(max(1, round(math.sqrt(count * grid.height / grid.width))), count, -(-grid.height // height))
    cols = min(max(1, count // rows), -(-grid.width // width))
    for row in np.linspace(0, grid.height - height, rows).round().astype(int):
        for col in np.linspace(0, grid.width - width, cols).round().astype(int):
            yield Window(int(row), int(col), height, width)


def _valid_pixels(reader: RasterReader, max_pixels: int) -> NDArray[np.float32]:
    """Valid pixels of the whole picture, thinned evenly within each strip."""
    quota = max(1, max_pixels // -(-reader.grid.height // _STRIP_ROWS))
    kept = []
    for strip in strips(reader.grid):
        pixels = reader.read(strip).reshape(len(reader.bands), -1)
        pixels = pixels[:, np.isfinite(pixels).any(axis=0)]
        kept.append(pixels[:, :: max(1, -(-pixels.shape[1] // quota))])
    return _flat(kept, len(reader.bands))


def _flat(parts: list[NDArray[np.float32]], bands: int) -> NDArray[np.float32]:
    return np.concatenate([part.reshape(bands, -1) for part in parts], axis=1)


def heights_from_slope_units(heights: NDArray[np.floating], gsd_m: float) -> NDArray[np.float32]:
    """Heights in metres from slope units (one unit is 32 pixel sizes, the same steepness at any pixel size).

    Parameters
    ----------
    heights
        Any shape, slope units, NaN = no data.
    gsd_m
        Ground sampling distance, metres; 1 gives heights in pixel sizes.

    Returns
    -------
    Same shape, metres.

    Raises
    ------
    UsageError
        `gsd_m` is not a positive number.

    >>> heights_from_slope_units(np.array([0.5], dtype=np.float32), 10.0)
    array([160.], dtype=float32)
    """
    return np.asarray(heights * _metres_in_a_unit(gsd_m), dtype=np.float32)


def slope_units_from_heights(heights: NDArray[np.floating], gsd_m: float) -> NDArray[np.float32]:
    """Slope units from heights in metres; undoes `heights_from_slope_units`. The mean is not removed.

    Parameters
    ----------
    heights
        Any shape, metres, NaN = no data.
    gsd_m
        Ground sampling distance, metres.

    Returns
    -------
    Same shape, slope units.

    Raises
    ------
    UsageError
        `gsd_m` is not a positive number.
    """
    return np.asarray(heights / _metres_in_a_unit(gsd_m), dtype=np.float32)


def _metres_in_a_unit(gsd_m: float) -> float:
    if not (math.isfinite(gsd_m) and gsd_m > 0):
        raise UsageError(f"metres per pixel must be a positive number, got {gsd_m}")
    return SLOPE_UNIT * gsd_m
