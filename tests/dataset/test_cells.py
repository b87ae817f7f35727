"""Split by place: no leak on random areas, and `too_near` finds the leaks that are put in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from im2dem.core.errors import UsageError
from im2dem.dataset.area import Area
from im2dem.dataset.cells import BUFFER, SPLITS, SplitPlan, grow_box, least_distance_m, too_near
from im2dem.dataset.plan import lattice_place, plan_chips

GEOD = Geod(ellps="WGS84")


def square(lon: float, lat: float, side_deg: float) -> Area:
    west, east, south, north = lon - side_deg, lon + side_deg, lat - side_deg, lat + side_deg
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return Area(({"type": "Polygon", "coordinates": [ring]},), "square")


@settings(max_examples=25, deadline=None)
@given(
    lon=st.floats(-179, 179), lat=st.floats(-75, 83), seed=st.integers(0, 10),
    cell_km=st.sampled_from([5.0, 10.0, 20.0]),
    buffer_m=st.sampled_from([0.0, 300.0, 1000.0, 3000.0]),
)  # fmt: skip
def test_no_area_leaks(lon, lat, seed, cell_km, buffer_m):
    plan = SplitPlan(cell_km, buffer_m, (0.25, 0.25), seed)
    chips = [c for _, c in zip(range(100), plan_chips(square(lon, lat, 0.15), 128, 10.0), strict=False)]
    boxes = [(c.name, plan.split_of(c.box), c.box) for c in chips]
    assert {split for _, split, _ in boxes} <= {*SPLITS, BUFFER}
    assert too_near(boxes, buffer_m if buffer_m else 1e-9) == []


def brute_force(boxes, buffer_m):
    """Pairs nearer than the buffer on the ellipsoid, from points along the outlines: somebody else's distance."""
    found = set()
    for i, (a, sa, box_a) in enumerate(boxes):
        for b, sb, box_b in boxes[i + 1 :]:
            if BUFFER in (sa, sb) or sa == sb:
                continue
            points = [outline(box) for box in (box_a, box_b)]
            lon1, lon2 = np.meshgrid(points[0][:, 0], points[1][:, 0])
            lat1, lat2 = np.meshgrid(points[0][:, 1], points[1][:, 1])
            if GEOD.inv(lon1, lat1, lon2, lat2)[2].min() < buffer_m:
                found.add(frozenset((a, b)))
    return found


def outline(box):
    west, south, east, north = box
    t = np.linspace(0, 1, 5)
    sides = [(west + t * (east - west), np.full(5, lat)) for lat in (south, north)]
    sides += [(np.full(5, lon), south + t * (north - south)) for lon in (west, east)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


@pytest.mark.parametrize(("lon", "lat"), [(8.0, 46.0), (179.99, 10.0), (25.0, 78.0), (-70.0, -33.0)])
def test_too_near_agrees_with_the_ellipsoid(lon, lat):
    rng = np.random.default_rng(3)
    boxes = []
    for i in range(30):
        x, y = lon + rng.uniform(-0.3, 0.3), lat + rng.uniform(-0.1, 0.1)
        boxes.append((f"c{i}", SPLITS[i % 3], (x, y, x + 0.02, y + 0.02)))
    # Sphere and ellipsoid differ by 0.34 %, outlines are sampled: near the limit both answers are right.
    ours = {frozenset(pair[:2]) for pair in too_near(boxes, 2000.0)}
    assert brute_force(boxes, 1950.0) <= ours
    assert ours <= brute_force(boxes, 2100.0)
    assert ours


def test_a_leak_across_the_180th_meridian_is_found():
    boxes = [("a", "train", (179.99, 0.0, 179.999, 0.01)), ("b", "test", (-179.999, 0.0, -179.99, 0.01))]
    ((a, b, distance_m),) = too_near(boxes, 500.0)
    assert {a, b} == {"a", "b"}
    assert distance_m == pytest.approx(0.002 * 111_195, rel=0.01)


def test_shares_are_met_over_many_cells():
    plan = SplitPlan(10.0, 0.0, (0.2, 0.1), 5)
    splits = [plan.split_of_cell(row, column) for row in range(100) for column in range(100)]
    # 10,000 draws: three standard deviations are 1.2 %.
    assert splits.count("val") / 1e4 == pytest.approx(0.2, abs=0.012)
    assert splits.count("test") / 1e4 == pytest.approx(0.1, abs=0.012)


def test_a_place_has_one_cell_and_its_neighbours_wrap():
    plan = SplitPlan(10.0)
    assert plan.cell_of(180.0, 10.0) == plan.cell_of(-180.0, 10.0)
    assert plan.cell_of(0.0, 90.0)[0] == plan.cell_of(0.0, 89.99)[0]
    touched = list(plan.cells_touched((179.95, 0.0, 180.05, 0.01)))
    assert plan.cell_of(179.99, 0.005) in touched
    assert plan.cell_of(-179.99, 0.005) in touched


def test_the_split_does_not_depend_on_the_area():
    plan = SplitPlan(10.0, 500.0, (0.3, 0.3))
    small = {c.name: plan.split_of(c.box) for c in plan_chips(square(9.0, 46.0, 0.05), 64, 10.0)}
    large = {c.name: plan.split_of(c.box) for c in plan_chips(square(9.02, 46.01, 0.12), 64, 10.0)}
    assert small
    assert {name: large[name] for name in small} == small


def test_grown_boxes_hold_what_is_near():
    box = grow_box((10.0, 60.0, 10.1, 60.1), 1000.0)
    for lon, lat in ((10.0, 60.0), (10.1, 60.1)):
        for azimuth in range(0, 360, 15):
            x, y, _ = GEOD.fwd(lon, lat, azimuth, 999.0)
            assert box[0] <= x <= box[2]
            assert box[1] <= y <= box[3]


def test_distance_of_boxes():
    a = (0.0, 0.0, 1.0, 1.0)
    assert least_distance_m(a, (0.5, 0.5, 2.0, 2.0)) == 0.0
    assert least_distance_m(a, (1.0, 2.0, 2.0, 3.0)) == pytest.approx(math.radians(1) * 6_371_008.8)


@pytest.mark.parametrize("bad", [{"cell_km": 0.1}, {"buffer_m": -1.0}, {"buffer_m": 1e6}, {"shares": (0.6, 0.5)}])
def test_bad_plans_are_refused(bad):
    with pytest.raises(UsageError):
        SplitPlan(**bad)


def test_chips_are_unique_and_cover_the_area_across_a_zone_border():
    chips = list(plan_chips(square(12.0, 50.0, 0.1), 128, 10.0))
    assert len({c.name for c in chips}) == len(chips)
    assert {str(c.grid.crs) for c in chips} == {"EPSG:32632", "EPSG:32633"}
    for chip in chips:
        row, col = lattice_place(chip)
        assert chip.grid.transform.c == col * 1280.0
        assert chip.grid.transform.f == (row + 1) * 1280.0
    rng = np.random.default_rng(0)
    for lon, lat in zip(rng.uniform(11.91, 12.09, 50), rng.uniform(49.91, 50.09, 50), strict=True):
        # A chip belongs to the zone of its centre: within a chip's side of the border there may be gaps.
        assert abs(lon - 12.0) < 0.018 or any(
            c.box[0] <= lon <= c.box[2] and c.box[1] <= lat <= c.box[3] for c in chips
        )
