"""The whole trip in a real Chromium: drop, progress, 3D, downloads, and what goes wrong on the way."""

from __future__ import annotations

import io
import re
import time
from contextlib import ExitStack

import numpy as np
import pytest
import rasterio
from PIL import Image

import drawing
from browser_kit import FLAGS, chromium
from im2dem.web.serve.options import Limits, ServeOptions
from im2dem.web.serve.process import COMMAND
from serve_kit import FAKE, PATIENCE_S, serving

pytestmark = pytest.mark.browser
TOKEN = "a-token-of-a-test-0123456789"
WAIT_MS = 1000 * PATIENCE_S


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make test-all)")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium found; set IM2DEM_CHROMIUM to one")
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=path, args=list(FLAGS)) as found,
    ):
        yield found


@pytest.fixture
def visit(browser, tmp_path):
    """visit(command, path="/", limits={...}, window=..., **options) -> (page, client, troubles) of a server."""
    with ExitStack() as stack:

        def visited(command=FAKE, path="/", limits=None, window=(1000, 700), **options):
            chosen = ServeOptions(tmp_path / "data", port=0, limits=Limits(**(limits or {})), **options)
            client = stack.enter_context(serving(chosen, command))
            width, height = window
            context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            troubles, outside = [], []
            # Chromium itself remarks on reading pixels back, and on answers that say no: those are expected here.
            known = re.compile("GL Driver Message|Failed to load resource")
            page.on(
                "console",
                lambda m: m.type in ("error", "warning") and not known.search(m.text) and troubles.append(m.text),
            )
            page.on("pageerror", lambda error: troubles.append(str(error)))
            own = (f"http://127.0.0.1:{client.port}/", "data:", "blob:")
            page.on("request", lambda r: r.url.startswith(own) or outside.append(r.url))
            stack.callback(lambda: check(troubles, outside))
            page.goto(f"http://127.0.0.1:{client.port}{path}")
            return page, client

        yield visited


def check(troubles, outside):
    assert troubles == []
    assert outside == []


def drop(page, name, body):
    """Drop a file on the page as a hand does."""
    page.evaluate(
        """([name, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name));
          for (const kind of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
          }
        }""",
        [name, list(body)],
    )


