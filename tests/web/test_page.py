"""The page as text: one file, no network, small, nothing in it can break out."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from affine import Affine

from im2dem.core.errors import InputError, NoDataError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.web.page import PageOptions, build_page, ground_basis
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
    payload = payload_of(build_page(dem, options=PageOptions(max_px=50)))
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
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="got"):
        PageOptions(**wrong)
