"""A net that takes a prior and points as input, from the command line to the file."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy.ndimage import gaussian_filter

import drawing
from fakes import toy_card
from im2dem.cli.app import run
from im2dem.dataset.pairs import find_pairs
from im2dem.pipeline.evaluation_anchor import AnchorProtocol, evaluate_anchors
from im2dem.pipeline.evaluation_guided import guided_by
from im2dem.pipeline.evaluation_scene import EvaluateOptions
from im2dem.pipeline.predict import PredictOptions, predictor
from im2dem.runtime.card import file_sha256, save_card

onnx = pytest.importorskip("onnx")

CARD = toy_card(
    name="guided-toy",
    tile_px=128,
    overlap_px=32,
    height_kind="absolute with a prior",
    gsd_range_m=(5.0, 90.0),
    scaling={"percentiles": [0.0, 100.0]},
    inputs=("image", "condition", "guide"),
)


def write_model(folder, factor):
    """height = factor x mean of the bands + prior of the guide; log b = -3."""
    h, t = onnx.helper, onnx.TensorProto
    inputs = [
        h.make_tensor_value_info("image", t.FLOAT, ["n", 3, "h", "w"]),
        h.make_tensor_value_info("guide", t.FLOAT, ["n", 4, "h", "w"]),
    ]
    constants = [
        h.make_tensor("quarters", t.INT64, [4], [1, 1, 1, 1]),
        h.make_tensor("factor", t.FLOAT, [1], [factor]),
        h.make_tensor("zero", t.FLOAT, [1], [0.0]),
        h.make_tensor("log_scale", t.FLOAT, [1], [-3.0]),
    ]
    nodes = [
        h.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
        h.make_node("Mul", ["mean", "factor"], ["own"]),
        h.make_node("Split", ["guide", "quarters"], ["prior", "known", "points", "painted"], axis=1),
        h.make_node("Add", ["own", "prior"], ["height"]),
        h.make_node("Mul", ["height", "zero"], ["nothing"]),
        h.make_node("Add", ["nothing", "log_scale"], ["log_b"]),
        h.make_node("Concat", ["height", "log_b"], ["relief"], axis=1),
    ]
    relief = h.make_tensor_value_info("relief", t.FLOAT, ["n", 2, "h", "w"])
    graph = h.make_graph(nodes, "guided", inputs, [relief], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    takes = replace(CARD, sha256=file_sha256(folder / "model.onnx"), inputs=("image", "guide"))
    save_card(takes, folder / "card.json")
    return folder


@pytest.fixture
def place(tmp_path):
    """Hills, a picture that is as bright as they are high, and their means over 8 x 8 pixels."""
    rng = np.random.default_rng(1)
    z = sum(s * s * gaussian_filter(rng.normal(size=(192, 192)), s, mode="wrap") for s in (2, 4, 8, 16))
    z = 900 + 60 * z / z.std()
    bright = 5 + 250 * (z - z.min()) / np.ptp(z)  # 0 would be no data
    drawing.draw(tmp_path / "scene.tif", np.repeat(bright[None], 3, axis=0).astype(np.uint8))
    coarse = z.reshape(24, 8, 24, 8).mean(axis=(1, 3))
    drawing.draw_dem(tmp_path / "prior.tif", coarse, transform=drawing.UTM_TRANSFORM @ Affine.scale(8))
    lines = [f"{500_005 + 10 * c},{3_999_995 - 10 * r},{z[r, c]}" for r, c in rng.integers(0, 192, (8, 2))]
    (tmp_path / "gcp.csv").write_text("\n".join(lines))
    return tmp_path, z


def heights(folder, model, *anchors):
    output = folder / f"{model.name}.tif"
    words = ["predict", str(folder / "scene.tif"), "-o", str(output), "--model", str(model), "--threads", "1"]
    assert run([*words, "--overwrite", *anchors]) == 0
    with rasterio.open(output) as dem:
        return dem.read(1).astype(np.float64)


def rmse(error):
    return float(np.sqrt(np.mean(error**2)))


def test_a_guided_net_is_believed_for_what_it_adds_and_not_for_repeating_the_prior(place):
    folder, z = place
    prior = ("--prior", str(folder / "prior.tif"), "--prior-sigma", "0.1")
    nothing = rmse(heights(folder, write_model(folder / "repeats", 0.0), *prior) - z)
    knows = rmse(heights(folder, write_model(folder / "knows", 0.3), *prior) - z)
    inverted = rmse(heights(folder, write_model(folder / "inverted", -0.3), *prior) - z)
    assert knows < 0.7 * nothing
    assert inverted <= 1.02 * nothing


def test_points_reach_a_guided_net(place):
    folder, z = place
    found = heights(folder, write_model(folder / "knows", 1.1), "--points", str(folder / "gcp.csv"))
    # Brightness is height in about this scale; eight points tell the scale and the shift.
    assert rmse(found - z) < 0.3 * z.std()


def test_an_evaluation_tells_a_guided_net_what_it_may_know(place, tmp_path):
    """The cells and points go in at the front; what comes out is scored beside what interpolates the same."""
    folder, z = place
    pair = tmp_path / "pairs" / "hills"
    pair.mkdir(parents=True)
    shutil.copy(folder / "scene.tif", pair / "rgb.tif")
    drawing.draw_dem(pair / "dem.tif", z.astype(np.float32))
    (pair / "meta.json").write_text(json.dumps({"split": "val"}))
    pairs, found = find_pairs(tmp_path / "pairs"), {}
    wanted = AnchorProtocol((5,), (8,), scene=EvaluateOptions(tile_px=96, min_tile_px=64))
    for name, factor in (("repeats", 0.0), ("knows", 0.3)):
        options = PredictOptions(model=str(write_model(tmp_path / name, factor)), threads=1)
        result = evaluate_anchors(predictor(options), pairs, wanted, guided=guided_by(options))
        found[name] = {(row.protocol, row.method): row for row in result.rows}
    knows, repeats = (found[name]["A5(8)", "fusion"] for name in ("knows", "repeats"))
    assert knows.ratio < 0.85 * repeats.ratio
    assert repeats.worst <= 1.02
    assert 0.8 < repeats.ratio <= 1.0  # the correction towards the means still helps
    assert found["knows"]["A4(5)", "field"].rmse_m < 0.8 * found["knows"]["A4(5)", "inverse distance"].rmse_m
    assert guided_by(PredictOptions()) is None  # the weights that ship