def test_drop_progress_view_and_downloads(visit, tmp_path):
    picture = drawing.draw(tmp_path / "scene.tif", drawing.colours(120, 140))
    page, client = visit(COMMAND)
    page.evaluate("""() => { window.seen = new Set(); new MutationObserver(() => {
        const now = document.querySelector("#steps .now"); if (now) window.seen.add(now.dataset.step);
      }).observe(document.getElementById("steps"), { attributes: true, subtree: true }); }""")
    drop(page, "Tal & <Berg>.tif", picture.read_bytes())
    page.wait_for_selector("#result:not([hidden])")
    assert page.text_content("#result-name") == "Tal & <Berg>.tif"
    assert page.evaluate("window.seen.has('predict')")
    job = client.get("/api/jobs").json["jobs"][0]
    assert page.url.endswith(f"/jobs/{job['id']}")

    frame = page.frame(url=re.compile("/3d"))
    frame.evaluate("window.im2dem.ready")
    assert frame.evaluate("window.origin") == "null"  # an origin of its own: it reaches neither server nor cookie
    assert frame.evaluate("document.querySelector('h1').textContent") == "Tal & <Berg>"
    time.sleep(0.5)
    shot = np.asarray(Image.open(io.BytesIO(page.locator("#view").screenshot())).convert("RGB"))
    assert len(np.unique(shot[200:500, 200:600].reshape(-1, 3), axis=0)) > 500  # terrain, no even sky

    for button, ending in (("#save-dem", "-dem.tif"), ("#save-page", "-3d.html"), ("#save-json", "-dem.json")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename.endswith(ending)
        download.value.save_as(tmp_path / f"saved{ending}")
    with rasterio.open(tmp_path / "saved-dem.tif") as dem:
        assert dem.descriptions == ("height", "sigma")
    assert b"<canvas" in (tmp_path / "saved-3d.html").read_bytes()

    page.reload()  # the address alone leads back to it
    page.wait_for_selector("#result:not([hidden])")
    page.click("#delete")
    page.wait_for_selector("#home:not([hidden])")
    assert client.get("/api/jobs").json["jobs"] == []


def test_a_broken_picture_and_a_file_that_is_none(visit):
    page, client = visit(COMMAND)
    page.set_input_files("#file", {"name": "cut.tif", "mimeType": "image/tiff", "buffer": b"II*\0" + bytes(300)})
    page.wait_for_selector("#job.failed")
    assert "not a raster" in page.text_content("#job-says").lower()
    assert page.text_content("#steps .broken").startswith("Look at")
    page.click("#job-back")
    page.wait_for_selector("#list .failed")
    page.set_input_files(
        "#file", {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam, " * 9}
    )
    page.wait_for_selector("#message:not([hidden])")
    assert "GeoTIFF" in page.text_content("#message p")
    assert page.is_visible("#home")
    assert len(client.get("/api/jobs").json["jobs"]) == 1


def test_cancel_stops_the_job(visit):
    page, client = visit()
    page.set_input_files(
        "#file", {"name": "slow.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n" + bytes(99)}
    )
    page.wait_for_selector("#steps .now[data-step=predict]")
    assert page.text_content("#steps .now span") == "tile 4 of 4"
    assert int(page.get_attribute("#bar", "aria-valuenow")) > 50
    page.click("#cancel")
    page.wait_for_selector("#home:not([hidden])")
    assert client.get("/api/jobs").json["jobs"] == []


def test_what_is_known_is_sent_along_and_nonsense_is_not(visit):
    page, client = visit()
    page.click("#known summary")
    page.fill("#sun-azimuth", "150")
    page.fill("#sun-height", "120")
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n" + bytes(99)}
    page.set_input_files("#file", picture)
    assert page.is_visible("#home")  # the browser points at the field
    page.fill("#sun-height", "35")
    page.fill("#gsd", "10")
    page.fill("#bands", "4,3,2")
    page.set_input_files("#file", picture)
    page.wait_for_selector("#result:not([hidden])")
    wishes = client.get("/api/jobs").json["jobs"][0]["wishes"]
    assert wishes == {"sun": [150.0, 35.0], "gsd_m": 10.0, "bands": [4, 3, 2], "model": "relief-free"}


def test_a_full_queue_is_said_in_words(visit):
    page, client = visit(limits={"queue": 1})
    client.until(client.send("slow.png").json["id"], lambda job: job["state"] == "running")
    client.send("waiting.png")
    page.set_input_files(
        "#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n" + bytes(99)}
    )
    page.wait_for_selector("#message:not([hidden])")
    assert "try again in" in page.text_content("#message p")


def test_a_token_is_typed_once(visit):
    page, _ = visit(token=TOKEN)
    assert page.url.endswith("/login")
    page.fill("#token", "wrong")
    page.click("button.main")
    page.wait_for_selector("#wrong:target")
    page.fill("#token", TOKEN)
    page.click("button.main")
    page.wait_for_selector("#takes:not(:empty)")
    assert page.evaluate("document.cookie") == ""  # no script can read it


@pytest.mark.parametrize("window", [(1280, 800), (390, 844), (320, 568)])
def test_nothing_is_cut_off_and_everything_has_a_name(visit, window):
    page, client = visit(window=window)
    client.until(client.send("babbling.a-very-long-name-without-any-place-to-break-it-" + "x" * 60 + ".png").json["id"])
    page.reload()
    page.wait_for_selector("#list li")
    unnamed = "[...document.querySelectorAll('button, a, input, summary, iframe')].filter(e => e.checkVisibility() && !(e.innerText?.trim() || e.ariaLabel || e.title || e.labels?.length)).length"  # noqa: E501
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(wide)
    assert page.evaluate(unnamed) == 0
    page.click("#known summary")
    assert page.evaluate(wide)
    page.click("#list a")
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate(wide)
    assert page.evaluate(unnamed) == 0
    right = "e => e.getBoundingClientRect().right <= innerWidth && e.getBoundingClientRect().left >= 0"
    page.click("#result-notes summary")
    for name in ("#save-dem", "#save-json", "#delete", "#result-notes ul"):
        assert page.eval_on_selector(name, right), name


def test_keys_alone_are_enough(visit):
    page, _ = visit()
    page.wait_for_selector("#takes:not(:empty)")
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert [name for name in reached if name] == ["brand", "theme", "file", "demo"]
    page.keyboard.press("Escape")
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.focus("#theme")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") != theme
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") != theme  # it is remembered
