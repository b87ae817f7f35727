"""A block of chips from scenes of a satellite: its heights, the dates to choose from, the picture made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import NoDataError, RemoteError
from im2dem.core.grid import Grid, Window
from im2dem.core.nodata import is_nodata
from im2dem.core.sun import solar_position
from im2dem.io.clouds import Clarity
from im2dem.io.geotiff import open_dem
from im2dem.io.stac import Band, Scene, by_day, reflectance
from im2dem.io.stac_catalogs import Catalog, DemCollection, PictureCollection

from .composite import SINGLE_DATE, Composite, clearest, lowest_sun, median, medoid
from .encode import Draft
from .file_source import read_onto
from .plan import Block, Chip
from .sources import Log, cached
from .store import Outcome

OnFailure = Callable[[int, Exception], None]


class SceneRequest(Protocol):
    """What a reading needs to know and to ask; see `scene_source.SceneSource`."""

    @property
    def catalog(self) -> Catalog:
        """Where."""
        ...

    @property
    def image(self) -> str:
        """Sensor."""
        ...

    @property
    def dem(self) -> str:
        """Height model or file."""
        ...

    @property
    def composite(self) -> Composite:
        """How one picture is made."""
        ...

    @property
    def most_dates(self) -> int:
        """Dates looked at."""
        ...

    @property
    def cloud_margin_m(self) -> float:
        """Margin around clouds."""
        ...

    @property
    def readers(self) -> int:
        """Scenes read at a time."""
        ...

    @property
    def pictures(self) -> PictureCollection:
        """The collection of pictures."""
        ...

    @property
    def picture_assets(self) -> tuple[str, ...]:
        """Assets that make the picture."""
        ...

    @property
    def heights(self) -> DemCollection | None:
        """The collection of heights, or None when they come from a file."""
        ...

    def scenes(self, grid: Grid) -> list[Scene]:
        """Scenes over a grid that qualify."""
        ...

    def height_scenes(self, grid: Grid) -> list[Scene]:
        """Tiles of the height model that touch a grid."""
        ...

    def read_bands(self, scene: Scene, band: Band, grid: Grid, on_failure: OnFailure) -> NDArray[Any]:
        """Bands of a scene on a grid, (asset, row, col), `band.nodata` where it has nothing."""
        ...

    def quality_band(self, coarser: bool) -> Band:
        """The quality layers, and how they are read where pixels are `coarser` than the sensor's."""
        ...

    def clarity(self, layers: NDArray[Any]) -> Clarity:
        """What the quality layers say, shape (asset, row, col)."""
        ...


@dataclass(frozen=True, eq=False)
class _Date:
    """One passage of one satellite over a block."""

    day: date
    scenes: tuple[Scene, ...]
    clarity: Clarity
    sun: tuple[float, float]


