"""Figures on the shape of the relief: slopes, gradients by scale, shading and spectra.

Each compares two `Relief` values, which keep what they have computed: the truth of a tile meets many
predictions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .errors import GridMismatchError
from .terrain import gradient, shade

FloatArray = NDArray[np.floating]
Rise = tuple[FloatArray, FloatArray, FloatArray]

BLUR_SIGMAS_PX = (0, 1, 2, 4, 8, 16)
OCTAVES_PX = (2, 4, 8, 16, 32, 64, 128)
SHADE_AZIMUTHS_DEG = (315.0, 45.0)

_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


class Footprint:
    """Which pixels of a tile count, with the masks that follow from it.

    Parameters
    ----------
    valid
        True where there is a height, shape (row, col).
    """

    def __init__(self, valid: NDArray[np.bool_]) -> None:
        self.valid = valid
        self.is_whole = bool(valid.all())

    @cached_property
    def inner(self) -> NDArray[np.bool_]:
        """True where a pixel and its eight neighbours count; the raster's edge counts as missing."""
        inner = np.zeros(self.valid.shape, dtype=bool)
        inner[1:-1, 1:-1] = _eroded(self.valid, 1)
        return inner

    @cached_property
    def ssim_windows(self) -> NDArray[np.bool_]:
        """True for each window of SSIM inside the raster that has a slope everywhere, one a pixel."""
        return _eroded(self.inner, _SSIM_RADIUS)


def _eroded(valid: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """True where all pixels within `radius` in both directions are; smaller than the input by the radius."""
    size = 2 * radius + 1
    if min(valid.shape) < size:
        return np.zeros((max(valid.shape[0] - size + 1, 0), max(valid.shape[1] - size + 1, 0)), dtype=bool)
    rows = np.lib.stride_tricks.sliding_window_view(valid, size, axis=0).all(axis=-1)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(rows, size, axis=1).all(axis=-1))


@dataclass(frozen=True, eq=False)
class Relief:
    """A height model with its derivatives, computed when first asked for, in single precision.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    pixel_size_m
        Ground size of a pixel along columns and rows, metres.
    footprint
        The valid pixels, if another relief has them already; default those of `dem`.
    """

    dem: FloatArray
    pixel_size_m: tuple[float, float]
    footprint: Footprint = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.footprint is None:
            object.__setattr__(self, "footprint", Footprint(np.isfinite(self.dem)))

    @cached_property
    def centred(self) -> NDArray[np.float32]:
        """Heights minus their mean, 0 in gaps: small numbers, for which single precision is plenty."""
        valid = self.footprint.valid
        if not valid.any():
            return np.zeros(self.dem.shape, dtype=np.float32)
        filled = self.dem.astype(np.float64) if self.footprint.is_whole else np.where(valid, self.dem, 0.0)
        filled -= filled.sum() / valid.sum()
        return np.asarray(filled if self.footprint.is_whole else filled * valid, dtype=np.float32)

    @cached_property
    def rise(self) -> Rise:
        """Gradient: east, north and length, each (row, col), metres per metre; 0 beside gaps and edges."""
        return self._rise_of(self.centred)

    @cached_property
    def blurred_rises(self) -> tuple[Rise, ...]:
        """As `rise`, after Gaussian blurs of `BLUR_SIGMAS_PX`."""
        spectrum = fft.dctn(self.centred, norm="ortho")
        weight = None
        if not self.footprint.is_whole:
            weight = fft.dctn(self.footprint.valid.astype(np.float32), norm="ortho")
        rises = []
        for sigma in BLUR_SIGMAS_PX:
            if sigma == 0:
                rises.append(self.rise)
                continue
            smooth = low_pass(spectrum, sigma)
            if weight is not None:
                smooth /= np.maximum(low_pass(weight, sigma), np.float32(1e-3))
            rises.append(self._rise_of(smooth))
        return tuple(rises)

    def _rise_of(self, surface: FloatArray) -> Rise:
        east, north = (part * self.footprint.inner for part in gradient(surface, self.pixel_size_m))
        return east, north, np.sqrt(east * east + north * north)

    @cached_property
    def slope_deg(self) -> FloatArray:
        """Steepness, shape (row, col), degrees; only inner pixels are meant."""
        return np.degrees(np.arctan(self.rise[2]))

    @cached_property
    def shades(self) -> tuple[_Moments, ...]:
        """Hillshades under `SHADE_AZIMUTHS_DEG`, 45 degrees high, with their local moments."""
        east, north, _ = self.rise
        return tuple(_Moments(shade((east, north), azimuth)) for azimuth in SHADE_AZIMUTHS_DEG)

    @cached_property
    def octave_power(self) -> NDArray[np.float64]:
        """Power by octave of wavelength (`OCTAVES_PX`), shape (octave,), square metres times a constant."""
        taper, octave, mirrored = _octave_plan(*self.dem.shape)
        window = taper * self.footprint.valid
        # The window's own weighted mean is taken out, else it leaks into the long waves.
        mean = np.vdot(self.centred, window) / max(float(window.sum()), 1e-12)
        power = np.abs(fft.rfft2((self.centred - np.float32(mean)) * window)) ** 2 * mirrored
        total = np.bincount(octave.ravel(), weights=power.ravel(), minlength=len(OCTAVES_PX) + 1)
        return np.asarray(total[1 : len(OCTAVES_PX)])


