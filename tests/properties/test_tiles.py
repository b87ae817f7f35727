from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core.tiles import TilePlan, tile_starts


@st.composite
def axes(draw, longest=3000):
    tile = draw(st.integers(1, 600))
    return draw(st.integers(1, longest)), tile, draw(st.integers(0, tile - 1))


@settings(deadline=None)
@given(axes())
def test_starts_cover_the_axis_with_the_overlap_asked_for(axis):
    n, tile, overlap = axis
    starts = tile_starts(n, tile, overlap)
    steps = np.diff(starts)
    assert starts[0] == 0
    if n <= tile:
        assert starts == (0,)
        return
    assert starts[-1] + tile == n
    assert (steps >= 1).all()
    assert (tile - steps >= overlap).all()
    # No tile too many: with one fewer, the overlap asked for would not be reached.
    assert (len(starts) - 2) * (tile - overlap) < n - tile
    # Evenly spread.
    assert steps.max() - steps.min() <= 1


@settings(deadline=None, max_examples=40)
@given(axes(), axes())
def test_every_pixel_is_covered_and_no_tile_leaves_the_raster(rows, cols):
    height, width = min(rows[0], 200), min(cols[0], 200)
    tile = max(rows[1] % 97, 7)
    plan = TilePlan((height, width), tile, rows[2] % tile // 2)
    count = np.zeros(plan.shape, int)
    for t in plan:
        window = t.window
        assert window.row_off >= 0
        assert window.col_off >= 0
        assert window.row_stop <= height
        assert window.col_stop <= width
        count[window.slices()] += 1
    assert count.min() >= 1


@settings(deadline=None, max_examples=40)
@given(axes(longest=2000), st.integers(1, 2000))
def test_overlaps_lie_in_both_tiles(axis, width):
    height, tile, overlap = axis
    tile = max(tile, 40)
    plan = TilePlan((height, width), tile, min(overlap, tile // 2))
    tiles = list(plan)
    seen = set()
    for t in tiles:
        for shared in plan.overlaps(t):
            assert shared.first == t.index < shared.second
            assert shared.window == tiles[shared.first].window.intersection(tiles[shared.second].window)
            seen.add((shared.first, shared.second))
    side_by_side = {(a.index, b.index) for row in plan.rows for a, b in pairwise(row)}
    if plan.overlap_px:
        assert side_by_side <= seen
