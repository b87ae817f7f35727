"""Pictures and heights from Google Earth Engine: Sentinel-2 with Cloud Score+, two height models."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.grid import Grid
from im2dem.io.clouds import SCL_SNOW, SCL_WATER, Clarity, cloud_score_clarity
from im2dem.io.earth_engine import MOST_BYTES, EarthEngine, mosaic, resampled
from im2dem.io.stac import Band, Scene, scene_of

from .plan import lonlat_box
from .scene_reading import OnFailure
from .scene_source import SceneSource

CLOUD_SCORE = "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"
_QUALITY = ("SCL", "cs_cdf")
_NO_SCORE = -1.0
_NO_HEIGHT = -32768.0


@dataclass(frozen=True)
class EarthEngineSource(SceneSource):
    """Scenes of Earth Engine, see `scene_source.SceneSource`; its catalogue is `io.stac_catalogs.EARTH_ENGINE`.

    Parameters
    ----------
    project
        Google Cloud project that is registered for Earth Engine, or None: the one that the credentials name.
    most_bytes
        Uncompressed size of the largest tile that is asked for.
    """

    project: str | None = None
    most_bytes: int = MOST_BYTES

    @property
    def kind(self) -> str:
        """Name of the source on the command line."""
        return "gee"

    @property
    def engine(self) -> EarthEngine:
        """The way there."""
        return EarthEngine(self.catalog.url, self.project, self.patience, self.most_bytes)

    def search(self, collection: str, grid: Grid, days: tuple[date, date] | None) -> list[Scene]:
        """Images of a collection that touch a grid."""
        return [scene_of_image(image, collection) for image in self.engine.images(collection, lonlat_box(grid), days)]

    def height_scenes(self, grid: Grid) -> list[Scene]:
        """All tiles as one scene, so that heights are interpolated across their seams."""
        found = sorted(super().height_scenes(grid), key=lambda scene: scene.name)
        if not found:
            return []
        first = found[0]
        item = {**first.item, "assets": [scene.item["asset"] for scene in found]}
        return [replace(first, name="-".join(scene.name for scene in found), item=item)]

    def read_bands(self, scene: Scene, band: Band, grid: Grid, on_failure: OnFailure) -> NDArray[Any]:
        """See `scene_source.SceneSource.read_bands`."""
        if band.assets == _QUALITY:
            return self._quality(scene, band, grid, on_failure)
        name = str(scene.item["asset"])
        if "assets" in scene.item:
            heights = np.dtype([(band.assets[0], np.float32)])

            def tiles(ee: Any) -> Any:
                whole = mosaic(ee, scene.item["assets"], band.assets[0])
                return resampled(ee, whole, band.method).toFloat().unmask(_NO_HEIGHT, False)

            got = self.engine.pixels(name, tiles, heights, grid, on_failure)
            return np.where(got <= _NO_HEIGHT, np.float32(math.nan), got)

        def picture(ee: Any) -> Any:
            bands = resampled(ee, ee.Image(name).select(list(band.assets)), band.method)
            return bands.round().toUint16().unmask(0, False)

        stored = np.dtype([(asset, np.uint16) for asset in band.assets])
        return self.engine.pixels(name, picture, stored, grid, on_failure)

    def quality_band(self, coarser: bool) -> Band:
        """Scene classes, for water and snow, and Cloud Score+, for what hides the ground."""
        return Band(_QUALITY, "float32", math.nan, "mode" if coarser else "nearest")

    def clarity(self, layers: NDArray[Any]) -> Clarity:
        """See `io.clouds.cloud_score_clarity`."""
        classes, score = layers
        seen = cloud_score_clarity(score, classes == SCL_WATER)
        if self.keep_snow:
            return seen
        return Clarity(np.asarray(seen.clear & (classes != SCL_SNOW)), seen.water, seen.seen)

    def _quality(self, scene: Scene, band: Band, grid: Grid, on_failure: OnFailure) -> NDArray[Any]:
        name = str(scene.item["asset"])

        def layers(ee: Any) -> Any:
            classes = resampled(ee, ee.Image(name).select("SCL"), band.method)
            # The mean of a score is a score; the most frequent of a thousand floats is chance.
            method = "average" if band.method == "mode" else "nearest"
            score = resampled(ee, ee.Image(f"{CLOUD_SCORE}/{scene.name}").select("cs_cdf"), method)
            return classes.toFloat().addBands(score.toFloat()).unmask(_NO_SCORE, False)

        stored = np.dtype([(asset, np.float32) for asset in band.assets])
        got = self.engine.pixels(name, layers, stored, grid, on_failure)
        got[:, (got == _NO_SCORE).any(axis=0)] = np.nan
        return got


def scene_of_image(image: dict[str, Any], collection: str) -> Scene:
    """What Earth Engine says of an image, in the form that scenes of all catalogues have.

    Parameters
    ----------
    image
        As `projects.assets.listAssets` gives it.
    collection
        Id of its collection.

    Raises
    ------
    RemoteError
        It lacks an id or a time.
    """
    said = dict(image.get("properties") or {})
    name = str(image.get("id") or str(image.get("name", "")).partition("/assets/")[2])
    item = {
        "id": name.rpartition("/")[2],
        "asset": name,
        "collection": collection,
        "properties": {
            "datetime": image.get("startTime"),
            "platform": said.get("SPACECRAFT_NAME", ""),
            "s2:mgrs_tile": said.get("MGRS_TILE"),
            "s2:processing_baseline": said.get("PROCESSING_BASELINE"),
            "eo:cloud_cover": said.get("CLOUDY_PIXEL_PERCENTAGE"),
            "s2:mean_solar_azimuth": said.get("MEAN_SOLAR_AZIMUTH_ANGLE"),
            "s2:mean_solar_zenith": said.get("MEAN_SOLAR_ZENITH_ANGLE"),
            # The collection is "harmonized": the offset of baseline 04.00 has been taken out.
            "earthsearch:boa_offset_applied": True,
        },
    }
    return scene_of(item)
