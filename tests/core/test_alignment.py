from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core.alignment import align, block_mean, control_point_fits, parse_alignment, plane, upsample
from im2dem.core.errors import GridMismatchError, NoDataError, UsageError


def relief(seed, shape=(40, 50)):
    """Smooth heights of about 100 m amplitude."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[: shape[0], : shape[1]] / 10
    waves = (np.sin(rng.normal() * row + rng.normal() * col + phase) for phase in rng.uniform(0, 6, 5))
    return 500 + 60 * sum(waves)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 50), st.floats(0.01, 50), st.floats(-3000, 3000))
def test_a2_undoes_any_positive_scale_and_shift(seed, scale, shift):
    z = relief(seed)
    aligned = align((z - shift) / scale, z, "A2")
    # Heights below 4000 m in double precision.
    np.testing.assert_allclose(aligned.pred, z, atol=1e-6)
    assert aligned.scale == pytest.approx(scale, rel=1e-6)
    assert aligned.correlation == pytest.approx(1)


def test_a2_never_turns_a_relief_over():
    z = relief(1)
    aligned = align(-z, z, "A2")
    assert aligned.scale == 0
    assert aligned.covariance < 0
    assert aligned.correlation == pytest.approx(-1)
    np.testing.assert_allclose(aligned.pred, z.mean())


@pytest.mark.parametrize("name", ["A2", "A3"])
def test_a2_and_a3_are_the_least_squares_optimum(name):
    z, p = relief(1), relief(1) + relief(2)
    aligned = align(p, z, name)
    best = np.mean((aligned.pred - aligned.truth) ** 2)
    for scale, shift in ((1.01, 0), (0.99, 0), (1, 0.5), (1, -0.5)):
        worse = scale * (aligned.pred - aligned.pred.mean()) + aligned.pred.mean() + shift
        assert np.mean((worse - aligned.truth) ** 2) > best


def test_a1_shifts_by_the_median_and_a0_does_nothing():
    z = relief(3)
    p = z + 7.0
    p[0, 0] += 1e5  # an outlier moves a mean, not a median
    assert align(p, z, "A1").shift == pytest.approx(-7.0)
    assert align(p, z, "A0").pred == pytest.approx(p)


def test_a3_forgets_the_planes_of_both():
    z = relief(4)
    row, col = np.mgrid[:40, :50]
    aligned = align(2 * z + 30 * row - 11 * col + 4000, z - 5 * col, "A3")
    np.testing.assert_allclose(aligned.pred, aligned.truth, atol=1e-6)
    assert aligned.scale == pytest.approx(0.5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 3456.7])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rounding_of_a_constant_or_of_a_plane_is_no_relief(constant, kind):
    z = relief(5).astype(np.float32)
    flat = np.full(z.shape, constant, dtype=kind)
    for name in ("A2", "A3"):
        aligned = align(flat, z, name)
        assert aligned.scale == 0
        assert aligned.covariance == 0
        assert np.isnan(aligned.correlation)
    tilted = (plane(z) + constant).astype(kind)
    assert align(tilted, z, "A3").scale == 0
    assert align(tilted, z, "A2").scale > 0.5


def test_gaps_of_either_side_are_left_out():
    z = relief(6)
    p = 0.5 * z + 3
    p[:5], z[:, :7] = np.nan, np.nan
    p[20, 20] = np.inf
    aligned = align(p, z, "A2")
    valid = np.isfinite(p) & np.isfinite(z)
    assert np.array_equal(np.isfinite(aligned.pred), valid)
    assert np.array_equal(np.isfinite(aligned.truth), valid)
    np.testing.assert_allclose(aligned.pred[valid], z[valid])


def test_plane_is_that_of_a_general_solver_and_ignores_gaps():
    z = relief(7)
    z[np.random.default_rng(0).random(z.shape) < 0.4] = np.nan
    row, col = np.mgrid[: z.shape[0], : z.shape[1]]
    valid = np.isfinite(z)
    matrix = np.column_stack([np.ones(valid.sum()), row[valid], col[valid]])
    a, b, c = np.linalg.lstsq(matrix, z[valid], rcond=None)[0]
    np.testing.assert_allclose(plane(z), a + b * row + c * col, atol=1e-8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_plane_of_a_line_or_a_point(shape):
    z = np.arange(np.prod(shape), dtype=float).reshape(shape) * 3 + 5
    np.testing.assert_allclose(plane(z), z, atol=1e-9)


def test_control_points_give_the_exact_line_and_ignore_a_few_blunders():
    z = relief(8)
    p = (z - 100) / 4
    fits = control_point_fits(p, z, 10, np.random.default_rng(1))
    assert fits.scale.shape == (20,)
    assert fits.points.shape == (20, 10)
    np.testing.assert_allclose(fits.scale, 4)
    np.testing.assert_allclose(fits.shift, 100)
    blundered = z.copy()
    blundered.ravel()[np.random.default_rng(2).random(z.size) < 0.03] += 2000
    fits = control_point_fits(p, blundered, 100, np.random.default_rng(1))
    # Three blunders of 2 km among 100 points move least squares by 60 m, Huber's fit by a few metres.
    assert np.abs(fits.scale * p.mean() + fits.shift - z.mean()).max() < 5


def test_control_points_are_seeded_differ_and_never_repeat_in_a_draw():
    z = relief(9)
    one, two, other = (control_point_fits(z + 1, z, 25, np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(one.points, two.points)
    assert not np.array_equal(one.points, other.points)
    assert all(len(set(draw)) == 25 for draw in one.points.tolist())


@pytest.mark.parametrize("k", [3, 5, 10, 25, 100])
def test_control_points_keep_the_scale_positive(k):
    z = relief(10)
    assert (control_point_fits(-z, z, k, np.random.default_rng(0)).scale == 0).all()


@pytest.mark.parametrize("factor", [1, 2, 8, 16])
def test_block_mean_and_upsample_keep_a_ramp_away_from_the_edge(factor):
    row, col = np.mgrid[:160, :130]
    z = 3.0 * row - 2.0 * col
    fine = upsample(block_mean(z, factor), factor, z.shape)
    assert fine.shape == z.shape
    # Splines are exact for a ramp but for the mirrored ends, whose ripple dies by 0.27 a coarse cell;
    # a grid off by half a pixel would be wrong by 0.5 to 1.5 m everywhere.
    far = 5 * factor
    if far * 2 < 130:
        np.testing.assert_allclose(fine[far:-far, far:-far], z[far:-far, far:-far], atol=0.02 * factor)


def test_block_mean_leaves_gaps_out_and_keeps_partial_blocks():
    z = np.arange(30, dtype=float).reshape(5, 6)
    z[0, 0] = np.nan
    z[:2, 4:] = np.nan
    coarse = block_mean(z, 2)
    assert coarse.shape == (3, 3)
    assert coarse[0, 0] == pytest.approx(np.mean([1, 6, 7]))
    assert np.isnan(coarse[0, 2])
    assert coarse[2, 0] == pytest.approx(24.5)
    assert np.isfinite(upsample(coarse, 2, (5, 6))).all()


@pytest.mark.parametrize("name", ["A5", "a2", "A4", "A4()", "A4(1)", "A22", ""])
def test_other_names_are_refused(name):
    with pytest.raises(UsageError, match="no alignment"):
        parse_alignment(name)


def test_wrong_input_is_refused_with_its_cause():
    z = relief(0)
    with pytest.raises(GridMismatchError, match="differ in shape"):
        align(z[1:], z)
    with pytest.raises(NoDataError, match="no pixel is valid in both"):
        align(np.full_like(z, np.nan), z)
    with pytest.raises(UsageError, match="control_point_fits"):
        align(z, z, "A4(3)")
    with pytest.raises(UsageError, match="control points"):
        control_point_fits(z, z, z.size, np.random.default_rng(0))
    with pytest.raises(NoDataError):
        plane(np.full((3, 3), np.nan))
    with pytest.raises(NoDataError):
        upsample(np.full((3, 3), np.nan), 2, (6, 6))
    with pytest.raises(UsageError):
        block_mean(z, 0)
