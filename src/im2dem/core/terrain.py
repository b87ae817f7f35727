"""Derivatives and shading of a height model: gradient, slope, aspect, hillshade, tint, contour levels.

Rows run from north to south, columns from west to east; on a rotated grid "north" is the top of the picture.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .errors import NoDataError, UsageError

FloatArray = NDArray[np.floating]

_MULTI_AZIMUTHS_DEG = (225.0, 270.0, 315.0, 360.0)

# Own ramp: position between the lowest and the highest height, then red, green, blue.
_TINT_STOPS = np.array(
    [
        (0.00, 38, 92, 72),
        (0.12, 84, 140, 86),
        (0.28, 156, 182, 108),
        (0.45, 222, 208, 142),
        (0.62, 190, 148, 98),
        (0.78, 144, 102, 78),
        (0.90, 178, 168, 164),
        (1.00, 252, 252, 252),
    ]
)


def gradient(dem: FloatArray, pixel_size_m: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Rise towards east and towards north of a height model (Horn, 3 x 3).

    Outside the raster the surface is continued linearly (twice the edge minus its inner neighbour). A missing
    neighbour inside it is continued through the centre from the opposite neighbour, or taken to be as high as
    the centre when that one is missing too. So a plane keeps its gradient along
    straight edges and around lone gaps.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    pixel_size_m
        Ground size of a pixel along columns (east) and along rows (south), metres, both positive.

    Returns
    -------
    Two arrays of the shape of `dem`, metres per metre: dz/d(east), dz/d(north). NaN where `dem` is NaN.
    float32 for a float32 `dem`, else float64.

    Raises
    ------
    UsageError
        `dem` has not two axes, or a pixel size is not positive.

    Source
    ------
    Horn (1981), Proc. IEEE 69(1), 14-47, doi:10.1109/PROC.1981.11918: weighted central differences.
    """
    dx, dy = pixel_size_m
    if not (dx > 0 and dy > 0):
        raise UsageError(f"a pixel must be larger than 0 m in both directions, got {dx} x {dy}; give its ground size")
    z = _continued(dem)
    if np.isfinite(z).all():
        # Differences first: single precision then keeps the centimetres of a high plateau.
        east = z[:, 2:] - z[:, :-2]
        south = z[2:, :] - z[:-2, :]
        rise_east = (east[:-2] + 2 * east[1:-1] + east[2:]) / (8 * dx)
        rise_north = -(south[:, :-2] + 2 * south[:, 1:-1] + south[:, 2:]) / (8 * dy)
        return rise_east, rise_north
    return _gradient_with_gaps(z, dx, dy)


def _continued(dem: FloatArray) -> FloatArray:
    """One pixel more on every side, on the straight line through the last two."""
    if dem.ndim != 2:
        raise UsageError(f"heights of shape (row, col) are wanted, got {dem.ndim} axes; give one band")
    z = np.pad(np.asarray(dem, dtype=np.float32 if dem.dtype == np.float32 else np.float64), 1, mode="edge")
    if z.shape[0] > 3:
        z[0], z[-1] = 2 * z[1] - z[2], 2 * z[-2] - z[-3]
    if z.shape[1] > 3:
        z[:, 0], z[:, -1] = 2 * z[:, 1] - z[:, 2], 2 * z[:, -2] - z[:, -3]
    return z


def _gradient_with_gaps(z: FloatArray, dx: float, dy: float) -> tuple[FloatArray, FloatArray]:
    height, width = z.shape[0] - 2, z.shape[1] - 2
    centre = z[1:-1, 1:-1]

    def across(row: int, col: int) -> FloatArray:
        """Neighbour at (row, col) minus the opposite one, each replaced when missing."""
        one = z[1 + row : 1 + row + height, 1 + col : 1 + col + width] - centre
        two = z[1 - row : 1 - row + height, 1 - col : 1 - col + width] - centre
        one_filled = np.where(np.isnan(one), -two, one)
        two_filled = np.where(np.isnan(two), -one, two)
        both = np.isnan(one) & np.isnan(two) & ~np.isnan(centre)
        return np.where(both, centre.dtype.type(0), one_filled - two_filled)

    south_east, north_east = across(1, 1), across(-1, 1)
    rise_east = (north_east + 2 * across(0, 1) + south_east) / (8 * dx)
    rise_south = (south_east + 2 * across(1, 0) - north_east) / (8 * dy)
    return rise_east, -rise_south


