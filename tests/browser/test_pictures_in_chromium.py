"""What the page saves in a real Chromium: PNG pictures, GIF and WebM films."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser


def saved(download):
    with Image.open(download.value.path()) as picture:
        return np.asarray(picture.convert("RGB")).astype(float)


def test_screenshot_is_a_png_with_the_page_title_as_name(shared, html):
    opened = shared(html)
    with opened.page.expect_download() as download:
        opened.page.click("#shoot")
    assert download.value.suggested_filename == "A-hill-plain.png"
    pixels = saved(download)
    assert pixels.shape == (520, 720, 3)
    assert pixels.std() > 20


def test_screenshot_has_legend_and_scale_bar_unless_told_otherwise(shared, html):
    opened = shared(html)
    opened.page.keyboard.press("3")
    pictures = []
    for dressed in ("true", "false"):
        opened.ask(f"document.getElementById('dressed').checked = {dressed}")
        with opened.page.expect_download() as download:
            opened.page.keyboard.press("p")
        pictures.append(saved(download))
    rows, cols = np.nonzero(np.abs(pictures[0] - pictures[1]).max(axis=2) > 8)
    right, left = cols > 500, cols < 250
    # The legend in the lower right corner, the bar above the label at the left; nothing else.
    assert right.sum() > 2000
    assert left.sum() > 500
    assert (right | left).all()
    assert rows[right].min() > 430
    assert 460 < rows[left].min() < rows[left].max() < 505
    # The ramp of heights ends green on the left and white on the right.
    ramp = pictures[0][491:500, 540:704]
    assert (ramp[:, 2:6, 1] > ramp[:, 2:6, 0] + 40).all()
    assert (ramp[:, -6:-2] > 205).all()
    # A panel that is folded away for the picture comes back; the view is as before.
    assert opened.page.is_visible("#panel")
    assert opened.troubles == []


def test_screenshot_has_the_line_that_is_drawn(shared, html):
    opened = shared(html)
    opened.page.keyboard.press("t")
    pictures = []
    for points in ([], [[20, 20], [100, 20]]):
        opened.ask("points => window.im2dem.measure(points)", points)
        opened.rest()
        with opened.page.expect_download() as download:
            opened.page.keyboard.press("p")
        pictures.append(saved(download))
    changed = np.abs(pictures[1] - pictures[0]).max(axis=2) > 8
    # A row of the raster, seen from above over hills: the line with its dark rim is 5.5 pixels wide, its ends are 10.5.
    high = changed.sum(axis=0)
    assert (high > 0).sum() > 100
    assert high[high > 0].min() >= 2
    assert high.max() < 20
    assert opened.troubles == []


def test_films_are_files_that_others_read(show, html):
    opened = show(html, viewport={"width": 300, "height": 200})
    opened.ask("document.getElementById('panel').open = true")
    for key in ("k", "ArrowLeft", "ArrowLeft", "ArrowLeft", "k"):
        opened.page.keyboard.press(key)
    with opened.page.expect_download(timeout=60_000) as download:
        opened.ask("document.getElementById('gif').click()")
    with Image.open(download.value.path()) as film:
        assert film.format == "GIF"
        assert film.size == (300, 200)
        # Two key frames are three seconds of eight pictures.
        assert film.n_frames == 24
        first = np.asarray(film.convert("RGB")).astype(float)
        film.seek(23)
        last = np.asarray(film.convert("RGB")).astype(float)
    assert np.abs(first - last).mean() > 2
    assert first.std() > 20
    with opened.page.expect_download(timeout=60_000) as download:
        opened.ask("document.getElementById('webm').click()")
        opened.page.wait_for_timeout(1200)
        opened.ask("document.getElementById('webm').click()")
    assert download.value.suggested_filename == "A-hill-plain.webm"
    assert opened.troubles == []
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg (extra video) reads the film")
    words = [ffmpeg.get_ffmpeg_exe(), "-i", download.value.path(), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    read = subprocess.run(words, capture_output=True, check=True)
    # Half of the window without a graphics card, where moving pictures are coarse, and the same to the end.
    assert b" 150x100" in read.stderr
    pictures = np.frombuffer(read.stdout, np.uint8).reshape(-1, 100, 150)
    assert len(pictures) > 3
    # Its label stands in the corner from the first to the last.
    for picture in (pictures[0], pictures[-1]):
        assert picture[80:, :60].min() < 110
        assert np.median(picture[82:, :60]) > 215


def test_a_film_shows_the_whole_picture_while_the_panel_folds(show, html):
    opened = show(html)
    # Between two places at the same distance from the middle, which itself is a hole.
    middle = "(window.im2dem.project(64, 40).x + window.im2dem.project(64, 120).x) / 2"
    aside = opened.ask(middle)
    with opened.page.expect_download(timeout=60_000) as download:
        opened.ask("document.getElementById('webm').click()")
        opened.page.wait_for_timeout(300)
        recorded = [opened.ask(middle)]
        for is_open in ("false", "true", "false"):
            opened.ask(f"document.getElementById('panel').open = {is_open}")
            opened.page.wait_for_timeout(300)
            recorded.append(opened.ask(middle))
        opened.ask("document.getElementById('webm').click()")
    # The block turns a few degrees about its middle; the 280 pixels of the panel would move it by 140.
    assert max(recorded) - min(recorded) < 40
    assert min(recorded) > aside + 100
    assert download.value.path().read_bytes()[:4] == b"\x1a\x45\xdf\xa3"
    # It goes back to the room that is free now, not to the one when the film began.
    opened.rest()
    assert opened.ask(middle) > aside + 100
    opened.ask("document.getElementById('panel').open = true")
    opened.until(f"{middle} < {aside + 60}")
    assert opened.troubles == []
