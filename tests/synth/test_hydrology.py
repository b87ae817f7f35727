"""Water finds its way out of any land, and area is counted once."""

import heapq

import numpy as np
import pytest

from im2dem.core.errors import UsageError
from im2dem.synth import hydrology
from im2dem.synth.hydrology import EPSILON_M, count_pits, drainage, drainage_density, flow_accumulation, strahler_order
from im2dem.synth.noise import Lattice, NoiseOptions, noise


def rough(size: int = 48) -> np.ndarray:
    """Heights with many pits."""
    return noise(Lattice((size, size), 30.0), 5, NoiseOptions(400.0, 5), np.float64) * 300


@pytest.mark.parametrize("wander_seed", [None, 3])
def test_no_pit_is_left_and_nothing_is_lowered(wander_seed: int | None) -> None:
    dem = rough()
    way = drainage(dem, wander_seed=wander_seed)
    assert count_pits(dem) > 0
    assert count_pits(way.filled.astype(np.float32)) == 0
    assert (way.filled >= dem).all()


@pytest.mark.parametrize("sea_m", [None, -20.0])
def test_pits_are_filled_as_by_the_plain_algorithm(sea_m: float | None) -> None:
    dem = rough(32)
    height, width = dem.shape
    filled = np.full(dem.shape, np.nan)
    sea = -np.inf if sea_m is None else sea_m
    heap = [
        (dem[r, c], r, c)
        for r in range(height)
        for c in range(width)
        if r in (0, height - 1) or c in (0, width - 1) or dem[r, c] <= sea
    ]
    for z, r, c in heap:
        filled[r, c] = z
    heapq.heapify(heap)
    while heap:
        z, r, c = heapq.heappop(heap)
        for i in range(max(r - 1, 0), min(r + 2, height)):
            for j in range(max(c - 1, 0), min(c + 2, width)):
                if np.isnan(filled[i, j]):
                    filled[i, j] = max(dem[i, j], z + EPSILON_M)
                    heapq.heappush(heap, (filled[i, j], i, j))
    assert np.array_equal(drainage(dem, sea_m).filled, filled)


def test_every_pixel_drains_to_the_edge_through_lower_ones() -> None:
    way = drainage(rough(), wander_seed=1)
    filled = way.filled.ravel()
    inner = np.flatnonzero(way.receiver != np.arange(filled.size))
    assert inner.size == 46 * 46
    assert (filled[way.receiver[inner]] < filled[inner]).all()
    place = np.empty(filled.size, int)
    place[way.order] = np.arange(filled.size)
    assert (place[way.receiver[inner]] < place[inner]).all()


def test_wandering_water_goes_straight_down_on_average() -> None:
    row, col = np.mgrid[:64, :64].astype(float)
    for towards_deg in (10.0, 22.5, 70.0, 200.0):
        down = np.array([np.sin(np.radians(towards_deg)), np.cos(np.radians(towards_deg))])
        way = drainage(-(down[0] * row + down[1] * col), wander_seed=5)
        at = np.flatnonzero(way.receiver != np.arange(row.size))
        step = np.array([way.receiver[at] // 64 - at // 64, way.receiver[at] % 64 - at % 64]).mean(axis=1)
        off_deg = np.degrees(np.arctan2(*step)) - towards_deg
        # Three times the spread of the mean of 3,844 draws. The steepest neighbour alone is off by up to 22.5.
        assert abs((off_deg + 180) % 360 - 180) < 1.5


def test_water_wanders_alike_and_in_silence_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="the extra [synth] is not installed; there is nothing to compare with")
    fast = drainage(rough(24), wander_seed=9).receiver
    for name in ("_chance", "_leaning", "_receivers"):
        monkeypatch.setattr(hydrology, name, getattr(hydrology, name).py_func)
    # Warnings are errors here.
    assert np.array_equal(drainage(rough(24), wander_seed=9).receiver, fast)


def test_area_is_conserved() -> None:
    way = drainage(rough())
    area = flow_accumulation(way)
    outlets = way.receiver == np.arange(area.size)
    assert area.ravel()[outlets].sum() == area.size


def test_a_gutter_collects_both_sides() -> None:
    # A V along the rows, falling southwards: by the last inner row its middle has drained all inner pixels above.
    row, col = np.mgrid[:20, :21].astype(float)
    area = flow_accumulation(drainage(10 * np.abs(col - 10) - row))
    assert area[18, 10] == area[:, 10].max(initial=0, where=np.arange(20) < 19)
    assert area[18, 10] > 150


def test_two_streams_of_an_order_make_the_next() -> None:
    dem = rough()
    order = strahler_order(drainage(dem), 6)
    assert order.max() >= 2
    assert (order[flow_accumulation(drainage(dem)) < 6] == 0).all()
    assert drainage_density(dem, 30.0, 1e4) > drainage_density(dem, 30.0, 1e5) > 0


def test_the_sea_takes_water() -> None:
    dem = np.full((9, 9), 5.0)
    dem[4, 4] = -1.0
    way = drainage(dem, sea_m=0.0)
    assert way.receiver[4 * 9 + 4] == 4 * 9 + 4
    assert way.filled[4, 4] == -1.0


def test_missing_heights_are_refused() -> None:
    with pytest.raises(UsageError, match="NaN"):
        drainage(np.full((5, 5), np.nan))