def slope_deg(dem: FloatArray, pixel_size_m: tuple[float, float]) -> FloatArray:
    """Steepness of the surface.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    pixel_size_m
        Ground size of a pixel along columns and rows, metres.

    Returns
    -------
    Shape of `dem`, degrees from 0 (level) to 90, NaN where `dem` is NaN.

    Raises
    ------
    UsageError
        As `gradient`.

    Source
    ------
    Horn (1981): arctan of the length of the gradient.
    """
    east, north = gradient(dem, pixel_size_m)
    return np.degrees(np.arctan(np.hypot(east, north)))


def aspect_deg(dem: FloatArray, pixel_size_m: tuple[float, float]) -> FloatArray:
    """Direction in which the surface falls most.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    pixel_size_m
        Ground size of a pixel along columns and rows, metres.

    Returns
    -------
    Shape of `dem`, degrees clockwise from north in [0, 360); NaN where `dem` is NaN and where it is level.

    Raises
    ------
    UsageError
        As `gradient`.

    Source
    ------
    Horn (1981); the direction is that of the negative gradient.
    """
    east, north = gradient(dem, pixel_size_m)
    # The remainder of a tiny negative angle rounds to 360 itself, hence the second one.
    direction = np.degrees(np.arctan2(-east, -north)) % 360.0 % 360.0
    return np.where((east == 0) & (north == 0), direction.dtype.type(np.nan), direction)


def hillshade(
    dem: FloatArray,
    pixel_size_m: tuple[float, float],
    azimuth_deg: float = 315.0,
    altitude_deg: float = 45.0,
    z_factor: float = 1.0,
) -> FloatArray:
    """Brightness of a matt surface under one sun, without cast shadows.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    pixel_size_m
        Ground size of a pixel along columns and rows, metres.
    azimuth_deg
        Where the light comes from, degrees clockwise from north.
    altitude_deg
        Height of the light above the horizon, degrees.
    z_factor
        Heights are multiplied by this first.

    Returns
    -------
    Shape of `dem`, 0 (turned away) to 1 (facing the sun), NaN where `dem` is NaN.

    Raises
    ------
    UsageError
        As `gradient`.

    Source
    ------
    Horn (1981): cosine between the surface normal and the sun.
    """
    return shade(gradient(dem, pixel_size_m), azimuth_deg, altitude_deg, z_factor)


def shade(
    rise: tuple[FloatArray, FloatArray],
    azimuth_deg: float = 315.0,
    altitude_deg: float = 45.0,
    z_factor: float = 1.0,
) -> FloatArray:
    """Hillshade of a gradient that is known already; see `hillshade`.

    Parameters
    ----------
    rise
        dz/d(east) and dz/d(north) as `gradient` returns them, two arrays of one shape, metres per metre.
    azimuth_deg, altitude_deg, z_factor
        As in `hillshade`.

    Returns
    -------
    Shape of one input, 0 to 1, NaN where the gradient is NaN.
    """
    east, north = rise
    lit = _lambert(rise, azimuth_deg, altitude_deg, z_factor)
    lit /= np.sqrt(1 + (z_factor * z_factor) * (east * east + north * north))
    return np.maximum(lit, 0, out=lit)


def _lambert(rise: tuple[FloatArray, FloatArray], azimuth_deg: float, altitude_deg: float, z: float) -> FloatArray:
    """Sun vector times the surface normal (-z east, -z north, 1) that is not yet of length one."""
    azimuth, altitude = math.radians(azimuth_deg), math.radians(altitude_deg)
    toward_east = math.cos(altitude) * math.sin(azimuth) * z
    toward_north = math.cos(altitude) * math.cos(azimuth) * z
    return math.sin(altitude) - toward_east * rise[0] - toward_north * rise[1]


