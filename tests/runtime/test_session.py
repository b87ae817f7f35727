import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest

from fakes import toy_card
from im2dem.core.errors import InputError, MissingDependencyError, ModelError, UsageError
from im2dem.runtime import providers
from im2dem.runtime.card import file_sha256, find_model, load_card, save_card
from im2dem.runtime.providers import MOST_CALLS, available_cores, best_calls
from im2dem.runtime.session import Condition, OnnxModel

onnx = pytest.importorskip("onnx")

CARD = toy_card(sigma_scale=1.5)


def write_model(folder, *, condition="optional", output="relief", broken_shape=False):
    """height = red + sum(condition), log b = green - 1, as the contract wants it."""
    h, t = onnx.helper, onnx.TensorProto
    image = h.make_tensor_value_info("image", t.FLOAT, ["n", 3, "h", "w"])
    relief = h.make_tensor_value_info(output, t.FLOAT, ["n", "c", "h", "w"])
    constants = [
        h.make_tensor("channels", t.INT64, [3], [1, 1, 1]),
        h.make_tensor("minus_one", t.FLOAT, [1], [-1.0]),
        h.make_tensor("all", t.INT64, [2], [0, 1]),
        h.make_tensor("one_one", t.INT64, [4], [1, 1, 1, 1]),
    ]
    inputs = [image]
    if condition != "none":
        inputs.append(h.make_tensor_value_info("condition", t.FLOAT, [1, 8]))
    if condition == "none" or condition == "optional":
        constants.append(h.make_tensor("condition", t.FLOAT, [1, 8], [0.0] * 8))
    nodes = [
        h.make_node("Split", ["image", "channels"], ["red", "green", "blue"], axis=1),
        h.make_node("ReduceSum", ["condition", "all"], ["sum"], keepdims=1),
        h.make_node("Reshape", ["sum", "one_one"], ["sum4"]),
        h.make_node("Add", ["red", "sum4"], ["height"]),
        h.make_node("Add", ["green", "minus_one"], ["log_b"]),
        h.make_node("Concat", ["height"] if broken_shape else ["height", "log_b"], [output], axis=1),
    ]
    graph = h.make_graph(nodes, "toy", inputs, [relief], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    card = replace(CARD, sha256=file_sha256(folder / "model.onnx"))
    save_card(card, folder / "card.json")
    return folder / "card.json"


@pytest.fixture
def card_path(tmp_path):
    return write_model(tmp_path)


def batch(n=2, side=64):
    return np.random.default_rng(0).random((n, 3, side, side), np.float32)


def test_heights_and_sigma_leave_in_metres(card_path):
    model = OnnxModel(card_path, condition=Condition(gsd_m=30.0), threads=1)
    image = batch()
    out = model(image)
    assert out.dtype == np.float32
    # has_gsd = 1 is the only number of the condition that is not 0 at 30 m.
    np.testing.assert_allclose(out[:, 0], (image[:, 0] + 1) * 32 * 30, rtol=1e-6)
    sigma = math.sqrt(2) * np.exp(image[:, 1] - 1) * 32 * 30 * 1.5
    np.testing.assert_allclose(out[:, 1], sigma, rtol=1e-5)
    assert (model.unit, model.bands_out, model.tile_px, model.overlap_px, model.min_px) == ("m", 2, 64, 16, 64)


def test_without_a_pixel_size_heights_are_in_pixels(card_path):
    model = OnnxModel(card_path, condition=Condition(), threads=1)
    image = batch()
    np.testing.assert_allclose(model(image)[:, 0], image[:, 0] * 32, rtol=1e-6)
    assert model.unit == "px"


def test_the_condition_reaches_the_model(card_path):
    condition = Condition(sun_azimuth_deg=90, sun_elevation_deg=30, latitude_deg=-30)
    model = OnnxModel(card_path, condition=condition, threads=1)
    image = batch(1)
    added = model(image)[:, 0] / 32 - image[:, 0]
    # sin az 1, cos az 0, sin elevation 0.5, has sun 1, sin latitude -0.5, has latitude 1
    np.testing.assert_allclose(added, 3.0, atol=1e-5)


@pytest.mark.parametrize("kind", ["none", "required"])
def test_models_without_or_with_a_required_condition(tmp_path, kind):
    path = write_model(tmp_path, condition=kind)
    image = batch(1)
    out = OnnxModel(path, condition=Condition(gsd_m=30.0), threads=1)(image)
    expected = image[:, 0] + (kind == "required")
    np.testing.assert_allclose(out[:, 0], expected * 960, rtol=1e-6)


def test_a_caller_with_one_input_is_enough(card_path):
    """QGIS Deepness gives the picture and nothing else."""
    session = ort.InferenceSession(str(card_path.with_name("model.onnx")), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["image"]
    image = batch(1)
    np.testing.assert_allclose(session.run(None, {"image": image})[0][:, 0], image[:, 0])


def test_any_batch_and_side(card_path):
    model = OnnxModel(card_path, condition=Condition(), threads=1)
    for n, side in ((1, 32), (3, 96)):
        assert model(batch(n, side)).shape == (n, 2, side, side)


def test_threads_get_the_same_answer(card_path):
    model = OnnxModel(card_path, condition=Condition(gsd_m=10.0), threads=2)
    image = batch()
    wanted = model(image)
    with ThreadPoolExecutor(4) as pool:
        for out in pool.map(model, [image] * 16):
            np.testing.assert_array_equal(out, wanted)


def test_calls_at_once_change_no_bit():
    path = find_model("relief-free")
    tiles = [np.random.default_rng(i).random((1, 3, 128, 128), dtype=np.float32) for i in range(4)]
    one, two = (OnnxModel(path, condition=Condition(), threads=2, calls_at_once=calls) for calls in (1, 2))
    with ThreadPoolExecutor(2) as pool:
        for tile, out in zip(tiles, pool.map(two, tiles), strict=True):
            np.testing.assert_array_equal(out, one(tile))


def test_how_many_calls_serve_best():
    assert [best_calls("cpu", threads, 100) for threads in (1, 2, 3, 64)] == [1, 2, 3, MOST_CALLS]
    assert best_calls("cpu", 8, 1) == 1  # a single tile has all threads to itself
    assert best_calls("cpu", 8, 0) == 1
    assert best_calls("openvino", 8, 100) == best_calls("cuda", 8, 100) == 1
    assert best_calls("cpu", None, 100) == min(available_cores(), MOST_CALLS)


def test_a_pixel_size_beyond_those_of_the_card_is_told_as_the_nearer_one(card_path):
    low, high = 8.0, 240.0
    save_card(replace(load_card(card_path), told_gsd_m=(low, high)), card_path)
    image = batch()
    for gsd_m, told in ((low / 8, low), (high * 3, high), ((low + high) / 2, (low + high) / 2)):
        model = OnnxModel(card_path, condition=Condition(gsd_m=gsd_m), threads=1)
        # relief = red + the sum of what the net is told, see write_model; metres go by the pixels' own size
        wanted = (image[:, 0] + Condition(gsd_m=told).vector().sum()) * 32 * gsd_m
        np.testing.assert_allclose(model(image)[:, 0], wanted, rtol=1e-5)


def test_wild_sigma_stays_finite(card_path):
    image = np.full((1, 3, 32, 32), 1e6, np.float32)
    assert np.isfinite(OnnxModel(card_path, condition=Condition(gsd_m=1000.0), threads=1)(image)).all()


def test_wrong_bands_are_refused(card_path):
    model = OnnxModel(card_path, condition=Condition(), threads=1)
    with pytest.raises(InputError, match="red, green, blue"):
        model(batch()[:, :2])


def test_files_that_break_the_contract(tmp_path):
    with pytest.raises(ModelError, match="relief"):
        OnnxModel(write_model(tmp_path, output="depth"), condition=Condition())
    model = OnnxModel(write_model(tmp_path, broken_shape=True), condition=Condition(), threads=1)
    with pytest.raises(ModelError, match="made"):
        model(batch(1))
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="SHA-256"):
        OnnxModel(tmp_path / "card.json", condition=Condition())
    save_card(replace(CARD, sha256=file_sha256(tmp_path / "model.onnx")), tmp_path / "card.json")
    with pytest.raises(ModelError, match="cannot be loaded"):
        OnnxModel(tmp_path / "card.json", condition=Condition())


def test_providers_and_threads(card_path):
    with pytest.raises(UsageError, match="known are: cpu"):
        OnnxModel(card_path, condition=Condition(), provider="abacus")
    with pytest.raises(UsageError, match="thread"):
        OnnxModel(card_path, condition=Condition(), threads=0)
    absent = {"cuda": "CUDAExecutionProvider", "directml": "DmlExecutionProvider"}
    for provider, name in absent.items():
        if name not in ort.get_available_providers():
            with pytest.raises(MissingDependencyError, match=provider):
                OnnxModel(card_path, condition=Condition(), provider=provider)


def test_vector_by_hand():
    assert not Condition().vector().any()
    vector = Condition(180.0, 90.0, 120.0, 30.0).vector()
    assert vector.shape == (1, 8)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector[0], [0, -1, 1, 1, 2, 1, 0.5, 1], atol=1e-7)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sun_azimuth_deg": 100.0},
        {"sun_elevation_deg": 100.0, "sun_azimuth_deg": 1.0},
        {"gsd_m": 0.0},
        {"gsd_m": math.inf},
        {"latitude_deg": math.nan},
    ],
)
def test_conditions_out_of_range(wrong):
    with pytest.raises(UsageError):
        Condition(**wrong)


