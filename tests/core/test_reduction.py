"""Block means against the plain definition."""

from __future__ import annotations

import numpy as np
import pytest

from im2dem.core import reduction
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.core.reduction import block_mean, read_reduced, reduction_factor


def by_definition(data, factor):
    height, width = data.shape[1:]
    out = np.full((data.shape[0], -(-height // factor), -(-width // factor)), np.nan)
    for band, row, col in np.ndindex(out.shape):
        block = data[band, row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
        known = block[~np.isnan(block)]
        if known.size and 2 * known.size >= block.size:
            out[band, row, col] = known.mean(dtype=np.float64)
    return out


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_block_mean_is_the_mean_of_what_is_there(factor):
    data = np.random.default_rng(3).normal(size=(2, 17, 23)).astype(np.float32)
    data[:, 4:9, 5:12] = np.nan
    # Sums in float64 on both sides; one rounding to float32 is 6e-8.
    np.testing.assert_allclose(block_mean(data, factor), by_definition(data, factor), rtol=1e-6)


def test_strips_give_what_the_whole_gives(monkeypatch):
    data = np.random.default_rng(4).normal(size=(1, 61, 40)).astype(np.float32)
    raster = Raster(data, Grid.local((61, 40), 10), ("height",))
    monkeypatch.setattr(reduction, "_STRIP_PX", 400)
    np.testing.assert_array_equal(read_reduced(raster, 3), block_mean(data, 3))


def test_factor_brings_the_longer_side_below_the_limit():
    for side in (2, 1023, 1024, 1025, 2048, 2049, 20000):
        factor = reduction_factor((side, 5), 1024)
        assert -(-side // factor) <= 1024
        assert factor == 1 or -(-side // (factor - 1)) > 1024
    with pytest.raises(UsageError, match="at least 2 pixels"):
        reduction_factor((4, 4), 1)
