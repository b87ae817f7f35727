"""Size of the 3D page, time to its first picture, pictures a second while turning, at four sizes in headless Chromium.

Needs the extra "browser" and a Chromium. Times are ratios to the smallest size; the bars alone are in seconds, with the
load of the machine beside them. Where plotly is installed, its surface of the same heights is told of.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from harness import ROOT, Bar, Outcome, Setup, Table, number, say

from im2dem.core.errors import MissingDependencyError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.web.page import PageOptions
from im2dem.web.view import view

sys.path.insert(0, str(ROOT / "tests"))
from browser_kit import FLAGS, chromium

SIDES = (512, 1024, 2048, 4096)
QUICK_SIDES = (512, 1024)
ROUNDS = 3
OPENS_S = 3.0
EXPLAIN = (
    "Drawn relief with a noisy picture, in headless Chromium without a graphics card (SwiftShader), window 1280 x 800. "
    "*first picture*: from the request of the file to the first drawn picture; *turning*: one picture while the camera "
    "moves; *at rest*: one with all its detail. Times are ratios to the smallest size."
)
PLOTLY_SIDES = (512,)
PATIENCE_S = 90
WINDOW = {"width": 1280, "height": 800}
TURN_DEG_FRAMES = 12


def drawn(side: int) -> tuple[Raster, Raster]:
    """A fractal relief of 2,500 m (power law -1.1 of the squared frequency) and a noisy picture of it, 10 m pixels."""
    rng = np.random.default_rng(1)
    f = np.fft.rfftfreq(side)[None, :] ** 2 + np.fft.fftfreq(side)[:, None] ** 2
    f[0, 0] = 1
    z = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * f**-1.1, s=(side, side))
    z = (z - z.min()) / (z.max() - z.min()) * 2500
    grid = Grid((side, side), Affine(10, 0, 4e5, 0, -10, 5.2e6), "EPSG:32632")
    noise = rng.normal(0, 12, (3, side, side))
    rgb = np.clip(np.stack([60 + z / 14, 90 + z / 22, 50 + z / 18]) + noise, 0, 255).astype(np.float32)
    dem = Raster(z[None].astype(np.float32), grid, ("height",), "m", "EGM2008")
    return dem, Raster(rgb, grid, ("red", "green", "blue"), "DN")


def measure(browser: Any, path: Path) -> dict[str, float]:
    """Seconds from the request of the page to its first picture; milliseconds of a coarse and of a fine drawing."""
    page = browser.new_page(viewport=WINDOW)
    page.goto(path.as_uri())
    page.evaluate("window.im2dem.ready")
    first = page.evaluate("performance.now()") / 1000
    # A picture with the pixels read back is one that was really drawn.
    coarse = page.evaluate(f"Array.from({{length: {TURN_DEG_FRAMES}}}, () => window.im2dem.drawMs(true))")
    fine = page.evaluate("[0, 1, 2].map(() => window.im2dem.drawMs(false))")
    heap = page.evaluate("performance.memory ? performance.memory.usedJSHeapSize / 1e6 : 0")
    page.close()
    return {"first_s": first, "turning_ms": sorted(coarse)[len(coarse) // 2], "resting_ms": min(fine), "heap_mb": heap}


def measure_plotly(browser: Any, dem: Raster, path: Path) -> dict[str, float | None] | None:
    """Size and first picture (None: not within `PATIENCE_S`) of a one-file Plotly surface, or None without plotly."""
    from playwright.sync_api import TimeoutError as Impatience

    try:
        from plotly import graph_objects
    except ImportError:
        return None
    figure = graph_objects.Figure(graph_objects.Surface(z=dem.data[0]))
    figure.write_html(path, include_plotlyjs=True, post_script="window.shown = performance.now();")
    page = browser.new_page(viewport=WINDOW)
    try:
        page.goto(path.as_uri(), wait_until="commit", timeout=1000 * PATIENCE_S)
        page.wait_for_function("window.shown", timeout=1000 * PATIENCE_S)
        first = page.evaluate("window.shown") / 1000
    except Impatience:
        first = None
    page.close()
    return {"page_mb": path.stat().st_size / 1e6, "first_s": first, "patience_s": PATIENCE_S}


def run(setup: Setup) -> Outcome:
    """Every size, the best of a few rounds each."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingDependencyError("Playwright is not installed; run: pip install 'im2dem[browser]'") from error
    rows: list[dict[str, Any]] = []
    plotly: list[str] = []
    with tempfile.TemporaryDirectory(prefix="im2dem-page-") as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        for side in QUICK_SIDES if setup.quick else SIDES:
            dem, image = drawn(side)
            path = Path(folder) / f"{side}.html"
            view(dem, image, path, PageOptions(title=f"{side} px"))
            rounds = [measure(browser, path) for _ in range(ROUNDS)]
            best = {name: min(one[name] for one in rounds) for name in rounds[0]}
            rows.append({"side_px": side, "page_mb": path.stat().st_size / 1e6, **best})
            say(f"  {side}: {rows[-1]}")
            if side in PLOTLY_SIDES:
                peer = measure_plotly(browser, dem, path)
                plotly = [_beside(side, rows[-1], peer)] if peer else ["Plotly is not installed: no row of it."]
        browser.close()
    return describe(rows, plotly)


def _beside(side: int, own: dict[str, Any], peer: dict[str, float | None]) -> str:
    size = f"The same heights, {side} px, as a one-file Plotly surface without a picture: {peer['page_mb']:.1f} MB, "
    if peer["first_s"] is None:
        return size + f"no first picture within {PATIENCE_S} s."
    return size + f"first picture after {peer['first_s'] / own['first_s']:.1f} times as long as ours."


def describe(rows: list[dict[str, Any]], notes: list[str]) -> Outcome:
    """The table, and the bar of the largest size."""
    lines = tuple(
        (
            str(row["side_px"]), number(row["page_mb"], 1), number(row["first_s"] / rows[0]["first_s"], 2),
            number(row["turning_ms"] / rows[0]["turning_ms"], 2), number(row["resting_ms"] / rows[0]["resting_ms"], 2),
            number(row["heap_mb"], 0),
        )
        for row in rows
    )  # fmt: skip
    table = Table("", ("side px", "page MB", "first picture", "turning", "at rest", "heap MB"), lines)
    bars = []
    for row in rows:
        if row["side_px"] == 4096:
            found = f"{row['first_s']:.1f} s, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
            bars.append(Bar("A DEM of 4096 x 4096 opens", f"<= {OPENS_S:g} s", found, row["first_s"] <= OPENS_S))
            frames = 1000 / row["turning_ms"]
            bars.append(Bar("It turns while held", ">= 10 frames a second", f"{frames:.0f}", frames >= 10))
    return Outcome((EXPLAIN, table, *notes), tuple(bars))
