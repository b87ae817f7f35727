import numpy as np
import pytest

from im2dem.core.blend import Blender, axis_weights
from im2dem.core.errors import UsageError
from im2dem.core.grid import Window
from im2dem.core.tiles import TilePlan, tile_starts

RNG = np.random.default_rng


def blend(plan, data, order=None):
    """Feed windows of `data` (band, row, col) in a shuffled order within each row of tiles."""
    blender, parts, done = Blender(plan, len(data)), [], 0
    for row in plan.rows:
        tiles = list(row)
        if order is not None:
            order.shuffle(tiles)
        for tile in tiles:
            blender.feed(tile, data[(slice(None), *tile.window.slices())])
        parts.append(blender.result(Window(done, 0, blender.rows_done() - done, plan.shape[1])))
        done = blender.rows_done()
    assert done == plan.shape[0]
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize(
    ("shape", "tile", "overlap"),
    [
        ((1, 1), 64, 8),
        ((5, 300), 64, 8),
        ((300, 5), 64, 8),
        ((200, 131), 64, 63),
        ((700, 531), 128, 16),
        ((64, 64), 64, 0),
    ],
)
def test_identity_comes_back_to_rounding(shape, tile, overlap):
    rng = RNG(1)
    data = (1000 + 100 * rng.normal(size=(2, *shape))).astype(np.float32)
    out = blend(TilePlan(shape, tile, overlap), data, rng)
    # The sum of w * y and the sum of w each round once a tile over the pixel: a few units in the last place.
    np.testing.assert_allclose(out, data, rtol=1e-6 if overlap < tile / 2 else 8e-6)


def test_corner_of_the_scene_keeps_its_height():
    out = blend(TilePlan((300, 300), 128, 32), np.full((1, 300, 300), 1000, np.float32))
    assert np.abs(out - 1000).max() < 1e-3


def test_weights_fade_towards_neighbours_only():
    starts = tile_starts(300, 128, 32)
    weights = axis_weights(300, starts, 128)
    assert (weights > 0).all()
    np.testing.assert_array_equal(weights[0, :64], 1)
    np.testing.assert_array_equal(weights[-1, 64:], 1)
    assert weights[0, -1] < 0.01
    assert weights[1, 0] < 0.01
    total = np.zeros(300)
    for row, start in zip(weights, starts, strict=True):
        total[start : start + 128] += row
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_step_between_tiles_is_crossed_smoothly():
    plan = TilePlan((64, 112), 64, 16)
    blender = Blender(plan, 1)
    for tile, height in zip(plan, (0.0, 10.0), strict=True):
        blender.feed(tile, np.full((1, 64, 64), height, np.float32))
    profile = blender.result(Window(0, 0, 64, 112))[0, 30]
    assert profile[47] == 0
    assert profile[64] == 10
    steps = np.diff(profile)
    assert (steps >= -1e-6).all()
    # A raised cosine over 16 px is nowhere steeper than pi / 2 times the straight line.
    assert steps.max() < 10 / 16 * np.pi / 2 * 1.01


def test_invalid_pixels_are_nan_and_do_not_bleed():
    rng = RNG(2)
    data = rng.normal(size=(1, 150, 150)).astype(np.float32)
    data[:, 40:70, 50:90] = np.nan
    out = blend(TilePlan((150, 150), 64, 16), data)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(data))
    np.testing.assert_allclose(out[np.isfinite(data)], data[np.isfinite(data)], rtol=1e-6, atol=1e-7)


def test_valid_mask_and_empty_tiles():
    plan = TilePlan((64, 112), 64, 16)
    blender = Blender(plan, 1)
    valid = np.ones((64, 64), bool)
    valid[:, :10] = False
    blender.feed(plan.tile(0, 0), np.ones((1, 64, 64), np.float32), valid)
    blender.feed(plan.tile(0, 1), None)
    out = blender.result(Window(0, 0, 64, 112))[0]
    assert np.isnan(out[:, :10]).all()
    np.testing.assert_allclose(out[:, 10:64], 1, rtol=1e-6)
    assert np.isnan(out[:, 64:]).all()


def test_misuse_is_refused():
    plan = TilePlan((150, 150), 64, 16)
    data = np.zeros((1, 64, 64), np.float32)
    blender = Blender(plan, 1)
    with pytest.raises(UsageError, match="row 1"):
        blender.feed(plan.tile(1, 0), data)
    with pytest.raises(UsageError, match="wants data"):
        Blender(plan, 1).feed(plan.tile(0, 0), data[:, :10])
    blender.feed(plan.tile(0, 0), data)
    with pytest.raises(UsageError, match="feed each tile once"):
        blender.feed(plan.tile(0, 0), data)
    with pytest.raises(UsageError, match="rows 0 to 0"):
        blender.result(Window(0, 0, 1, 150))
    for tile in plan.row(0)[1:]:
        blender.feed(tile, data)
    with pytest.raises(UsageError, match="wide"):
        blender.result(Window(0, 100, 1, 100))
    blender.feed(plan.tile(1, 0), data)
    with pytest.raises(UsageError, match="can be had"):
        blender.result(Window(0, 0, 1, 150))


def test_memory_does_not_depend_on_height():
    low, high = (Blender(TilePlan((h, 200), 64, 16), 2) for h in (100, 100_000))
    assert low._sum.nbytes == high._sum.nbytes
