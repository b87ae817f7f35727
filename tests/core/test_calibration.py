"""One factor on sigma: found again where it was drawn, held out where it was not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core.calibration import SigmaCalibration, fit_calibration, held_out_gaps
from im2dem.core.errors import GridMismatchError, NoDataError, UsageError
from im2dem.core.metrics_uncertainty import CURVE_LEVELS, calibration_gap, coverage_curve, half_width


def region(seed, factor=1.0, n=40_000, law="laplace"):
    """Errors whose true standard deviation is `factor` times the sigma that is told."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(2, 60, n)
    unit = rng.laplace(0, 1 / np.sqrt(2), n) if law == "laplace" else rng.normal(0, 1, n)
    return factor * sigma * unit, sigma


@given(st.floats(0.05, 20), st.sampled_from(["laplace", "gaussian"]))
@settings(max_examples=15, deadline=None)
def test_the_factor_is_found_again(factor, law):
    fit = fit_calibration({"a": region(1, factor, law=law), "b": region(2, factor, law=law)}, law)
    # The median of 80,000 draws has a standard error of about half a percent.
    assert fit.factor == pytest.approx(factor, rel=0.025)
    assert fit.misfit() < 0.1


def test_another_law_shows_in_the_multiples():
    fit = fit_calibration({"a": region(1, 1.0, law="gaussian")}, "laplace")
    # Gaussian errors have short tails: the 95 % half width is 1.96 / 1.376 of Laplace's where the medians agree.
    assert fit.multiples[-1] < 0.75 * half_width(0.95, "laplace")
    assert fit.misfit() > 0.25


def test_regions_count_alike_whatever_their_size():
    small, large = region(1, 0.5, 4_000), region(2, 2.0, 200_000)
    both = fit_calibration({"small": small, "large": large}).factor
    turned = fit_calibration({"large": large, "small": small}).factor
    assert both == pytest.approx(turned)
    assert 0.8 < both < 1.25  # by pixels it would be near 2


def test_the_worst_region_is_as_good_as_can_be():
    samples = {"tame": region(1, 0.7), "also": region(2, 0.75), "wild": region(3, 1.3)}
    fit = fit_calibration(samples)

    def worst(factor):
        curves = [coverage_curve(dh, sigma * factor) for dh, sigma in samples.values()]
        return max(float(calibration_gap(np.array(curve))) for curve in curves)

    # by the median of all errors the two that are alike would decide
    assert 0.85 < fit.factor < 1.1
    assert worst(fit.factor) <= min(worst(fit.factor * 0.97), worst(fit.factor * 1.03))
    gaps = [
        float(calibration_gap(np.array(coverage_curve(*(samples[name][0], samples[name][1] * fit.factor)))))
        for name in ("tame", "wild")
    ]
    assert gaps[0] == pytest.approx(gaps[1], abs=0.006)  # a step of a hundredth moves either by 0.003


def test_held_out_regions_gain_where_all_err_alike_and_lose_where_one_differs():
    alike = {name: region(seed, 0.6) for seed, name in enumerate("abc")}
    for before, after in held_out_gaps(alike).values():
        assert before > 0.1
        assert after < 0.02
    gaps = held_out_gaps(alike | {"odd": region(9, 3.0)})
    assert gaps["odd"][1] > gaps["odd"][0]
    with pytest.raises(UsageError, match="at least two"):
        held_out_gaps({"a": region(1)})


def test_a_tile_has_a_gap_where_many_have_none():
    """Sigma is right on average, no tile is: the mean of the tiles' gaps is no measure of calibration."""
    rng = np.random.default_rng(0)
    curves = []
    for _ in range(400):
        scale = rng.gamma(2, 0.5)  # a scale mixture, so the errors over all tiles are wider than Laplace
        dh, sigma = region(rng.integers(1 << 30), scale, 2_000)
        curves.append(coverage_curve(dh, sigma))
    per_tile, pooled = calibration_gap(np.array(curves)).mean(), calibration_gap(np.mean(curves, axis=0))
    assert per_tile > 0.12
    assert pooled < 0.6 * per_tile


def test_apply_keeps_gaps_and_the_unit():
    sigma = np.array([[1.0, np.nan], [3.0, 4.0]])
    np.testing.assert_array_equal(SigmaCalibration(0.5, CURVE_LEVELS).apply(sigma), sigma / 2)


def test_what_cannot_be_calibrated_is_refused():
    with pytest.raises(NoDataError, match="no region"):
        fit_calibration({})
    with pytest.raises(NoDataError):
        fit_calibration({"a": (np.array([np.nan]), np.array([1.0]))})
    with pytest.raises(GridMismatchError):
        fit_calibration({"a": (np.zeros(3), np.ones(2))})
    for dh, sigma in ((np.zeros(9), np.ones(9)), (np.ones(9), np.zeros(9))):
        with pytest.raises(UsageError, match="no factor"):
            fit_calibration({"a": (dh, sigma)})
