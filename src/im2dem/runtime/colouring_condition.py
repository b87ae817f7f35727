"""What a model of colours is told beside the heights: sun, pixel size, climate, season; and how it is laid out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError

CLIMATES = ("temperate", "alpine", "mediterranean", "arid", "steppe", "savanna", "tropical", "boreal", "bare")
SEASONS = ("winter", "summer", "autumn")
REFERENCE_GSD_M = 30.0
# Direction to the sun (3), whether it is known, log of the pixel size, photographed or rendered, climates, seasons.
CONDITION_SIZE = 6 + len(CLIMATES) + len(SEASONS)
VARIETY_SIZE = 8
# In place of a climate where none is told, among the usual varieties of a card.
PHOTOGRAPHS = "photographs"


def usual_key(climate: str | None, season: str | None) -> str:
    """The name of a climate, with a season or without, among the usual varieties of a card."""
    return f"{climate} {season}" if climate and season else climate or PHOTOGRAPHS


@dataclass(frozen=True)
class ColourCondition:
    """How a picture is to look.

    Parameters
    ----------
    gsd_m
        Pixel size on the ground, metres.
    sun_azimuth_deg, sun_elevation_deg
        Clockwise from north; above the horizon. None: no single sun, as in a composite.
    climate, season
        One of `CLIMATES`, of `SEASONS`; None: not said.
    real
        1: as a photograph; -1: as a rendered picture; 0: not said.

    Raises
    ------
    UsageError
        A climate or season that is not known, a pixel size that is not positive, a sun below the horizon.
    """

    gsd_m: float
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    climate: str | None = None
    season: str | None = None
    real: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gsd_m) and self.gsd_m > 0):
            raise UsageError(f"a pixel size of {self.gsd_m} m cannot be coloured; a positive one is wanted")
        for value, known, kind in ((self.climate, CLIMATES, "climate"), (self.season, SEASONS, "season")):
            if value is not None and value not in known:
                raise UsageError(f"the {kind} {value!r} is not known; wanted is one of {', '.join(known)}")
        if (self.sun_azimuth_deg is None) != (self.sun_elevation_deg is None):
            raise UsageError("a sun has an azimuth and an elevation; give both or none")
        if self.sun_elevation_deg is not None and not 0 < self.sun_elevation_deg <= 90:
            raise UsageError(f"a sun {self.sun_elevation_deg} degrees high lights nothing; wanted is above 0 to 90")

    def vector(self) -> NDArray[np.float32]:
        """The numbers that the net is given, shape (18,): 0 stands for not known."""
        out = np.zeros(CONDITION_SIZE, np.float32)
        if self.sun_azimuth_deg is not None and self.sun_elevation_deg is not None:
            azimuth, elevation = math.radians(self.sun_azimuth_deg), math.radians(self.sun_elevation_deg)
            level = math.cos(elevation)
            out[:4] = level * math.sin(azimuth), level * math.cos(azimuth), math.sin(elevation), 1.0
        out[4] = math.log2(self.gsd_m / REFERENCE_GSD_M)
        out[5] = self.real
        if self.climate is not None:
            out[6 + CLIMATES.index(self.climate)] = 1.0
        if self.season is not None:
            out[6 + len(CLIMATES) + SEASONS.index(self.season)] = 1.0
        return out
