"""Why a tile failed, as far as its picture, its true heights and its prediction tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.alignment import align
from im2dem.core.nodata import fill
from im2dem.core.terrain import slope_deg

from .evaluation_gallery import Exhibit

# Digital numbers of a white sheet: 8-bit pictures, and reflectances in ten-thousandths.
_WHITE_8_BIT, _WHITE_REFLECTANCE = 255.0, 10000.0
_WHITE_SHARE, _WHITE_LEVEL, _GREY_CHROMA = 0.25, 0.7, 0.12
_LEVEL_SHARE, _LEVEL_DEG = 0.4, 0.2
_FLAT_M = 20.0
_RED_SHARE, _RED_RATIO = 0.5, 1.6
_FINE_PX = (1.0, 6.0)
_LEAST_SHADING = 0.12
_FACING_AWAY_DEG = 100.0
_FORM_PX, _GOOD_DETAIL, _BETTER_BY = 8.0, 0.3, 0.15
_AMPLITUDE = 2.0
_SEAM_RATIO = 1.3

CAUSES = {
    "cloud or snow": "more than a quarter of the picture is white",
    "coarse truth": "the true heights come in steps of half their spread and more",
    "level ground": "more than four tenths of the true ground are level: water or plains",
    "flat land": f"true heights spread by less than {_FLAT_M:.0f} m",
    "false colour": "more than half of the picture is red as no ground is",
    "no shading": "slopes explain next to nothing of the picture's brightness",
    "shading reversed": "ground that faces away from the sun's side of the sky is the brighter",
    "broad form": "details follow the truth, the long waves do not",
    "seams": "steps where the model's tiles meet",
    "inverted": "none of these, and the relief is upside down",
    "amplitude": "the spread of heights is wrong by more than two",
    "other": "none of these",
}


@dataclass(frozen=True)
class Shading:
    """How the picture's brightness follows the true slopes.

    Parameters
    ----------
    strength
        Multiple correlation of brightness with the two components of the gradient, 0 to 1, between wavelengths of
        about 6 and 40 pixels.
    azimuth_deg
        Where the light that explains it best comes from, clockwise from the top of the picture.
    """

    strength: float
    azimuth_deg: float


def causes_of(exhibit: Exhibit) -> tuple[str, ...]:
    """What may have spoilt a tile: keys of `CAUSES` in their order, the picture's faults before the net's.

    Parameters
    ----------
    exhibit
        A tile; what needs the picture is left out without one.
    """
    found = set()
    relief = exhibit.score.relief_std_m
    if exhibit.image is not None:
        found |= _faults_of_the_picture(exhibit.image, exhibit)
    if _share(slope_deg(exhibit.dem, exhibit.pixel_size_m) < _LEVEL_DEG, np.isfinite(exhibit.dem)) > _LEVEL_SHARE:
        found.add("level ground")
    if _step_m(exhibit.dem) > relief / 2:
        found.add("coarse truth")
    if relief < _FLAT_M:
        found.add("flat land")
    r = exhibit.score.scores.get("pearson_r", math.nan)
    if detail_r(exhibit) > max(_GOOD_DETAIL, r + _BETTER_BY):
        found.add("broad form")
    if exhibit.score.scores.get("seam_ratio", 0.0) > _SEAM_RATIO:
        found.add("seams")
    if r < 0 and not found:
        found.add("inverted")
    ratio = align(exhibit.pred, exhibit.dem, "A2").spread_ratio
    if math.isfinite(ratio) and not 1 / _AMPLITUDE <= ratio <= _AMPLITUDE:
        found.add("amplitude")
    return tuple(cause for cause in CAUSES if cause in found) or ("other",)


def by_cause(exhibits: Sequence[Exhibit]) -> dict[str, tuple[Exhibit, ...]]:
    """Tiles under their first cause, in the order of `CAUSES`; causes without a tile are left out."""
    first = [causes_of(exhibit)[0] for exhibit in exhibits]
    groups = {c: tuple(e for e, own in zip(exhibits, first, strict=True) if own == c) for c in CAUSES}
    return {cause: found for cause, found in groups.items() if found}


def count_causes(exhibits: Sequence[Exhibit]) -> str:
    """How many tiles fell to each cause, in words."""
    return ", ".join(f"{cause} {len(found)}" for cause, found in by_cause(exhibits).items())


def shading_of(image: NDArray[np.float32], dem: NDArray[np.float32]) -> Shading:
    """Fit the picture's brightness by the slopes of the true heights.

    Parameters
    ----------
    image
        (band, row, col), any unit; NaN = no data.
    dem
        True heights, (row, col), any unit; NaN = no data.

    Returns
    -------
    Strength and direction; NaN where picture or ground is all of one value.
    """
    light = _fine(np.asarray(image.mean(axis=0)))
    fine = _fine(dem)
    down, right = np.gradient(fine, axis=0), np.gradient(fine, axis=1)
    valid = np.isfinite(dem) & np.isfinite(np.sum(image, axis=0))
    # Ground faces away from where it rises to: what rises to the right is lit from the left.
    facing = np.stack([-right[valid], down[valid]], axis=1).astype(np.float64)
    target = light[valid] - light[valid].mean()
    facing -= facing.mean(axis=0)
    if not valid.any() or target.std() == 0 or facing.std() == 0:
        return Shading(math.nan, math.nan)
    (east, north), *_ = np.linalg.lstsq(facing, target, rcond=None)
    explained = facing @ (east, north)
    azimuth = math.degrees(math.atan2(east, north)) % 360
    return Shading(float(explained.std() / target.std()), azimuth)


def detail_r(exhibit: Exhibit) -> float:
    """Correlation of predicted with true heights without their long waves; NaN where there is nothing else."""
    valid = np.isfinite(exhibit.dem) & np.isfinite(exhibit.pred)
    if not valid.any():
        return math.nan
    p, z = ((h - ndimage.gaussian_filter(h, _FORM_PX))[valid] for h in (fill(exhibit.pred), fill(exhibit.dem)))
    return float(np.corrcoef(p, z)[0, 1]) if p.std() > 0 and z.std() > 0 else math.nan


def _faults_of_the_picture(image: NDArray[np.float32], exhibit: Exhibit) -> set[str]:
    rgb = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    known = np.isfinite(np.sum(rgb, axis=0))
    peak, least = rgb.max(axis=0), rgb.min(axis=0)
    white = _WHITE_8_BIT if np.nanmax(rgb, initial=0.0) <= _WHITE_8_BIT else _WHITE_REFLECTANCE
    found = set()
    if _share((least > _WHITE_LEVEL * white) & (peak - least < _GREY_CHROMA * white), known) > _WHITE_SHARE:
        found.add("cloud or snow")
    if _share(rgb[0] > _RED_RATIO * np.maximum(rgb[1], rgb[2]), known) > _RED_SHARE:
        found.add("false colour")
    shading = shading_of(rgb, exhibit.dem)
    if shading.strength < _LEAST_SHADING:
        found.add("no shading")
    elif exhibit.lonlat is not None and math.isfinite(shading.azimuth_deg):
        sunny_side = 180.0 if exhibit.lonlat[1] >= 0 else 0.0
        turn = abs((shading.azimuth_deg - sunny_side + 180) % 360 - 180)
        if turn > _FACING_AWAY_DEG:
            found.add("shading reversed")
    return found


def _fine(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """A band between two Gaussian blurs, gaps filled."""
    whole = fill(band.astype(np.float32))
    low, high = (ndimage.gaussian_filter(whole, sigma) for sigma in _FINE_PX)
    return np.asarray(low - high, dtype=np.float32)


def _step_m(dem: NDArray[np.float32]) -> float:
    """The usual step from one height that occurs to the next; next to 0 for heights measured finely."""
    levels = np.unique(dem[np.isfinite(dem)])
    return float(np.median(np.diff(levels))) if levels.size > 1 else 0.0


def _share(which: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float((which & among).sum() / max(int(among.sum()), 1))
