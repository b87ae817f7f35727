"""Anchors are scored beside interpolations that know the same, and a useless prediction must not hurt."""

import json
import math

import numpy as np
import pytest
from affine import Affine
from scipy.ndimage import gaussian_filter

import drawing
from im2dem.core.errors import NoDataError, UsageError
from im2dem.dataset.pairs import find_pairs
from im2dem.pipeline.evaluation_anchor import AnchorProtocol, evaluate_anchors
from im2dem.pipeline.evaluation_scene import EvaluateOptions

SCENE = EvaluateOptions(tile_px=128, min_tile_px=64)


def relief(shape, seed=0, spread=150.0):
    rng = np.random.default_rng(seed)
    total = sum(s * s * gaussian_filter(rng.normal(size=shape), s, mode="wrap") for s in (2, 4, 8, 16, 32))
    return (spread * total / total.std() + 800).astype(np.float32)


@pytest.fixture
def pairs(tmp_path):
    """One pair of 256 px; a strip of it is water at 0 m."""
    truth = relief((256, 256))
    truth[:, 250:] = 0
    folder = tmp_path / "pairs" / "hills"
    folder.mkdir(parents=True)
    where = {"transform": Affine(30, 0, 500_000, 0, -30, 5_200_000), "crs": "EPSG:32633"}
    drawing.draw_dem(folder / "dem.tif", truth, **where)
    drawing.draw(folder / "rgb.tif", drawing.colours(256, 256), **where)
    (folder / "meta.json").write_text(json.dumps({"split": "val"}))
    return find_pairs(tmp_path / "pairs"), truth


def answering(heights):
    return lambda image, known: (heights.astype(np.float32), np.full(heights.shape, 5.0, np.float32))


def row(result, protocol, method):
    return next(r for r in result.rows if (r.protocol, r.method) == (protocol, method))


def test_a_good_shape_in_a_wrong_scale_beats_interpolation(pairs):
    """Truth x 0.5 on a tilted plane: the cells and the points tell the scale."""
    found, truth = pairs
    tilt = np.linspace(0, 100, 256)[None] + np.zeros((256, 1))
    result = evaluate_anchors(answering(0.5 * truth + tilt), found, AnchorProtocol((5, 25), (8, 16), scene=SCENE))
    for factor in (8, 16):
        fused, bicubic = (row(result, f"A5({factor})", name) for name in ("fusion", "bicubic"))
        assert fused.ratio < 0.5
        assert fused.slope_ratio < 0.6
        assert (bicubic.ratio, bicubic.worst, bicubic.share_worse) == (1.0, 1.0, 0.0)
        assert fused.rmse_m < bicubic.rmse_m
    # 25 points and their field; the plain interpolations see no hill between the points.
    assert row(result, "A4(25)", "field").rmse_m < 0.5 * row(result, "A4(25)", "thin plate").rmse_m
    assert row(result, "A4(5)", "field").rmse_m < row(result, "A4(5)", "inverse distance").rmse_m
    assert 0 <= row(result, "A5(8)", "fusion").ece <= 0.5
    assert math.isnan(row(result, "A5(8)", "bicubic").ece)


@pytest.mark.parametrize("wrong", ["inverted", "noise"])
def test_a_useless_prediction_does_not_hurt_the_prior(pairs, wrong):
    found, truth = pairs
    noise = 300 * gaussian_filter(np.random.default_rng(2).normal(size=truth.shape), 2)
    result = evaluate_anchors(
        answering({"inverted": -truth, "noise": noise}[wrong]), found, AnchorProtocol((), (8, 16, 32), scene=SCENE)
    )
    for factor in (8, 16, 32):
        fused = row(result, f"A5({factor})", "fusion")
        assert fused.worst <= 1.02
        assert fused.share_worse == 0


def test_a_bad_fusion_would_be_seen(pairs, monkeypatch):
    """The guard can fail: a fusion that believes everything is told as worse."""
    found, truth = pairs
    fooled = lambda pred, surface, prior: (pred + 800, np.ones(pred.shape), None)  # noqa: E731
    monkeypatch.setattr("im2dem.pipeline.evaluation_anchor.fuse", fooled)
    result = evaluate_anchors(answering(-truth), found, AnchorProtocol((), (8,), scene=SCENE))
    assert row(result, "A5(8)", "fusion").share_worse == 1.0


def test_tables_and_limits(pairs):
    found, truth = pairs
    options = AnchorProtocol.named("A4(3),A5(16)", scene=SCENE, most_tiles=2)
    result = evaluate_anchors(answering(truth), found, options)
    assert {r.tiles for r in result.rows} == {2}
    assert {r.protocol for r in result.rows} == {"A4(3)", "A5(16)"}
    assert json.loads(result.to_json())["rows"][0]["protocol"] == "A5(16)"
    assert "inverse distance" in result.to_table()
    again = evaluate_anchors(answering(truth), found, options)
    assert result.rows[1] == again.rows[1]


def test_what_cannot_be_scored(pairs):
    found, truth = pairs
    with pytest.raises(UsageError, match="A6"):
        AnchorProtocol.named("A4,A6")
    with pytest.raises(UsageError, match="3 points"):
        AnchorProtocol.named("A4(2)")
    with pytest.raises(NoDataError, match="valid"):
        evaluate_anchors(answering(np.full(truth.shape, np.nan)), found, AnchorProtocol((3,), (8,), scene=SCENE))
