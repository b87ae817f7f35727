"""A small Earth on disk, as a catalogue has it: Sentinel-2 tiles with clouds, Landsat, a height model; items in JSON.

side      640 px of 10 m in UTM 32N, south of the Alps; the height model is in degrees, pixel-is-point
picture   reflectance known at every place: see `reflectance_at`
dates     2023-01-10 low sun, clear; 2023-06-15 high sun, clouds in the north; 2023-07-20 clear, high sun
          2023-06-15 exists in two baselines (05.00 is right, 02.14 is the older one and says otherwise)
others    2023-07-20 again as Earth Search has it (own names, offset taken out); a Landsat scene of that day with cloud
          in the north, by bit 3; AW3D30 in whole metres
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

EPSG = 32632
LEFT, TOP, GSD, SIDE = 399_360.0, 5_068_800.0, 10.0, 640
TO_LONLAT = Transformer.from_crs(EPSG, 4326, always_xy=True)
TO_UTM = Transformer.from_crs(4326, EPSG, always_xy=True)
DATES = {
    "20230110": (160.0, 20.0, 2.0),
    "20230615": (150.0, 64.0, 12.0),
    "20230720": (145.0, 62.0, 1.0),
}
BANDS = {"B04": 1.0, "B03": 0.8, "B02": 0.6}


def height_at(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
    """True height, metres, anywhere."""
    return 900 + 250 * np.sin(x / 700.0) * np.cos(y / 900.0) + 60 * np.sin((x + y) / 260.0)


def reflectance_at(x: NDArray[np.floating], y: NDArray[np.floating], date: str, band: str) -> NDArray[np.float64]:
    """True reflectance, anywhere: a matt surface under the date's sun."""
    azimuth, elevation, _ = (math.radians(v) for v in DATES[date])
    east = (height_at(x + 1, y) - height_at(x - 1, y)) / 2
    north = (height_at(x, y + 1) - height_at(x, y - 1)) / 2
    light = math.sin(elevation) - math.cos(elevation) * (math.sin(azimuth) * east + math.cos(azimuth) * north)
    return BANDS[band] * np.clip(0.05 + 0.2 * light / np.sqrt(1 + east**2 + north**2), 0.01, 1)


