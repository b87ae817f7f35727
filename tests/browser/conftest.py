"""A real Chromium without a network, and pages opened in it from disk."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from affine import Affine

from browser_kit import FLAGS, HOLE, Opened, chromium
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.web.page import PageOptions, build_page


# Not for the session: while a driver lives, its event loop runs in this thread, and nothing else may use asyncio there.
@pytest.fixture(scope="module")
def launch():
    """Start the browser with flags, once for each set of them."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium found; set IM2DEM_CHROMIUM to one")
    with ExitStack() as stack:
        driver = stack.enter_context(playwright.sync_playwright())
        running = {}

        def start(flags):
            if flags not in running:
                browser = driver.chromium.launch(executable_path=path, args=list(flags))
                stack.callback(browser.close)
                running[flags] = browser
            return running[flags]

        yield start


@pytest.fixture
def show(launch, tmp_path):
    """Open a page from disk: show(html, flags=FLAGS, fragment="", **context)."""
    with ExitStack() as stack:

        def opened(html, flags=FLAGS, **context):
            path = tmp_path / "page with spaces #1.html"
            path.write_text(html, encoding="utf-8")
            made = Opened(launch(flags), path, **context)
            stack.callback(made.context.close)
            return made

        yield opened


@pytest.fixture(scope="module")
def kept(launch, tmp_path_factory):
    """Pages that stay open for the tests of a module."""
    with ExitStack() as stack:
        pages = {}

        def page(html):
            if html not in pages:
                path = tmp_path_factory.mktemp("kept") / "page with spaces #1.html"
                path.write_text(html, encoding="utf-8")
                pages[html] = Opened(launch(FLAGS), path)
                stack.callback(pages[html].context.close)
            return pages[html]

        yield page


@pytest.fixture
def shared(kept):
    """A page that other tests have used and that is as new: shared(html). For all that does not depend on opening."""
    return lambda html: kept(html).afresh()


@pytest.fixture(scope="session")
def scene():
    """A hill of 600 m in a plain, 30 m pixels, a picture with four coloured quarters, sigma, one hole."""
    rows, cols = np.mgrid[0:128, 0:160]
    hill = 600 * np.exp(-((rows - 40) ** 2 + (cols - 50) ** 2) / 400) + 5 * np.sin(rows / 3) + 100
    sigma = 2 + cols / 20
    data = np.stack([hill, sigma]).astype(np.float32)
    data[(slice(None), *HOLE)] = np.nan
    grid = Grid((128, 160), Affine(30, 0, 5e5, 0, -30, 5e6), "EPSG:32633")
    quarters = np.zeros((3, 128, 160), np.float32)
    quarters[0, :64], quarters[1, :, :80], quarters[2, 64:] = 220, 180, 200
    dem = Raster(data, grid, ("height", "sigma"), "m", "EGM2008")
    return dem, Raster(quarters, grid, ("red", "green", "blue"), "DN")


@pytest.fixture(scope="session")
def compared(scene):
    """The scene beside a truth that is 30 m higher and has no hill of its own in the east."""
    dem, image = scene
    rows, cols = np.mgrid[0:128, 0:160]
    true = 400 * np.exp(-((rows - 40) ** 2 + (cols - 50) ** 2) / 400) + 130 + cols
    truth = Raster(true[None].astype(np.float32), dem.grid, ("height",), "m", "EGM2008")
    return build_page(dem, image, PageOptions(title="Two hills"), truth)


@pytest.fixture(scope="session")
def html(scene):
    return build_page(*scene, PageOptions(title="A hill & <plain>", attribution="drawn by a test"))
