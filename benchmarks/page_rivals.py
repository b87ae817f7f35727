"""Pages of others for the same heights: piece-of-cake-terrain's, and one as the prototype of 2020 made them."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from harness import ROOT
from PIL import Image

from im2dem.core.raster import Raster
from im2dem.io.cog import write_raster

VIEWER = ROOT / "viewer"
ESBUILD = VIEWER / "node_modules/.bin/esbuild"
PATIENCE_S = 60
DRAG_S = 2.5
STEP_S = 1 / 60
SHOWN = (
    "<script>window.plotted.then(() => requestAnimationFrame(() => requestAnimationFrame("
    "() => { window.shown = performance.now(); })));</script></body>"
)


@dataclass(frozen=True)
class Rival:
    """Somebody else's page: how it is called and how it is written; `missing` says why it cannot be, or is empty."""

    name: str
    write: Callable[[Raster, Raster, Path], None]
    missing: str = ""


def piece_of_cake(dem: Raster, image: Raster, path: Path) -> None:
    """Its own steps, from a GeoTIFF, at full width and with everything in the one file; it has no picture."""
    from piece_of_cake import TerrainScene

    del image
    tiff = path.with_suffix(".tif")
    write_raster(tiff, dem)
    html = TerrainScene.from_dem(tiff, width=dem.grid.shape[1]).to_html(include_plotlyjs="inline")
    tiff.unlink()
    html, found = re.subn(r'Plotly\.newPlot\((?=\s*"piece-of-cake-map")', "window.plotted = Plotly.newPlot(", html)
    if found != 1:
        raise RuntimeError(f"piece-of-cake-terrain's page has {found} plots where one was expected")
    start, end = html.rsplit("</body>", 1)
    path.write_text(start + SHOWN + end, encoding="utf-8")


def prototype(dem: Raster, image: Raster, path: Path) -> None:
    """Heights as 16-bit metres and a JPEG picture, both in the page, on the same three.js as ours."""
    source = Path(__file__).with_name("prototype_page.js").read_text(encoding="utf-8")
    arguments = (str(ESBUILD), "--bundle", "--minify", "--format=iife")
    script = subprocess.run(arguments, cwd=VIEWER, input=source, capture_output=True, text=True, check=True).stdout
    height, width = dem.grid.shape
    jpeg = io.BytesIO()
    Image.fromarray(np.moveaxis(image.data, 0, -1).astype(np.uint8)).save(jpeg, "JPEG", quality=85)
    heights = np.round(dem.data[0]).astype("<u2").tobytes()
    coded = {"heights": heights, "picture": jpeg.getvalue()}
    data = json.dumps({"width": width, "height": height, **{k: base64.b64encode(v).decode() for k, v in coded.items()}})
    path.write_text(
        '<!doctype html><meta charset="utf-8"><title>Prototype</title><style>body{margin:0;overflow:hidden}</style>'
        f'<body><script type="application/json" id="data">{data}</script><script>{script}</script>',
        encoding="utf-8",
    )


def rivals() -> tuple[Rival, ...]:
    """All of them, those that cannot be written here with the reason."""
    absent = "" if find_spec("piece_of_cake") else "not installed"
    bundler = "" if ESBUILD.exists() else "no esbuild: run `npm ci` in viewer/"
    return (
        Rival("piece-of-cake-terrain", piece_of_cake, absent),
        Rival("prototype of 2020", prototype, bundler),
    )


def first_picture(page: Any, path: Path) -> float | None:
    """Seconds from the request of a rival's page to its first picture; None: none within the patience."""
    from playwright.sync_api import Error

    start = time.perf_counter()
    try:
        page.goto(path.as_uri(), wait_until="commit", timeout=1000 * PATIENCE_S)
        left = max(start + PATIENCE_S - time.perf_counter(), 1)
        page.wait_for_function("window.shown", timeout=1000 * left)
        return float(page.evaluate("window.shown")) / 1000
    except Error:
        # A page that crashed and one that was too slow are the same to whoever waits for it.
        return None


def frames_a_second(page: Any, x: float, y: float) -> float:
    """Frames a second of the page while the mouse turns the block, from a point (x, y) of the window."""
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(
        "() => { const c = window.counted = { from: performance.now(), frames: 0, last: 0 };"
        " const f = now => { c.frames += 1; c.last = now; requestAnimationFrame(f); }; requestAnimationFrame(f); }"
    )
    start = time.perf_counter()
    step = 0
    while time.perf_counter() - start < DRAG_S:
        step += 1
        page.mouse.move(x + 2 * (step % 120), y)
        time.sleep(STEP_S)
    rate = page.evaluate("window.counted.frames / ((performance.now() - window.counted.from) / 1000)")
    page.mouse.up()
    return float(rate)