def pixel_centres(transform: Affine, shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row, col = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    return transform.a * col + transform.c, transform.e * row + transform.f


def write_cog(path: Path, data: NDArray[Any], transform: Affine, crs: str, nodata: float | None, **tags: str) -> None:
    """A small cloud-optimised GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    base = path.with_suffix(".base.tif")
    with rasterio.open(
        base, "w", driver="GTiff", height=data.shape[0], width=data.shape[1], count=1, dtype=data.dtype.name,
        crs=crs, transform=transform, nodata=nodata,
    ) as file:  # fmt: skip
        file.write(data, 1)
        if tags:
            file.update_tags(**tags)
    rasterio.shutil.copy(str(base), str(path), driver="COG", BLOCKSIZE=256, COMPRESS="DEFLATE", OVERVIEWS="NONE")
    base.unlink()


def clouds(date: str) -> NDArray[np.uint8]:
    """Scene classes at 20 m: vegetation, a lake, and on one date high cloud in the north."""
    scl = np.full((SIDE // 2, SIDE // 2), 4, dtype=np.uint8)
    scl[200:230, 40:80] = 6
    if date == "20230615":
        scl[:90, :] = 9
    return scl


def draw_world(folder: Path, side: int = SIDE) -> None:
    """All rasters, below `folder`."""
    grid = Affine(GSD, 0, LEFT, 0, -GSD, TOP)
    x, y = pixel_centres(grid, (side, side))
    for date in DATES:
        for band in BANDS:
            dn = np.rint(reflectance_at(x, y, date, band) * 10_000).astype(np.uint16)
            if date == "20230615":
                dn[: round(side * 0.28)] = 9_000
            write_cog(folder / f"s2/{date}/{band}.tif", (dn + 1000).astype(np.uint16), grid, f"EPSG:{EPSG}", 0)
        scl = np.full((side // 2, side // 2), 4, dtype=np.uint8)
        part = clouds(date)
        n = min(len(part), len(scl))
        scl[:n, :n] = part[:n, :n]
        if date == "20230615":
            scl[: round(side * 0.14)] = 9
        write_cog(folder / f"s2/{date}/SCL.tif", scl, Affine(20, 0, LEFT, 0, -20, TOP), f"EPSG:{EPSG}", 0)
    old = np.full((side, side), 5_000, dtype=np.uint16)
    for band in BANDS:
        write_cog(folder / f"s2/20230615-old/{band}.tif", old, grid, f"EPSG:{EPSG}", 0)
    draw_dem(folder, side)
    draw_others(folder, side)


def draw_others(folder: Path, side: int = SIDE) -> None:
    """The same place in other collections."""
    grid = Affine(GSD, 0, LEFT, 0, -GSD, TOP)
    x, y = pixel_centres(grid, (side, side))
    names = {"B04": "red", "B03": "green", "B02": "blue"}
    for band, name in names.items():
        dn = np.rint(reflectance_at(x, y, "20230720", band) * 10_000).astype(np.uint16)
        write_cog(folder / f"es/{name}.tif", dn, grid, f"EPSG:{EPSG}", 0)
    coarse = Affine(30, 0, LEFT, 0, -30, TOP)
    x, y = pixel_centres(coarse, (side // 3, side // 3))
    for band, name in names.items():
        dn = np.rint((reflectance_at(x, y, "20230720", band) + 0.2) / 2.75e-5).astype(np.uint16)
        write_cog(folder / f"landsat/{name}.tif", dn, coarse, f"EPSG:{EPSG}", 0)
    quality = np.full((side // 3, side // 3), 1 << 6, dtype=np.uint16)
    quality[: round(side * 0.28 / 3)] = 1 << 3
    write_cog(folder / "landsat/qa_pixel.tif", quality, coarse, f"EPSG:{EPSG}", 1)
    with rasterio.open(folder / "dem/tile.tif") as file:
        heights = np.rint(file.read(1)).astype(np.int16)
        write_cog(folder / "aw3d30/tile.tif", heights, file.transform, "EPSG:4326", None)


def draw_dem(folder: Path, side: int = SIDE) -> None:
    """Heights in degrees, one arc second, pixel-is-point, a margin around the scene."""
    step = 1 / 3600
    west, south, east, north = scene_box(side, 0.01)
    west, north = round(west / step) * step, round(north / step) * step
    shape = (math.ceil((north - south) / step), math.ceil((east - west) / step))
    transform = Affine(step, 0, west, 0, -step, north)
    lon, lat = pixel_centres(transform, shape)
    dem = height_at(*TO_UTM.transform(lon, lat)).astype(np.float32)
    write_cog(folder / "dem/tile.tif", dem, transform, "EPSG:4326", None, AREA_OR_POINT="Point")


def scene_box(side: int = SIDE, margin: float = 0.0) -> tuple[float, float, float, float]:
    """west, south, east, north of the scene."""
    corners = [TO_LONLAT.transform(LEFT + i * side * GSD, TOP - j * side * GSD) for i in (0, 1) for j in (0, 1)]
    lons, lats = zip(*corners, strict=True)
    return min(lons) - margin, min(lats) - margin, max(lons) + margin, max(lats) + margin


def inner_box() -> tuple[float, float, float, float]:
    """A box in the scene that touches 2 x 3 chips of 960 m; the cloud of 15 June lies over its north."""
    west, north = TO_LONLAT.transform(LEFT + 1300, TOP - 1100)
    east, south = TO_LONLAT.transform(LEFT + 2500, TOP - 3500)
    return west, south, east, north


def box_polygon(box: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def item(
    collection: str, name: str, when: str, assets: dict[str, str], said: dict[str, Any], side: int
) -> dict[str, Any]:
    box = scene_box(side, 0.01 if "dem" in collection else 0.0)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": box_polygon(box),
        "bbox": list(box),
        "properties": {"datetime": when, **said},
        "links": [],
        "assets": {
            key: {"href": href, "type": "image/tiff; application=geotiff", "roles": ["data"]}
            for key, href in assets.items()
        },
    }


def items(url: str, side: int = SIDE) -> list[dict[str, Any]]:
    """Items as the Planetary Computer words them; the rasters are below `url`."""
    out = []
    for date, (azimuth, elevation, cloud) in DATES.items():
        when = f"{date[:4]}-{date[4:6]}-{date[6:]}T10:16:21Z"
        said = {
            "platform": "Sentinel-2A",
            "s2:mgrs_tile": "32TMR",
            "s2:processing_baseline": "05.00",
            "eo:cloud_cover": cloud,
            "s2:mean_solar_azimuth": azimuth,
            "s2:mean_solar_zenith": 90 - elevation,
        }
        assets = {band: f"{url}/s2/{date}/{band}.tif" for band in (*BANDS, "SCL")}
        out.append(item("sentinel-2-l2a", f"S2A_MSIL2A_{date}_N0500", when, assets, said, side))
        if date == "20230615":
            old = {band: f"{url}/s2/20230615-old/{band}.tif" for band in BANDS} | {"SCL": assets["SCL"]}
            said = said | {"s2:processing_baseline": "02.14"}
            out.append(item("sentinel-2-l2a", f"S2A_MSIL2A_{date}_N0214", when, old, said, side))
    dem = {"data": f"{url}/dem/tile.tif"}
    out.append(item("cop-dem-glo-30", "tile", "2021-04-22T00:00:00Z", dem, {"gsd": 30}, side))
    when = "2023-07-20T10:16:21Z"
    said = {
        "platform": "sentinel-2a", "grid:code": "MGRS-32TMR", "s2:processing_baseline": "05.09", "eo:cloud_cover": 1.0,
        "view:sun_azimuth": 145.0, "view:sun_elevation": 62.0, "earthsearch:boa_offset_applied": True,
    }  # fmt: skip
    files = {name: f"{url}/es/{name}.tif" for name in ("red", "green", "blue")}
    files["scl"] = f"{url}/s2/20230720/SCL.tif"
    out.append(item("earth-search-l2a", "S2A_32TMR_20230720_0_L2A", when, files, said, side))
    said = {
        "platform": "landsat-9", "landsat:wrs_path": "194", "landsat:wrs_row": "028", "eo:cloud_cover": 9.0,
        "view:sun_azimuth": 145.0, "view:sun_elevation": 62.0,
    }  # fmt: skip
    files = {name: f"{url}/landsat/{name}.tif" for name in ("red", "green", "blue", "qa_pixel")}
    out.append(item("landsat-c2-l2", "LC09_L2SP_194028_20230720_02_T1", when, files, said, side))
    out.append(item("alos-dem", "N045E007", when, {"data": f"{url}/aw3d30/tile.tif"}, {"gsd": 30}, side))
    return out


def write_catalog(path: Path, url: str, side: int = SIDE) -> None:
    """An item collection for the server to load."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items(url, side)}))
