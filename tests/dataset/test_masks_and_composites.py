"""Quality layers bit by bit, composites against their definitions, shift against a known one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from im2dem.core.errors import UsageError
from im2dem.core.terrain import hillshade
from im2dem.dataset.composite import clearest, lowest_sun, median, medoid
from im2dem.dataset.rules import ChipRules, measure
from im2dem.dataset.shift import measure_shift
from im2dem.io.clouds import cloud_score_clarity, landsat_clarity, sentinel2_clarity

CLEAR_CLASSES = {2, 4, 5, 6, 7, 11}


@pytest.mark.parametrize("scl", range(12))
def test_each_scene_class(scl):
    one = sentinel2_clarity(np.full((2, 2), scl, dtype=np.uint8))
    assert one.clear.all() == (scl in CLEAR_CLASSES)
    assert one.seen.all() == (scl != 0)
    assert one.water.all() == (scl == 6)
    assert one.cloud.all() == (scl in {1, 3, 8, 9, 10})
    assert not sentinel2_clarity(np.array([[11]]), keep_snow=False).clear.any()


# Values from the USGS product guide's own list of QA_PIXEL values.
@pytest.mark.parametrize(
    ("value", "clear", "water", "seen"),
    [
        (1, False, False, False),  # fill
        (0, False, False, False),  # what a reader puts outside
        (21824, True, False, True),  # clear land
        (21952, True, True, True),  # clear water
        (22080, True, False, True),  # medium confidence alone does not set the cloud bit
        (22280, False, False, True),  # high confidence cloud
        (23888, False, False, True),  # cloud shadow
        (54596, False, False, True),  # cirrus
        (30048, True, False, True),  # snow
    ],
)
def test_landsat_values(value, clear, water, seen):
    one = landsat_clarity(np.full((1, 1), value, dtype=np.uint16))
    assert (one.clear[0, 0], one.water[0, 0], one.seen[0, 0]) == (clear, water, seen)


def test_cloud_score():
    one = cloud_score_clarity(np.array([[0.9, 0.59, np.nan]]), np.array([[True, True, True]]))
    assert one.clear.tolist() == [[True, False, False]]
    assert one.water.tolist() == [[True, False, False]]
    assert one.seen.tolist() == [[True, True, False]]


def test_margin_grows_clouds_and_nothing_else():
    scl = np.full((9, 9), 4, dtype=np.uint8)
    scl[4, 4] = 9
    grown = sentinel2_clarity(scl).with_margin(2)
    assert grown.cloud.sum() == 13  # a diamond of radius 2
    assert grown.seen.all()
    with pytest.raises(UsageError):
        grown.with_margin(-1)


def stack(rng, dates=5):
    values = rng.uniform(0, 1, (dates, 3, 7, 9)).astype(np.float32)
    hole = rng.random((dates, 7, 9)) < 0.4
    values.transpose(0, 2, 3, 1)[hole] = np.nan
    values[:, :, 0, 0] = np.nan
    return values


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("dates", [1, 2, 5, 6])
def test_median_is_numpys(dates):
    values = stack(np.random.default_rng(dates), dates)
    got, count = median(values)
    np.testing.assert_allclose(got, np.nanmedian(values, axis=0), rtol=1e-6)
    assert (count == np.isfinite(values[:, 0]).sum(axis=0)).all()
    assert np.isnan(got[:, 0, 0]).all()


def test_medoid_is_the_observation_with_the_least_distances():
    values = stack(np.random.default_rng(2))
    got, _ = medoid(values)
    for r in range(7):
        for c in range(9):
            seen = [v for v in values[:, :, r, c] if np.isfinite(v).all()]
            if not seen:
                assert np.isnan(got[:, r, c]).all()
                continue
            costs = [sum(np.linalg.norm(a - b) for b in seen) for a in seen]
            assert any(
                np.array_equal(got[:, r, c], a) for a, k in zip(seen, costs, strict=True) if k < min(costs) + 1e-5
            )


def test_choice_of_dates():
    assert clearest([0.2, 0.9, 0.9]) == 1
    assert lowest_sun([1.0, 0.995, 0.5], [60.0, 30.0, 10.0]) == 1
    assert lowest_sun([1.0, 0.9], [60.0, 30.0]) == 0
    with pytest.raises(UsageError):
        lowest_sun([], [])


def relief(shape=(160, 160), seed=0):
    rng = np.random.default_rng(seed)
    waves = sum(ndimage.gaussian_filter(rng.normal(size=(shape[0] + 40, shape[1] + 40)), s) * s**2 for s in (3, 6, 12))
    return waves * 40.0


@pytest.mark.parametrize(("down", "right"), [(0.0, 0.0), (1.3, -0.7), (-2.4, 3.2)])
@pytest.mark.parametrize("is_sun_known", [True, False])
def test_a_known_shift_is_measured(down, right, is_sun_known):
    dem = relief()
    light = hillshade(dem, (30.0, 30.0), 150.0, 40.0)
    moved = ndimage.shift(light, (down, right), order=3, mode="nearest")[20:-20, 20:-20]
    got = measure_shift(moved[None], dem[20:-20, 20:-20], 30.0, (150.0, 40.0) if is_sun_known else None)
    assert got is not None
    assert got.is_sure
    # With the right sun a tenth of a pixel; under four suns edges lie elsewhere than in the picture.
    tolerance = 0.1 if is_sun_known else 1.0
    assert abs(got.down_px - down) < tolerance
    assert abs(got.right_px - right) < tolerance


def test_unrelated_pictures_are_not_sure():
    sure = 0
    for seed in range(12):
        a, b = relief(seed=seed)[20:-20, 20:-20], relief(seed=seed + 100)[20:-20, 20:-20]
        got = measure_shift(hillshade(a, (30.0, 30.0), 150.0, 40.0)[None], b, 30.0, (150.0, 40.0))
        sure += got is not None and got.is_sure
    assert sure == 0


def test_flat_or_empty_has_no_shift():
    flat = np.zeros((64, 64), dtype=np.float32)
    assert measure_shift(flat[None] + 1, flat, 10.0) is None
    assert measure_shift(np.full((3, 64, 64), np.nan), flat, 10.0) is None


def test_rules_name_the_first_reason():
    picture = np.ones((3, 10, 10), dtype=np.float32)
    dem = np.linspace(0, 100, 100, dtype=np.float32).reshape(10, 10)
    half = np.zeros((10, 10), dtype=bool)
    half[:5] = True
    rules = ChipRules()
    assert rules.reason_to_drop(measure(picture, dem)) is None
    assert rules.reason_to_drop(measure(picture, dem, cloud=half)) == "cloud"
    assert rules.reason_to_drop(measure(picture, dem, water=np.ones((10, 10), dtype=bool))) == "water"
    assert rules.reason_to_drop(measure(picture, dem * 0)) == "flat"
    holed = dem.copy()
    holed[:5] = np.nan
    assert rules.reason_to_drop(measure(picture, holed)) == "dem-void"
    assert rules.reason_to_drop(measure(picture * np.nan, dem)) == "picture-missing"
    assert rules.reason_to_drop(measure(picture * np.nan, dem * np.nan, cloud=half | True)) == "cloud"
