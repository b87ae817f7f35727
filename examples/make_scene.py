"""Cut the demo scene out of the Landsat pair it comes from: python examples/make_scene.py PAIR_FOLDER.

The pair `kanto-tsukuba-31m-20211228` belongs to the test split: no model that ships has seen it.
"""

import json
import sys
from pathlib import Path

import rasterio
from rasterio.windows import Window

WINDOW = Window(col_off=256, row_off=704, width=768, height=768)
TARGET = Path(__file__).parents[1] / "src/im2dem/pipeline/demo_scene/tsukuba.tif"


def main(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    with rasterio.open(folder / "rgb.tif") as source:
        rgb = source.read(window=WINDOW)
        profile = {"crs": source.crs, "transform": source.window_transform(WINDOW)}
    profile |= {"driver": "GTiff", "count": 3, "dtype": "uint8", "width": WINDOW.width, "height": WINDOW.height}
    profile |= {"compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 90, "tiled": True}
    TARGET.parent.mkdir(exist_ok=True)
    with rasterio.open(TARGET, "w", **profile, blockxsize=256, blockysize=256) as target:
        target.write(rgb)
        target.update_tags(
            ACQUISITION_DATE="2021-12-28",
            SUN_AZIMUTH=meta["sun_azimuth_deg"],
            SUN_ELEVATION=meta["sun_elevation_deg"],
            TIFFTAG_COPYRIGHT="public domain (U.S. Geological Survey)",
            TIFFTAG_IMAGEDESCRIPTION="Landsat 8 true colour, hills of Tsukuba, Japan",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
