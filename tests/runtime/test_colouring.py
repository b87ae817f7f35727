"""Conditions, noise and tiles of the colouring runtime."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.raster import Raster
from im2dem.runtime.colouring import _around, _cores, reference_height_m, usual_variety, world_origin
from im2dem.runtime.colouring_condition import CLIMATES, CONDITION_SIZE, VARIETY_SIZE, ColourCondition
from im2dem.runtime.colouring_noise import world_noise

places = st.integers(-(2**40), 2**40)


@given(row=places, col=places, down=st.integers(0, 70), right=st.integers(0, 70), seed=st.integers(0, 2**63))
def test_windows_of_the_world_agree(row, col, down, right, seed):
    whole = world_noise(row, col, (80, 80), seed)
    part = world_noise(row + down, col + right, (10, 10), seed)
    assert np.array_equal(part, whole[:, down : down + 10, right : right + 10])


def test_noise_has_unit_lattices_and_seeds_differ():
    grain = world_noise(0, 0, (512, 512), 0)[0]
    # 262,144 uniform values: mean and variance are known to some thousandths
    assert abs(grain.mean()) < 0.01
    assert grain.var() == pytest.approx(1.0, abs=0.02)
    assert abs(np.corrcoef(grain[:-1].ravel(), grain[1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(grain.ravel(), world_noise(0, 0, (512, 512), 1)[0].ravel())[0, 1]) < 0.01


def test_a_condition_says_what_it_knows():
    told = ColourCondition(60.0, 90.0, 30.0, "arid", "winter", 1.0).vector()
    assert told.shape == (CONDITION_SIZE,)
    np.testing.assert_allclose(told[:6], [np.cos(np.radians(30)), 0, 0.5, 1, 1, 1], atol=1e-6)
    assert told[6 + CLIMATES.index("arid")] == 1
    assert told[6:].sum() == 2
    assert not ColourCondition(30.0).vector().any()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((0.0,), "positive"),
        ((30.0, 150.0), "give both or none"),
        ((30.0, 150.0, -5.0), "lights nothing"),
        ((30.0, None, None, "polar"), "climate 'polar'"),
        ((30.0, None, None, None, "spring"), "season 'spring'"),
    ],
)
def test_conditions_that_make_no_sense(values, says):
    with pytest.raises(UsageError, match=says):
        ColourCondition(*values)


@pytest.mark.parametrize(
    ("climate", "season", "first"),
    [
        ("arid", "winter", 3.0),  # as it was told
        ("arid", "summer", 2.0),  # the climate in any season
        ("boreal", "summer", 1.0),  # photographs of any climate
        (None, None, 1.0),
        (None, "winter", 1.0),
    ],
)
def test_a_climate_has_its_usual_variety(climate, season, first):
    def moments(mean):
        return [[mean] * VARIETY_SIZE, [mean / 10] * VARIETY_SIZE]

    known = {"photographs": moments(1.0), "arid": moments(2.0), "arid winter": moments(3.0)}
    mean, spread = usual_variety(known, ColourCondition(30.0, None, None, climate, season))
    np.testing.assert_allclose(mean, first)
    np.testing.assert_allclose(spread, first / 10)


def test_without_usual_varieties_it_is_the_middle_of_the_prior():
    mean, spread = usual_variety({}, ColourCondition(30.0))
    assert mean.shape == (VARIETY_SIZE,)
    assert not mean.any()
    assert (spread == 1).all()


@given(
    shape=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    origin=st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)),
    side=st.integers(16, 400),
    reach=st.integers(0, 200),
)
def test_cores_fill_the_raster_once_and_tiles_keep_the_lattice(shape, origin, side, reach):
    count = np.zeros(shape, np.int64)
    for core in _cores(shape, origin, side):
        count[core.slices()] += 1
        around = _around(core, shape, origin, reach)
        assert (around.row_off + origin[0]) % 16 == (around.col_off + origin[1]) % 16 == 0
        assert around.height % 16 == around.width % 16 == 0
        wanted = Window(
            core.row_off - reach, core.col_off - reach, core.height + 2 * reach, core.width + 2 * reach
        ).intersection(Window(0, 0, *shape))
        assert wanted.intersection(around) == wanted
    assert (count == 1).all()


def test_neighbouring_rasters_count_on():
    left = Grid((10, 20), Affine(30, 0, 600, 0, -30, 900), "EPSG:32633")
    right = Grid((10, 20), Affine(30, 0, 1200, 0, -30, 900), "EPSG:32633")
    assert world_origin(left) == (-30, 20)
    assert world_origin(right) == (-30, 40)
    assert world_origin(Grid((10, 20), Affine.identity())) == (0, 0)


def test_the_reference_is_the_mean_of_what_is_known():
    dem = np.full((1, 40, 50), 700.0, np.float32)
    dem[0, :10] = np.nan
    raster = Raster(dem, Grid.local((40, 50), 10.0), ("height",), "m")
    assert reference_height_m(raster) == pytest.approx(700.0)
    with pytest.raises(UsageError, match="no height at all"):
        reference_height_m(Raster(dem * np.nan, raster.grid, ("height",), "m"))
