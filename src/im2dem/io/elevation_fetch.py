"""A free global height model for a picture: Copernicus GLO-30 and GLO-90, fetched without an account and kept.

Tiles of one degree from the public buckets of the Copernicus DEM on AWS. A tile that is not there is sea: 0 m.
"""

from __future__ import annotations

import logging
import math
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine

from im2dem.core.errors import InputError, RemoteError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster

from .atomic import publish
from .cog import CogOptions, write_raster

log = logging.getLogger("im2dem")

ATTRIBUTION = "Copernicus DEM, © DLR e.V. 2010-2014 and © Airbus Defence and Space GmbH 2014-2018, provided under COPERNICUS by the European Union and ESA"  # noqa: E501
_HOSTS = {30: "https://copernicus-dem-30m.s3.amazonaws.com", 90: "https://copernicus-dem-90m.s3.amazonaws.com"}
_ARC_TENTHS = {30: 10, 90: 30}
_MOST_TILES = {30: 9, 90: 100}
_PAUSES_S = (0.5, 2.0)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Server:
    """Where tiles come from.

    Parameters
    ----------
    url
        Without the folder of the tile; None: the public buckets on AWS.
    cache
        Folder in which tiles are kept; None: the user's own cache folder.
    timeout_s
        Without an answer, seconds.
    pauses_s
        Between attempts after an error of the server, seconds.
    """

    url: str | None = None
    cache: Path | None = None
    timeout_s: float = 30.0
    pauses_s: tuple[float, ...] = _PAUSES_S


def cache_folder() -> Path:
    """The user's own cache folder for height models: of XDG, or of Windows."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or str(Path.home() / ".cache")
    return Path(base) / "im2dem" / "copernicus-dem"


def tiles_over(grid: Grid) -> list[tuple[int, int]]:
    """(latitude, longitude) of the south-west corners of the one-degree tiles that a picture touches.

    Raises
    ------
    InputError
        The picture has no place on Earth.
    """
    edge = np.linspace(0, 1, 17)
    places = [grid.lonlat(r * grid.height, c * grid.width) for r in edge for c in edge]
    known = [place for place in places if place is not None]
    if not known:
        raise InputError("a picture without georeference has no place for which heights could be fetched; give --prior")
    lon, lat = np.array(known).T
    south, north = math.floor(lat.min()), math.floor(np.nextafter(lat.max(), -math.inf))
    if lon.max() - lon.min() > 180:  # across the antimeridian
        lon = np.where(lon < 0, lon + 360, lon)
    west, east = math.floor(lon.min()), math.floor(np.nextafter(lon.max(), -math.inf))
    columns = range(west, max(east, west) + 1)
    return [(row, (col + 180) % 360 - 180) for row in range(south, max(north, south) + 1) for col in columns]


def fetch_elevation(grid: Grid, server: Server | None = None) -> list[Path]:
    """Files of Copernicus GLO-30 (or GLO-90 for large or coarse pictures) over a picture.

    Parameters
    ----------
    grid
        Of the picture.
    server
        See `Server`.

    Returns
    -------
    Paths in the cache; heights above EGM2008.

    Raises
    ------
    RemoteError
        No network, or the server fails again and again; what is in the cache is used without any.
    InputError
        No place on Earth, or a picture over more tiles than one should fetch.
    """
    server = server or Server(url=os.environ.get("IM2DEM_COPERNICUS_URL"))
    tiles = tiles_over(grid)
    metres = 30 if len(tiles) <= _MOST_TILES[30] and (grid.gsd_m or 0) < 45 else 90
    if len(tiles) > _MOST_TILES[metres]:
        raise InputError(f"the picture lies over {len(tiles)} tiles of one degree; give a height model of your own")
    return [_tile(server, metres, lat, lon) for lat, lon in tiles]


def tile_name(metres: int, lat: int, lon: int) -> str:
    """Name of a tile's file, without its ending.

    >>> tile_name(30, 47, 9)
    'Copernicus_DSM_COG_10_N47_00_E009_00_DEM'
    """
    north, east = ("N" if lat >= 0 else "S"), ("E" if lon >= 0 else "W")
    return f"Copernicus_DSM_COG_{_ARC_TENTHS[metres]}_{north}{abs(lat):02d}_00_{east}{abs(lon):03d}_00_DEM"


def _tile(server: Server, metres: int, lat: int, lon: int) -> Path:
    folder = server.cache or cache_folder()
    name = tile_name(metres, lat, lon)
    target = folder / f"{name}.tif"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    url = f"{server.url or _HOSTS[metres]}/{name}/{name}.tif"
    log.info("fetching %s", url)
    part = target.with_suffix(".part")
    try:
        if _download(server, url, part):
            publish(part, target)
        else:
            log.info("%s is not there: sea", name)
            _write_sea(target, lat, lon)
    finally:
        part.unlink(missing_ok=True)
    return target


def _write_sea(target: Path, lat: int, lon: int) -> None:
    side = 12
    grid = Grid((side, side), Affine(1 / side, 0, lon, 0, -1 / side, lat + 1), "EPSG:4326")
    zero = Raster(np.zeros((1, side, side), np.float32), grid, ("height",), "m", "EGM2008")
    write_raster(target, zero, options=CogOptions(vertical_datum="EGM2008", overwrite=True))


def _download(server: Server, url: str, part: Path) -> bool:
    """Fetch a whole file; False where the server says that there is none."""
    reason = ""
    for pause in (*server.pauses_s, None):
        try:
            with urllib.request.urlopen(url, timeout=server.timeout_s) as answer, part.open("wb") as file:
                wanted = int(answer.headers.get("Content-Length") or -1)
                got = 0
                while chunk := answer.read(_CHUNK):
                    got += file.write(chunk)
            with part.open("rb") as file:
                is_tiff = file.read(2) in (b"II", b"MM")
            if got == wanted and is_tiff:
                return True
            reason = f"{got:,} of {wanted:,} bytes came" if got != wanted else "the answer is no GeoTIFF"
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            reason = f"the server answered {error.code}"
        except (urllib.error.URLError, OSError) as error:
            reason = str(getattr(error, "reason", error))
        if pause is not None:
            time.sleep(pause)
    raise RemoteError(
        f"{url} could not be fetched ({reason}); try again with a network, or give a height model of your own (--prior)"
    )
