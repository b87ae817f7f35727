"""A training pair of a picture and a height model that lie on different grids: the heights averaged to the picture's.

    python recipes/join_pair.py PICTURE DEM DATA/pairs/NAME --licence "..." [--sun AZIMUTH,ELEVATION]

The pair covers what both have in common; where there are no heights they stay missing. So the free pair
kanto-landsat8-62m is made of the unlabelled picture of that name and the height model japan-alps-31m, from which the
places of validation and test are cut out:

    python recipes/join_pair.py DATA/rgb/kanto-landsat8-62m.tif DATA/dem/japan-alps-31m.tif \
        more/pairs/kanto-landsat8-62m --sun 165,40 \
        --licence "image public domain (USGS); DEM: GSI, attribution (CC BY 4.0 compatible)"
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window, from_bounds

from im2dem.core.grid import Grid
from im2dem.core.nodata import NODATA


def common_window(image: rasterio.DatasetReader, dem: rasterio.DatasetReader) -> Window:
    """The pixels of the picture about which the height model may know something."""
    bounds = transform_bounds(dem.crs, image.crs, *dem.bounds)
    whole = Window(0, 0, image.width, image.height)
    return from_bounds(*bounds, image.transform).round_offsets().round_lengths().intersection(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("dem", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--split", default="train", choices=("train", "val", "test"))
    parser.add_argument("--sun", help="azimuth,elevation in degrees")
    args = parser.parse_args()
    with rasterio.open(args.image) as image, rasterio.open(args.dem) as dem:
        window = common_window(image, dem)
        height, width = int(window.height), int(window.width)
        corner = image.transform @ Affine.translation(window.col_off, window.row_off)
        place = {"crs": image.crs, "transform": corner, "height": height, "width": width}
        picture = image.read(indexes=(1, 2, 3), window=window)
        with WarpedVRT(dem, resampling=Resampling.average, nodata=dem.nodata, **place) as vrt:
            heights = vrt.read(1, masked=True).astype(np.float32) * dem.scales[0] + dem.offsets[0]
    black = picture.max(axis=0) == 0
    heights = heights.filled(np.nan)
    heights[black] = np.nan
    grid = Grid((height, width), place["transform"], str(place["crs"]))
    args.out.mkdir(parents=True)
    layout = {"driver": "GTiff", "compress": "deflate", "predictor": 2, "tiled": True, **place}
    with rasterio.open(args.out / "rgb.tif", "w", count=3, dtype=picture.dtype, **layout) as file:
        file.write(picture)
    layout["predictor"] = 3
    with rasterio.open(args.out / "dem.tif", "w", count=1, dtype="float32", nodata=NODATA, **layout) as file:
        file.write(np.where(np.isnan(heights), np.float32(NODATA), heights)[None])
    south, north = transform_bounds(place["crs"], "EPSG:4326", *grid.bounds)[1::2]
    meta = {
        "name": args.out.name, "split": args.split, "gsd_m": round(float(grid.gsd_m or 0), 1), "unit": "m",
        "size": [height, width], "latitude_about": round((south + north) / 2, 1), "licence": args.licence,
        "image": args.image.name, "dem": f"{args.dem.name}, averaged to the picture's grid",
    }  # fmt: skip
    if args.sun:
        meta["sun_azimuth_deg"], meta["sun_elevation_deg"] = (float(part) for part in args.sun.split(","))
    (args.out / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    print(f"{args.out}: {height} x {width} pixels, {np.isfinite(heights).mean():.0%} with heights")


if __name__ == "__main__":
    main()
