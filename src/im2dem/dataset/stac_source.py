"""Pictures and heights from a STAC API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from im2dem.core.grid import Grid
from im2dem.io.clouds import Clarity, landsat_clarity, sentinel2_clarity
from im2dem.io.retry import Patience
from im2dem.io.signing import Signer
from im2dem.io.stac import Band, Scene, read_scene, search

from .plan import lonlat_box
from .scene_reading import OnFailure
from .scene_source import SceneSource


@lru_cache(maxsize=8)
def _signer(token_url: str | None, patience: Patience) -> Signer:
    return Signer(token_url, patience)


@dataclass(frozen=True)
class StacSource(SceneSource):
    """Scenes of a STAC API, see `scene_source.SceneSource`."""

    @property
    def kind(self) -> str:
        """Name of the source on the command line."""
        return "stac"

    def search(self, collection: str, grid: Grid, days: tuple[date, date] | None) -> list[Scene]:
        """See `io.stac.search`."""
        return search(self.catalog.url, collection, lonlat_box(grid), days, self.patience)

    def read_bands(self, scene: Scene, band: Band, grid: Grid, on_failure: OnFailure) -> NDArray[Any]:
        """See `io.stac.read_scene`."""
        return read_scene(scene, band, grid, _signer(self.catalog.token_url, self.patience), self.patience, on_failure)

    def quality_band(self, coarser: bool) -> Band:
        """SCL of Sentinel-2, QA_PIXEL of Landsat."""
        dtype = "uint8" if self.image == "sentinel-2" else "uint16"
        return Band((self.pictures.quality,), dtype, 0, "mode" if coarser else "nearest")

    def clarity(self, layers: NDArray[Any]) -> Clarity:
        """See `io.clouds`."""
        read = sentinel2_clarity if self.image == "sentinel-2" else landsat_clarity
        return read(layers[0], self.keep_snow)
