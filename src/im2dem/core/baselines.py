"""The trivial answers that every table prints beside a model; one that does not beat them has learnt nothing.

The answers of a tile know the tile's own truth where their name says so (flat, plane, bicubic): they are
bounds, not methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .alignment import block_mean, plane, upsample
from .errors import NoDataError
from .metrics_structure import low_pass
from .scaling import SLOPE_UNIT

FloatArray = NDArray[np.floating]


def flat(dem: FloatArray) -> NDArray[np.float64]:
    """A level surface at the true mean height; shape of `dem` (row, col), metres.

    Raises
    ------
    NoDataError
        No finite height in `dem`.
    """
    valid = np.isfinite(dem)
    if not valid.any():
        raise NoDataError("a height model without a valid pixel has no mean height")
    return np.full(dem.shape, float(dem[valid].mean(dtype=np.float64)))


def best_plane(dem: FloatArray) -> NDArray[np.float64]:
    """The least-squares plane through the true heights; shape of `dem` (row, col), metres.

    Raises
    ------
    NoDataError
        No finite height in `dem`.
    """
    return plane(dem)


def brightness(image: FloatArray) -> FloatArray:
    """Mean of the bands, as if bright were high: (band, row, col) to (row, col); unit, NaN stay."""
    return np.asarray(image.mean(axis=0))


def inverted_brightness(image: FloatArray) -> FloatArray:
    """Minus the mean of the bands, as if dark were high: (band, row, col) to (row, col); unit, NaN stay."""
    return -brightness(image)


def blurred_brightness(image: FloatArray, sigma_px: float = 16.0) -> FloatArray:
    """Mean of the bands after a Gaussian blur that leaves missing pixels out.

    Parameters
    ----------
    image
        Shape (band, row, col), any unit, NaN = no data.
    sigma_px
        Width of the blur, pixels.

    Returns
    -------
    Shape (row, col), unit of `image`, NaN where the picture has none.
    """
    bright = brightness(image).astype(np.float64)
    valid = np.isfinite(bright)
    weight, total = (
        low_pass(fft.dctn(field, norm="ortho"), sigma_px)
        for field in (valid.astype(np.float64), np.where(valid, bright, 0.0))
    )
    return np.where(valid, total / np.maximum(weight, 1e-12), np.nan)


def random_field(shape: tuple[int, int], rng: np.random.Generator, sigma_px: float = 16.0) -> NDArray[np.float64]:
    """Smooth noise of mean 0 and standard deviation 1: what a guess without looking scores.

    Parameters
    ----------
    shape
        (height, width), pixels.
    rng
        Draws the noise; one per tile, so that tiles do not depend on their order.
    sigma_px
        Width of the blur of white noise, pixels.

    Returns
    -------
    float64 of `shape`, no unit.
    """
    field = low_pass(fft.dctn(rng.standard_normal(shape), norm="ortho"), sigma_px)
    field -= field.mean()
    return np.asarray(field / max(float(field.std()), 1e-12))


def bicubic_coarse(dem: FloatArray, factor: int = 16) -> NDArray[np.float64]:
    """The true heights averaged over blocks and interpolated again: the bar for a model with a coarse prior.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    factor
        Side of a block, pixels.

    Returns
    -------
    float64, shape of `dem`, metres, without NaN.

    Raises
    ------
    NoDataError
        No finite height.
    UsageError
        `factor` is below 1.
    """
    return upsample(block_mean(dem, factor), factor, (dem.shape[0], dem.shape[1]))


def mean_relief(dems: Iterable[tuple[FloatArray, float]], side_px: int) -> NDArray[np.float64]:
    """The mean of training tiles: what a model answers that has learnt the places and does not look.

    Parameters
    ----------
    dems
        Tiles of heights (row, col), metres, NaN = no data, each with its ground sampling distance, metres. Those
        smaller than the mean count in its upper left corner, of larger ones the upper left corner counts.
    side_px
        Side of the mean tile, pixels.

    Returns
    -------
    float64 (side_px, side_px): mean of (z - mean z) / (32 GSD), no unit; 0 where no tile has data.

    Raises
    ------
    NoDataError
        No tile with a finite height.
    """
    total, count = np.zeros((side_px, side_px)), np.zeros((side_px, side_px))
    for dem, gsd_m in dems:
        part = dem[:side_px, :side_px]
        valid = np.isfinite(part)
        if valid.any():
            own = part.shape
            relief = (part - part[valid].mean(dtype=np.float64)) / (SLOPE_UNIT * gsd_m)
            total[: own[0], : own[1]] += np.where(valid, relief, 0.0)
            count[: own[0], : own[1]] += valid
    if not count.any():
        raise NoDataError("no training tile has a valid height, so there is no mean of them")
    return np.asarray(total / np.maximum(count, 1))


@dataclass(frozen=True)
class Baseline:
    """A trivial row: its name, its answer, and whether it is in metres (else only A2 and A3 make sense)."""

    name: str
    answer: Callable[[FloatArray | None, FloatArray, np.random.Generator], FloatArray | None]
    is_metric: bool


def trivial_rows(prior_factors: tuple[int, ...] = (16,)) -> tuple[Baseline, ...]:
    """The trivial rows: functions of (image or None, dem, rng) to a prediction, or to None without an image.

    Parameters
    ----------
    prior_factors
        Block sides of the bicubic rows, pixels.

    Returns
    -------
    The rows in the order of the table. Image (band, row, col) in any linear unit, dem (row, col) in metres.
    """

    def of_image(function: Callable[[FloatArray], FloatArray]) -> Callable[..., FloatArray | None]:
        return lambda image, dem, rng: None if image is None else function(image)

    def coarse(factor: int) -> Callable[..., FloatArray | None]:
        return lambda image, dem, rng: bicubic_coarse(dem, factor)

    return (
        Baseline("flat at the true mean", lambda image, dem, rng: flat(dem), True),
        Baseline("best plane", lambda image, dem, rng: best_plane(dem), True),
        Baseline("brightness", of_image(brightness), False),
        Baseline("inverted brightness", of_image(inverted_brightness), False),
        Baseline("brightness blurred 16 px", of_image(blurred_brightness), False),
        Baseline("random smooth field", lambda image, dem, rng: random_field(dem.shape, rng), False),
        *(Baseline(f"bicubic coarse x{factor}", coarse(factor), True) for factor in prior_factors),
    )
