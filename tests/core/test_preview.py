"""The small PNG of a notebook, opened by Pillow; and pictures for the eye."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from im2dem.core.grid import Grid
from im2dem.core.preview import preview_png, to_rgb8
from im2dem.core.raster import Raster


def opened(content):
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGBA")
        return np.asarray(picture).astype(int)


def cone(side, radius=1.0):
    row, col = np.mgrid[0:side, 0:side] - (side - 1) / 2
    return np.maximum(0, radius - np.hypot(row, col) / side * 2).astype(np.float32)[None] * side


def test_gaps_are_transparent_and_the_side_towards_the_light_is_bright():
    heights = cone(120)
    heights[0, :10, :20] = np.nan
    rgba = opened(preview_png(heights, (1.0, 1.0)))
    assert rgba.shape == (120, 120, 4)
    np.testing.assert_array_equal(rgba[..., 3] == 0, np.isnan(heights[0]))
    north_west, south_east = rgba[35:45, 35:45, :3].mean(), rgba[75:85, 75:85, :3].mean()
    assert north_west > 1.5 * south_east  # equal heights, so equal tints


@pytest.mark.parametrize("shape", [(480, 480), (481, 300), (1, 2000), (3, 1)])
def test_at_most_480_pixels(shape):
    rng = np.random.default_rng(2)
    rgba = opened(preview_png(rng.normal(size=(2, *shape)).astype(np.float32)))
    factor = -(-max(shape) // 480)
    assert rgba.shape == (-(-shape[0] // factor), -(-shape[1] // factor), 4)
    assert (rgba[..., 3] == 255).all()


def test_three_bands_are_a_picture():
    bands = np.zeros((3, 5, 4), np.float32)
    bands[0], bands[1, 2], bands[2, 1, 1] = 200, 90, np.nan
    rgba = opened(preview_png(bands))
    assert tuple(rgba[2, 0]) == (200, 90, 0, 255)
    assert rgba[1, 1, 3] == 0


def test_level_ground_and_nothing_at_all():
    level = opened(preview_png(np.full((1, 9, 9), 70, np.float32), (10, 10)))
    assert np.ptp(level.reshape(-1, 4), axis=0).max() == 0
    assert level[0, 0, :3].max() > 60
    assert (opened(preview_png(np.full((1, 9, 9), np.nan, np.float32)))[..., 3] == 0).all()


def test_a_raster_shows_itself():
    raster = Raster(cone(40), Grid.local((40, 40), 10.0), ("height",))
    assert raster._repr_png_() == preview_png(raster.data, (10.0, 10.0))


def ramp(height, width):
    red = np.broadcast_to(np.linspace(0, 250, width), (height, width))
    green = np.broadcast_to(np.linspace(0, 250, height)[:, None], (height, width))
    return np.stack([red, green, np.full((height, width), 90)]).astype(np.float32)


def test_eight_bit_values_stay_and_gaps_become_grey():
    data = ramp(6, 9)
    data[:, 2, 3] = np.nan
    rgb = to_rgb8(data)
    assert rgb.shape == (6, 9, 3)
    np.testing.assert_array_equal(rgb[2, 3], 128)
    np.testing.assert_array_equal(rgb[0, -1], [250, 0, 90])


@pytest.mark.parametrize("scale", [1 / 255, 40.0])
def test_reflectance_and_sixteen_bits_are_stretched_with_one_scale_for_all_bands(scale):
    rgb = to_rgb8(ramp(60, 60) * np.float32(scale)).astype(int)
    assert rgb.max() > 240
    assert rgb.min() < 10
    middle = rgb[30, 30]
    # Equal red and green stay equal: no band is stretched by itself.
    assert abs(middle[0] - middle[1]) <= 2


def test_one_band_is_grey_and_nothing_at_all_is_too():
    np.testing.assert_array_equal(to_rgb8(np.full((1, 2, 2), 77, np.float32)), 77)
    np.testing.assert_array_equal(to_rgb8(np.full((3, 2, 2), np.nan, np.float32)), 128)
