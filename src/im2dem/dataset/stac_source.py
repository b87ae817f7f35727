"""Pictures and heights from a STAC API, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from im2dem.core.errors import RemoteError, UsageError
from im2dem.core.grid import Grid
from im2dem.io.retry import Patience
from im2dem.io.stac import Scene, newest_only, search
from im2dem.io.stac_catalogs import Catalog, DemCollection, PictureCollection

from .composite import COMPOSITES, Composite
from .encode import Draft
from .plan import Block, lonlat_box
from .sources import Log
from .stac_reading import BlockReading
from .store import Outcome


@dataclass(frozen=True)
class StacSource:
    """What is asked of a catalogue.

    Parameters
    ----------
    catalog
        Where.
    image
        "sentinel-2" or "landsat".
    dem
        "cop30", "aw3d30", or the path of a height model.
    days
        First and last day, or None: any.
    most_cloud_percent
        Scenes with more cloud, as the catalogue says, are not looked at.
    composite
        How one picture is made of several dates.
    most_dates
        Dates that are looked at in a block.
    cloud_margin_m
        Clouds are grown by this.
    keep_snow
        Whether snow counts as ground.
    patience
        With servers.
    readers
        Scenes that are read at a time within a block.
    bands
        Assets to read instead of red, green, blue; for pictures, not for chips.
    """

    catalog: Catalog
    image: str = "sentinel-2"
    dem: str = "cop30"
    days: tuple[date, date] | None = None
    most_cloud_percent: float = 20.0
    composite: Composite = "best"
    most_dates: int = 8
    cloud_margin_m: float = 60.0
    keep_snow: bool = True
    patience: Patience = field(default_factory=Patience)
    readers: int = 4
    bands: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.catalog.picture(self.image)
        if self.dem in ("cop30", "aw3d30"):
            self.catalog.dem(self.dem)
        if self.composite not in COMPOSITES:
            raise UsageError(f"composites are {', '.join(COMPOSITES)}, got {self.composite!r}")
        if self.most_dates < 1 or self.readers < 1 or not 0 <= self.most_cloud_percent <= 100:
            raise UsageError("at least one date and one reader and a cloud cover of 0 to 100 percent are wanted")

    @property
    def pictures(self) -> PictureCollection:
        """The collection of pictures."""
        return self.catalog.picture(self.image)

    @property
    def picture_assets(self) -> tuple[str, ...]:
        """Assets that make the picture."""
        return self.bands or self.pictures.bands

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the picture's bands."""
        return self.bands or ("red", "green", "blue")

    @property
    def heights(self) -> DemCollection | None:
        """The collection of heights, or None when they come from a file."""
        return self.catalog.dem(self.dem) if self.dem in ("cop30", "aw3d30") else None

    def with_bands(self, bands: tuple[str, ...] | None) -> StacSource:
        """The same request for other bands."""
        return replace(self, bands=bands)

    @property
    def request(self) -> dict[str, Any]:
        """All that decides about the content."""
        return {
            "source": "stac",
            "catalog": self.catalog.url,
            "image": self.image,
            "dem": self.dem if self.heights else Path(self.dem).name,
            "days": None if self.days is None else [day.isoformat() for day in self.days],
            "most_cloud_percent": self.most_cloud_percent,
            "composite": self.composite,
            "most_dates": self.most_dates,
            "cloud_margin_m": self.cloud_margin_m,
            "keep_snow": self.keep_snow,
        }

    @property
    def provenance(self) -> dict[str, Any]:
        """Catalogue, collections, licences."""
        dem = self.heights
        return {
            "kind": "stac",
            "catalog": self.catalog.url,
            "sources": [
                {"role": "picture", "name": self.pictures.collection, "licence": self.pictures.licence},
                {
                    "role": "heights",
                    "name": dem.collection if dem else Path(self.dem).name,
                    "licence": dem.licence if dem else "that of the file",
                    "kind": "surface model (tree tops, roofs), not bare ground" if dem else "not stated",
                },
            ],
        }

    def bytes_per_pixel(self) -> int:
        """Memory that a pixel of a block takes while it is made, for the size of blocks."""
        several = 0 if self.composite in ("best", "low-sun") else 12 * self.most_dates
        return 40 + 3 * self.most_dates + several

    def scenes(self, grid: Grid) -> list[Scene]:
        """Scenes over a grid that qualify: newest baseline of each acquisition, little cloud.

        Raises
        ------
        RemoteError
            The catalogue does not answer.
        """
        found = search(self.catalog.url, self.pictures.collection, lonlat_box(grid), self.days, self.patience)
        return [s for s in newest_only(found) if s.cloud_percent <= self.most_cloud_percent]

    def read(self, block: Block, cache: Path | None, log: Log) -> Iterator[Draft | Outcome]:
        """See `sources.PairSource`. Fails as a whole when neither picture nor heights can be had."""
        try:
            reading = BlockReading(self, block, cache, log)
            yield from reading.drafts(reading.heights())
        except RemoteError as error:
            log.add("blocks failed", f"{block.name}: {error}")
            for chip, _ in block.chips:
                yield Outcome(chip.name, "failed", str(error)[:300])