def multidirectional_hillshade(
    dem: FloatArray, pixel_size_m: tuple[float, float], altitude_deg: float = 45.0, z_factor: float = 1.0
) -> FloatArray:
    """Hillshade under four suns (225, 270, 315 and 360 degrees), so that no slope lies in the dark.

    Each sun counts by the squared cosine of its angle to the aspect, so a slope is shaded mostly by the
    suns it faces or turns its back on.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    pixel_size_m
        Ground size of a pixel along columns and rows, metres.
    altitude_deg, z_factor
        As in `hillshade`.

    Returns
    -------
    Shape of `dem`, 0 to 1, NaN where `dem` is NaN. Level ground has sin(altitude).

    Raises
    ------
    UsageError
        As `gradient`.

    Source
    ------
    After Mark (1992), USGS Open-File Report 92-422, "A multidirectional, oblique-weighted, shaded-relief
    image of the Island of Hawaii"; suns and weights are those of `gdaldem hillshade -multidirectional`.
    """
    east, north = gradient(dem, pixel_size_m)
    steep = east * east + north * north
    total = np.zeros_like(steep)
    for azimuth_deg in _MULTI_AZIMUTHS_DEG:
        azimuth = math.radians(azimuth_deg)
        # |gradient|^2 cos^2(aspect - azimuth), without ever computing the aspect.
        weight = (east * math.sin(azimuth) + north * math.cos(azimuth)) ** 2
        total += weight * np.maximum(_lambert((east, north), azimuth_deg, altitude_deg, z_factor), 0)
    level = steep == 0
    shaded = total / np.where(level, 1, 2 * steep * np.sqrt(1 + z_factor * z_factor * steep))
    return np.where(level, steep.dtype.type(math.sin(math.radians(altitude_deg))), shaded)


def hypsometric_tint(dem: FloatArray, low_m: float | None = None, high_m: float | None = None) -> NDArray[np.uint8]:
    """Colours by height: green lowland, yellow, brown, white summits.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    low_m, high_m
        Heights of the first and the last colour, metres; default the lowest and the highest height.

    Returns
    -------
    uint8, shape (3, row, col), red green blue. No data is black, which no height is.

    Raises
    ------
    NoDataError
        No finite height.
    """
    valid = np.isfinite(dem)
    if not valid.any():
        raise NoDataError(
            "every height is missing, so there is nothing to colour; give a height model with valid pixels"
        )
    low = float(dem[valid].min()) if low_m is None else low_m
    high = float(dem[valid].max()) if high_m is None else high_m
    position = (np.where(valid, dem, low) - low) / (high - low if high > low else 1.0)
    bands = [np.interp(position, _TINT_STOPS[:, 0], _TINT_STOPS[:, band]) for band in (1, 2, 3)]
    return np.where(valid, np.rint(bands), 0).astype(np.uint8)


def choose_interval(low_m: float, high_m: float, lines: int = 12) -> float:
    """Contour interval of the form 1, 2 or 5 times a power of ten that gives about `lines` contours.

    Parameters
    ----------
    low_m, high_m
        Lowest and highest height, metres.
    lines
        Contours wished for, at least 1.

    Returns
    -------
    Metres, > 0; 1 for level ground. The number of contours lies between half and twice the wish.

    Raises
    ------
    UsageError
        A height is not finite, or `lines` is below 1.

    >>> choose_interval(0, 1000), choose_interval(312, 318.5)
    (100.0, 0.5)
    """
    if lines < 1 or not (math.isfinite(low_m) and math.isfinite(high_m)):
        raise UsageError(f"contours need finite heights and at least one line, got {low_m} to {high_m} and {lines}")
    wished = (high_m - low_m) / lines
    if wished <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(wished))
    steps = (power, 2 * power, 5 * power, 10 * power)
    return min(steps, key=lambda step: abs(math.log(step / wished)))


def contour_levels(low_m: float, high_m: float, interval_m: float | None = None) -> NDArray[np.float64]:
    """Heights of the contours between two heights: whole multiples of the interval.

    Parameters
    ----------
    low_m, high_m
        Lowest and highest height, metres.
    interval_m
        Metres between contours; default `choose_interval`.

    Returns
    -------
    float64, ascending, metres; may be empty.

    Raises
    ------
    UsageError
        The interval is not positive, or a height is not finite.

    >>> contour_levels(95, 310, 100)
    array([100., 200., 300.])
    """
    step = choose_interval(low_m, high_m) if interval_m is None else interval_m
    if not step > 0:
        raise UsageError(f"the contour interval must be above 0 m, got {step}")
    return step * np.arange(math.ceil(low_m / step), math.floor(high_m / step) + 1, dtype=np.float64)