class BlockReading:
    """One block being read.

    Parameters
    ----------
    source
        What is asked for.
    block
        Where.
    cache
        Folder for what was downloaded, or None.
    log
        Of failures that were survived.
    """

    def __init__(self, source: SceneRequest, block: Block, cache: Path | None, log: Log) -> None:
        self.source, self.block, self.log = source, block, log
        height, width = block.grid.shape
        self.cache = None if cache is None else cache / f"{height}x{width}"
        self.coarser = (block.grid.gsd_m or 0.0) >= 1.5 * source.pictures.gsd_m

    # ---- heights

    def heights(self) -> NDArray[np.float32]:
        """float32 (row, col), metres, NaN = none. A tile that cannot be read fails the block: it is never sea."""
        source, grid = self.source, self.block.grid
        out = np.full(grid.shape, np.nan, dtype=np.float32)
        if source.heights is None:
            with open_dem(source.dem) as reader:
                return np.asarray(read_onto(reader, grid)[0])
        method = "average" if (grid.gsd_m or 0) >= 1.5 * source.heights.gsd_m else "bilinear"
        band = Band((source.heights.asset,), "float32", math.nan, method)
        found = source.height_scenes(grid)
        for scene in sorted(found, key=lambda s: s.name):
            tile = self._read(scene, band, "dem")[0]
            np.copyto(out, tile, where=~np.isfinite(out))
        self.log.add("height tiles read", count=len(found))
        return out

    # ---- pictures

    def drafts(self, dem: NDArray[np.float32]) -> Iterator[Draft | Outcome]:
        """A draft of each chip."""
        dates = self._dates()
        if not dates:
            yield from self._without_picture("no scene of these days with so little cloud")
            return
        if self.source.composite in SINGLE_DATE:
            yield from self._single(dates, dem)
        else:
            yield from self._several(dates, dem)

    def _without_picture(self, why: str) -> Iterator[Outcome]:
        yield from (Outcome(chip.name, "picture-missing", why) for chip, _ in self.block.chips)

    def _single(self, dates: list[_Date], dem: NDArray[np.float32]) -> Iterator[Draft | Outcome]:
        """Each chip from one date; dates are read one after the other, so memory holds one."""
        chosen: dict[int, list[tuple[Chip, Window]]] = {}
        for chip, window in self.block.chips:
            where = window.slices()
            shares = [float(d.clarity.clear[where].mean()) for d in dates]
            low = self.source.composite == "low-sun"
            i = lowest_sun(shares, [d.sun[1] for d in dates]) if low else clearest(shares)
            chosen.setdefault(i, []).append((chip, window))
        for i, chips in sorted(chosen.items()):
            picture, failed = self._picture(dates[i])
            for chip, window in chips:
                if failed and not np.isfinite(picture[(slice(None), *window.slices())]).all():
                    yield Outcome(chip.name, "failed", f"{dates[i].day}: {failed} scenes could not be read")
                else:
                    yield self._draft(chip, window, picture, dem, dates[i].clarity, [dates[i]])

    def _several(self, dates: list[_Date], dem: NDArray[np.float32]) -> Iterator[Draft | Outcome]:
        merged = self._merged(dates)
        if merged is None:
            yield from self._without_picture("no date shows the ground")
            return
        picture, clarity, used, count = merged
        for chip, window in self.block.chips:
            yield self._draft(chip, window, picture, dem, clarity, used, count[window.slices()])

    def _merged(
        self, dates: list[_Date]
    ) -> tuple[NDArray[np.float32], Clarity, list[_Date], NDArray[np.uint16]] | None:
        """Median or medoid of all dates; None when no date shows the ground."""
        stack, used, failures = [], [], 0
        for one in dates:
            picture, failed = self._picture(one)
            failures += failed
            picture[:, ~one.clarity.clear] = np.nan
            if np.isfinite(picture).any():
                stack.append(picture)
                used.append(one)
        if not stack and failures:
            raise RemoteError(f"not one of {len(dates)} dates could be read")
        if not stack:
            return None
        picture, count = (median if self.source.composite == "median" else medoid)(np.stack(stack))
        water = np.mean([d.clarity.water for d in used], axis=0) > 0.5
        seen = np.any([d.clarity.seen for d in used], axis=0)
        return picture, Clarity(count > 0, water & (count > 0), seen), used, count

    def picture(self) -> tuple[NDArray[np.float32], list[str]]:
        """The block's picture alone: reflectance (band, row, col), NaN where no ground is seen; and its days."""
        dates = self._dates()
        if self.source.composite not in SINGLE_DATE:
            merged = self._merged(dates)
            if merged is not None:
                return merged[0], [d.day.isoformat() for d in merged[2]]
        elif dates:
            shares = [float(d.clarity.clear.mean()) for d in dates]
            low = self.source.composite == "low-sun"
            one = dates[lowest_sun(shares, [d.sun[1] for d in dates]) if low else clearest(shares)]
            picture, _ = self._picture(one)
            picture[:, ~one.clarity.clear] = np.nan
            return picture, [one.day.isoformat()]
        shape = (len(self.source.picture_assets), *self.block.grid.shape)
        return np.full(shape, np.nan, dtype=np.float32), []

    def _draft(
        self,
        chip: Chip,
        window: Window,
        picture: NDArray[np.float32],
        dem: NDArray[np.float32],
        clarity: Clarity,
        dates: Sequence[_Date],
        count: NDArray[np.uint16] | None = None,
    ) -> Draft:
        where = window.slices()
        source = self.source
        heights, water = dem[where].copy(), clarity.water[where]
        collection = source.heights
        sea = np.zeros(heights.shape, dtype=bool)
        if collection is not None and collection.is_sea_absent:
            # No tile, and the picture shows water: the sea. Land without a tile stays void.
            sea = ~np.isfinite(heights) & water
            heights[sea] = 0.0
        azimuth, elevation = _mean_sun([d.sun for d in dates])
        scenes = [s for d in dates for s in d.scenes]
        record = {
            "licence": f"{source.pictures.licence}; {collection.licence if collection else 'heights: not stated (NC)'}",
            "vertical_datum": collection.vertical_datum if collection else self._file_datum(),
            "dem_kind": "DSM" if collection else "not stated",
            "dem_gsd_m": collection.gsd_m if collection else None,
            "sea_filled_share": round(float(sea.mean()), 6),
            "sun_azimuth_deg": round(azimuth, 3),
            "sun_elevation_deg": round(elevation, 3),
            "dates": sorted({d.day.isoformat() for d in dates}),
            "observations": 1 if count is None else int(np.median(count)),
            "composite": source.composite,
            "image": source.image,
            "dem": collection.collection if collection else Path(source.dem).name,
            "source": source.catalog.url,
            "scenes": [s.name for s in scenes],
            "baselines": sorted({f"{s.baseline[0]:02d}.{s.baseline[1]:02d}" for s in scenes}),
        }
        return Draft(
            chip,
            picture[(slice(None), *where)],
            heights,
            "reflectance",
            clarity.cloud[where],
            water,
            record,
        )

    def _file_datum(self) -> str | None:
        with open_dem(self.source.dem) as reader:
            return reader.info.vertical_datum

    def _dates(self) -> list[_Date]:
        """The dates to choose from, with their quality layers; scenes that cannot be read are counted and left out."""
        grid, source = self.block.grid, self.source
        place = grid.lonlat(grid.height / 2, grid.width / 2) or (0.0, 0.0)
        days = by_day(source.scenes(grid), place[0])
        passages = [
            (day, scenes, _sun_of(scenes, place), sum(s.cloud_percent for s in scenes) / len(scenes))
            for (_, day), scenes in days.items()
        ]
        low = source.composite == "low-sun"
        passages.sort(key=lambda p: (p[2][1] if low else p[3], p[0]))
        passages = passages[: source.most_dates]
        wanted = [scene for _, scenes, _, _ in passages for scene in scenes]
        band = source.quality_band(self.coarser)

        def one(scene: Scene) -> NDArray[Any] | None:
            try:
                return self._read(scene, band, "quality")
            except RemoteError as error:
                self.log.add("scenes failed", str(error))
                return None

        with ThreadPoolExecutor(source.readers) as pool:
            layers = dict(zip((s.name for s in wanted), pool.map(one, wanted), strict=True))
        if wanted and all(layer is None for layer in layers.values()):
            raise RemoteError(f"not one of {len(wanted)} scenes could be read")
        margin = round(source.cloud_margin_m / max(grid.gsd_m or 1.0, 1e-6))
        dates = []
        for day, scenes, sun, _ in passages:
            readable = tuple(s for s in scenes if layers[s.name] is not None)
            if not readable:
                continue
            merged = layers[readable[0].name].copy()  # type: ignore[union-attr]
            for scene in readable[1:]:
                np.copyto(merged, layers[scene.name], where=is_nodata(merged, band.nodata))  # type: ignore[arg-type]
            dates.append(_Date(day, readable, source.clarity(merged).with_margin(margin), sun))
        return dates

    def _picture(self, one: _Date) -> tuple[NDArray[np.float32], int]:
        """Reflectance (band, row, col) of a passage, NaN where there is none; and the number of scenes that failed."""
        assets = self.source.picture_assets
        out = np.full((len(assets), *self.block.grid.shape), np.nan, dtype=np.float32)
        failed = 0
        band = Band(assets, "uint16", 0, "average" if self.coarser else "bilinear")
        for scene in one.scenes:
            try:
                stored = self._read(scene, band, "bands")
            except RemoteError as error:
                self.log.add("scenes failed", str(error))
                failed += 1
                continue
            np.copyto(out, reflectance(stored, scene, self.source.image), where=~np.isfinite(out).all(axis=0))
            self.log.add("scenes read")
        return out, failed

    def _read(self, scene: Scene, band: Band, kind: str) -> NDArray[Any]:
        def again(_: int, error: Exception) -> None:
            self.log.add("reads repeated")

        def read() -> NDArray[Any]:
            return self.source.read_bands(scene, band, self.block.grid, again)

        return cached(self.cache, f"{scene.collection}-{scene.name}-{kind}", read)


def _sun_of(scenes: Sequence[Scene], place: tuple[float, float]) -> tuple[float, float]:
    """The sun as the catalogue says, else as the sky says at that moment and place."""
    told = [scene.sun for scene in scenes if scene.sun is not None]
    return _mean_sun(told) if told else solar_position(scenes[0].when, *place)


def _mean_sun(suns: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean direction: azimuths of 359 and 1 degrees have the mean 0."""
    if not suns:
        raise NoDataError("no sun to take the mean of")
    east = sum(math.sin(math.radians(a)) for a, _ in suns)
    north = sum(math.cos(math.radians(a)) for a, _ in suns)
    return math.degrees(math.atan2(east, north)) % 360.0, sum(e for _, e in suns) / len(suns)
