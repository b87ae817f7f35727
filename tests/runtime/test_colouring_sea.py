"""Where the sea is, by heights alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from im2dem.runtime.colouring_sea import SEA, paint_sea, sea_share


def coast() -> np.ndarray:
    """Sea in the west, a beach, hills that rise eastwards; metres."""
    return np.maximum(np.arange(60.0, dtype=np.float32) - 29.0, 0.0) * np.ones((40, 1), np.float32)


def test_level_ground_at_zero_is_sea_up_to_the_shore():
    share = sea_share(coast())
    # Columns 0 to 29 are at 0; the blur of 0.7 px reaches two pixels to either side.
    assert (share[:, :27] == 1).all()
    assert (share[:, 33:] == 0).all()
    assert (np.diff(share, axis=1) <= 1e-6).all()


def test_lakes_above_and_marshes_at_the_sea_are_left_to_the_network():
    rng = np.random.default_rng(1)
    marsh = rng.uniform(-0.3, 0.3, (40, 60)).astype(np.float32)
    for height_m in (coast() + 300.0, marsh, coast() - 5.0):
        image = rng.random((3, 40, 60), np.float32)
        assert paint_sea(image, height_m.astype(np.float32)) is image


def test_the_sea_has_its_colour_and_land_keeps_its_own():
    image = np.full((3, 40, 60), 0.5, np.float32)
    painted = paint_sea(image, coast())
    np.testing.assert_allclose(painted[:, 20, 10], SEA, atol=1e-6)
    assert (painted[:, :, 33:] == 0.5).all()


@given(left=st.integers(0, 20), top=st.integers(0, 12))
def test_a_part_is_painted_as_in_the_whole(left, top):
    rng = np.random.default_rng(3)
    height_m = np.maximum(np.cumsum(rng.normal(0, 0.4, (40, 60)), axis=1), 0).astype(np.float32)
    whole, part = sea_share(height_m), sea_share(height_m[top : top + 28, left : left + 40])
    # Evenness looks 2 pixels far, the shore comes back by 2, the blur reaches 2.
    inner = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(part[inner], whole[top : top + 28, left : left + 40][inner], atol=1e-6)