def low_pass(spectrum: NDArray[np.floating], sigma_px: float) -> NDArray[np.floating]:
    """Gaussian blur of a field given by its cosine transform: exact, edges mirrored, cheap however wide.

    Parameters
    ----------
    spectrum
        `scipy.fft.dctn(field, norm="ortho")`, shape (row, col).
    sigma_px
        Width of the Gaussian, pixels.

    Returns
    -------
    The blurred field, shape and type of `spectrum`.
    """
    rows, cols = (
        np.exp(-0.5 * (sigma_px * math.pi * np.arange(n) / n) ** 2).astype(spectrum.dtype) for n in spectrum.shape
    )
    return np.asarray(fft.idctn(spectrum * rows[:, None] * cols[None, :], norm="ortho"))


@lru_cache(maxsize=8)
def _octave_plan(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]]:
    """Hann window; number of the octave of each frequency, from 1, shortest waves first; how often it counts."""
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    with np.errstate(divide="ignore"):
        octave = np.searchsorted(OCTAVES_PX, 1 / frequency, side="right")
    # Columns other than the first and the Nyquist one stand for themselves and their mirror image.
    mirrored = np.ones((1, frequency.shape[1]), dtype=np.float32)
    mirrored[:, 1 : (width + 1) // 2] = 2
    return taper.astype(np.float32), octave, mirrored


@dataclass(frozen=True, eq=False)
class _Moments:
    """A picture without gaps with the means and variances of all windows that SSIM lays over it."""

    image: FloatArray

    @cached_property
    def mean(self) -> FloatArray:
        return _window_means(self.image)

    @cached_property
    def variance(self) -> FloatArray:
        return _window_means(self.image * self.image) - self.mean * self.mean


def _window_means(image: FloatArray) -> FloatArray:
    """Gaussian means of all windows inside a picture. Two products with band matrices beat a filter here."""
    rows, cols = (_band_matrix(n).astype(image.dtype, copy=False) for n in image.shape)
    return np.asarray(rows @ image @ cols.T)


@lru_cache(maxsize=8)
def _band_matrix(n: int) -> NDArray[np.float32]:
    size = 2 * _SSIM_RADIUS + 1
    kernel = np.exp(-0.5 * ((np.arange(size) - _SSIM_RADIUS) / _SSIM_SIGMA) ** 2)
    matrix = np.zeros((max(n - size + 1, 0), n), dtype=np.float32)
    for row in range(matrix.shape[0]):
        matrix[row, row : row + size] = kernel / kernel.sum()
    return matrix


def _check(pred: Relief, truth: Relief) -> None:
    if pred.dem.shape != truth.dem.shape:
        raise GridMismatchError(f"reliefs of one shape are wanted, got {pred.dem.shape} and {truth.dem.shape}")


def slope_mae_deg(pred: Relief, truth: Relief) -> float:
    """Mean absolute difference of steepness where all nine heights are there in both.

    Parameters
    ----------
    pred, truth
        Of the same shape (row, col), heights in metres.

    Returns
    -------
    Degrees, >= 0; NaN without such a pixel.

    Raises
    ------
    GridMismatchError
        The shapes differ.

    Source
    ------
    Steepness by Horn (1981), see `terrain.slope_deg`.
    """
    _check(pred, truth)
    inner = pred.footprint.inner & truth.footprint.inner
    count = int(inner.sum())
    gap = np.abs(pred.slope_deg - truth.slope_deg)
    return float((gap * inner).sum(dtype=np.float64)) / count if count else math.nan


def gradient_cosines(pred: Relief, truth: Relief) -> tuple[float, ...]:
    """Agreement of slope directions by scale: sum(gp . gz) / sum(|gp| |gz|) after Gaussian blurs.

    Both must have the same valid pixels (mask one with the other first). Steep pixels count more. The
    blur mirrors the raster at its edges and leaves missing pixels out of its means.

    Parameters
    ----------
    pred, truth
        Of the same shape (row, col); a positive scale of either changes nothing.

    Returns
    -------
    One figure for each of `BLUR_SIGMAS_PX`: 1 = same directions, 0 = none in common, -1 = inverted; NaN
    where one of them is level.

    Raises
    ------
    GridMismatchError
        The shapes or the valid pixels differ.

    Source
    ------
    Defined by this project: the mean cosine between slope directions, weighted by both steepnesses. Gradients by
    Horn (1981).
    """
    _check(pred, truth)
    _check_footprints(pred, truth)
    cosines = []
    for (p_east, p_north, p_length), (z_east, z_north, z_length) in zip(
        pred.blurred_rises, truth.blurred_rises, strict=True
    ):
        dot = float(np.vdot(p_east, z_east)) + float(np.vdot(p_north, z_north))
        lengths = float(np.vdot(p_length, z_length))
        # A millionth of a millimetre a metre is the rounding of level ground, not a slope.
        is_level = min(float(p_length.max(initial=0)), float(z_length.max(initial=0))) < 1e-9
        cosines.append(math.nan if is_level or lengths == 0 else dot / lengths)
    return tuple(cosines)


def _check_footprints(pred: Relief, truth: Relief) -> None:
    one, two = pred.footprint, truth.footprint
    if one is not two and not np.array_equal(one.valid, two.valid):
        raise GridMismatchError("both reliefs must have the same valid pixels; set each to NaN where the other is")


def psd_log_ratios(pred: Relief, truth: Relief) -> tuple[float, ...]:
    """log10 of predicted over true power in each octave of wavelength.

    Hann window, mean taken out, gaps set to the mean in both alike.

    Parameters
    ----------
    pred, truth
        Of the same shape (row, col) and valid pixels, heights in metres.

    Returns
    -------
    One figure for each octave between `OCTAVES_PX`, shortest waves first: 0 = as rough as the truth, -1 =
    a tenth of its power (blurred), 1 = ten times (noisy); NaN where one has no power or the tile is too
    small for the octave.

    Raises
    ------
    GridMismatchError
        The shapes differ.

    Source
    ------
    Periodogram: Welch (1967), IEEE Trans. Audio Electroacoust. 15(2), 70-73, with one segment.
    """
    _check(pred, truth)
    floor = 1e-12 * max(float(truth.octave_power.max(initial=0)), 1e-300)
    return tuple(
        math.log10(p / z) if p > floor and z > floor else math.nan
        for p, z in zip(pred.octave_power.tolist(), truth.octave_power.tolist(), strict=True)
    )


def ssim(one: FloatArray, two: FloatArray) -> float:
    """Structural similarity of two pictures with values between 0 and 1.

    Gaussian window of sigma 1.5 and 11 x 11 pixels, K1 = 0.01, K2 = 0.03, population moments; only windows
    that lie inside the picture and have no gap.

    Parameters
    ----------
    one, two
        Shape (row, col), 0 to 1; NaN = no data.

    Returns
    -------
    -1 to 1; NaN when no window is whole.

    Raises
    ------
    GridMismatchError
        The shapes differ.

    Source
    ------
    Wang et al. (2004), IEEE Trans. Image Process. 13(4), 600-612, doi:10.1109/TIP.2003.819861, eq. 13.
    """
    if one.shape != two.shape:
        raise GridMismatchError(f"pictures of one shape are wanted, got {one.shape} and {two.shape}")
    valid = np.isfinite(one) & np.isfinite(two)
    windows = _eroded(valid, _SSIM_RADIUS)
    return _ssim(_Moments(np.where(valid, one, 0)), _Moments(np.where(valid, two, 0)), windows)


def _ssim(one: _Moments, two: _Moments, windows: NDArray[np.bool_]) -> float:
    if not windows.any():
        return math.nan
    product = one.mean * two.mean
    covariance = _window_means(one.image * two.image) - product
    squares = one.mean * one.mean + two.mean * two.mean
    score = (2 * product + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    score /= (squares + _SSIM_C1) * (one.variance + two.variance + _SSIM_C2)
    return float(score.mean(dtype=np.float64, where=windows))


def hillshade_ssims(pred: Relief, truth: Relief) -> tuple[float, ...]:
    """Structural similarity of the hillshades under `SHADE_AZIMUTHS_DEG`, sun 45 degrees high.

    Only windows in which every pixel has its eight neighbours count.

    Parameters
    ----------
    pred, truth
        Of the same shape (row, col) and valid pixels, heights in metres.

    Returns
    -------
    One figure an azimuth, -1 to 1. Of raw heights a blurred surface reaches 0.9; of hillshades it does not.

    Raises
    ------
    GridMismatchError
        The shapes or the valid pixels differ.

    Source
    ------
    `ssim` and `terrain.hillshade`.
    """
    _check(pred, truth)
    _check_footprints(pred, truth)
    windows = truth.footprint.ssim_windows
    return tuple(_ssim(p, z, windows) for p, z in zip(pred.shades, truth.shades, strict=True))
