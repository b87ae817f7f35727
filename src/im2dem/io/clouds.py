"""Which pixels of a satellite picture show the ground: the quality layers of each sensor, read bit by bit.

Every function returns a `Clarity`: three masks that say for each pixel whether the ground is seen, whether it is
water, and whether there is a picture at all. Clouds are what is neither clear nor missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import UsageError

# Scene classes of Sentinel-2 L2A. Class 2 is shadow that mountains cast: it is relief, and stays.
SCL_NODATA, SCL_DEFECTIVE, SCL_CLOUD_SHADOW, SCL_WATER = 0, 1, 3, 6
SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS, SCL_SNOW = 8, 9, 10, 11
_SCL_UNSEEN = (SCL_DEFECTIVE, SCL_CLOUD_SHADOW, SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS)

# Bits of QA_PIXEL of Landsat Collection 2.
QA_FILL, QA_DILATED_CLOUD, QA_CIRRUS, QA_CLOUD, QA_CLOUD_SHADOW, QA_SNOW, QA_WATER = 0, 1, 2, 3, 4, 5, 7
_QA_UNSEEN = (QA_DILATED_CLOUD, QA_CIRRUS, QA_CLOUD, QA_CLOUD_SHADOW)

CLOUD_SCORE_LEAST = 0.60


@dataclass(frozen=True, eq=False)
class Clarity:
    """What a quality layer says.

    Parameters
    ----------
    clear
        True where the ground is seen, bool (row, col).
    water
        True where that ground is water, bool (row, col).
    seen
        True where there is a picture at all, clouded or not, bool (row, col).
    """

    clear: NDArray[np.bool_]
    water: NDArray[np.bool_]
    seen: NDArray[np.bool_]

    @property
    def cloud(self) -> NDArray[np.bool_]:
        """True where something hides the ground, bool (row, col)."""
        return np.asarray(self.seen & ~self.clear)

    def with_margin(self, margin_px: int) -> Clarity:
        """Clouds grown by some pixels: their edges are half transparent and belong to no class.

        Parameters
        ----------
        margin_px
            Pixels, at least 0.

        Raises
        ------
        UsageError
            A margin below 0.
        """
        if margin_px < 0:
            raise UsageError(f"a margin around clouds is at least 0 pixels, got {margin_px}")
        if margin_px == 0 or not self.cloud.any():
            return self
        grown = np.asarray(ndimage.binary_dilation(self.cloud, iterations=margin_px))
        return Clarity(self.clear & ~grown, self.water & ~grown, self.seen)


def sentinel2_clarity(scl: NDArray[np.integer], keep_snow: bool = True) -> Clarity:
    """Clarity from the scene classification of Sentinel-2 L2A.

    Clouds of medium and high probability (8, 9), thin cirrus (10), cloud shadow (3) and defective pixels (1) are not
    clear. Shadow cast by mountains (2) is.

    Parameters
    ----------
    scl
        Band SCL, shape (row, col), classes 0 to 11.
    keep_snow
        Whether snow (11) counts as clear.

    Source
    ------
    ESA, Sentinel-2 Level-2A Algorithm Theoretical Basis Document, issue 2.10, table of scene classes.
    """
    seen = scl != SCL_NODATA
    unseen = _SCL_UNSEEN if keep_snow else (*_SCL_UNSEEN, SCL_SNOW)
    return Clarity(np.asarray(seen & ~np.isin(scl, unseen)), np.asarray(scl == SCL_WATER), np.asarray(seen))


def landsat_clarity(qa_pixel: NDArray[np.integer], keep_snow: bool = True) -> Clarity:
    """Clarity from the quality layer of Landsat Collection 2.

    Parameters
    ----------
    qa_pixel
        Band QA_PIXEL, shape (row, col), unsigned bit field.
    keep_snow
        Whether snow (bit 5) counts as clear.

    Source
    ------
    USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide (LSDS-1619), table 6-3.
    """

    def bit(number: int) -> NDArray[np.bool_]:
        return np.asarray((qa_pixel >> number) & 1, dtype=bool)

    # 0 is no value that the processor writes (a clear land pixel has bit 6 set): it is what a reader puts outside.
    seen = ~bit(QA_FILL) & np.asarray(qa_pixel != 0)
    hidden = np.zeros(qa_pixel.shape, dtype=bool)
    for number in _QA_UNSEEN if keep_snow else (*_QA_UNSEEN, QA_SNOW):
        hidden |= bit(number)
    clear = seen & ~hidden
    return Clarity(np.asarray(clear), np.asarray(clear & bit(QA_WATER)), np.asarray(seen))


def cloud_score_clarity(
    score: NDArray[np.floating], water: NDArray[np.bool_] | None = None, least: float = CLOUD_SCORE_LEAST
) -> Clarity:
    """Clarity from Cloud Score+ (bands `cs` or `cs_cdf`): how like a clear view a pixel is, 0 to 1.

    Parameters
    ----------
    score
        Shape (row, col), 0 to 1, NaN where there is no picture.
    water
        True where there is water, if known from elsewhere.
    least
        Score from which a pixel counts as clear.

    Source
    ------
    Pasquarella et al. (2023), CVPR EarthVision, 2124-2134: thresholds of 0.5 to 0.65 are recommended.
    """
    seen = np.isfinite(score)
    clear = seen & (np.where(seen, score, 0.0) >= least)
    wet = np.zeros(score.shape, dtype=bool) if water is None else water & clear
    return Clarity(np.asarray(clear), np.asarray(wet), np.asarray(seen))
