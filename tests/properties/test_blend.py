import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core.blend import Blender
from im2dem.core.grid import Window
from im2dem.core.tiles import TilePlan


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 120),
    st.integers(1, 120),
    st.integers(1, 50).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(0, tile * 3 // 4))),
    st.randoms(use_true_random=False),
)
def test_any_plan_in_any_order_within_rows_gives_the_input_back(height, width, tile_overlap, random):
    tile_px, overlap_px = tile_overlap
    overlap_px = min(overlap_px, tile_px - 1)
    plan = TilePlan((height, width), tile_px, overlap_px)
    rng = np.random.default_rng(height * 1000 + width)
    data = rng.normal(500, 300, (1, height, width)).astype(np.float32)
    blender, out, done = Blender(plan, 1), np.full_like(data, np.nan), 0
    for row in plan.rows:
        tiles = list(row)
        random.shuffle(tiles)
        for tile in tiles:
            blender.feed(tile, data[(slice(None), *tile.window.slices())])
        window = Window(done, 0, blender.rows_done() - done, width)
        out[:, window.row_off : window.row_stop] = blender.result(window)
        done = window.row_stop
    # Up to 16 tiles over a pixel, each adding a rounding of 6e-8 to both sums.
    np.testing.assert_allclose(out, data, rtol=4e-6, atol=1e-6)
