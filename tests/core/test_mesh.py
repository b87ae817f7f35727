"""Triangles: the bound on their error holds at every pixel, nothing lies over a void, bodies are closed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from im2dem.core import mesh
from im2dem.core.errors import NoDataError, UsageError

# Heights are float32 of at most some hundred metres: interpolation in float64 is exact to far less than this.
ROUNDING_M = 1e-6


def surface(seed: int, shape: tuple[int, int], holes: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = ndimage.gaussian_filter(rng.normal(0, 300, shape), 2) + 500
    if holes:
        z[rng.random(shape) < 0.03] = np.nan
        z[: shape[0] // 5, : shape[1] // 4] = np.nan
    return z.astype(np.float32)


def height_under(made: mesh.GridMesh) -> np.ndarray:
    """Height of the surface at every pixel, NaN where there is none; one triangle after the other."""
    out = np.full(made.shape, np.nan)
    for a, b, c in made.triangles:
        rows, cols, z = made.row[[a, b, c]], made.col[[a, b, c]], made.height[[a, b, c]]
        r, q = np.mgrid[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
        area = (cols[1] - cols[0]) * (rows[2] - rows[0]) - (cols[2] - cols[0]) * (rows[1] - rows[0])
        v = ((q - cols[0]) * (rows[2] - rows[0]) - (cols[2] - cols[0]) * (r - rows[0])) / area
        w = ((cols[1] - cols[0]) * (r - rows[0]) - (q - cols[0]) * (rows[1] - rows[0])) / area
        inside = (v >= -1e-9) & (w >= -1e-9) & (v + w <= 1 + 1e-9)
        value = z[0] + v * (z[1] - z[0]) + w * (z[2] - z[0])
        out[r[inside], q[inside]] = value[inside]
    return out


def edge_uses(triangles: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """For each undirected edge, +1 or -1 per triangle that runs through it."""
    uses: dict[tuple[int, int], list[int]] = {}
    for triangle in triangles.tolist():
        for a, b in zip(triangle, triangle[1:] + triangle[:1], strict=True):
            uses.setdefault((min(a, b), max(a, b)), []).append(1 if a < b else -1)
    return uses


def is_closed(triangles: np.ndarray) -> bool:
    return all(sorted(use) == [-1, 1] for use in edge_uses(triangles).values())


def volume(points: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 10_000),
    st.integers(2, 22),
    st.integers(2, 22),
    st.sampled_from([0.0, 0.5, 5.0, 40.0]),
    st.booleans(),
)
def test_no_pixel_is_farther_than_the_bound(seed, rows, cols, bound, holes):
    z = surface(seed, (rows, cols), holes)
    try:
        made = mesh.bounded_mesh(z, bound)
    except NoDataError:
        assert holes
        return
    under = height_under(made)
    covered = np.isfinite(under)
    assert np.abs(under - z)[covered].max() <= bound + ROUNDING_M
    assert np.isfinite(z[covered]).all()
    if not holes:
        assert covered.all()
    # Neighbours share whole edges: an edge is used once (rim) or twice, in both directions.
    assert all(sorted(use) in ([-1], [1], [-1, 1]) for use in edge_uses(made.triangles).values())


def test_a_plane_needs_few_triangles_and_a_bump_more():
    row, col = np.mgrid[0:257, 0:257]
    plane = (3.0 * row - 2.0 * col).astype(np.float32)
    assert len(mesh.bounded_mesh(plane, 0.01).triangles) == 2
    plane[100, 101] += 50
    bumped = mesh.bounded_mesh(plane, 1.0)
    assert 10 < len(bumped.triangles) < 400
    assert plane[100, 101] in bumped.height


def test_fewer_triangles_for_a_larger_bound():
    z = surface(1, (200, 150))
    counts = [len(mesh.bounded_mesh(z, bound).triangles) for bound in (0.1, 2, 10, 50)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0] / 10


def test_regular_mesh_covers_cells_with_three_corners():
    z = np.zeros((3, 3), dtype=np.float32)
    assert len(mesh.regular_mesh(z).triangles) == 8
    for corner in ((0, 0), (0, 2), (2, 0), (2, 2)):
        hole = z.copy()
        hole[corner] = np.nan
        made = mesh.regular_mesh(hole)
        assert len(made.triangles) == 7
        points, triangles = made.placed((1, 0), (0, -1))
        assert (mesh.vertex_normals(points, triangles)[:, 2] == 1).all()


@pytest.mark.parametrize("axes", [((30, 0), (0, -30)), ((30, 0), (0, 30)), ((-20, 5), (5, 20)), ((0, 10), (10, 0))])
def test_faces_look_up_whichever_way_the_axes_run(axes):
    points, triangles = mesh.bounded_mesh(surface(2, (30, 40)), 5).placed(*axes)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("bound", [None, 0.0, 20.0])
def test_bodies_are_closed_and_have_the_volume_under_the_surface(holes, bound):
    z = surface(3, (45, 52), holes)
    made = mesh.regular_mesh(z) if bound is None else mesh.bounded_mesh(z, bound)
    points, triangles = made.placed((10, 0), (0, -10))
    body, faces = mesh.solid(points, triangles, -100.0)
    assert is_closed(faces)
    kept = mesh.without_pinches(triangles)
    a, b, c = (points[kept[:, k]] for k in range(3))
    ground = np.cross(b - a, c - a)[:, 2] / 2
    expected = (ground * ((a + b + c)[:, 2] / 3 + 100)).sum()
    # The corners are sums of thousands of float64 products.
    assert volume(body, faces) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.02, 0.5))
def test_any_pattern_of_voids_gives_a_closed_body_or_a_clear_error(seed, share):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 10, (12, 15)).astype(np.float32)
    z[rng.random(z.shape) < share] = np.nan
    try:
        points, triangles = mesh.regular_mesh(z).placed((1, 0), (0, -1))
        faces = mesh.solid(points, triangles, -100)[1]
    except NoDataError:
        return
    assert is_closed(faces)


def test_a_flat_bottom_takes_few_triangles_when_there_is_no_hole():
    points, triangles = mesh.regular_mesh(surface(4, (30, 30))).placed((1, 0), (0, -1))
    _, faces = mesh.solid(points, triangles, -1000)
    rim = 4 * 29
    assert len(faces) == len(triangles) + 3 * rim


def test_parts_fit_without_a_gap():
    z = surface(5, (65, 65))
    whole = mesh.bounded_mesh(z, 8, block_px=16)
    parts = [whole.part(r, c) for r in ((0, 32), (32, 64)) for c in ((0, 48), (48, 64))]
    assert sum(len(part.triangles) for part in parts) == len(whole.triangles)
    left, right = parts[0], parts[1]
    seam = [set(zip(p.row[p.col == 48].tolist(), p.height[p.col == 48].tolist(), strict=True)) for p in (left, right)]
    assert seam[0] == seam[1]
    assert len(seam[0]) > 2


def test_skirts_hang_under_the_rim():
    points, triangles = mesh.regular_mesh(surface(6, (5, 7))).placed((1, 0), (0, -1))
    longer, faces = mesh.with_skirt(points, triangles, 30)
    rim = 2 * (4 + 6)
    assert len(longer) == len(points) + rim
    assert len(faces) == len(triangles) + 2 * rim
    for point in longer[len(points) :]:
        above = points[(points[:, 0] == point[0]) & (points[:, 1] == point[1])]
        assert above[0, 2] - point[2] == pytest.approx(30)


def test_texture_coordinates_are_pixel_centres():
    made = mesh.regular_mesh(np.zeros((2, 4), dtype=np.float32))
    np.testing.assert_allclose(made.uv[0], (0.125, 0.25))
    np.testing.assert_allclose(made.uv[-1], (0.875, 0.75))


def test_what_cannot_be_a_surface_says_why():
    with pytest.raises(UsageError, match="2 x 2"):
        mesh.regular_mesh(np.zeros((1, 5), dtype=np.float32))
    with pytest.raises(UsageError, match="0 m or more"):
        mesh.bounded_mesh(np.zeros((3, 3), dtype=np.float32), float("nan"))
    with pytest.raises(NoDataError, match="nodata"):
        mesh.bounded_mesh(np.full((5, 5), np.nan, dtype=np.float32), 1)
    points, triangles = mesh.regular_mesh(np.zeros((3, 3), dtype=np.float32)).placed((1, 0), (0, -1))
    with pytest.raises(UsageError, match="below the lowest"):
        mesh.solid(points, triangles, 0.0)
    with pytest.raises(NoDataError, match="fewer"):
        mesh.regular_mesh(np.zeros((9, 9), dtype=np.float32)).part((3, 3), (0, 8))
