"""The tools of the page in a real Chromium: sun, measuring, comparison, water, address, keyboard, detail."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine

from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.core.sun import solar_position
from im2dem.web.page import PageOptions, build_page
from node_kit import VIEWER

pytestmark = pytest.mark.browser


def differs(one, other, rows=slice(60, 440), cols=slice(0, 440)):
    """Share of a part of the picture that differs by more than eight grey levels."""
    return float((np.abs(one - other).max(axis=2) > 8)[rows, cols].mean())


def unfold(opened):
    opened.ask("document.querySelectorAll('details').forEach(d => { d.open = true; })")


def put(opened, **values):
    opened.ask("values => window.im2dem.set(values)", values)


def test_sun_of_a_day_and_a_place_turns_the_light_and_casts_shadows(shared, html, scene):
    opened = shared(html)
    put(opened, layer="hillshade")
    before = opened.picture()
    opened.page.fill("#date", "2021-12-28")
    opened.page.focus("#time")
    opened.page.keyboard.press("Home")
    assert opened.ask("window.im2dem.state().sunElevation") < 0
    put(opened, minutes=540)
    lon, lat = scene[0].grid.lonlat(64, 80)
    # Nine o'clock of mean solar time is nine hours less the longitude's share, in UTC.
    moment = datetime.fromtimestamp(datetime(2021, 12, 28, 9, tzinfo=UTC).timestamp() - lon * 240, UTC)
    azimuth, elevation = solar_position(moment, lon, lat)
    state = opened.ask("window.im2dem.state()")
    # The place in the page is rounded to 1e-8 degrees, the moment is exact.
    assert (state["sunAzimuth"], state["sunElevation"]) == pytest.approx((azimuth, elevation), abs=1e-4)
    assert state["shadows"] is True
    assert f"{elevation:.1f}° high" in opened.page.inner_text("#light-says")
    with_shadow = opened.picture()
    assert differs(before, with_shadow) > 0.1
    opened.page.uncheck("#shadows")
    without = opened.picture()
    # The sun of the morning stands in the south-east and the hill near the north-west corner: what is not its own dark
    # side lies in a strip of half a kilometre by one, on a scene of 4.8 by 3.8 km that fills two thirds of the picture.
    darker = (without - with_shadow).mean(axis=2)[60:440, :440]
    assert (darker > 20).mean() > 0.01
    assert (darker < -20).mean() < 0.002
    number = opened.page.locator("#azimuth-number")
    number.fill("200")
    assert opened.ask("window.im2dem.state().date") == ""
    assert opened.troubles == []


def test_a_drawn_line_gives_the_profile_as_a_table(shared, compared, scene):
    opened = shared(compared)
    dem = scene[0]
    unfold(opened)
    opened.page.keyboard.press("t")
    opened.rest()
    opened.page.keyboard.press("m")
    # Left of the panel; away from the hole.
    spots = [(30, 20), (30, 70)]
    for row, col in spots:
        place = opened.ask("([r, c]) => window.im2dem.project(r, c)", [row, col])
        opened.page.mouse.click(place["x"], place["y"])
    assert opened.page.is_visible("#profile")
    with opened.page.expect_download() as download:
        opened.page.click("#csv")
    assert download.value.suggested_filename == "Two-hills-profile.csv"
    text = download.value.path().read_text(encoding="utf-8")
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert set(table[0]) == {"distance_m", "x", "y", "lon", "lat", "height_m", "sigma_m", "truth_m"}
    length = float(table[-1]["distance_m"])
    # 50 pixels of 30 m; a click hits a pixel of the screen, about 7 m here.
    assert length == pytest.approx(1500, abs=15)
    assert f"{length / 1000:.2f}"[:3] in opened.page.inner_text("#profile-title")
    for line in table[:: len(table) // 5]:
        x, y = float(line["x"]), float(line["y"])
        col, row = ~dem.grid.transform @ (x, y)
        lon, lat = dem.grid.lonlat(row, col)
        assert (float(line["lon"]), float(line["lat"])) == pytest.approx((lon, lat), abs=2e-6)
        near = dem.data[0, round(row - 0.5) - 1 : round(row - 0.5) + 2, round(col - 0.5) - 1 : round(col - 0.5) + 2]
        assert near.min() - 0.02 <= float(line["height_m"]) <= near.max() + 0.02
        true = 400 * np.exp(-((row - 40.5) ** 2 + (col - 50.5) ** 2) / 400) + 130 + col - 0.5
        # The hill rises by up to 17 m a pixel and bends by 2 m within one.
        assert float(line["truth_m"]) == pytest.approx(true, abs=2)
    opened.page.keyboard.press("Escape")
    assert not opened.page.is_visible("#profile")
    opened.page.keyboard.press("a")
    for _ in range(3):
        opened.page.keyboard.press("Enter")
    opened.ask("window.im2dem.measure([[20, 20], [60, 20], [60, 50], [20, 50]], 'area')")
    # 40 x 30 pixels of 30 m; UTM adds 0.08 % of area at the middle of the zone.
    assert "1.08 km²" in opened.page.inner_text("#profile-title")
    assert opened.troubles == []


def test_comparison_shows_both_surfaces_and_their_difference(shared, compared):
    opened = shared(compared)
    put(opened, layer="height")
    plain = opened.picture()
    put(opened, compare="swipe", other="truth:height", split=0.3)
    swiped = opened.picture()
    # The swipe's border is a part of the room that the panel, 256 + 16 pixels wide, leaves with a gap of 8.
    room = 720 - 256 - 16 - 8
    border = round(0.3 * room)
    assert differs(plain, swiped, cols=slice(0, border - 20)) == 0
    assert differs(plain, swiped, cols=slice(border + 20, 440)) > 0.1
    opened.page.focus("#divider")
    opened.page.keyboard.press("ArrowRight")
    assert opened.ask("window.im2dem.state().split") == pytest.approx(0.32)
    place = opened.ask("([r, c]) => window.im2dem.project(r, c)", [104, 60])
    opened.page.mouse.move(place["x"], place["y"])
    assert "(truth)" in opened.page.inner_text("#readout")
    put(opened, compare="off", layer="error")
    opened.page.mouse.move(place["x"], place["y"] + 1)
    words = opened.page.inner_text("#readout")
    shown = [float(v) for v in re.search(r"truth ([\d.]+) · error (-?[\d.]+)", words).groups()]
    height = float(words.split(" ")[0])
    # Three figures of one decimal each.
    assert shown[1] == pytest.approx(height - shown[0], abs=0.16)
    assert differs(plain, opened.picture()) > 0.2
    put(opened, compare="side", layer="image", other="dem:hillshade")
    side = opened.picture()
    # The picture is coloured, the hillshade is not; both halves show the hill.
    spread = side.max(axis=2) - side.min(axis=2)
    assert (spread[150:400, : room // 2 - 5] > 80).mean() > 0.1
    assert (spread[150:400, room // 2 + 5 : room] > 80).mean() < 0.01
    # Both blocks stand in the middle of their halves, and no part of them below the panel.
    where = "([p, c]) => window.im2dem.project(127, c, p)"
    ends = [opened.ask(where, [pane, col]) for pane in (0, 0.4) for col in (0, 159)]
    assert 0 < ends[0]["x"] < ends[1]["x"] < room / 2 < ends[2]["x"] < ends[3]["x"] < room
    assert ends[2]["x"] - ends[0]["x"] == pytest.approx(room / 2, abs=1)
    assert opened.troubles == []


def test_water_and_contours(shared, html, scene):
    opened = shared(html)
    unfold(opened)
    put(opened, layer="height")
    plain = opened.picture()
    opened.page.check("#contours")
    assert opened.ask("window.im2dem.state().contourInterval") == 50
    lined = opened.picture()
    assert 0.005 < differs(plain, lined) < 0.4
    opened.page.uncheck("#contours")
    opened.page.check("#water")
    opened.page.fill("#water-number", "200")
    heights = scene[0].band("height")
    part = 100 * (heights[np.isfinite(heights)] < 200).mean()
    said = float(re.match(r"([\d.]+) %", opened.page.inner_text("#water-says"))[1])
    # The curve has 4,096 steps; one decimal is shown.
    assert said == pytest.approx(part, abs=0.15)
    wet = opened.picture()
    bluer = ((wet[:, :, 2] - wet[:, :, 0]) - (plain[:, :, 2] - plain[:, :, 0]))[60:440, :440]
    assert differs(plain, wet) > 0.2
    assert (bluer > 20).mean() > 0.2
    assert opened.troubles == []


def test_level_ground_has_one_colour_even_where_the_water_is_as_high(show):
    grid = Grid((40, 50), Affine(30, 0, 5e5, 0, -30, 5e6), "EPSG:32633")
    dem = Raster(np.full((1, 40, 50), 7, np.float32), grid, ("height",), "m", "EGM2008")
    opened = show(build_page(dem, None, PageOptions(title="Level")))
    opened.ask("window.im2dem.set({layer: 'height', water: true, waterLevel: 7})")
    place = opened.ask("window.im2dem.project(20, 25)")
    row, col = int(place["y"]), int(place["x"])
    assert np.ptp(opened.picture()[row - 40 : row + 40, col - 60 : col + 60], axis=(0, 1)).max() <= 2
    assert opened.troubles == []


def test_the_address_holds_the_state_and_gives_it_back(show, compared):
    opened = show(compared)
    put(opened, layer="slope", exaggeration=2.5, compare="swipe", other="truth:height", water=True, waterLevel=150)
    opened.page.focus("#view")
    opened.page.keyboard.press("ArrowLeft")
    opened.page.keyboard.press("+")
    opened.page.keyboard.press("k")
    opened.rest()
    opened.until("location.hash.includes('eye=') && location.hash.includes('way=')")
    fragment = opened.ask("location.hash")
    state, pose = opened.ask("window.im2dem.state()"), opened.ask("window.im2dem.pose()")
    again = show(compared, fragment=fragment)
    assert again.ask("window.im2dem.state()") == state
    after = again.ask("window.im2dem.pose()")
    # Six figures stand in the address.
    assert after["eye"] == pytest.approx(pose["eye"], abs=1e-4)
    assert after["target"] == pytest.approx(pose["target"], abs=1e-4)
    assert "1 key frame" in again.page.text_content("#film-says")
    evil = show(compared, fragment="#layer=%3Cscript%3E&x=1e999&eye=0,0&way=;")
    assert evil.ask("window.im2dem.state().layer") == "image"
    assert opened.troubles == again.troubles == evil.troubles == []


def test_the_address_holds_what_is_drawn(show, compared):
    opened = show(compared)
    opened.ask("window.im2dem.measure([[20, 20], [60, 20], [60, 50], [20, 50]], 'area')")
    opened.until("location.hash.includes('area=')")
    title = opened.page.inner_text("#profile-title")
    assert "1.08 km²" in title
    again = show(compared, fragment=opened.ask("location.hash"))
    assert again.page.inner_text("#profile-title") == title
    # Nobody who follows the address has the tool in hand: a click sets no point.
    again.page.mouse.click(300, 300)
    assert again.page.inner_text("#profile-title") == title
    again.page.keyboard.press("Escape")
    again.until("!location.hash.includes('area=')")
    assert not again.page.is_visible("#profile")
    assert opened.troubles == again.troubles == []


def test_every_key_does_what_the_help_says(shared, html):
    opened = shared(html)
    # Of seven layers this page has all but the error.
    assert "1 to 6" in opened.ask("document.getElementById('keys').textContent")
    for key, name, value in (
        ("c", "contours", True),
        ("w", "water", True),
        ("s", "shadows", True),
        ("v", "compare", "swipe"),
        ("4", "layer", "slope"),
        ("d", "theme", "dark"),
    ):
        opened.page.keyboard.press(key)
        assert opened.ask("window.im2dem.state()")[name] == value, key
    assert opened.ask("document.documentElement.dataset.theme") == "dark"
    assert opened.picture()[:40, :400].mean() < 90
    opened.page.keyboard.press("o")
    before = opened.ask("window.im2dem.pose()")["eye"]
    opened.page.wait_for_timeout(400)
    opened.page.keyboard.press("o")
    assert opened.ask("window.im2dem.pose()")["eye"] != before
    assert opened.troubles == []


def test_everything_that_can_be_pressed_has_a_name_and_can_be_reached(shared, compared):
    opened = shared(compared)
    unfold(opened)
    nameless = opened.ask(
        "[...document.querySelectorAll('button, input, select, summary, canvas, [role=slider]')].filter(e =>"
        " !(e.getAttribute('aria-label') || e.textContent.trim() ||"
        " [...(e.labels || [])].some(l => l.textContent.trim()))).map(e => e.id || e.outerHTML)"
    )
    assert nameless == []
    reached = set()
    opened.page.focus("#view")
    # A shadow inside would lie under the picture, where nobody sees it.
    assert opened.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.add(opened.ask("document.activeElement.id || document.activeElement.name"))
    assert {"layer", "exaggeration", "azimuth", "contours", "water", "compare", "line", "gif", "north"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_people_out(show, compared, scheme):
    rules = VIEWER / "node_modules/axe-core/axe.min.js"
    if not rules.exists():
        pytest.skip("the npm package axe-core is not installed; run npm ci in viewer/")
    opened = show(compared, color_scheme=scheme)
    unfold(opened)
    put(opened, water=True, compare="swipe", layer="height", date="2021-12-28")
    opened.ask("window.im2dem.measure([[20, 20], [60, 20], [60, 50]], 'area')")
    opened.page.keyboard.press("h")
    opened.rest()
    opened.page.add_script_tag(content=rules.read_text(encoding="utf-8"))
    for part in ("document", "document.getElementById('help')"):
        found = opened.ask(f"axe.run({part}).then(all => all.violations.map(v => [v.id, v.nodes.map(n => n.html)]))")
        assert found == [], part
        opened.page.keyboard.press("?")


def test_closer_up_finer_heights_are_read_and_fewer_nodes_are_drawn_from_afar(show):
    rng = np.random.default_rng(4)
    rows, cols = np.mgrid[0:600, 0:700]
    # Roughness of two pixels, which a mean over four takes away.
    heights = 300 * np.sin(rows / 60) * np.cos(cols / 80) + 40 * ((rows + cols) % 2) + rng.uniform(0, 5, (600, 700))
    dem = Raster(
        heights[None].astype(np.float32), Grid((600, 700), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633"), ("z",)
    )
    opened = show(build_page(dem, options=PageOptions(max_px=160, layer="hillshade")))
    assert opened.ask("window.im2dem.tiles()") == []
    far = opened.picture()
    for _ in range(20):  # the view begins farther off where a panel takes room
        opened.page.keyboard.press("+")
    opened.rest()
    opened.until("window.im2dem.tiles().some(key => key.startsWith('1-'))")
    opened.picture()
    assert min(node[0] for node in opened.ask("window.im2dem.nodes()")) == -2
    assert far.std() > 5
    middle = opened.ask(
        "(() => { const b = document.getElementById('view').getBoundingClientRect();"
        " return [b.width / 2, b.height / 2]; })()"
    )
    opened.page.mouse.move(*middle)
    shown = float(re.match(r"(-?[\d.]+)", opened.page.inner_text("#readout"))[1])
    x, y = (
        float(v.replace(",", ""))
        for v in re.search(r"x ([\d,.]+) · y ([\d,.]+)", opened.page.inner_text("#readout")).groups()
    )
    col, row = int((x - 5e5) / 10), int((5e6 - y) / 10)
    block = dem.data[0, row - 3 : row + 4, col - 3 : col + 4]
    # A true pixel of the source, not a mean of sixteen: one of those around (steps of 1/16,000 of 680 m, one decimal).
    assert np.abs(block - shown).min() < 0.1
    assert abs(shown - block.mean()) > 10
    assert opened.troubles == []
