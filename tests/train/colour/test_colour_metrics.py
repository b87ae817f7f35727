"""Metrics of made pictures: by hand where a hand can, and in the order that eyes have."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'im2dem[train]' (make test-all)")

from im2dem.core.errors import GridMismatchError, UsageError  # noqa: E402
from im2dem.core.terrain import hillshade  # noqa: E402
from im2dem.train.colour.metrics import (  # noqa: E402
    Features,
    histogram_distance,
    kernel_distance,
    light_agreement,
    perceptual_distance,
    score_pictures,
)
from im2dem.train.lite0 import LiteEncoder  # noqa: E402

pytestmark = pytest.mark.train
SUN = (150.0, 35.0)


@pytest.fixture(scope="module")
def features() -> Features:
    """Random weights: the formulas do not ask what the features mean."""
    torch.manual_seed(0)
    return Features(LiteEncoder(pretrained=False))


@pytest.fixture(scope="module")
def land() -> list[tuple[np.ndarray, np.ndarray, float, tuple[float, float]]]:
    out = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:96, :96] / 15.0
        dem = (90 * sum(np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 2, (6, 3)))).astype(np.float32)
        shade = hillshade(dem, (30.0, 30.0), *SUN)
        cover = 0.5 + 0.5 * (dem > dem.mean())
        picture = np.stack([shade * cover * tint for tint in (0.8, 1.0, 0.6)])
        out.append((np.clip(picture, 0, 1).astype(np.float32), dem, 30.0, SUN))
    return out


def test_the_true_pictures_have_the_best_scores(features, land):
    true = {dem.tobytes(): picture for picture, dem, *_ in land}
    best = score_pictures(lambda dem, gsd_m, sun: true[dem.tobytes()], land, features)
    assert best.perceptual == 0
    assert best.histogram == 0
    assert best.light == best.light_of_truth > 0.3
    grey = score_pictures(lambda dem, gsd_m, sun: np.full((3, 96, 96), 0.5, np.float32), land, features)
    assert grey.perceptual > 0.01
    assert grey.histogram > 0.05
    assert grey.light == 0
    assert grey.light_of_truth == best.light


def test_distances_grow_with_what_is_changed(features, land):
    picture = land[0][0]
    noise = np.random.default_rng(1).normal(size=picture.shape)
    true = features.layers(picture[None])
    near, far = (
        float(perceptual_distance(features.layers(np.clip(picture + s * noise, 0, 1)[None].astype(np.float32)), true))
        for s in (0.02, 0.2)
    )
    assert 0 < near < far


def test_histograms_by_hand():
    low, high = np.zeros((3, 4, 4), np.float32), np.full((3, 4, 4), 0.25, np.float32)
    assert histogram_distance(low, high) == pytest.approx(0.25)
    mixed = low.copy()
    mixed[:, :2] = 1.0
    assert histogram_distance(mixed, mixed[:, ::-1]) == 0  # where a value lies does not count
    with pytest.raises(GridMismatchError):
        histogram_distance(low, low[:, :2])


def test_kernel_distance_by_hand():
    a, b = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    # kernels: within a (0 y + 1)^3 = 1; within b 1; between all 1
    assert kernel_distance(a, b) == pytest.approx(0.0)
    c = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    # within c (4 / 2 + 1)^3 = 27, within b 1, between 1: 27 + 1 - 2
    assert kernel_distance(c, b) == pytest.approx(26.0)
    with pytest.raises(UsageError, match="two or more"):
        kernel_distance(a[:1], b)


def test_light_is_that_of_the_sun(land):
    _, dem, gsd_m, _ = land[1]
    lit = np.repeat(hillshade(dem, (30.0, 30.0), *SUN)[None], 3, axis=0).astype(np.float32)
    assert light_agreement(lit, dem, gsd_m, SUN) == pytest.approx(1.0, abs=1e-4)
    assert light_agreement(lit, dem, gsd_m, (330.0, 35.0)) < -0.5


def test_one_colour_has_no_light_whatever_float32_makes_of_it():
    dem = 50 * np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    flat = np.broadcast_to(np.array([0.31, 0.33, 0.27], np.float32)[:, None, None], (3, 64, 64)).copy()
    assert light_agreement(flat, dem, 30.0, SUN) == 0.0


def test_pictures_of_another_shape_are_refused(features):
    with pytest.raises(UsageError, match="64 px"):
        features.layers(np.zeros((1, 3, 32, 32), np.float32))
