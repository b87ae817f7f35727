"""How far a picture and its heights are apart: sub-pixel shift from the relief that both show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import GridMismatchError
from im2dem.core.terrain import hillshade, multidirectional_hillshade

Float = NDArray[np.float64]

MOST_SHIFT_PX = 8
# Peak of the correlation above its surroundings, in standard deviations, from which the shift means something; a test
# draws what unrelated pictures reach.
LEAST_PEAK = 7.0
_FINE, _COARSE = 1.0, 12.0
_PASS_CYCLES_PER_PX = 0.2
_ZOOM_PX = (0.25, 0.08, 0.025)


@dataclass(frozen=True)
class Shift:
    """Where the picture lies relative to the heights.

    Parameters
    ----------
    down_px, right_px
        Features of the picture lie so many pixels below and right of those of the heights.
    peak
        Height of the correlation's peak over its surroundings, in standard deviations.
    """

    down_px: float
    right_px: float
    peak: float

    @property
    def is_sure(self) -> bool:
        """Whether relief was seen in both, so that the figures mean something."""
        return self.peak >= LEAST_PEAK and math.hypot(self.down_px, self.right_px) < MOST_SHIFT_PX


def measure_shift(
    picture: NDArray[np.floating],
    dem: NDArray[np.floating],
    gsd_m: float,
    sun: tuple[float, float] | None = None,
) -> Shift | None:
    """Shift between a picture and its heights, by phase correlation of gradients.

    The gradient of the brightness is compared with the gradient of the hillshade under the picture's own sun (under
    four suns when it is not known). Gradients are taken as complex numbers, so that direction counts; their spectra are
    whitened in part, so that no single large slope decides; the peak is found between pixels by the Fourier sum itself.

    Parameters
    ----------
    picture
        Any values that grow with brightness, shape (band, row, col), NaN = no data.
    dem
        Metres, shape (row, col), NaN = no data.
    gsd_m
        Metres a pixel.
    sun
        Azimuth in the picture and elevation, degrees.

    Returns
    -------
    None when one of them has no structure at all, or less than half of the pixels in common.

    Raises
    ------
    GridMismatchError
        The shapes differ.

    Source
    ------
    Fitch, Kadyrov, Christmas & Kittler (2002), Orientation correlation, BMVC, 133-142: gradients as complex numbers.
    Guizar-Sicairos, Thurman & Fienup (2008), Optics Letters 33(2), 156-158: the peak by a matrix product.
    """
    if picture.shape[1:] != dem.shape:
        raise GridMismatchError(f"a picture of {picture.shape[1:]} and heights of {dem.shape} cannot be compared")
    bright = picture.mean(axis=0).astype(np.float64)
    valid = np.isfinite(bright) & np.isfinite(dem)
    if valid.mean() < 0.5 or min(dem.shape) < 4 * MOST_SHIFT_PX:
        return None
    pixel = (gsd_m, gsd_m)
    heights = np.where(valid, dem, np.nanmean(dem[valid])).astype(np.float64)
    shade = np.asarray(
        multidirectional_hillshade(heights, pixel)
        if sun is None
        else hillshade(heights, pixel, sun[0], max(sun[1], 10.0)),
        dtype=np.float64,
    )
    weight = _taper(dem.shape) * ndimage.binary_erosion(valid, iterations=3, border_value=1)
    a = _flow(np.where(valid, bright, bright[valid].mean()), weight)
    b = _flow(shade, weight)
    if a is None or b is None:
        return None
    # The stretched view of the four suns has no direction: compare strengths of edges then.
    if sun is None:
        a, b = (np.abs(v).astype(np.complex128) for v in (a, b))
        a, b = a - a.mean(), b - b.mean()
    return _peak(a, b)


def _flow(values: Float, weight: Float) -> NDArray[np.complex128] | None:
    """Gradient as complex numbers after a band pass, damped where it is large."""
    band = ndimage.gaussian_filter(values, _FINE) - ndimage.gaussian_filter(values, _COARSE)
    down, right = np.gradient(band)
    flow = right + 1j * down
    size = np.abs(flow)
    typical = float(np.median(size[weight > 0])) if (weight > 0).any() else 0.0
    if not typical > 1e-12 * max(float(np.abs(values).max()), 1e-300):
        return None
    return np.asarray(flow / (size + typical) * weight)


def _peak(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> Shift:
    cross = np.fft.fft2(a) * np.conj(np.fft.fft2(b))
    size = np.abs(cross)
    cross /= np.sqrt(size) + 1e-3 * math.sqrt(float(size.max()))
    down, right = (np.asarray(np.fft.fftfreq(n), dtype=np.float64) for n in cross.shape)
    # Frequencies near the limit of sampling are noise, and turn to the other sign between pixels.
    cross *= np.exp(-((down[:, None] ** 2 + right[None] ** 2) / (2 * _PASS_CYCLES_PER_PX**2)))
    surface = np.fft.fftshift(np.fft.ifft2(cross).real)
    row0, col0 = (n // 2 for n in surface.shape)
    reach = MOST_SHIFT_PX
    near = surface[row0 - reach : row0 + reach + 1, col0 - reach : col0 + reach + 1]
    row, col = divmod(int(near.argmax()), 2 * reach + 1)
    far = np.ones(surface.shape, dtype=bool)
    far[row0 - reach : row0 + reach + 1, col0 - reach : col0 + reach + 1] = False
    noise = float(surface[far].std()) or 1e-300
    peak = (float(near[row, col]) - float(surface[far].mean())) / noise
    place = (float(row - reach), float(col - reach))
    for step in _ZOOM_PX:
        place = _finest(cross, down, right, place, step)
    return Shift(place[0], place[1], peak)


def _finest(
    cross: NDArray[np.complex128], down: Float, right: Float, place: tuple[float, float], step: float
) -> tuple[float, float]:
    """Highest point of the correlation on a grid of 7 x 7 points around a place: the Fourier sum between pixels."""
    rows, cols = (centre + step * np.arange(-3, 4) for centre in place)
    left = np.exp(2j * np.pi * np.outer(rows, down))
    values = (left @ cross @ np.exp(2j * np.pi * np.outer(right, cols))).real
    row, col = divmod(int(values.argmax()), 7)
    return float(rows[row]), float(cols[col])


@lru_cache(maxsize=8)
def _taper(shape: tuple[int, int]) -> Float:
    down, right = (np.hanning(n + 2)[1:-1] for n in shape)
    return np.asarray(np.sqrt(np.outer(down, right)))
