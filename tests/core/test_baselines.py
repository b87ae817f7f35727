from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from im2dem.core import baselines
from im2dem.core.errors import NoDataError


def pictures():
    rng = np.random.default_rng(0)
    dem = ndimage.gaussian_filter(rng.standard_normal((96, 80)), 6) * 900 + 400
    image = rng.random((3, 96, 80))
    dem[:10, :12], image[:, -9:, -7:] = np.nan, np.nan
    return image, dem


def test_flat_and_plane_are_where_they_say():
    _, dem = pictures()
    assert np.unique(baselines.flat(dem)) == pytest.approx([np.nanmean(dem)])
    residual = dem - baselines.best_plane(dem)
    row, col = np.mgrid[:96, :80]
    # What is left has no tilt: orthogonal to both axes, to rounding of 6,000 pixels of 1000 m.
    assert np.nansum(residual * row) == pytest.approx(0, abs=1e-4)
    assert np.nansum(residual * col) == pytest.approx(0, abs=1e-4)


def test_brightness_rows():
    image, _ = pictures()
    bright = baselines.brightness(image)
    np.testing.assert_allclose(bright, image.mean(axis=0))
    np.testing.assert_array_equal(baselines.inverted_brightness(image), -bright)


def test_blur_leaves_gaps_out_and_is_a_gaussian():
    image, _ = pictures()
    blurred = baselines.blurred_brightness(image, 4.0)
    assert np.array_equal(np.isnan(blurred), np.isnan(image[0]))
    # A constant picture stays constant up to its gaps; a blur that counts them as 0 would darken there.
    constant = np.where(np.isnan(image), np.nan, 0.7)
    np.testing.assert_allclose(blurred_valid(constant), 0.7, atol=1e-9)
    whole = np.random.default_rng(1).random((1, 64, 64))
    # scipy cuts the kernel off at 6 sigma here, which is 2e-9 of its weight.
    expected = ndimage.gaussian_filter(whole[0], 4.0, mode="reflect", truncate=6)
    np.testing.assert_allclose(baselines.blurred_brightness(whole, 4.0), expected, atol=1e-6)


def blurred_valid(image):
    blurred = baselines.blurred_brightness(image)
    return blurred[np.isfinite(blurred)]


def test_random_field_is_seeded_smooth_and_normalised():
    one, two, other = (baselines.random_field((90, 70), np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.allclose(one, other)
    assert one.mean() == pytest.approx(0, abs=1e-12)
    assert one.std() == pytest.approx(1)
    # A Gaussian of 16 px has slopes of about 1/16 of a standard deviation per pixel.
    assert np.abs(np.diff(one, axis=0)).mean() < 0.15


def test_finer_priors_are_better_and_all_beat_flat():
    _, dem = pictures()
    errors = [np.nanmean(np.abs(baselines.bicubic_coarse(dem, f) - dem)) for f in (2, 8, 32)]
    assert errors == sorted(errors)
    assert errors[1] < np.nanmean(np.abs(baselines.flat(dem) - dem)) / 3


def test_rows_without_a_picture_have_no_brightness():
    image, dem = pictures()
    rows = baselines.trivial_rows((8, 16))
    assert [row.name for row in rows][-2:] == ["bicubic coarse x8", "bicubic coarse x16"]
    for row in rows:
        answer = row.answer(image, dem, np.random.default_rng(0))
        assert answer is not None
        assert answer.shape == dem.shape
        assert (row.answer(None, dem, np.random.default_rng(0)) is None) == ("brightness" in row.name)
    with pytest.raises(NoDataError):
        baselines.flat(np.full((3, 3), np.nan))
