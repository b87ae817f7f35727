"""The page as text: one file, no network, small, nothing in it can break out."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import numpy as np
import pytest
from affine import Affine

from im2dem.core.errors import GridMismatchError, InputError, NoDataError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.ground import ground_basis, land_heights
from im2dem.core.raster import Raster
from im2dem.core.sun import solar_position
from im2dem.web.page import PageOptions, automatic_exaggeration, build_page
from im2dem.web.payload import decode_heights

UTM = "EPSG:32633"


def grid(height, width, gsd=30.0):
    return Grid((height, width), Affine(gsd, 0, 5e5, 0, -gsd, 5e6), UTM)


def hills(height=40, width=50, relief=400.0, **kinds):
    rows, cols = np.mgrid[0:height, 0:width]
    heights = relief * (0.5 + 0.5 * np.sin(rows / 9) * np.cos(cols / 7))
    place = kinds.pop("grid", None) or grid(height, width)
    return Raster(heights[None].astype(np.float32), place, ("height",), **kinds)


def payload_of(page):
    return json.loads(re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.S)[1])


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of h1 and title."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.open = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = tag

    def handle_data(self, data):
        if self.open in ("h1", "title", "p"):
            self.texts.setdefault(self.open, []).append(data)

    def handle_endtag(self, tag):
        self.open = None


def test_page_loads_nothing():
    page = build_page(hills())
    for tag, attributes in Elements(page).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base"), tag
        assert not {"src", "href", "srcset", "data", "action"} & set(attributes), (tag, attributes)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:)", re.search(r"<style>(.*?)</style>", page, re.S)[1])
    assert not re.search(r"\bimport\s*\(|importScripts\(", page)


def test_page_of_a_million_noisy_pixels_and_a_noisy_picture_is_below_six_megabytes():
    rng = np.random.default_rng(5)
    field = grid(1024, 1024)
    # Worse than any terrain: half of the range is white noise, so half of the bits cannot be predicted.
    heights = hills(1024, 1024).data[0] + rng.uniform(0, 400, (1024, 1024)).astype(np.float32)
    image = rng.integers(0, 256, (3, 1024, 1024)).astype(np.float32)
    page = build_page(Raster(heights[None], field, ("height",)), Raster(image, field, ("red", "green", "blue"), "DN"))
    assert len(page.encode()) < 6_000_000
    assert payload_of(page)["grid"]["factor"] == 1


EVIL = "</script><script>alert(1)</script><!-- & \"'\u2028 {{payload}}"


def test_title_and_attribution_cannot_break_out():
    page = build_page(hills(), options=PageOptions(title=EVIL, attribution=EVIL))
    plain = build_page(hills())
    assert page.count("<script") == plain.count("<script")
    assert page.count("</script") == plain.count("</script")
    elements = Elements(page)
    assert "".join(elements.texts["h1"]) == EVIL
    assert "".join(elements.texts["title"]) == EVIL
    payload = payload_of(page)
    assert payload["title"] == EVIL
    assert payload["attribution"] == EVIL


def test_same_input_gives_the_same_bytes():
    assert build_page(hills()) == build_page(hills())


def test_heights_sigma_and_datum_are_in_the_payload():
    dem = hills(vertical_datum="EGM2008")
    sigma = np.full_like(dem.data, 3.0)
    sigma[0, 4, 5] = np.nan
    both = Raster(np.concatenate([dem.data, sigma]), dem.grid, ("height", "sigma"), "m", "EGM2008")
    payload = payload_of(build_page(both))
    decoded = decode_heights(payload["height"]["field"])
    # 400 m in 65,535 steps: half a step is 3 mm.
    np.testing.assert_allclose(decoded, dem.data[0], atol=0.0031)
    assert payload["height"]["unit"] == "m"
    assert payload["height"]["datum"] == "EGM2008"
    assert np.isnan(decode_heights(payload["layers"]["sigma"])[4, 5])
    assert payload_of(build_page(dem))["layers"] == {}


def test_larger_raster_is_averaged_and_its_transform_follows():
    dem = hills(100, 130)
    payload = payload_of(build_page(dem, options=PageOptions(max_px=50, detail_px=0)))
    field = payload["grid"]
    assert (field["height"], field["width"], field["factor"]) == (34, 44, 3)
    assert field["transform"][0] == 90
    assert field["source"] == [130, 100]
    assert math.hypot(*field["basis"][0]) == pytest.approx(90, rel=1e-3)
    decoded = decode_heights(payload["height"]["field"])
    assert decoded[0, 0] == pytest.approx(dem.data[0, :3, :3].mean(), abs=0.01)


def test_narrow_strip_stays_a_surface():
    payload = payload_of(build_page(hills(4, 400), options=PageOptions(max_px=50)))
    assert payload["grid"]["height"] == 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1)])
def test_one_row_or_column_is_refused_in_words(height, width):
    with pytest.raises(InputError, match="2 x 2 or more"):
        build_page(hills(height, width))


def test_all_nodata_is_refused():
    with pytest.raises(NoDataError, match="every pixel is nodata"):
        build_page(Raster(np.full((1, 4, 4), np.nan, np.float32), grid(4, 4), ("height",)))


def test_one_valid_pixel_makes_a_page():
    data = np.full((1, 4, 4), np.nan, np.float32)
    data[0, 2, 1] = 7
    assert "payload" in build_page(Raster(data, grid(4, 4), ("height",)))


def test_the_sea_does_not_exaggerate_mountains():
    row, col = np.mgrid[0:80, 0:80]
    land = np.where((row > 20) & (row < 35) & (col > 20) & (col < 35), 1500 + 100.0 * (row - 20), 0).astype(np.float32)
    grid = Grid((80, 80), Affine(500, 0, 5e5, 0, -500, 5e6), UTM)
    cut = land[21:35, 21:35]
    payload = {"grid": {"basis": [[500, 0], [0, -500]], "unit": "m"}, "height": {"metres": 1.0}}
    low = np.percentile(cut, 99) - np.percentile(cut, 1)
    # The relief of the land alone: 0.085 of 40 km over it.
    assert automatic_exaggeration(land, payload) <= 0.085 * grid.width * 500 / low
    np.testing.assert_array_equal(np.sort(land_heights(land)), np.sort(cut, axis=None))
    assert len(land_heights(np.full((3, 3), 7.0))) == 9


def test_ground_basis_of_degrees_is_in_true_metres():
    place = Grid((100, 100), Affine(0.001, 0, 10, 0, -0.001, 60.05), "EPSG:4326")
    col, row, unit = ground_basis(place)
    # At 60 degrees north 0.001 degrees are 55.8 m of longitude and 111.4 m of latitude (WGS 84).
    np.testing.assert_allclose(col, [55.8, 0], atol=0.1)
    np.testing.assert_allclose(row, [0, -111.4], atol=0.1)
    assert unit == "m"


def test_ground_basis_keeps_rotation_shear_and_mirrors():
    turn = Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.shear(10) @ Affine.scale(20, -20)
    col, row, _ = ground_basis(Grid((50, 60), turn, UTM))
    # UTM's scale is 0.9996 at the middle of the zone: its metres are a little longer than true ones.
    np.testing.assert_allclose(col, [turn.a / 0.9996, turn.d / 0.9996], rtol=1e-4)
    np.testing.assert_allclose(row, [turn.b / 0.9996, turn.e / 0.9996], rtol=1e-4)
    upside_down = Grid((50, 60), Affine(20, 0, 5e5, 0, 20, 5e6), UTM)
    assert ground_basis(upside_down)[1][1] > 0


def test_without_a_georeference_the_ground_is_in_pixels():
    payload = payload_of(build_page(hills(grid=Grid.local((40, 50), None), unit="px")))
    assert payload["grid"]["unit"] == "px"
    assert payload["grid"]["basis"] == [[1, 0], [0, -1]]
    assert payload["grid"]["crs"] is None
    assert payload["height"]["metres"] == 1


def test_heights_in_pixels_are_drawn_in_metres_where_the_pixel_is_known():
    payload = payload_of(build_page(hills(grid=Grid.local((40, 50), 12.0), unit="px")))
    assert payload["height"]["metres"] == pytest.approx(12)


@pytest.mark.parametrize(("relief", "least", "most"), [(0.0, 1, 1), (2.0, 10, 10), (30.0, 3, 5), (4000.0, 1, 1)])
def test_automatic_exaggeration_lifts_flat_land_and_leaves_mountains(relief, least, most):
    view = payload_of(build_page(hills(relief=relief)))["view"]
    assert least <= view["exaggeration"] <= most
    assert view["automatic"] is True


def test_given_exaggeration_and_sun_are_taken():
    options = PageOptions(exaggeration=2.5, sun_azimuth_deg=-45, sun_elevation_deg=20)
    view = payload_of(build_page(hills(), options=options))["view"]
    assert view == {
        "exaggeration": 2.5,
        "automatic": False,
        "sun_azimuth_deg": 315,
        "sun_elevation_deg": 20,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"exaggeration": 0},
        {"exaggeration": math.nan},
        {"sun_elevation_deg": 91},
        {"sun_azimuth_deg": math.inf},
        {"max_px": 1},
        {"layer": "colour"},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=r"got|choose one"):
        PageOptions(**wrong)


def tiles_of(page):
    found = re.findall(r'<script type="application/json" id="(tile-[\d-]+)">(.*?)</script>', page, re.S)
    return {name: json.loads(text) for name, text in found}


def test_finer_heights_follow_in_tiles_that_join_and_average_to_the_mesh():
    dem = hills(1100, 700)
    page = build_page(dem, options=PageOptions(max_px=256))
    payload, tiles = payload_of(page), tiles_of(page)
    # 1100 px are 4.3 meshes of 256: a power of two within half as much again is 4, so that levels of 2 and 1 follow.
    assert payload["grid"]["factor"] == 4
    assert payload["detail"]["levels"] == [{"width": 350, "height": 550}, {"width": 700, "height": 1100}]
    assert set(tiles) == {"tile-0-0-0", "tile-0-1-0"} | {f"tile-1-{r}-{c}" for r in range(3) for c in range(2)}
    fine = decode_heights(tiles["tile-1-1-0"])
    assert fine.shape == (514, 514)
    # Steps of 1/16,000 of 400 m: half a step is 12.5 mm.
    np.testing.assert_allclose(fine[1:-1, 1:-1], dem.data[0, 512:1024, :512], atol=0.0127)
    np.testing.assert_allclose(fine[0, 1:-1], dem.data[0, 511, :512], atol=0.0127)
    corner = decode_heights(tiles["tile-1-2-1"])
    np.testing.assert_allclose(corner[60, 60], dem.data[0, 1024 + 59, 512 + 59], atol=0.0127)
    np.testing.assert_allclose(corner[500, 500], dem.data[0, -1, -1], atol=0.0127)
    half = decode_heights(tiles["tile-0-0-0"])[1:-1, 1:-1]
    mean = dem.data[0, :700, :700].reshape(350, 2, 350, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(half[:350, :350], mean, atol=0.0127)


def test_tiles_without_a_value_are_left_out_and_small_rasters_have_none():
    dem = hills(1100, 1100)
    dem.data[0, :512, :520] = np.nan
    tiles = tiles_of(build_page(dem, options=PageOptions(max_px=600)))
    assert "tile-0-0-0" not in tiles
    assert "tile-0-0-1" in tiles
    small = build_page(hills())
    assert tiles_of(small) == {}
    assert payload_of(small)["detail"] is None


def test_the_place_says_where_and_where_true_north_is():
    place = payload_of(build_page(hills(200, 300, grid=Grid((200, 300), Affine(30, 0, 7e5, 0, -30, 5e6), UTM))))[
        "place"
    ]
    lon, lat = Grid((200, 300), Affine(30, 0, 7e5, 0, -30, 5e6), UTM).lonlat(100, 150)
    assert (place["lon"], place["lat"]) == pytest.approx((lon, lat), abs=1e-7)
    # East of the central meridian (15 degrees) meridians lean to the west going north: convergence (lon - 15) sin lat.
    assert place["north_deg"] == pytest.approx(-(lon - 15) * math.sin(math.radians(lat)), abs=0.01)
    lattice = place["lattice"]
    assert len(lattice["lon"]) == lattice["cols"] * lattice["rows"]
    assert payload_of(build_page(hills(grid=Grid.local((40, 50), 10.0))))["place"] is None


def test_a_date_sets_the_sun_where_the_place_is_known():
    moment = datetime(2021, 12, 28, 10, 30, tzinfo=timezone(timedelta(hours=9)))
    payload = payload_of(build_page(hills(), options=PageOptions(date=moment)))
    place, view = payload["place"], payload["view"]
    azimuth, elevation = solar_position(moment, place["lon"], place["lat"])
    assert (view["sun_azimuth_deg"], view["sun_elevation_deg"]) == (azimuth, elevation)
    assert view["date_utc"] == "2021-12-28T01:30:00Z"
    with pytest.raises(UsageError, match="only where the place is known"):
        build_page(hills(grid=Grid.local((40, 50), None)), options=PageOptions(date=moment))


def test_a_first_layer_must_be_there():
    assert payload_of(build_page(hills(), options=PageOptions(layer="slope")))["view"]["layer"] == "slope"
    for layer, wanted in (("image", "an image"), ("sigma", 'band "sigma"'), ("error", "a truth")):
        with pytest.raises(UsageError, match=wanted):
            build_page(hills(), options=PageOptions(layer=layer))


def truth_over(gsd, crs=UTM, above=0.0):
    """The same hills at another pixel size, `above` metres higher."""
    side = round(40 * 30 / gsd), round(50 * 30 / gsd)
    rows, cols = np.mgrid[0 : side[0], 0 : side[1]]
    y, x = (rows + 0.5) * gsd / 30 - 0.5, (cols + 0.5) * gsd / 30 - 0.5
    heights = 400 * (0.5 + 0.5 * np.sin(y / 9) * np.cos(x / 7)) + above
    place = Grid(side, Affine(gsd, 0, 5e5, 0, -gsd, 5e6), crs)
    return Raster(heights[None].astype(np.float32), place, ("height",), "m", "EGM2008")


@pytest.mark.parametrize("gsd", [10.0, 30.0, 50.0])
def test_truth_at_another_pixel_size_lies_on_the_mesh(gsd):
    payload = payload_of(build_page(hills(vertical_datum="EGM2008"), truth=truth_over(gsd, above=25)))
    dh = decode_heights(payload["height"]["field"]) - decode_heights(payload["truth"]["field"])
    assert payload["truth"]["shift"] == 0
    # Steepest 15 m a pixel, curved by 3 m a pixel squared: means and interpolations of up to 50 m differ by that much.
    np.testing.assert_allclose(dh[2:-2, 2:-2], -25, atol=3)
    assert np.nanmedian(dh) == pytest.approx(-25, abs=0.5)


def test_relative_heights_are_compared_with_a_truth_brought_to_their_zero():
    payload = payload_of(build_page(hills(), truth=truth_over(30.0, above=512.25)))
    assert payload["truth"]["shift"] == pytest.approx(512.25, abs=0.01)
    dh = decode_heights(payload["height"]["field"]) - decode_heights(payload["truth"]["field"])
    np.testing.assert_allclose(dh, 0, atol=0.02)


def test_truth_elsewhere_or_of_another_shape_is_refused():
    with pytest.raises(GridMismatchError, match="truth and the DEM share no ground"):
        build_page(hills(), truth=hills(grid=Grid((40, 50), Affine(30, 0, 9e5, 0, -30, 5e6), UTM)))
    with pytest.raises(GridMismatchError, match="do not both have a reference system"):
        build_page(hills(), truth=hills(30, 30, grid=Grid.local((30, 30), None)))
    gaps = hills()
    gaps.data[:] = np.nan
    with pytest.raises(NoDataError, match="both a predicted and a true height"):
        build_page(hills(), truth=gaps)
