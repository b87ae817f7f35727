"""The picture: what the eye gets, and where it lies."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from im2dem.core.errors import GridMismatchError
from im2dem.core.grid import Grid
from im2dem.core.preview import to_rgb8
from im2dem.core.raster import Raster
from im2dem.web.drape import drape
from im2dem.web.picture import encode_picture

UTM = "EPSG:32633"


def picture(data, grid):
    return Raster(data, grid, ("red", "green", "blue"), "DN")


def ramp(height, width):
    """Red grows to the right, green downwards: a picture that tells where each pixel came from."""
    red = np.broadcast_to(np.linspace(0, 250, width), (height, width))
    green = np.broadcast_to(np.linspace(0, 250, height)[:, None], (height, width))
    return np.stack([red, green, np.full((height, width), 90)]).astype(np.float32)


def test_encoded_picture_fits_its_room_and_its_size():
    noise = np.random.default_rng(1).integers(0, 256, (500, 700, 3)).astype(np.uint8)
    for room in (400_000, 120_000, 60_000):
        texture = encode_picture(noise, 512, room)
        assert len(texture["data"]) <= room
        opened = Image.open(io.BytesIO(base64.b64decode(texture["data"])))
        assert opened.format == "JPEG"
        assert opened.size == (texture["width"], texture["height"])
        assert max(opened.size) <= 512


def test_same_grid_is_taken_as_it_is():
    grid = Grid((40, 50), Affine(10, 0, 5e5, 0, -10, 5e6), UTM)
    rgb = drape(picture(ramp(40, 50), grid), grid, 2048)
    np.testing.assert_array_equal(rgb, to_rgb8(ramp(40, 50)))


def test_finer_picture_of_a_larger_place_is_cut_to_the_dem():
    image = Grid((400, 400), Affine(5, 0, 5e5, 0, -5, 5e6), UTM)
    dem = Grid((50, 50), Affine(20, 0, 5e5 + 500, 0, -20, 5e6 - 750), UTM)
    rgb = drape(picture(ramp(400, 400), image), dem, 2048)
    assert rgb.shape == (200, 200, 3)
    # 500 m are 100 of 400 columns and 750 m 150 of 400 rows; one pixel of the ramp is 0.63 grey levels.
    np.testing.assert_allclose(rgb[0, 0], [250 * 100 / 399, 250 * 150 / 399, 90], atol=1)
    np.testing.assert_allclose(rgb[-1, -1], [250 * 299 / 399, 250 * 349 / 399, 90], atol=1)


def test_rotated_picture_lands_the_right_way_round():
    dem = Grid((60, 60), Affine(10, 0, 0, 0, -10, 600), UTM)
    turned = Grid((60, 60), Affine.translation(600, 600) @ Affine.rotation(-90) @ Affine.scale(10, -10), UTM)
    rgb = drape(picture(ramp(60, 60), turned), dem, 256).astype(int)
    # Columns of the picture run south, its rows west: red grows downwards, green to the left.
    assert rgb[-1, 30, 0] > 240 > 10 > rgb[0, 30, 0]
    assert rgb[30, 0, 1] > 240 > 10 > rgb[30, -1, 1]


def test_without_a_georeference_only_the_aspect_ratio_counts():
    dem = Grid((40, 50), Affine(10, 0, 5e5, 0, -10, 5e6), UTM)
    plain = Grid.local((80, 100), None)
    assert drape(picture(ramp(80, 100), plain), dem, 2048).shape == (80, 100, 3)
    with pytest.raises(GridMismatchError, match="aspect ratio"):
        drape(picture(ramp(80, 80), Grid.local((80, 80), None)), dem, 2048)


def test_picture_in_another_reference_system_is_warped_and_the_log_says_so(caplog):
    dem = Grid((60, 80), Affine(10, 0, 5e5, 0, -10, 5e6), UTM)
    left, top = dem.lonlat(0, 0)
    right, bottom = dem.lonlat(60, 80)
    # Degrees, and half as much again on every side.
    wide, high = right - left, top - bottom
    image = Grid((200, 200), Affine(wide / 100, 0, left - wide / 2, 0, -high / 100, top + high / 2), "EPSG:4326")
    with caplog.at_level("WARNING", "im2dem"):
        rgb = drape(picture(ramp(200, 200), image), dem, 256).astype(int)
    assert "warped the image" in caplog.text
    # The DEM lies in the middle half; one pixel of the ramp is 1.3 grey levels, and the curvature is below one.
    for (row, col), (v, u) in {(0, 0): (0.25, 0.25), (-1, -1): (0.75, 0.75), (0, -1): (0.25, 0.75)}.items():
        np.testing.assert_allclose(rgb[row, col], [250 * u, 250 * v, 90], atol=3)


def test_only_the_part_over_the_dem_is_read():
    dem = Grid((50, 50), Affine(10, 0, 5e5, 0, -10, 5e6), UTM)
    image = Grid((4000, 4000), Affine(10, 0, 4.9e5, 0, -10, 5.01e6), UTM)
    asked = []

    class Wide:
        grid, bands = image, ("red", "green", "blue")

        def read(self, window):
            asked.append(window)
            columns = np.arange(window.col_off, window.col_off + window.width, dtype=np.float32) - 990
            return np.broadcast_to(columns, (3, *window.shape)).copy()

    rgb = drape(Wide(), dem, 64)
    assert sum(w.height * w.width for w in asked) < 60 * 60
    # Full size although the picture is sixty times as large as what is shown: columns 1000 to 1049 of it.
    assert rgb.shape == (50, 50, 3)
    np.testing.assert_allclose(rgb[25, [0, 49], 0].astype(int), [10, 59], atol=1)


def test_what_cannot_be_laid_over_the_dem_is_refused():
    dem = Grid((40, 50), Affine(10, 0, 5e5, 0, -10, 5e6), UTM)
    with pytest.raises(GridMismatchError, match="share no ground"):
        drape(picture(ramp(4, 5), Grid((4, 5), Affine(1, 0, 50, 0, -1, 45), "EPSG:4326")), dem, 64)
    with pytest.raises(GridMismatchError, match="share no ground"):
        drape(picture(ramp(4, 5), Grid((4, 5), Affine(10, 0, 9e5, 0, -10, 5e6), UTM)), dem, 64)