@pytest.mark.parametrize("kind", ["none", "optional", "required"])
def test_openvino_gives_the_same_heights(tmp_path, kind):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    path = write_model(tmp_path, condition=kind)
    condition = Condition(sun_azimuth_deg=90, sun_elevation_deg=30, gsd_m=30.0)
    wanted, found = (
        OnnxModel(path, condition=condition, threads=1, provider=name)(batch()) for name in ("cpu", "openvino")
    )
    # Two float32 implementations of the same sums, some of which they fuse: a few roundings.
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_openvino_runs_the_shipped_net_as_the_default_does():
    pytest.importorskip("openvino", reason="needs the extra openvino")
    image = batch(2, 128)
    for condition in (Condition(gsd_m=10.0), Condition(160.0, 40.0, 30.0, 46.0)):
        cpu, openvino = (
            OnnxModel(find_model("relief-free"), condition=condition, threads=1, provider=name)
            for name in ("cpu", "openvino")
        )
        wanted = cpu(image)
        # Sums of thousands of products in another order: 1e-5 of the spread; a lost condition moves it by a tenth.
        assert np.abs(openvino(image) - wanted)[:, 0].max() < 1e-4 * wanted[:, 0].std()
        assert np.abs(openvino(image) / wanted - 1)[:, 1].max() < 1e-3


def test_openvino_from_several_threads(card_path):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    model = OnnxModel(card_path, condition=Condition(gsd_m=10.0), threads=1, provider="openvino")
    images = [batch(1) + k for k in range(8)]
    wanted = [model(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for out, expected in zip(pool.map(model, images), wanted, strict=True):
            np.testing.assert_array_equal(out, expected)


def test_without_openvino_the_extra_is_named(card_path, monkeypatch):
    monkeypatch.setattr(providers, "_has_openvino", lambda: False)
    assert providers.available_providers()[0] == "cpu"
    assert "openvino" not in providers.available_providers()
    with pytest.raises(MissingDependencyError, match=r"im2dem\[openvino\]"):
        OnnxModel(card_path, condition=Condition(), provider="openvino")
