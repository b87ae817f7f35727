"""Figures against hand-made numbers, SciPy, and loops that follow the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from im2dem.core import metrics, metrics_uncertainty
from im2dem.core.errors import GridMismatchError, NoDataError, UsageError
from im2dem.core.metrics_structure import (
    BLUR_SIGMAS_PX,
    OCTAVES_PX,
    Relief,
    gradient_cosines,
    hillshade_ssims,
    psd_log_ratios,
    slope_mae_deg,
    ssim,
)
from im2dem.core.metrics_tile import TileOptions, TileTruth, coverage_key, score_tile
from im2dem.core.terrain import gradient, slope_deg

PIXEL = (30.0, 30.0)


def rough(seed=0, shape=(72, 64), sigma=3.0, std=80.0):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return 600 + std * field / field.std()


def with_gaps(dem, seed=9):
    dem = dem.copy()
    dem[ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(dem.shape), 4) > 0.1] = np.nan
    dem[:6, :9] = np.nan
    return dem


# --- heights and ranks ---


def test_heights_by_hand():
    dh = np.array([[1.0, -3.0, np.nan], [2.0, 0.0, 10.0]])
    assert metrics.bias(dh) == 2.0
    assert metrics.mae(dh) == pytest.approx(16 / 5)
    assert metrics.rmse(dh) == pytest.approx(math.sqrt(114 / 5))
    assert metrics.nmad(dh) == pytest.approx(1.4826 * 1.0)  # median 1; distances 0 4 1 1 9
    assert metrics.le90(dh) == pytest.approx(3 + 0.6 * 7)  # sorted 0 1 2 3 10, position 3.6


def test_nmad_and_le90_of_normal_errors_are_those_of_the_law():
    dh = np.random.default_rng(0).normal(5.0, 2.0, 200_000)
    assert metrics.nmad(dh) == pytest.approx(2.0, rel=0.02)  # sampling error of a median at n = 200,000
    assert metrics.le90(dh - 5.0) == pytest.approx(1.645 * 2.0, rel=0.02)


def test_skill_and_unit_error():
    z = np.array([0.0, 10.0, 20.0, 30.0, 90.0])
    assert metrics.skill(np.full(5, 20.0), z) == 0
    assert metrics.skill(z, z) == 1
    assert metrics.skill(z[::-1], z) < 0
    # Scaled to [-1, 1] by hand.
    unit = 2 * (z - 0) / 90 - 1
    p = z + np.array([9.0, 0.0, -9.0, 0.0, 0.0])
    assert metrics.mae_unit(p, z) == pytest.approx(np.abs((2 * p / 90 - 1) - unit).mean())
    assert math.isnan(metrics.skill(z, np.zeros(5)))
    assert math.isnan(metrics.mae_unit(z, np.zeros(5)))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=40))
def test_correlations_are_those_of_scipy_ties_included(points):
    p, z = np.array(points, dtype=float).T
    np.testing.assert_array_equal(metrics.average_ranks(p), stats.rankdata(p) - 1)
    if np.ptp(p) == 0 or np.ptp(z) == 0:
        assert math.isnan(metrics.pearson_r(p, z))
        assert math.isnan(metrics.spearman_rho(p, z))
        assert metrics.is_inverted(p, z)
        return
    r = stats.pearsonr(p, z).statistic
    assert metrics.pearson_r(p, z) == pytest.approx(r, abs=1e-9)
    assert metrics.spearman_rho(p, z) == pytest.approx(stats.spearmanr(p, z).statistic, abs=1e-9)
    if abs(r) > 1e-9:
        assert metrics.is_inverted(p, z) == (r < 0)


def test_a_constant_with_rounding_errors_has_no_correlation():
    flat = np.full(1000, 0.1, dtype=np.float32) * np.float32(3)
    assert math.isnan(metrics.pearson_r(flat, rough().ravel()[:1000]))


def test_ordering_accuracy():
    z, rng = rough(), np.random.default_rng
    assert metrics.ordering_accuracy(3 * z + 1, z, rng(0)) == 1
    assert metrics.ordering_accuracy(-z, z, rng(0)) == 0
    assert metrics.ordering_accuracy(np.zeros_like(z), z, rng(0)) == 0.5
    assert math.isnan(metrics.ordering_accuracy(z, np.zeros_like(z), rng(0)))
    noise = metrics.ordering_accuracy(rng(1).random(z.shape), z, rng(0), pairs=20_000)
    assert noise == pytest.approx(0.5, abs=0.02)  # 5 standard errors of 20,000 pairs


def test_seam_ratio_finds_a_ridge_of_error_along_the_seam():
    dh = np.ones((64, 64))
    assert metrics.seam_ratio(dh, (32,), ()) == 1
    dh[24:40] = -3.0
    assert metrics.seam_ratio(dh, (32,), ()) == 3
    assert metrics.seam_ratio(dh.T, (), (32,)) == 3
    assert metrics.seam_ratio(dh, (), (32,)) == pytest.approx(1)
    assert metrics.seam_ratio(np.ones((64, 64)), (-4,), ()) == 1
    assert math.isnan(metrics.seam_ratio(np.ones((64, 64)), (200,), ()))


@pytest.mark.parametrize("figure", [metrics.bias, metrics.mae, metrics.rmse, metrics.nmad, metrics.le90])
def test_no_value_no_figure(figure):
    with pytest.raises(NoDataError, match="no finite height difference"):
        figure(np.full((2, 2), np.nan))


def test_pairs_must_match():
    with pytest.raises(GridMismatchError):
        metrics.pearson_r(np.zeros(3), np.zeros(4))
    with pytest.raises(NoDataError):
        metrics.skill(np.array([np.nan, 1.0]), np.array([1.0, np.nan]))


# --- uncertainty ---


@pytest.mark.parametrize("law", ["laplace", "gaussian"])
def test_errors_of_the_law_are_calibrated_and_others_are_not(law):
    rng = np.random.default_rng(0)
    sigma = rng.uniform(1, 20, 100_000)
    draw = rng.laplace(0, 1 / math.sqrt(2), sigma.size) if law == "laplace" else rng.normal(0, 1, sigma.size)
    dh = draw * sigma
    for level in metrics_uncertainty.COVERAGE_LEVELS:
        covered = metrics_uncertainty.interval_coverage(dh, sigma, level, law)
        assert covered == pytest.approx(level, abs=0.008)  # 5 standard errors at n = 100,000
    assert metrics_uncertainty.expected_calibration_error(dh, sigma, law) < 0.005
    assert metrics_uncertainty.expected_calibration_error(dh, sigma / 3, law) > 0.2
    assert metrics_uncertainty.sigma_error_correlation(dh, sigma) > 0.3
    assert metrics_uncertainty.sigma_error_correlation(dh, sigma[::-1]) == pytest.approx(0, abs=0.02)


def test_calibration_error_is_the_mean_gap_of_the_coverages():
    rng = np.random.default_rng(1)
    dh, sigma = rng.normal(0, 2, 500), rng.uniform(0, 3, 500)
    dh[:3], sigma[:5] = 0, 0
    levels = np.arange(1, 20) / 20
    gaps = [abs(metrics_uncertainty.interval_coverage(dh, sigma, float(q), "gaussian") - q) for q in levels]
    result = metrics_uncertainty.expected_calibration_error(dh, sigma, "gaussian")
    assert result == pytest.approx(np.mean(gaps))


def test_levels_and_laws_are_checked():
    with pytest.raises(UsageError, match=r"0\.9 for 90 %"):
        metrics_uncertainty.interval_coverage(np.ones(3), np.ones(3), 90)
    with pytest.raises(UsageError, match="laplace"):
        metrics_uncertainty.interval_coverage(np.ones(3), np.ones(3), 0.9, "cauchy")


def test_bootstrap_draws_regions_not_tiles():
    rng = np.random.default_rng(0)
    regions = np.repeat(np.arange(8), 25)
    offset = rng.normal(0, 1, 8)[regions]
    values = np.column_stack([offset + rng.normal(0, 0.1, 200), np.full(200, 3.0), np.full(200, np.nan)])
    mean, low, high = metrics_uncertainty.bootstrap_interval(values, regions, np.random.default_rng(1))
    assert mean[:2] == pytest.approx(values[:, :2].mean(axis=0))
    assert (low[1], high[1]) == (3.0, 3.0)
    assert np.isnan([mean[2], low[2], high[2]]).all()
    by_tile = metrics_uncertainty.bootstrap_interval(values, np.arange(200), np.random.default_rng(1))
    # 8 regions instead of 200 tiles: five times as wide.
    assert high[0] - low[0] > 3 * (by_tile[2][0] - by_tile[1][0])
    theory = 1.96 * offset[::25].std() / math.sqrt(8)
    assert (high[0] - low[0]) / 2 == pytest.approx(theory, rel=0.2)  # percentile interval of 1,000 draws


def test_bootstrap_weighs_regions_by_their_tiles_and_skips_gaps():
    values = np.array([[1.0], [np.nan], [4.0], [4.0]])
    mean, low, high = metrics_uncertainty.bootstrap_interval(values, np.array([7, 7, 2, 2]), np.random.default_rng(0))
    assert mean[0] == 3.0
    assert (low[0], high[0]) == (1.0, 4.0)
    with pytest.raises(GridMismatchError):
        metrics_uncertainty.bootstrap_interval(values, np.array([1, 2]), np.random.default_rng(0))


# --- structure ---


@pytest.mark.parametrize("gaps", [False, True])
def test_slope_error_is_that_of_the_slopes(gaps):
    p, z = rough(1), rough(2)
    if gaps:
        p, z = (np.where(np.isfinite(with_gaps(z)), side, np.nan) for side in (p, z))
    inner = np.zeros(z.shape, bool)
    inner[1:-1, 1:-1] = True
    inner &= ndimage.binary_erosion(np.isfinite(z), np.ones((3, 3)), border_value=1)
    expected = np.abs(slope_deg(p, PIXEL) - slope_deg(z, PIXEL))[inner].mean()
    # Single precision inside.
    assert slope_mae_deg(Relief(p, PIXEL), Relief(z, PIXEL)) == pytest.approx(expected, rel=1e-4)


def test_gradient_cosine_by_its_formula():
    p, z = rough(1) + 0.7 * rough(2), rough(2)
    cosines = gradient_cosines(Relief(p, PIXEL), Relief(z, PIXEL))
    for sigma, cosine in zip(BLUR_SIGMAS_PX, cosines, strict=True):
        # 8 sigma of the kernel and mirrored edges: what the cosine transform does exactly.
        gp, gz = (
            np.stack(gradient(ndimage.gaussian_filter(s, sigma, truncate=8), PIXEL))[:, 1:-1, 1:-1] for s in (p, z)
        )
        lengths = np.sqrt((gp**2).sum(axis=0)) * np.sqrt((gz**2).sum(axis=0))
        # A sampled Gaussian of 1 px differs from the exact one by some 1e-3.
        assert cosine == pytest.approx((gp * gz).sum() / lengths.sum(), abs=2e-3)


def test_gradient_cosine_extremes_and_gaps():
    z = with_gaps(rough(3))
    truth = Relief(z, PIXEL)
    assert gradient_cosines(Relief(5 * z + 9, PIXEL), truth) == pytest.approx([1] * 6, abs=1e-5)
    assert gradient_cosines(Relief(-z, PIXEL), truth) == pytest.approx([-1] * 6, abs=1e-5)
    level = np.where(np.isfinite(z), 812.3, np.nan)
    assert np.isnan(gradient_cosines(Relief(level, PIXEL), truth)).all()
    with pytest.raises(GridMismatchError, match="same valid pixels"):
        gradient_cosines(Relief(rough(3), PIXEL), truth)
    with pytest.raises(GridMismatchError, match="one shape"):
        gradient_cosines(Relief(z[1:], PIXEL), truth)


def test_error_by_scale_sees_at_which_scale_a_prediction_is_right():
    broad, fine = rough(1, sigma=12, std=300), rough(2, sigma=1, std=30)
    cosines = gradient_cosines(Relief(broad + fine, PIXEL), Relief(broad + rough(3, sigma=1, std=30), PIXEL))
    assert cosines[0] < 0.8
    assert cosines[4] > 0.97
    assert list(cosines[:5]) == sorted(cosines[:5])


@pytest.mark.parametrize("factor", [0.1, 3.0])
def test_spectral_ratio_of_a_scaled_surface_is_the_square_of_the_scale(factor):
    z = with_gaps(rough(4, (128, 130), sigma=1))
    ratios = psd_log_ratios(Relief(factor * z + 50, PIXEL), Relief(z, PIXEL))
    assert len(ratios) == len(OCTAVES_PX) - 1
    assert ratios == pytest.approx([2 * math.log10(factor)] * len(ratios), abs=0.01)


def test_spectral_ratio_puts_a_wave_into_its_octave_and_a_blur_lowers_short_waves():
    z = np.random.default_rng(0).normal(0, 50, (256, 256))
    row = np.arange(256)[:, None]
    wave = psd_log_ratios(Relief(z + 500 * np.sin(2 * np.pi * row / 11), PIXEL), Relief(z, PIXEL))
    assert int(np.argmax(wave)) == 2  # 8 to 16 px
    assert max(wave[:2] + wave[3:]) < 0.2
    blurred = psd_log_ratios(Relief(ndimage.gaussian_filter(z, 2), PIXEL), Relief(z, PIXEL))
    assert blurred[0] < -3
    assert blurred[4] == pytest.approx(0, abs=0.1)
    assert np.isnan(psd_log_ratios(Relief(np.zeros_like(z), PIXEL), Relief(z, PIXEL))).all()


def ssim_by_loops(one, two):
    """Equation 13 of Wang et al. (2004), window by window."""
    axis = np.arange(11) - 5
    weight = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    values = []
    for row in range(one.shape[0] - 10):
        for col in range(one.shape[1] - 10):
            a, b = one[row : row + 11, col : col + 11], two[row : row + 11, col : col + 11]
            if np.isfinite(a + b).all():
                ma, mb = (weight * a).sum(), (weight * b).sum()
                va, vb = (weight * (a - ma) ** 2).sum(), (weight * (b - mb) ** 2).sum()
                cov = (weight * (a - ma) * (b - mb)).sum()
                c1, c2 = 0.01**2, 0.03**2
                values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return np.mean(values)


@pytest.mark.parametrize("gaps", [False, True])
def test_ssim_is_that_of_the_formula(gaps):
    rng = np.random.default_rng(0)
    one = rng.random((26, 31))
    two = np.clip(one + rng.normal(0, 0.2, one.shape), 0, 1)
    if gaps:
        one[3, 4], two[20, 28] = np.nan, np.nan
    # float32 kernel weights.
    assert ssim(one, two) == pytest.approx(ssim_by_loops(one, two), abs=1e-6)
    assert ssim(one, one) == pytest.approx(1)


def test_ssim_without_a_whole_window():
    assert math.isnan(ssim(np.zeros((10, 40)), np.zeros((10, 40))))
    with pytest.raises(GridMismatchError):
        ssim(np.zeros((20, 40)), np.zeros((40, 20)))


def test_hillshade_similarity_punishes_blur_and_inversion():
    z = rough(5, sigma=2)
    truth = Relief(z, PIXEL)
    assert hillshade_ssims(truth, truth) == pytest.approx((1, 1))
    blurred = hillshade_ssims(Relief(ndimage.gaussian_filter(z, 4), PIXEL), truth)
    inverted = hillshade_ssims(Relief(-z, PIXEL), truth)
    assert max(blurred) < 0.8
    assert max(inverted) < min(blurred)


# --- a whole tile ---


def test_tile_scores_agree_with_the_single_figures():
    z = with_gaps(rough(1)).astype(np.float32)
    p = (0.4 * rough(1) + 0.2 * rough(2)).astype(np.float32)
    p[40:44, 10:20] = np.nan
    both = np.isfinite(p) & np.isfinite(z)
    scores = score_tile(p, TileTruth(z, PIXEL), TileOptions(("A0", "A1", "A2", "A3", "A4(10)")))
    dh = np.where(both, p - z, np.nan).astype(float)
    assert scores["A0"]["mae"] == pytest.approx(metrics.mae(dh))
    assert scores["A0"]["nmad"] == pytest.approx(metrics.nmad(dh), rel=1e-5)
    assert scores["A0"]["skill"] == pytest.approx(metrics.skill(p, np.where(both, z, np.nan)), rel=1e-5)
    assert scores["A0"]["pearson_r"] == pytest.approx(metrics.pearson_r(p, z), rel=1e-6)
    assert scores["A2"]["spearman_rho"] == pytest.approx(metrics.spearman_rho(p, z), rel=1e-9)
    assert scores["A1"]["bias"] != scores["A0"]["bias"]
    assert scores["A1"]["slope_mae_deg"] == scores["A0"]["slope_mae_deg"]
    assert scores["A2"]["rmse"] < scores["A1"]["rmse"] < scores["A0"]["rmse"]
    assert scores["A2"]["bias"] == pytest.approx(0, abs=1e-4)
    assert scores["A3"]["rmse"] <= scores["A2"]["rmse"]
    assert scores["A2"]["mae"] < scores["A4(10)"]["mae"] < scores["A0"]["mae"]
    assert all(s["inverted"] == 0 for name, s in scores.items() if name != "A4(10)")


def test_tile_of_unknown_pixel_size_has_no_slopes_but_directions():
    z = rough(1)
    scores = score_tile(0.5 * z, TileTruth(z))["A2"]
    assert "slope_mae_deg" not in scores
    assert "hillshade_ssim_315" not in scores
    assert scores["gradcos_0"] == pytest.approx(1, abs=1e-5)


def test_inverted_prediction_keeps_its_correlation_under_every_alignment():
    z = rough(1)
    scores = score_tile(-z, TileTruth(z, PIXEL))
    for alignment in ("A0", "A1", "A2", "A3"):
        assert scores[alignment]["inverted"] == 1
        assert scores[alignment]["pearson_r"] == pytest.approx(-1)


def test_sigma_is_scaled_with_the_heights():
    rng = np.random.default_rng(0)
    z = rough(1, (200, 200))
    p = (z + rng.laplace(0, 10 / math.sqrt(2), z.shape) - 300) / 4
    scores = score_tile(p, TileTruth(z, PIXEL), TileOptions(("A2",)), sigma=np.full(z.shape, 2.5))
    # The scale of least squares is a little below 4, since the noise is in p.
    assert scores["A2"]["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert scores["A2"]["ece"] < 0.02


def test_sigma_does_not_vanish_with_the_correlation():
    """A2 shrinks what it cannot use towards flat; the sigma of an answer turned upside down must not shrink too."""
    z = rough(1, (200, 200))
    spread = float((z - z.mean()).std())
    for p in (-z / 4, rough(7, (200, 200)) / 4):
        for alignment in ("A2", "A3"):
            scores = score_tile(p, TileTruth(z, PIXEL), TileOptions((alignment,)), sigma=np.full(z.shape, 2 * spread))[
                alignment
            ]
            assert scores["coverage_90"] > 0.95
    flat = score_tile(np.zeros_like(z), TileTruth(z, PIXEL), TileOptions(("A2",)), sigma=np.ones(z.shape))["A2"]
    assert "ece" not in flat  # a level answer has no unit that could be turned into metres


def test_the_calibration_curve_of_a_tile_makes_its_gap():
    rng = np.random.default_rng(0)
    z = rough(1, (100, 100))
    sigma = np.full(z.shape, 4.0)
    scores = score_tile(z + rng.laplace(0, 2, z.shape), TileTruth(z, PIXEL), TileOptions(("A0",)), sigma=sigma)["A0"]
    curve = [scores[coverage_key(level)] for level in metrics_uncertainty.CURVE_LEVELS]
    assert len(curve) == 19
    assert scores["ece"] == pytest.approx(float(metrics_uncertainty.calibration_gap(np.array(curve))))
    assert scores["coverage_68"] == pytest.approx(
        metrics_uncertainty.interval_coverage(z * 0 + rng.laplace(0, 2, z.shape), sigma, 0.68), abs=0.02
    )


def test_seams_of_a_tile():
    z = rough(1)
    p = z.copy()
    p[30:34] += 40
    scores = score_tile(p, TileTruth(z, PIXEL), TileOptions(("A0",), seam_rows=(32,)))
    assert math.isnan(scores["A0"]["seam_ratio"])  # exact elsewhere
    p += 1
    assert score_tile(p, TileTruth(z, PIXEL), TileOptions(("A0",), seam_rows=(32,)))["A0"]["seam_ratio"] > 10


def test_tiles_that_cannot_be_scored():
    z = rough(1)
    with pytest.raises(NoDataError):
        score_tile(np.full_like(z, np.nan), TileTruth(z, PIXEL))
    with pytest.raises(GridMismatchError):
        score_tile(z[1:], TileTruth(z, PIXEL))
    with pytest.raises(UsageError):
        score_tile(z, TileTruth(z, PIXEL), TileOptions(("B1",)))


def test_level_truth_gives_figures_that_are_not_defined_instead_of_errors():
    z = np.zeros((40, 40))
    scores = score_tile(rough(1, (40, 40)), TileTruth(z, PIXEL))
    assert math.isnan(scores["A2"]["skill"])
    assert math.isnan(scores["A2"]["mae_unit"])
    assert scores["A2"]["mae"] == pytest.approx(0, abs=1e-9)
    assert scores["A0"]["slope_mae_deg"] > 1
    assert math.isnan(scores["A2"]["inverted"])
