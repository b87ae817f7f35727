"""Anchoring on synthetic truth: what must be exact is exact, and no prior comes out worse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from im2dem.core.alignment import block_mean, upsample
from im2dem.core.anchor_field import FieldOptions, fit_field
from im2dem.core.anchor_fit import fit_line
from im2dem.core.anchor_fusion import Fusion, fuse, trust_detail
from im2dem.core.anchor_poisson import Anchors, solve_poisson
from im2dem.core.anchor_surface import CellSurface, fill_cells
from im2dem.core.errors import GridMismatchError, NoDataError, UsageError


def relief(shape, seed=0, spread=200.0):
    """Rough heights: octaves whose amplitude halves with their size."""
    rng = np.random.default_rng(seed)
    total = sum(s * gaussian_filter(rng.normal(size=shape), s, mode="wrap") * s for s in (2, 4, 8, 16, 32))
    return spread * total / total.std() + 800


def rmse(error):
    return float(np.sqrt(np.nanmean(np.square(error))))


# ---- the surface ----


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 8), st.integers(0, 8), st.integers(0, 99)
)
def test_the_surface_gives_the_means_back(height, width, factor, down, right, seed):
    surface = CellSurface((height, width), factor, (down % factor, right % factor))
    cells = np.random.default_rng(seed).normal(500, 100, surface.cells)
    fine = surface.rows(surface.coefficients(cells), 0, height)
    np.testing.assert_allclose(surface.means(fine), cells, atol=1e-6)  # rounding of float64 sums at 500


def test_strips_add_up_and_the_surface_is_local():
    z = relief((50, 37))
    surface = CellSurface(z.shape, 8, (3, 5))
    total, count = (sum(parts) for parts in zip(*(surface.sums(z[i : i + 9], i) for i in range(0, 50, 9)), strict=True))
    np.testing.assert_allclose(total / count, surface.means(z))
    coefficients = surface.coefficients(surface.means(z))
    whole = surface.rows(coefficients, 0, 50)
    np.testing.assert_array_equal(surface.rows(coefficients, 20, 31), whole[20:31])
    with pytest.raises(GridMismatchError):
        surface.sums(z, 1)
    with pytest.raises(UsageError):
        CellSurface((4, 4), 2, (2, 0))


def test_voids_are_filled_smoothly():
    plane = np.add.outer(np.arange(30.0), 2 * np.arange(40.0))
    holed = plane.copy()
    holed[10:20, 10:25] = np.nan
    filled = fill_cells(holed)
    assert np.abs(filled - plane).max() < 2.0  # a plane of range 107 comes back to within 2 % of it
    with pytest.raises(NoDataError):
        fill_cells(np.full((3, 3), np.nan))


# ---- fusion ----


@pytest.mark.parametrize("factor", [4, 8, 16])
def test_the_right_relief_in_a_wrong_scale_is_found_again(factor):
    z = relief((256, 256))
    pred = 0.4 * (z - z.mean())
    prior = block_mean(z, factor)
    height, sigma, trust = fuse(pred, CellSurface(z.shape, factor), prior)
    bicubic = rmse(upsample(prior, factor, z.shape) - z)
    # All detail is in the prediction; what is left is a scale that was measured in windows.
    assert rmse(height - z) < 0.15 * bicubic
    assert trust.overall == pytest.approx(2.5, rel=0.05)
    assert (sigma > 0).all()


@pytest.mark.parametrize("factor", [8, 16, 32])
@pytest.mark.parametrize("wrong", ["noise", "inverted", "other relief", "flat"])
def test_a_wrong_prediction_never_makes_the_prior_worse(factor, wrong):
    z = relief((256, 256), 1)
    rng = np.random.default_rng(5)
    pred = {
        "noise": 100 * gaussian_filter(rng.normal(size=z.shape), 3),
        "inverted": -(z - z.mean()),
        "other relief": relief(z.shape, 77) - 800,
        "flat": np.zeros(z.shape),
    }[wrong]
    prior = block_mean(z, factor)
    height, _, _ = fuse(pred, CellSurface(z.shape, factor), prior)
    assert rmse(height - z) <= 1.02 * rmse(upsample(prior, factor, z.shape) - z)


def joined(pred, surface, prior, trust, prior_sigma=0.0):
    fusion = Fusion(surface, prior, surface.means(pred), trust, prior_sigma)
    fusion.add_detail(pred, 0)
    return fusion.rows(pred, 0)[0]


def test_the_result_averaged_is_the_prior_where_the_correction_is_believed():
    z = relief((130, 100), 2)
    pred = z + relief(z.shape, 3, 50.0) - 800
    surface = CellSurface(z.shape, 8, (2, 5))
    prior = surface.means(z)
    measured = trust_detail(prior, surface.means(pred), 8)
    assert measured.weight.max() > 0.5
    whole = replace(measured, correction=np.ones(prior.shape))
    # float32 at 1,000 m
    np.testing.assert_allclose(surface.means(joined(pred, surface, prior, whole)), prior, atol=1e-3)
    assert np.abs(surface.means(joined(pred, surface, prior, whole, 2.0)) - prior).max() < 2.01
    # Where it is not, the means are no further off than those of a bicubic interpolation.
    plain = surface.rows(surface.plain_coefficients(prior), 0, 130)
    missed = [rmse(surface.means(x) - prior) for x in (joined(pred, surface, prior, measured), plain)]
    assert missed[0] < missed[1]


def test_a_plain_at_the_foot_of_mountains_does_not_ring():
    """A mountain range that ends, and a plain with a metre of noise: the plain stays an interpolation."""
    rng = np.random.default_rng(3)
    range_of_hills = np.clip((256 - np.arange(512)) / 64, 0, 1) ** 2
    z = relief((512, 512), 8, 400.0) * range_of_hills + rng.normal(0, 1, (512, 512))
    pred = gaussian_filter(rng.normal(size=z.shape), 4) * 200
    pred[:, :256] = 0.5 * z[:, :256]
    for factor in (8, 16):
        prior = block_mean(z, factor)
        height, _, _ = fuse(pred, CellSurface(z.shape, factor), prior)
        bicubic = upsample(prior, factor, z.shape)
        for part in (np.s_[:, :256], np.s_[:, 256:], np.s_[:, 256 + 4 * factor :]):
            assert rmse((height - z)[part]) <= 1.02 * rmse((bicubic - z)[part])


def test_voids_and_missing_pixels():
    z = relief((128, 128), 4)
    pred = z - 800
    pred[30:40, :50] = np.nan
    surface = CellSurface(z.shape, 8)
    prior = surface.means(z)
    prior[4:7, 9:12] = np.nan
    height, sigma, _ = fuse(pred, surface, prior)
    np.testing.assert_array_equal(np.isnan(height), np.isnan(pred))
    assert sigma[40:48, 80:88].mean() > 2 * np.nanmean(sigma)  # the middle of the void
    assert rmse((height - z)[32:56, 72:96]) < 60  # the prediction goes on in it


def test_sigma_tells_the_size_of_the_error():
    z = relief((256, 256), 6)
    pred = z + relief(z.shape, 7, 60.0) - 1600
    height, sigma, _ = fuse(pred, CellSurface(z.shape, 16), block_mean(z, 16))
    within = np.mean(np.abs(height - z) < sigma)
    assert 0.5 < within < 0.95  # 0.68 for normal errors; calibration is another's work


# ---- lines ----


def test_a_line_is_found_exactly_and_outliers_are_told():
    rng = np.random.default_rng(0)
    p = rng.normal(0, 100, 40)
    fit = fit_line(p, 3 * p + 250)
    assert (fit.scale, fit.shift) == (pytest.approx(3, rel=1e-6), pytest.approx(250, rel=1e-6))
    z = 3 * p + 250 + rng.normal(0, 2, 40)
    z[7] += 500
    fit = fit_line(p, z)
    assert fit.scale == pytest.approx(3, abs=0.03)
    assert fit.weights[7] < 0.05
    assert fit.spread == pytest.approx(2, rel=0.5)


def test_the_scale_is_never_negative_and_its_prior_counts_for_few():
    p = np.array([0.0, 50.0, 100.0])
    assert fit_line(p, -p).scale == 0.0
    fixed = fit_line(p, 5 * p + 10, scale_prior=(1.0, 0.0))
    assert fixed.scale == 1.0
    one = fit_line(p[:1], np.array([70.0]), np.array([3.0]), scale_prior=(1.0, 0.5))
    assert (one.scale, one.shift) == (1.0, 70.0)
    assert one.sigma(np.array([0.0]), 0.0)[0] == pytest.approx(3.0)
    assert one.sigma(np.array([100.0]), 0.0)[0] > 40  # half of 100 m: nothing is known of the scale
    with pytest.raises(UsageError):
        fit_line(p[:1], p[:1])
    with pytest.raises(NoDataError):
        fit_line(p[:0], p[:0])


# ---- fields ----


def test_a_field_finds_what_a_line_leaves_and_knows_where_it_does_not():
    rng = np.random.default_rng(3)
    shape = (120, 120)
    pred, bend = relief(shape, 8, 50.0) - 800, relief(shape, 9, 1.0) - 800
    smooth = 40 * gaussian_filter(bend, 20, mode="nearest") / gaussian_filter(bend, 20, mode="nearest").std()
    z = 2 * pred + 300 + smooth
    row, col = rng.integers(0, 60, (2, 60))  # the upper left quarter only
    fit = fit_field(np.column_stack([col, row]), pred[row, col], z[row, col])
    # Half of the relief is as smooth as the field, so that the points leave some doubt, and twice is not usual.
    assert fit.scale == pytest.approx(2, abs=0.15)
    everywhere = np.column_stack([a.ravel() for a in np.mgrid[0:120, 0:120][::-1]])
    field, sigma = fit.at(everywhere, pred.ravel())
    height = fit.shift + fit.scale * pred + field.reshape(shape)
    assert rmse((height - z)[:60, :60]) < 0.25 * rmse((2 * pred - z - np.mean(2 * pred - z))[:60, :60])
    sigma = sigma.reshape(shape)
    assert sigma[90:, 90:].mean() > 3 * sigma[5:55, 5:55].mean()


def test_a_point_that_contradicts_its_neighbours_is_left_out():
    rng = np.random.default_rng(4)
    xy = rng.random((50, 2)) * 100
    z = 500 + xy[:, 0] + 20 * np.sin(xy[:, 1] / 20)
    z += rng.normal(0, 0.5, 50)
    z[13] += 400
    fit = fit_field(xy, np.zeros(50), z)
    assert 13 in fit.outliers
    assert len(fit.outliers) <= 2  # one point in fifty may look odd beside its neighbours
    with pytest.raises(UsageError, match="3 points"):
        fit_field(xy[:2], z[:2], z[:2])


def test_a_lonely_summit_is_not_taken_for_a_mistake():
    """It is strange to its neighbours too, but leaving it out foretells them no better."""
    rng = np.random.default_rng(5)
    xy = rng.random((60, 2)) * 100
    distance = np.hypot(xy[:, 0] - xy[7, 0], xy[:, 1] - xy[7, 1])
    z = 500 + 400 * np.exp(-((distance / 8) ** 2)) + rng.normal(0, 10, 60)
    assert fit_field(xy, np.zeros(60), z).outliers == ()


@pytest.mark.parametrize("count", [3, 5, 10, 40])
def test_a_useless_prediction_leaves_an_interpolation_of_the_points(count):
    """Over many places: what few points show by chance, a scale that is not there, must cost little."""
    ratios = []
    everywhere = np.column_stack([a.ravel() for a in np.mgrid[0:96:3, 0:96:3][::-1]]).astype(float)
    for seed in range(12):
        z, other = relief((96, 96), seed, 50.0), relief((96, 96), 900 + seed, 50.0) - 800
        row, col = np.random.default_rng(seed).integers(0, 96, (2, count))
        xy = np.column_stack([col, row]).astype(float)
        truth = z[::3, ::3].ravel()
        answers = []
        for pred in (other, np.zeros(z.shape)):
            fit = fit_field(xy, pred[row, col], z[row, col], options=FieldOptions(96.0))
            flat = pred[::3, ::3].ravel()
            answers.append(rmse(fit.shift + fit.scale * flat + fit.at(everywhere, flat)[0] - truth))
        ratios.append(answers[0] / answers[1])
    assert np.mean(ratios) < (1.1 if count < 10 else 1.03)


@pytest.mark.parametrize("count", [3, 5, 20])
def test_a_good_prediction_beats_the_points_alone_and_sigma_says_how_well(count):
    ratios, standard = [], []
    everywhere = np.column_stack([a.ravel() for a in np.mgrid[0:96:3, 0:96:3][::-1]]).astype(float)
    for seed in range(12):
        z = relief((96, 96), seed, 50.0)
        pred = z - 800 + 0.4 * (relief((96, 96), 500 + seed, 50.0) - 800)
        row, col = np.random.default_rng(seed).integers(0, 96, (2, count))
        xy = np.column_stack([col, row]).astype(float)
        fit = fit_field(xy, pred[row, col], z[row, col], options=FieldOptions(96.0))
        alone = fit_field(xy, np.zeros(count), z[row, col], options=FieldOptions(96.0))
        flat, truth = pred[::3, ::3].ravel(), z[::3, ::3].ravel()
        field, sigma = fit.at(everywhere, flat)
        error = fit.shift + fit.scale * flat + field - truth
        ratios.append(rmse(error) / rmse(alone.shift + alone.at(everywhere, 0 * flat)[0] - truth))
        standard.append(np.median(np.abs(error) / sigma))
    assert np.mean(ratios) < {3: 0.9, 5: 0.8, 20: 0.7}[count]
    # 0.67 for normal errors, 0.49 for Laplace's; few points must not feign more than they know.
    assert 0.25 < np.median(standard) < 0.8


def test_a_scale_in_an_unknown_unit_is_found():
    rng = np.random.default_rng(6)
    xy, p = rng.random((20, 2)) * 50, rng.normal(size=20)
    fit = fit_field(xy, p, 700 + 90 * p, options=FieldOptions(unit_known=False))
    assert fit.scale == pytest.approx(90, rel=0.01)
    with pytest.raises(UsageError, match="positive"):
        FieldOptions(0.0)


# ---- Poisson ----


def test_poisson_equals_the_dense_solution():
    rng = np.random.default_rng(1)
    pred = rng.normal(size=(7, 9))
    pred[2:4, 3] = np.nan
    prior = rng.normal(5, 1, pred.shape)
    anchors = Anchors(prior, 0.2, np.array([0, 6]), np.array([0, 8]), np.array([3.0, 9.0]), np.array([4.0, 50.0]))
    found = solve_poisson(pred, anchors, tolerance=1e-8)
    valid = np.isfinite(pred)
    number = np.full(pred.shape, -1)
    number[valid] = np.arange(valid.sum())
    matrix, right = np.zeros((valid.sum(), valid.sum())), np.zeros(valid.sum())
    for (r, c), i in np.ndenumerate(number):
        for q, s in ((r + 1, c), (r, c + 1)):
            if i >= 0 and q < 7 and s < 9 and number[q, s] >= 0:
                j, slope = number[q, s], pred[q, s] - pred[r, c]
                matrix[[i, j], [i, j]] += 1
                matrix[[i, j], [j, i]] -= 1
                right[j] += slope
                right[i] -= slope
    matrix += 0.2 * np.eye(len(matrix))
    right += 0.2 * prior[valid]
    for r, c, h, w in ((0, 0, 3.0, 4.0), (6, 8, 9.0, 50.0)):
        matrix[number[r, c], number[r, c]] += w
        right[number[r, c]] += w * h
    np.testing.assert_allclose(found[valid], np.linalg.solve(matrix, right), atol=1e-5)
    assert np.isnan(found[~valid]).all()


def test_hard_points_are_met_and_slopes_kept():
    z = relief((150, 131), 11)
    rng = np.random.default_rng(2)
    row, col = rng.integers(0, 131, (2, 12))
    found = solve_poisson(z - 800, Anchors(rows=row, cols=col, heights=z[row, col]))
    np.testing.assert_allclose(found, z, atol=1e-3)
    lifted = z[row, col] + 5.0 * (np.arange(12) == 3)
    found = solve_poisson(z - 800, Anchors(rows=row, cols=col, heights=lifted))
    np.testing.assert_allclose(found[row, col], lifted, atol=0.01)  # hard to a ten-thousandth of 5 m, twenty times
    with pytest.raises(NoDataError):
        solve_poisson(z, Anchors())
