"""Which chips are worth keeping: stated rules, each with its name in the count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError

REASONS = {
    "picture-missing": "part of the chip has no picture",
    "cloud": "cloud, cloud shadow or haze",
    "dem-void": "part of the heights is missing",
    "water": "almost nothing but water",
    "flat": "no relief",
    "failed": "could not be read; the next run tries again",
}


@dataclass(frozen=True)
class ChipRules:
    """Limits beyond which a chip is dropped, in the order in which they are tried.

    Parameters
    ----------
    most_missing
        Share of pixels without a picture, cloud aside.
    most_cloud
        Share of pixels under cloud or its shadow.
    most_void
        Share of pixels without height.
    most_water
        Share of pixels that are water.
    least_relief_m
        Standard deviation of the heights, metres.
    """

    most_missing: float = 0.0
    most_cloud: float = 0.02
    most_void: float = 0.01
    most_water: float = 0.9
    least_relief_m: float = 1.0

    def __post_init__(self) -> None:
        shares = (self.most_missing, self.most_cloud, self.most_void, self.most_water)
        if not all(0 <= share <= 1 for share in shares) or not self.least_relief_m >= 0:
            raise UsageError(f"shares are 0 to 1 and relief at least 0 m, got {self}")

    def reason_to_drop(self, measured: Mapping[str, Any]) -> str | None:
        """The first rule that a chip breaks, a key of `REASONS`, or None: keep it.

        Parameters
        ----------
        measured
            From `measure`.
        """
        checks = (
            ("picture-missing", measured["missing_share"] > self.most_missing),
            ("cloud", measured["cloud_share"] > self.most_cloud),
            ("dem-void", measured["void_share"] > self.most_void),
            ("water", measured["water_share"] > self.most_water),
            ("flat", (measured["relief_m"] or 0.0) < self.least_relief_m),
        )
        return next((name for name, broken in checks if broken), None)


def measure(
    picture: NDArray[Any],
    dem: NDArray[np.float32],
    cloud: NDArray[np.bool_] | None = None,
    water: NDArray[np.bool_] | None = None,
) -> dict[str, float | None]:
    """What the rules look at.

    Parameters
    ----------
    picture
        Shape (band, row, col), NaN = no data.
    dem
        Heights in metres, shape (row, col), NaN = no data.
    cloud, water
        True where there is cloud or water, shape (row, col); None: nobody knows, counted as none.

    Returns
    -------
    missing_share, cloud_share, void_share, water_share (0 to 1), relief_m, lowest_m, highest_m (None without heights).
    """
    nothing = np.zeros(dem.shape, dtype=bool)
    hidden = nothing if cloud is None else cloud
    seen = np.isfinite(picture).all(axis=0)
    known = np.isfinite(dem)
    heights = dem[known].astype(np.float64)
    return {
        "missing_share": round(float((~seen & ~hidden).mean()), 6),
        "cloud_share": round(float(hidden.mean()), 6),
        "void_share": round(float(1 - known.mean()), 6),
        "water_share": round(float((nothing if water is None else water).mean()), 6),
        "relief_m": round(float(heights.std()), 3) if heights.size else None,
        "lowest_m": round(float(heights.min()), 3) if heights.size else None,
        "highest_m": round(float(heights.max()), 3) if heights.size else None,
    }
