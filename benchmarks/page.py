"""Size of the 3D page, time to its first picture, pictures a second while turning, at four sizes in headless Chromium.

Run ``python benchmarks/page.py`` (needs the extra "browser" and a Chromium); writes docs/results/page.json. Times
depend on the machine and on what else runs on it: the load is written beside them, and each size has a ratio to the
smallest. Where plotly is installed, its surface of the same heights (no picture) stands beside the smallest size.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from harness import ROOT, say

from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.web.page import PageOptions
from im2dem.web.view import view

sys.path.insert(0, str(ROOT / "tests"))
from browser_kit import FLAGS, chromium

SIDES = (512, 1024, 2048, 4096)
ROUNDS = 3
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


def main() -> None:
    """Measure every size, the best of a few rounds each, and write the table."""
    from playwright.sync_api import sync_playwright

    rows = []
    with tempfile.TemporaryDirectory(prefix="im2dem-page-") as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        for side in SIDES:
            dem, image = drawn(side)
            path = Path(folder) / f"{side}.html"
            begin = time.perf_counter()
            view(dem, image, path, PageOptions(title=f"{side} px"))
            made = time.perf_counter() - begin
            rounds = [measure(browser, path) for _ in range(ROUNDS)]
            best = {name: min(one[name] for one in rounds) for name in rounds[0]}
            rows.append({"side_px": side, "page_mb": path.stat().st_size / 1e6, "made_s": made, **best})
            if side in PLOTLY_SIDES:
                rows[-1]["plotly"] = measure_plotly(browser, dem, path)
            say(f"  {side}: {rows[-1]}")
        browser.close()
    for row in rows:
        row["frames_a_second"] = 1000 / row["turning_ms"]
        row["first_ratio"] = row["first_s"] / rows[0]["first_s"]
    static = ROOT / "src/im2dem/web/static"
    result = {
        "command": "python benchmarks/page.py",
        "cores": os.cpu_count(),
        "load_1min": os.getloadavg()[0],
        "renderer": "SwiftShader (no graphics card)",
        "window": WINDOW,
        "viewer_kb": sum(file.stat().st_size for file in static.iterdir()) / 1e3,
        "rows": rows,
    }
    target = ROOT / "docs/results/page.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    say(f"wrote {target}")


if __name__ == "__main__":
    main()
