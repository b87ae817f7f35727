"""The page in a real Chromium, opened from disk."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from browser_kit import HOLE, NO_WEBGL
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.web.page import PageOptions, build_page
from im2dem.web.view import View

pytestmark = pytest.mark.browser
VIEWER = Path(__file__).parents[2] / "viewer"


def changed(one, other):
    """Share of the canvas (left of the panel) that differs by more than eight grey levels."""
    return float((np.abs(one - other).max(axis=2) > 8)[60:, :440].mean())


def number_at(opened, selector, value):
    opened.page.fill(selector, str(value))


def test_it_opens_from_disk_without_an_error_or_a_request_and_shows_something(show, html):
    opened = show(html)
    picture = opened.picture()
    assert opened.troubles == []
    assert opened.outside() == []
    assert opened.page.inner_text("h1") == "A hill & <plain>"
    assert opened.page.inner_text("#attribution") == "drawn by a test"
    canvas = picture[60:440, :440]
    # A blank canvas has one colour or the sky's grey gradient; here are red, green and blue quarters.
    assert canvas.std() > 20
    spread = canvas.max(axis=2) - canvas.min(axis=2)
    assert (spread > 80).mean() > 0.15


def test_slider_and_typed_number_move_the_mesh(shared, html):
    opened = shared(html)
    before, bounds = opened.picture(), opened.ask("window.im2dem.meshBounds()")
    start = opened.ask("window.im2dem.state().exaggeration")
    assert bounds["max"][1] == pytest.approx(start * relief(opened), rel=1e-3)
    opened.page.focus("#exaggeration")
    opened.page.keyboard.press("End")
    most = float(opened.page.get_attribute("#exaggeration", "max"))
    assert opened.ask("window.im2dem.state().exaggeration") == most
    assert opened.ask("window.im2dem.meshBounds().max[1]") == pytest.approx(most * relief(opened), rel=1e-3)
    high = opened.picture()
    assert changed(before, high) > 0.03
    number_at(opened, "#exaggeration-number", 0.5)
    assert opened.ask("window.im2dem.meshBounds().max[1]") == pytest.approx(0.5 * relief(opened), rel=1e-3)
    assert changed(high, opened.picture()) > 0.03
    number_at(opened, "#exaggeration-number", "")
    number_at(opened, "#exaggeration-number", -3)
    assert opened.ask("window.im2dem.state().exaggeration") == 0.5
    opened.page.click("#automatic")
    assert opened.ask("window.im2dem.state().exaggeration") == start
    assert opened.troubles == []


def relief(opened):
    heights = opened.ask("[...Array(128 * 160).keys()].map(i => window.im2dem.heightAt(Math.floor(i / 160), i % 160))")
    heights = [h for h in heights if h is not None and not math.isnan(h)]
    return max(heights) - min(heights)


@pytest.mark.parametrize("exaggeration", [0.5, 3])
def test_readout_is_the_true_height_whatever_the_exaggeration(shared, html, scene, exaggeration):
    dem = scene[0].band("height")
    opened = shared(html)
    opened.ask("x => window.im2dem.setExaggeration(x)", exaggeration)
    for row, col in ((40, 50), (100, 30), (110, 90)):
        place = opened.ask("([row, col]) => window.im2dem.project(row, col)", [row, col])
        opened.page.mouse.move(place["x"], place["y"])
        text = opened.page.inner_text("#readout")
        shown = float(re.match(r"([\d.,]+) ±", text)[1].replace(",", ""))
        # One pixel of the screen is about seven metres here, less than a quarter of a pixel of the raster; the
        # pixel is hit exactly. 600 m in 65,535 steps and one decimal shown: 0.06 m.
        assert shown == pytest.approx(float(dem[row, col]), abs=0.06)
        assert f"x {500015 + 30 * col:,} · y {4999985 - 30 * row:,}" in text
        assert opened.ask("([r, c]) => window.im2dem.heightAt(r, c)", [row, col]) == pytest.approx(
            float(dem[row, col]), abs=0.006
        )


def test_layers_and_sun_change_the_picture(shared, html):
    opened = shared(html)
    seen = {"image": opened.picture()}
    for layer in ("hillshade", "height", "slope", "aspect", "sigma"):
        opened.page.click(f"#layers input[value={layer}] + span")
        assert opened.ask("window.im2dem.state().layer") == layer
        seen[layer] = opened.picture()
        assert opened.page.is_visible("#legend") == (layer != "hillshade")
    names = list(seen)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            # Slope and sigma both are pale on the plain.
            assert changed(seen[one], seen[other]) > 0.1, (one, other)
    opened.page.keyboard.press("2")
    before = opened.picture()
    number_at(opened, "#azimuth-number", 135)
    assert changed(before, opened.picture()) > 0.05
    assert opened.troubles == []


def test_light_comes_from_where_the_sun_stands(show, scene):
    opened = show(build_page(scene[0], options=PageOptions(sun_azimuth_deg=90, sun_elevation_deg=30)))
    opened.page.keyboard.press("2")
    opened.page.keyboard.press("t")
    picture = opened.picture()
    east, west = (opened.ask("([r, c]) => window.im2dem.project(r, c)", spot) for spot in ([40, 62], [40, 38]))
    bright, dark = (picture[round(p["y"]), round(p["x"])].mean() for p in (east, west))
    assert bright > dark + 60


def test_nodata_is_a_hole(shared, html):
    opened = shared(html)
    opened.page.keyboard.press("t")
    opened.page.keyboard.press("3")
    picture = opened.picture()
    hole = opened.ask("([r, c]) => window.im2dem.project(r, c)", [59, 90])
    rim = opened.ask("([r, c]) => window.im2dem.project(r, c)", [91, 90])
    x, y = round(hole["x"]), round((hole["y"] + rim["y"]) / 2)
    # Through the hole one sees the grey shadow below, around it the green of low land.
    inside, around = picture[y, x], picture[round(rim["y"]) + 6, x]
    assert inside.max() - inside.min() < 30
    assert around.max() - around.min() > 40
    opened.page.mouse.move(x, y)
    assert "empty" in opened.page.get_attribute("#readout", "class")
    assert opened.ask("([r, c]) => Number.isNaN(window.im2dem.heightAt(r, c))", [HOLE[0].start, HOLE[1].start])


def test_mouse_wheel_touch_and_keys_move_the_camera(shared, html):
    opened = shared(html)
    last = opened.picture()

    def moves(action):
        nonlocal last
        action()
        now = opened.picture()
        share = changed(last, now)
        last = now
        return share > 0.01

    mouse, keyboard = opened.page.mouse, opened.page.keyboard

    def drag(button):
        mouse.move(300, 300)
        mouse.down(button=button)
        mouse.move(380, 320, steps=4)
        mouse.up(button=button)

    assert moves(lambda: drag("left"))
    assert moves(lambda: drag("right"))
    assert moves(lambda: mouse.wheel(0, -300))
    needle = opened.page.get_attribute("#needle", "style")
    for key in ("ArrowLeft", "ArrowUp", "+", "-", "Shift+ArrowRight", "t", "r"):
        assert moves(lambda key=key: keyboard.press(key)), key
    assert opened.page.get_attribute("#needle", "style") != needle
    assert opened.troubles == []


def test_scale_bar_is_as_long_as_it_says(shared, html):
    opened = shared(html)
    opened.ask("window.im2dem.setExaggeration(0.001)")
    opened.page.keyboard.press("t")
    opened.rest()
    left, right = (opened.ask("([r, c]) => window.im2dem.project(r, c)", [100, c]) for c in (20, 120))
    metres = float(re.match(r"([\d.]+)", opened.page.inner_text("#scale-text"))[1])
    metres *= 1000 if "km" in opened.page.inner_text("#scale-text") else 1
    drawn = opened.page.eval_on_selector("#scale", "e => e.getBoundingClientRect().width")
    # From above a flat block has one scale; the bar is drawn to a tenth of a pixel and UTM adds 0.04 %.
    assert drawn / metres == pytest.approx((right["x"] - left["x"]) / 3000, rel=0.004)


def test_help_opens_and_closes_by_key(shared, html):
    opened = shared(html)
    opened.page.keyboard.press("?")
    assert opened.page.is_visible("#help")
    opened.page.keyboard.press("Escape")
    assert not opened.page.is_visible("#help")


def test_full_screen_fills_the_screen_and_goes_back(shared, html):
    opened = shared(html)
    opened.picture()
    width = opened.ask("document.getElementById('view').clientWidth")
    opened.page.click("#full")
    opened.until("document.fullscreenElement === document.documentElement")
    assert opened.picture().std() > 15
    opened.page.keyboard.press("f")
    opened.until("document.fullscreenElement === null")
    opened.until(f"document.getElementById('view').clientWidth === {width}")
    assert opened.troubles == []


def test_without_webgl_it_says_so_and_shows_a_hillshade(show, html):
    opened = show(html, flags=NO_WEBGL)
    assert "WebGL is off or missing" in opened.page.inner_text("#message")
    picture = opened.picture()
    assert opened.troubles == []
    drawn = opened.ask(
        "(() => { const c = document.getElementById('view'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return [c.width, c.height, d[4 * (40 * c.width + 44)],"
        " d[4 * (40 * c.width + 56)], d[4 * (70 * c.width + 80) + 3]]; })()"
    )
    assert drawn[:2] == [160, 128]
    # The sun stands in the north-west: the west side of the hill is brighter. The hole is clear.
    assert drawn[2] > drawn[3] + 30
    assert drawn[4] == 0
    assert picture.std() > 15


def free_middle(opened):
    """Height on the screen of the middle between the title and the scale bar."""
    title, bar = (opened.page.locator(name).bounding_box() for name in ("h1", "#bar"))
    return (title["y"] + title["height"] + bar["y"]) / 2


def swipe_handle(opened):
    """Height on the screen of the middle of the handle of a swipe."""
    opened.ask("window.im2dem.set({compare: 'swipe'})")
    handle = opened.page.locator("#divider > span").bounding_box()
    opened.ask("window.im2dem.set({compare: 'off'})")
    return handle["y"] + handle["height"] / 2


def layer_boxes(opened):
    return [label.bounding_box() for label in opened.page.locator("#layers label").all()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_layout_fits_and_the_panel_opens(show, html, scheme):
    opened = show(html, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True, color_scheme=scheme)
    picture = opened.picture()
    assert opened.ask("document.documentElement.scrollWidth") <= 360
    assert (picture[:40].mean() < 110) == (scheme == "dark")
    # Upright there is room for both: the block stands above the open panel, in the middle between title and scale bar.
    middle, handle = free_middle(opened), swipe_handle(opened)
    corners = [opened.ask("([r, c]) => window.im2dem.project(r, c)", spot) for spot in ([0, 0], [127, 159])]
    assert 40 < corners[0]["y"] < corners[1]["y"] < opened.page.locator("#bar").bounding_box()["y"]
    assert sum(c["y"] for c in corners) / 2 == pytest.approx(middle, abs=30)
    assert handle == pytest.approx(middle, abs=1)
    # Six layers in two rows of three.
    assert len({box["y"] for box in layer_boxes(opened)}) == 2
    assert len({box["x"] for box in layer_boxes(opened)}) == 3
    place = opened.ask("([r, c]) => window.im2dem.project(r, c)", [110, 60])
    opened.page.touchscreen.tap(place["x"], place["y"])
    assert re.match(r"[\d.,]+ ±", opened.page.inner_text("#readout"))
    assert "empty" not in opened.page.get_attribute("#readout", "class")
    opened.page.tap("#panel > summary")
    assert not opened.page.is_visible("#exaggeration")
    opened.picture()
    below = opened.ask("([r, c]) => window.im2dem.project(r, c)", [110, 60])
    assert below["y"] > place["y"] + 40
    assert swipe_handle(opened) == pytest.approx(free_middle(opened), abs=1)
    # A profile takes room at the foot, and the block gives way to it.
    opened.ask("window.im2dem.measure([[20, 20], [110, 140]])")
    opened.until("document.getElementById('profile').getBoundingClientRect().height > 0")
    opened.picture()
    front = opened.ask("([r, c]) => window.im2dem.project(r, c)", [127, 80])
    assert front["y"] < opened.page.locator("#profile").bounding_box()["y"]
    assert opened.troubles == []


def test_a_view_that_was_moved_stays_in_sight_when_the_sheet_of_a_phone_folds(show, html):
    # With the swing after a drag, as most people have it.
    opened = show(html, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, reduced_motion=None)

    def place():
        opened.picture()
        ends = [opened.ask("([r, c]) => window.im2dem.project(r, c)", [64, col]) for col in (40, 120)]
        apart = math.dist(*((end["x"], end["y"]) for end in ends))
        return apart, (ends[0]["x"] + ends[1]["x"]) / 2, (ends[0]["y"] + ends[1]["y"]) / 2

    opened.ask("document.getElementById('panel').open = false")
    opened.picture()
    opened.page.mouse.move(200, 420)
    opened.page.mouse.down()
    opened.page.mouse.move(240, 440, steps=4)
    opened.page.mouse.up()
    folded = place()
    opened.ask("document.getElementById('panel').open = true")
    beside_sheet = place()
    sheet = opened.page.locator("#panel").bounding_box()["y"]
    # As large as before (perspective: what is not in the middle shrinks a little less), and in what the sheet leaves.
    assert beside_sheet[0] == pytest.approx(folded[0], rel=0.1)
    assert sheet < 844 * 0.6
    assert (folded[2], beside_sheet[2]) == (pytest.approx(422, abs=60), pytest.approx(sheet / 2, abs=60))
    opened.ask("document.getElementById('panel').open = false")
    assert place() == pytest.approx(folded, abs=2)
    assert opened.troubles == []


@pytest.mark.parametrize("size", [(1280, 800), (844, 390), (390, 844)], ids="{0[0]}x{0[1]}".format)
def test_buttons_stay_in_sight_however_much_is_unfolded(show, html, size):
    opened = show(html, viewport={"width": size[0], "height": size[1]})
    opened.ask("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    opened.page.fill("#date", "2021-12-28")
    panel = opened.page.locator("#panel")
    opened.until("document.getElementById('panel').classList.contains('overflowing')")
    for end in (0, 99999):
        panel.evaluate("(part, end) => { part.scrollTop = end; }", end)
        frame = panel.bounding_box()
        for name in ("#panel > summary", "#reset", "#shoot", "#ask"):
            box = opened.page.locator(name).bounding_box()
            assert frame["y"] <= box["y"] < box["y"] + box["height"] <= frame["y"] + frame["height"]
            # Nothing lies over it.
            middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
            found = "([x, y, name]) => document.elementFromPoint(x, y).closest(name) !== null"
            assert opened.ask(found, [*middle, name]), name
    opened.page.click("#above")
    assert opened.troubles == []


def test_window_may_change_its_size(show, html):
    opened = show(html)
    opened.page.set_viewport_size({"width": 500, "height": 700})
    opened.until("innerWidth === 500")
    opened.page.wait_for_timeout(50)
    opened.rest()
    assert opened.ask("[document.getElementById('view').width, document.getElementById('view').height]") == [
        500,
        700,
    ]


def test_relative_heights_are_said_to_be_relative(show):
    data = np.add.outer(np.arange(20.0), np.arange(30.0)).astype(np.float32)
    dem = Raster(data[None], Grid.local((20, 30), None), ("height",), "px")
    opened = show(build_page(dem))
    assert "Relative heights, no scale" in opened.page.inner_text("#caution")
    assert "px" in opened.page.inner_text("#scale-text")
    assert not opened.page.query_selector("#layers input[value=image]")
    assert opened.troubles == []


def test_rotated_raster_keeps_north_up_the_screen(show):
    turn = Affine.translation(5e5, 5e6) @ Affine.rotation(40) @ Affine.scale(30, -30)
    data = np.random.default_rng(2).uniform(0, 50, (1, 40, 60)).astype(np.float32)
    opened = show(build_page(Raster(data, Grid((40, 60), turn, "EPSG:32633"), ("height",))))
    opened.page.keyboard.press("t")
    first, second = (opened.ask("([r, c]) => window.im2dem.project(r, c)", [20, c]) for c in (10, 50))
    # Columns run 40 degrees north of east on the ground, so 40 degrees upwards on the screen.
    angle = math.degrees(math.atan2(first["y"] - second["y"], second["x"] - first["x"]))
    assert angle == pytest.approx(40, abs=2)


def test_one_pixel_and_evil_titles_do_no_harm(show):
    data = np.full((1, 3, 3), np.nan, np.float32)
    data[0, 1, 1] = 5
    dem = Raster(data, Grid.local((3, 3), 10.0), ("height",))
    evil = "</script><img src=x onerror=window.hurt=1><!--"
    opened = show(build_page(dem, options=PageOptions(title=evil, attribution=evil)))
    assert opened.page.inner_text("h1") == evil
    assert opened.ask("window.hurt") is None
    assert opened.troubles == []


def test_notebook_frame_shows_the_page(show, html):
    frame = View(html, "A hill")._repr_html_()
    path_page = f"<!doctype html><body><script>window.im2dem = {{}};</script>{frame}</body>"
    opened = show(path_page)
    inner = opened.page.frames[1]
    inner.evaluate("window.im2dem.ready")
    assert inner.evaluate("window.im2dem.state().layer") == "image"
    assert opened.troubles == []
    assert opened.outside() == []


def test_modules_pass_their_own_tests():
    node = shutil.which("node")
    if node is None or not (VIEWER / "node_modules" / "three").is_dir():
        pytest.skip("Node.js or viewer/node_modules is missing; run npm ci in viewer/")
    done = subprocess.run([node, "--test", "test/"], cwd=VIEWER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_committed_bundle_is_what_the_sources_build():
    node = shutil.which("node")
    if node is None or not (VIEWER / "node_modules" / "esbuild").is_dir():
        pytest.skip("Node.js or viewer/node_modules is missing; run npm ci in viewer/")
    done = subprocess.run([node, "build.mjs", "--check"], cwd=VIEWER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
