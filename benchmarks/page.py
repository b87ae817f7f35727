"""Size of the 3D page, time to its first picture, pictures a second while turning, at four sizes in headless Chromium.

Needs the extra "browser" and a Chromium. Times are ratios to the smallest size; the bars alone are in seconds, with the
load of the machine beside them. Pages of others for the same heights stand in a second table (page_rivals.py).
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
from page_rivals import PATIENCE_S, Rival, first_picture, frames_a_second, rivals

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
BESIDE = (
    f"**Pages of others, same heights, same browser.** *first picture*: times as long as ours, waited for up to "
    f"{PATIENCE_S} s; *frames a second*: of the page while the mouse turns the block, the same way for all. A dash: "
    "the page did not open, and larger ones were not tried. piece-of-cake-terrain's page (Plotly, at full width) "
    "holds no picture; the prototype of 2020 is a page of its kind written for this table, a plane with a vertex a "
    "pixel on the three.js of our page, with heights in whole metres."
)
OURS = "im2dem"
# Left of the panel.
GRIP = (400, 420)
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


def measure_rival(browser: Any, rival: Rival, rasters: tuple[Raster, Raster], path: Path) -> dict[str, Any]:
    """Megabytes, seconds to the first picture and frames a second of a rival's page; None where it did not open."""
    rival.write(*rasters, path)
    page = browser.new_page(viewport=WINDOW)
    first = first_picture(page, path)
    rate = frames_a_second(page, *GRIP) if first is not None else None
    page.close()
    size = path.stat().st_size / 1e6
    path.unlink()
    return {"name": rival.name, "page_mb": size, "first_s": first, "rate": rate}


def run(setup: Setup) -> Outcome:
    """Every size, the best of a few rounds each."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingDependencyError("Playwright is not installed; run: pip install 'im2dem[browser]'") from error
    rows: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    known = rivals()
    waiting = [one for one in known if not one.missing]
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
            others.append({"name": OURS, "side_px": side, "rate": _own_rate(browser, path), **rows[-1]})
            path.unlink()
            for rival in tuple(waiting):
                found = measure_rival(browser, rival, (dem, image), Path(folder) / f"{side}-rival.html")
                others.append({"side_px": side, **found})
                say(f"  {others[-1]}")
                if found["first_s"] is None:
                    waiting.remove(rival)
                    browser.close()
                    browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        browser.close()
    return describe(rows, others, [f"No row of {one.name}: {one.missing}." for one in known if one.missing])


def _own_rate(browser: Any, path: Path) -> float:
    page = browser.new_page(viewport=WINDOW)
    page.goto(path.as_uri())
    page.evaluate("window.im2dem.ready")
    rate = frames_a_second(page, *GRIP)
    page.close()
    return rate


def beside(others: list[dict[str, Any]]) -> Table:
    """Our pages and those of others, size by size."""
    own = {row["side_px"]: row["first_s"] for row in others if row["name"] == OURS}
    lines = tuple(
        (
            str(row["side_px"]), row["name"], number(row["page_mb"], 1),
            "-" if row["first_s"] is None else number(row["first_s"] / own[row["side_px"]], 1),
            "-" if row["rate"] is None else number(row["rate"], 0),
        )
        for row in others
    )  # fmt: skip
    return Table("", ("side px", "page", "page MB", "first picture", "frames a second"), lines)


def describe(rows: list[dict[str, Any]], others: list[dict[str, Any]], notes: list[str]) -> Outcome:
    """Both tables, and the bars of the largest size."""
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
    return Outcome((EXPLAIN, table, BESIDE, beside(others), *notes), tuple(bars))
