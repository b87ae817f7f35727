"""Rasters are readers of themselves."""

import numpy as np
import pytest

from im2dem.core.errors import GridMismatchError
from im2dem.core.grid import Grid, Window
from im2dem.core.raster import Raster


def test_reading_outside_gives_nan() -> None:
    raster = Raster(np.arange(12.0).reshape(1, 3, 4), Grid.local((3, 4), 1.0), ("height",))
    got = raster.read(Window(-1, 2, 3, 4))
    assert np.isnan(got[0, 0]).all()
    np.testing.assert_array_equal(got[0, 1:, :2], [[2, 3], [6, 7]])
    assert np.isnan(got[0, :, 2:]).all()


def test_shape_must_fit_the_grid_and_the_bands() -> None:
    with pytest.raises(GridMismatchError, match="2 band"):
        Raster(np.zeros((1, 3, 4)), Grid.local((3, 4), 1.0), ("height", "sigma"))


def test_valid_needs_every_band() -> None:
    data = np.zeros((2, 1, 3))
    data[1, 0, 1] = np.nan
    raster = Raster(data, Grid.local((1, 3), 1.0), ("height", "sigma"))
    np.testing.assert_array_equal(raster.valid, [[True, False, True]])
    assert raster.data.dtype == np.float32
