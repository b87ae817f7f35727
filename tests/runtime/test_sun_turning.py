"""A net that knows one sun is shown every picture as if the sun stood there."""

import math
from dataclasses import replace

import numpy as np
import pytest

from im2dem.core.sun import turn_sun
from im2dem.runtime.card import file_sha256, save_card
from im2dem.runtime.session import Condition, OnnxModel

from .test_session import CARD

onnx = pytest.importorskip("onnx")

SECTOR = (90.0, 180.0)


def write_eastward(folder, sector, *, guided=False):
    """height = step of red (plus guide 0) to the next pixel in the east + sum(condition); log b = red."""
    h, t = onnx.helper, onnx.TensorProto
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 1, 1:] = -1, 1
    inputs = [
        h.make_tensor_value_info("image", t.FLOAT, ["n", 3, "h", "w"]),
        h.make_tensor_value_info("condition", t.FLOAT, [1, 8]),
    ]
    nodes = [
        h.make_node("Split", ["image", "thirds"], ["red", "green", "blue"], axis=1),
        h.make_node("ReduceSum", ["condition", "all"], ["sum"], keepdims=1),
        h.make_node("Reshape", ["sum", "ones"], ["sum4"]),
    ]
    constants = [
        h.make_tensor("thirds", t.INT64, [3], [1, 1, 1]),
        h.make_tensor("all", t.INT64, [2], [0, 1]),
        h.make_tensor("ones", t.INT64, [4], [1, 1, 1, 1]),
        h.make_tensor("kernel", t.FLOAT, [1, 1, 3, 3], kernel.ravel().tolist()),
    ]
    seen = "red"
    if guided:
        inputs.append(h.make_tensor_value_info("guide", t.FLOAT, ["n", 4, "h", "w"]))
        constants.append(h.make_tensor("quarters", t.INT64, [4], [1, 1, 1, 1]))
        nodes += [
            h.make_node("Split", ["guide", "quarters"], ["g0", "g1", "g2", "g3"], axis=1),
            h.make_node("Add", ["red", "g0"], ["red_and_guide"]),
        ]
        seen = "red_and_guide"
    nodes += [
        h.make_node("Conv", [seen, "kernel"], ["step"], pads=[1, 1, 1, 1]),
        h.make_node("Add", ["step", "sum4"], ["height"]),
        h.make_node("Concat", ["height", "red"], ["relief"], axis=1),
    ]
    relief = h.make_tensor_value_info("relief", t.FLOAT, ["n", 2, "h", "w"])
    graph = h.make_graph(nodes, "eastward", inputs, [relief], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    takes = ("image", "condition", "guide") if guided else ("image", "condition")
    card = replace(CARD, sha256=file_sha256(folder / "model.onnx"), sun_sector_deg=sector, inputs=takes)
    save_card(card, folder / "card.json")
    return folder / "card.json"


def tiles():
    return np.random.default_rng(5).random((2, 3, 48, 64), np.float32)


def told(azimuth, latitude=None):
    return Condition(sun_azimuth_deg=azimuth, sun_elevation_deg=30.0, latitude_deg=latitude)


def test_a_sun_in_the_south_west_lays_the_south_in_the_east(tmp_path):
    """A quarter turn counter-clockwise: the net's step to the east is one to the south, and no latitude is told."""
    out = OnnxModel(write_eastward(tmp_path, SECTOR), condition=told(225.0, 47.0), threads=1)(tiles())
    red = tiles()[:, 0]
    south = np.diff(red, axis=1)
    # At 135 degrees sine and cosine cancel; what is left is the sine of the elevation and one "has sun".
    np.testing.assert_allclose(out[:, 0, :-1], 32 * (south + 0.5 + 1), rtol=1e-5)
    np.testing.assert_allclose(out[:, 1], 32 * math.sqrt(2) * 1.5 * np.exp(red), rtol=1e-5)


@pytest.mark.parametrize(("azimuth", "latitude"), [(135.0, 47.0), (90.0, -10.0), (-200.0, None)])
def test_a_sun_that_the_net_knows_is_left_where_it_is(tmp_path, azimuth, latitude):
    plain = OnnxModel(write_eastward(tmp_path / "any", None), condition=told(azimuth, latitude), threads=1)
    knows = OnnxModel(write_eastward(tmp_path / "one", SECTOR), condition=told(azimuth, latitude), threads=1)
    np.testing.assert_array_equal(plain(tiles()), knows(tiles()))


def test_no_sun_no_turn(tmp_path):
    plain = OnnxModel(write_eastward(tmp_path / "any", None), condition=Condition(latitude_deg=-30), threads=1)
    knows = OnnxModel(write_eastward(tmp_path / "one", SECTOR), condition=Condition(latitude_deg=-30), threads=1)
    np.testing.assert_array_equal(plain(tiles()), knows(tiles()))


def test_half_a_turn_changes_the_sign_of_the_latitude(tmp_path):
    """From 315 degrees only half a turn leads to 135 without a mirror."""
    out = OnnxModel(write_eastward(tmp_path, SECTOR), condition=told(315.0, 30.0), threads=1)(tiles())
    west = -np.diff(tiles()[:, 0], axis=2)
    np.testing.assert_allclose(out[:, 0, :, 1:], 32 * (west + 0.5 + 1 - 0.5 + 1), rtol=1e-5)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("azimuth", [10.0, 100.0, 200.0, 290.0])
def test_turning_the_picture_turns_the_answer(tmp_path, azimuth, guided):
    """Pictures turned by hand, under the sun turned with them, get the same heights, turned; guides too."""
    path = write_eastward(tmp_path, SECTOR, guided=guided)
    rng = np.random.default_rng(1)
    bands = [rng.random((1, 3, 64, 64), np.float32)]
    if guided:
        prior = rng.normal(900, 50, (1, 1, 64, 64))
        bands += [prior, np.ones_like(prior), np.zeros_like(prior), np.zeros_like(prior)]
    given = np.concatenate(bands, axis=1).astype(np.float32)
    wanted = OnnxModel(path, condition=told(azimuth), threads=1)(given)
    for quarters in range(1, 4):
        turned = np.rot90(given, quarters, axes=(-2, -1))
        model = OnnxModel(path, condition=told(turn_sun(azimuth, quarters)), threads=1)
        found = np.rot90(model(turned), -quarters, axes=(-2, -1))
        if guided:
            # Heights near 900 m in single precision.
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-3)
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)
