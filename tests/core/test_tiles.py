import pytest

from im2dem.core.errors import UsageError
from im2dem.core.grid import Window
from im2dem.core.tiles import TilePlan, tile_starts


@pytest.mark.parametrize(
    ("n", "tile", "overlap", "starts"),
    [
        (1, 256, 32, (0,)),
        (256, 256, 32, (0,)),
        (257, 256, 32, (0, 1)),
        (480, 256, 32, (0, 224)),
        (481, 256, 32, (0, 113, 225)),
        (8, 4, 0, (0, 4)),
        (5, 1, 0, (0, 1, 2, 3, 4)),
    ],
)
def test_starts_by_hand(n, tile, overlap, starts):
    assert tile_starts(n, tile, overlap) == starts


@pytest.mark.parametrize(("n", "tile", "overlap"), [(0, 4, 1), (4, 0, 0), (4, 4, 4), (4, 4, -1)])
def test_impossible_plans_are_refused(n, tile, overlap):
    with pytest.raises(UsageError):
        tile_starts(n, tile, overlap)
    with pytest.raises(UsageError):
        TilePlan((10, n), tile, overlap)


def test_plan_lists_tiles_in_reading_order():
    plan = TilePlan((10, 7), 4, 1)
    assert len(plan) == 6
    assert [t.index for t in plan] == list(range(6))
    assert [t.window for row in plan.rows for t in row] == [Window(r, c, 4, 4) for r in (0, 3, 6) for c in (0, 3)]
    assert all(plan.tile(t.row_index, t.col_index) == t for t in plan)


def test_a_small_raster_makes_small_tiles():
    plan = TilePlan((3, 9), 4, 1)
    assert plan.tile_shape == (3, 4)
    assert {t.window.shape for t in plan} == {(3, 4)}


def test_neighbours_are_named_once_with_what_they_share():
    plan = TilePlan((7, 7), 4, 1)
    shared = {(o.first, o.second): o.window for tile in plan for o in plan.overlaps(tile)}
    assert shared == {
        (0, 1): Window(0, 3, 4, 1),
        (0, 2): Window(3, 0, 1, 4),
        (0, 3): Window(3, 3, 1, 1),
        (1, 2): Window(3, 3, 1, 1),
        (1, 3): Window(3, 3, 1, 4),
        (2, 3): Window(3, 3, 4, 1),
    }


def test_tiles_without_overlap_have_no_shared_windows():
    plan = TilePlan((8, 8), 4, 0)
    assert all(plan.overlaps(tile) == () for tile in plan)
