"""Scenes from a STAC API: found with pystac-client, read onto a grid with odc-stac, asked for again when that fails."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from im2dem.core.errors import MissingDependencyError, RemoteError
from im2dem.core.grid import Grid

from .retry import MissingError, Patience, ask
from .signing import Signer

_FAILURES: Counter[str] = Counter()
_LANDSAT_SCALE, _LANDSAT_OFFSET = 2.75e-5, -0.2
_RETRIED_STATUS = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Scene:
    """One item of a catalogue, with what matters here.

    Parameters
    ----------
    name
        Id of the item.
    collection
        Id of its collection.
    platform, tile
        E.g. "sentinel-2a" and "32TMS"; may be empty.
    when
        Time of acquisition, UTC.
    cloud_percent
        As the catalogue says, 0 to 100.
    sun
        Azimuth and elevation in degrees as the catalogue says, or None.
    baseline
        Processing baseline of Sentinel-2, e.g. (5, 9); (0, 0) for others.
    is_offset_removed
        Whether the catalogue's files have had the offset of baseline 04.00 taken out.
    item
        The item as JSON.
    """

    name: str
    collection: str
    platform: str
    tile: str
    when: datetime
    cloud_percent: float
    sun: tuple[float, float] | None
    baseline: tuple[int, int]
    is_offset_removed: bool
    item: dict[str, Any]

    @property
    def offset_dn(self) -> float:
        """What is to be added to digital numbers of Sentinel-2 L2A before they are divided by 10,000.

        Source
        ------
        ESA, Sentinel-2 Products Specification Document, issue 14.9: BOA_ADD_OFFSET since baseline 04.00.
        """
        return -1000.0 if self.baseline >= (4, 0) and not self.is_offset_removed else 0.0


def search(
    url: str,
    collection: str,
    box: tuple[float, float, float, float],
    days: tuple[date, date] | None,
    patience: Patience,
) -> list[Scene]:
    """Scenes that touch a box, unfiltered: catalogues disagree about filters, so the caller filters.

    Parameters
    ----------
    url
        Of the STAC API.
    collection
        Its id there.
    box
        west, south, east, north in degrees; east may be beyond 180.
    days
        First and last day, or None: any.
    patience
        How often it is asked again.

    Raises
    ------
    MissingDependencyError
        The extra is not installed.
    RemoteError
        The catalogue does not answer, or answers nonsense.
    """
    west, south, east, north = box
    parts = [box] if east <= 180 else [(west, south, 180.0, north), (-180.0, south, east - 360.0, north)]
    if west < -180:
        parts = [(west + 360.0, south, 180.0, north), (-180.0, south, east, north)]
    when = None if days is None else f"{days[0].isoformat()}T00:00:00Z/{days[1].isoformat()}T23:59:59Z"

    def one(_: int) -> dict[str, Scene]:
        client = _client(url, patience)
        found: dict[str, Scene] = {}
        for part in parts:
            try:
                pages = client.search(collections=[collection], bbox=part, datetime=when, limit=100)
                for item in pages.items_as_dicts():
                    scene = scene_of(item)
                    found[scene.name] = scene
            except Exception as error:  # pystac-client lets errors of requests, of json and its own through
                raise RemoteError(f"the search failed ({' '.join(str(error).split())[:200]})") from error
        return found

    # Answers that break off in the middle are not repeated by the client, only those with a status that says so.
    return list(ask(one, url, patience).values())


def scene_of(item: dict[str, Any]) -> Scene:
    """What an item says, in one form for all catalogues.

    Parameters
    ----------
    item
        STAC item as JSON.

    Raises
    ------
    RemoteError
        It lacks an id or a time.
    """
    try:
        said = item["properties"]
        when = datetime.fromisoformat(str(said.get("datetime") or said["start_datetime"]).replace("Z", "+00:00"))
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        name, collection = str(item["id"]), str(item["collection"])
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteError(f"the catalogue gave an item without id, collection or time ({error})") from error
    elevation = said.get("view:sun_elevation")
    if elevation is None and said.get("s2:mean_solar_zenith") is not None:
        elevation = 90.0 - float(said["s2:mean_solar_zenith"])
    azimuth = said.get("view:sun_azimuth", said.get("s2:mean_solar_azimuth"))
    tile = said.get("s2:mgrs_tile") or str(said.get("grid:code", "")).removeprefix("MGRS-")
    if not tile and said.get("landsat:wrs_path"):
        tile = f"{said['landsat:wrs_path']}{said.get('landsat:wrs_row', '')}"
    return Scene(
        name,
        collection,
        str(said.get("platform", "")).lower(),
        str(tile),
        when,
        float(said.get("eo:cloud_cover") or 0.0),
        None if azimuth is None or elevation is None else (float(azimuth) % 360.0, float(elevation)),
        baseline_of(said),
        bool(said.get("earthsearch:boa_offset_applied", False)),
        item,
    )


def baseline_of(said: dict[str, Any]) -> tuple[int, int]:
    """Processing baseline of Sentinel-2 as two numbers, (0, 0) when there is none.

    >>> baseline_of({"s2:processing_baseline": "05.09"}), baseline_of({"processing:version": "02.14"}), baseline_of({})
    ((5, 9), (2, 14), (0, 0))
    """
    text = str(said.get("s2:processing_baseline") or said.get("processing:version") or "")
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def newest_only(scenes: Sequence[Scene]) -> list[Scene]:
    """One scene of each acquisition: the one of the newest baseline, then with the last name.

    An acquisition is a platform, a tile and a time to a minute: reprocessed products keep them.
    """
    best: dict[tuple[Any, ...], Scene] = {}
    for scene in scenes:
        minute = scene.when.replace(second=0, microsecond=0)
        key: tuple[Any, ...] = (scene.platform, scene.tile, minute) if scene.tile else (scene.name,)
        there = best.get(key)
        if there is None or (scene.baseline, scene.name) > (there.baseline, there.name):
            best[key] = scene
    return sorted(best.values(), key=lambda s: (s.when, s.name))


def by_day(scenes: Sequence[Scene], longitude: float) -> dict[tuple[str, date], list[Scene]]:
    """Scenes of one platform on one day by the sun: one passage, cut into tiles."""
    days: dict[tuple[str, date], list[Scene]] = {}
    for scene in scenes:
        local = scene.when + timedelta(hours=longitude / 15)
        days.setdefault((scene.platform, local.date()), []).append(scene)
    return days


@dataclass(frozen=True)
class Band:
    """How assets are read.

    Parameters
    ----------
    assets
        Names in the catalogue.
    dtype
        Of the result.
    nodata
        Number for "nothing here", in and out; 0 counts as data otherwise.
    method
        "nearest", "bilinear", "average" or "mode".
    """

    assets: tuple[str, ...]
    dtype: str
    nodata: float
    method: str


def read_scene(
    scene: Scene,
    band: Band,
    grid: Grid,
    signer: Signer,
    patience: Patience,
    on_failure: Callable[[int, Exception], None] | None = None,
) -> NDArray[Any]:
    """Assets of a scene on a grid.

    After every failure the address gets another parameter, which file servers ignore: GDAL would otherwise remember
    that the file is missing, or a piece of an answer that was cut short, for as long as the program runs.

    Parameters
    ----------
    scene
        From `search`.
    band
        Which assets, how.
    grid
        Wanted.
    signer, patience
        For the requests.
    on_failure
        Called after each failed attempt.

    Returns
    -------
    Shape (asset, row, col), `band.nodata` where the scene has nothing.

    Raises
    ------
    MissingError
        A file of the scene is not there.
    RemoteError
        It could not be read.
    """
    stac: Any = _module("odc.stac")
    logging.getLogger("odc.loader").setLevel(logging.CRITICAL)  # it logs each failure that is survived here
    pystac: Any = _module("pystac")
    geobox: Any = _module("odc.geo.geobox").GeoBox(grid.shape, grid.transform, grid.crs)
    item = pystac.Item.from_dict(scene.item, preserve_dict=False)

    def attempt(_: int) -> NDArray[Any]:
        def address(href: str) -> str:
            signed = signer.sign(href, scene.collection)
            again = _FAILURES[scene.name]
            return f"{signed}{'&' if '?' in signed else '?'}again={again}" if again and "://" in signed else signed

        try:
            with rasterio.Env(**gdal_options(patience)):
                loaded = stac.load(
                    [item],
                    bands=list(band.assets),
                    geobox=geobox,
                    resampling=band.method,
                    dtype=band.dtype,
                    nodata=band.nodata,
                    patch_url=address,
                    fail_on_error=True,
                )
        except (RasterioError, OSError, ValueError, KeyError) as error:
            _FAILURES[scene.name] += 1
            if isinstance(error, RemoteError):
                raise
            raise _read_error(scene, error) from error
        return np.stack([np.asarray(loaded[name].values[0]) for name in band.assets])

    def failed(number: int, error: Exception) -> None:
        signer.forget(scene.collection)
        if on_failure is not None:
            on_failure(number, error)

    return ask(attempt, scene.name, patience, failed)


def reflectance(stored: NDArray[np.uint16], scene: Scene, image: str) -> NDArray[np.float32]:
    """Surface reflectance from digital numbers, NaN where they are 0.

    Parameters
    ----------
    stored
        Digital numbers, shape (band, row, col), 0 = no data.
    scene
        Tells the baseline, hence the offset of Sentinel-2.
    image
        "sentinel-2" or "landsat".

    Returns
    -------
    float32, shape of `stored`, 0 to about 1.

    Source
    ------
    ESA, Sentinel-2 Products Specification Document, issue 14.9: (DN + BOA_ADD_OFFSET) / 10000.
    USGS, Landsat Collection 2 Level-2: DN x 0.0000275 - 0.2.
    """
    values = stored.astype(np.float32)
    if image == "sentinel-2":
        values = (values + np.float32(scene.offset_dn)) / np.float32(10_000)
    else:
        values = values * np.float32(_LANDSAT_SCALE) + np.float32(_LANDSAT_OFFSET)
    values = np.maximum(values, 0)
    values[:, (stored == 0).any(axis=0)] = np.nan
    return np.asarray(values, dtype=np.float32)


def gdal_options(patience: Patience) -> dict[str, Any]:
    """Settings under which GDAL reads over HTTP: bounded in time and memory, no listing of folders, no side-cars."""
    return {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_TIMEOUT": str(max(1, round(patience.timeout_s))),
        "GDAL_HTTP_CONNECTTIMEOUT": str(max(1, min(15, round(patience.timeout_s)))),
        "GDAL_HTTP_MAX_RETRY": "2",
        "GDAL_HTTP_RETRY_DELAY": str(patience.first_wait_s),
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
        "GDAL_CACHEMAX": 128 * 2**20,
        "CPL_VSIL_CURL_CACHE_SIZE": str(32 * 2**20),
        "GTIFF_POINT_GEO_IGNORE": "FALSE",
        "VSI_CACHE": "FALSE",
    }


def _read_error(scene: Scene, error: Exception) -> RemoteError:
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    words = " ".join(f"{error} {root}".split()).split("?")[0][:300]
    kind = MissingError if "response code: 404" in str(error) + str(root) else RemoteError
    return kind(f"{scene.name}: {words}")


@lru_cache(maxsize=8)
def _client(url: str, patience: Patience) -> Any:
    pystac_client: Any = _module("pystac_client")
    stac_io: Any = _module("pystac_client.stac_api_io")
    urllib3: Any = _module("urllib3")
    retry = urllib3.Retry(
        total=patience.tries - 1,
        backoff_factor=patience.first_wait_s,
        backoff_max=patience.most_wait_s,
        status_forcelist=_RETRIED_STATUS,
        allowed_methods=None,  # searches are sent by POST, which is not repeated unless said so
        respect_retry_after_header=True,
    )
    try:
        return pystac_client.Client.open(
            url, stac_io=stac_io.StacApiIO(max_retries=retry, timeout=patience.timeout_s), timeout=patience.timeout_s
        )
    except Exception as error:
        raise RemoteError(
            f"{url}: the catalogue does not answer ({' '.join(str(error).split())[:200]}); "
            "check the network, or choose another with --catalog"
        ) from error


def _module(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"building training sets needs packages that are not installed ({error.name}); run: "
            "pip install 'im2dem[data]'"
        ) from error
