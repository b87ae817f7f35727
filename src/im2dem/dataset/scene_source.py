"""Pictures and heights from scenes of a satellite, whoever keeps them, block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from im2dem.core.errors import RemoteError, UsageError
from im2dem.core.grid import Grid
from im2dem.io.clouds import Clarity
from im2dem.io.retry import Patience
from im2dem.io.stac import Band, Scene, newest_only
from im2dem.io.stac_catalogs import Catalog, DemCollection, PictureCollection

from .area import Area
from .composite import COMPOSITES, SINGLE_DATE, Composite
from .encode import Draft
from .plan import Block, Portion, lattice_blocks
from .scene_reading import BlockReading, OnFailure
from .sources import Expected, Log
from .store import Outcome

# What a pixel of a band, of its quality layers and of the heights (30 m) takes compressed, about.
_BAND_BYTES, _QUALITY_BYTES, _HEIGHT_BYTES = 1.4, 0.1, 3.0
_ASKED_BLOCKS = 5


@dataclass(frozen=True)
class SceneSource(ABC):
    """What is asked of a catalogue; how it is asked is the subclass's.

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

    def with_bands(self, bands: tuple[str, ...] | None) -> Self:
        """The same request for other bands."""
        return replace(self, bands=bands)

    @property
    @abstractmethod
    def kind(self) -> str:
        """Name of the source on the command line."""

    @property
    def request(self) -> dict[str, Any]:
        """All that decides about the content."""
        return {
            "source": self.kind,
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
            "kind": self.kind,
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
        several = 0 if self.composite in SINGLE_DATE else 12 * self.most_dates
        return 40 + 3 * self.most_dates + several

    def blocks(self, area: Area, portion: Portion) -> list[Block]:
        """See `plan.lattice_blocks`."""
        return lattice_blocks(area, portion)

    def expected(self, blocks: Sequence[Block]) -> Expected:
        """What a build would read; the catalogue is asked about five blocks at most."""
        asked = blocks[:: max(1, len(blocks) // _ASKED_BLOCKS)][:_ASKED_BLOCKS]
        scenes = sum(len(self.scenes(block.grid)) for block in asked) / len(asked)
        dates = min(scenes, float(self.most_dates))
        pictures = 1.5 if self.composite in SINGLE_DATE else dates
        finer = (blocks[0].chips[0][0].gsd_m / 30.0) ** 2
        pixel = 3 * pictures * _BAND_BYTES + dates * _QUALITY_BYTES + max(finer, 0.01) * _HEIGHT_BYTES
        return Expected(pixel, scenes, len(asked))

    def scenes(self, grid: Grid) -> list[Scene]:
        """Scenes over a grid that qualify: newest baseline of each acquisition, little cloud.

        Raises
        ------
        RemoteError
            The catalogue does not answer.
        """
        found = newest_only(self.search(self.pictures.collection, grid, self.days))
        return [scene for scene in found if scene.cloud_percent <= self.most_cloud_percent]

    def height_scenes(self, grid: Grid) -> list[Scene]:
        """Tiles of the height model that touch a grid.

        Raises
        ------
        RemoteError
            The catalogue does not answer.
        """
        return [] if self.heights is None else self.search(self.heights.collection, grid, None)

    @abstractmethod
    def search(self, collection: str, grid: Grid, days: tuple[date, date] | None) -> list[Scene]:
        """All scenes of a collection that touch a grid."""

    @abstractmethod
    def read_bands(self, scene: Scene, band: Band, grid: Grid, on_failure: OnFailure) -> NDArray[Any]:
        """Bands of a scene on a grid, (asset, row, col), `band.nodata` where it has nothing.

        Raises
        ------
        RemoteError
            They could not be read.
        """

    @abstractmethod
    def quality_band(self, coarser: bool) -> Band:
        """The quality layers, and how they are read where pixels are `coarser` than the sensor's."""

    @abstractmethod
    def clarity(self, layers: NDArray[Any]) -> Clarity:
        """What the quality layers say, shape (asset, row, col)."""

    def read(self, block: Block, cache: Path | None, log: Log) -> Iterator[Draft | Outcome]:
        """See `sources.PairSource`. Fails as a whole when neither picture nor heights can be had."""
        try:
            reading = BlockReading(self, block, cache, log)
            yield from reading.drafts(reading.heights())
        except RemoteError as error:
            log.add("blocks failed", f"{block.name}: {error}")
            for chip, _ in block.chips:
                yield Outcome(chip.name, "failed", str(error)[:300])
