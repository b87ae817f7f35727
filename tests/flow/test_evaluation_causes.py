"""Causes of failed tiles: each one drawn, and found under its name."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from im2dem.core.terrain import hillshade
from im2dem.pipeline.evaluation_causes import CAUSES, by_cause, causes_of, count_causes, detail_r, shading_of
from im2dem.pipeline.evaluation_gallery import Exhibit
from im2dem.pipeline.evaluation_table import TileScore

SIZE_M = (30.0, 30.0)
SIDE = 256


def relief(seed=0, std=100.0, sigma=4.0):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE, SIDE)), sigma, mode="wrap")
    return (500 + std * (field - field.mean()) / field.std()).astype(np.float32)


def lit(dem, azimuth_deg=150.0):
    """An 8-bit picture of even ground in the sun."""
    shade = 30 + 120 * hillshade(dem, SIZE_M, azimuth_deg, 40.0)
    return np.stack([shade, 0.95 * shade, 0.8 * shade]).astype(np.float32)


def tile(dem, pred, image=None, **figures):
    valid = np.isfinite(dem) & np.isfinite(pred)
    r = float(np.corrcoef(dem[valid], pred[valid])[0, 1])
    score = TileScore("mine", "A2", "place", "place", 0, 0, float(np.nanstd(dem)), {"pearson_r": r} | figures)
    return Exhibit(score, (8.0, 46.0), SIZE_M, lit(dem) if image is None else image, dem, pred)


def noise(seed=1, std=100.0):
    return relief(seed, std)


@pytest.mark.parametrize("azimuth_deg", [10.0, 95.0, 150.0, 225.0, 315.0])
def test_shading_finds_where_the_light_comes_from(azimuth_deg):
    dem = relief()
    found = shading_of(lit(dem, azimuth_deg), dem)
    assert found.strength > 0.85  # the rest is the bend of a hillshade, which no plane follows
    assert abs((found.azimuth_deg - azimuth_deg + 180) % 360 - 180) < 10


def test_shading_of_a_blank_picture_is_unknown():
    assert np.isnan(shading_of(np.full((3, SIDE, SIDE), 7, np.float32), relief()).strength)


def test_white_picture():
    dem = relief()
    image = lit(dem)
    image[:, :128] = 240
    assert causes_of(tile(dem, noise(), image))[0] == "cloud or snow"


def test_white_is_known_in_reflectances_too():
    dem = relief()
    image = 10 * lit(dem)
    image[:, :128] = 9000
    assert causes_of(tile(dem, noise(), image))[0] == "cloud or snow"


def test_level_ground():
    dem = relief()
    dem[:140] = 500
    assert causes_of(tile(dem, noise()))[0] == "level ground"


def test_a_truth_in_steps_is_no_fault_of_the_prediction():
    dem = 40 * np.round(relief(std=30) / 40)
    assert causes_of(tile(dem, noise(std=30)))[0] == "coarse truth"
    assert "coarse truth" not in causes_of(tile(40 * np.round(relief(std=300) / 40), noise(std=300)))


def test_flat_land():
    assert "flat land" in causes_of(tile(relief(std=8), noise(std=8)))


def test_false_colour():
    dem = relief()
    image = lit(dem) * np.array([1.0, 0.4, 0.4], np.float32)[:, None, None]
    assert causes_of(tile(dem, noise(), image))[0] == "false colour"


def test_picture_without_shading():
    image = lit(relief(5))  # of other hills
    assert causes_of(tile(relief(), noise(), image))[0] == "no shading"


def test_shading_from_the_wrong_side():
    dem = relief()
    assert causes_of(tile(dem, noise(), lit(dem, 330.0)))[0] == "shading reversed"
    assert "shading reversed" not in causes_of(tile(dem, noise(), lit(dem, 200.0)))


def test_good_detail_on_a_wrong_form():
    fine, broad = relief(0, 60, 3), relief(2, 200, 40)
    exhibit = tile(fine + broad, fine - broad)
    assert detail_r(exhibit) > 0.5
    assert causes_of(exhibit)[0] == "broad form"


def test_seams_and_amplitude_are_told_beside_one_another():
    dem = relief()
    assert causes_of(tile(dem, 5 * noise(), seam_ratio=1.8)) == ("seams", "amplitude")


def test_inverted_only_where_nothing_explains_it():
    dem = relief()
    assert causes_of(tile(dem, -dem)) == ("inverted",)
    assert causes_of(tile(dem, -dem, lit(dem, 330.0))) == ("shading reversed",)


def test_a_good_tile_has_no_cause():
    dem = relief()
    assert causes_of(tile(dem, dem + 0.1 * noise())) == ("other",)


def test_gaps_do_not_matter():
    dem = relief()
    holes = np.where(np.random.default_rng(0).random(dem.shape) < 0.05, np.float32(np.nan), dem)
    assert causes_of(tile(holes, -dem)) == ("inverted",)


def test_groups_keep_every_tile_once_in_the_order_of_the_causes():
    dem = relief()
    tiles = [tile(dem, -dem), tile(dem, noise(), lit(relief(5))), tile(dem, -dem)]
    groups = by_cause(tiles)
    assert [len(found) for found in groups.values()] == [1, 2]
    assert list(groups) == sorted(groups, key=list(CAUSES).index)
    assert count_causes(tiles) == "no shading 1, inverted 2"
