"""Make the pictures of the README from the pair that the demo scene comes from: make_pictures.py PAIR_FOLDER.

Writes docs/img/demo.png (picture, true relief, predicted relief) and, where Playwright and Chromium are there,
docs/img/page.png (the 3D page).
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from make_scene import WINDOW
from PIL import Image

import im2dem
from im2dem.core.terrain import multidirectional_hillshade
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.pipeline.demo import ATTRIBUTION, demo_scene

TARGET = Path(__file__).parents[1] / "docs" / "img"
GAP_PX = 8


def demo(pair: Path, dem: im2dem.Raster) -> None:
    with open_reader(demo_scene()) as reader:
        picture = reader.read(reader.grid.window).transpose(1, 2, 0).astype(np.uint8)
        size_m = reader.grid.pixel_size_m()
    with open_dem(pair / "dem.tif") as reader:
        window = im2dem.Window(WINDOW.row_off, WINDOW.col_off, WINDOW.height, WINDOW.width)
        truth = reader.read(window)[0]
    shades = [multidirectional_hillshade(z, size_m, z_factor=2.0) for z in (truth, dem.band("height"))]
    grey = [np.repeat((np.clip(s, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2) for s in shades]
    gap = np.full((picture.shape[0], GAP_PX, 3), 255, np.uint8)
    row = np.concatenate([picture, gap, grey[0], gap, grey[1]], axis=1)
    Image.fromarray(row).resize((1560, round(1560 * row.shape[0] / row.shape[1]))).save(
        TARGET / "demo.png", optimize=True
    )


def page(dem: im2dem.Raster) -> None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.stderr.write("no Playwright: docs/img/page.png is left as it is\n")
        return
    options = im2dem.PageOptions(title="Hills of Tsukuba, from one Landsat picture", attribution=ATTRIBUTION)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        path = Path(folder) / "page.html"
        im2dem.view(dem, demo_scene(), path, options)
        arguments = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        tab = browser.new_page(viewport={"width": 1280, "height": 720})
        tab.goto(path.as_uri())
        tab.wait_for_timeout(5000)
        tab.screenshot(path=str(TARGET / "page.png"))
        browser.close()


if __name__ == "__main__":
    predicted = im2dem.predict_dem(demo_scene())
    TARGET.mkdir(parents=True, exist_ok=True)
    demo(Path(sys.argv[1]), predicted)
    page(predicted)
