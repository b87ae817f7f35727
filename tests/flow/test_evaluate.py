"""Predictions against truth through files, and a model through a folder of pairs."""

from __future__ import annotations

import csv
import io
import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage

from im2dem.core.errors import GridMismatchError, InputError, ModelError, NoDataError, NotAnImageError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.metrics_tile import coverage_key
from im2dem.core.metrics_uncertainty import CURVE_LEVELS
from im2dem.core.raster import Raster
from im2dem.core.terrain import hillshade
from im2dem.dataset.chips import Chips, quantise_heights, save_chips
from im2dem.pipeline.evaluate import EvaluateOptions, Rival, evaluate_files, evaluate_model, find_pairs
from im2dem.pipeline.evaluation_cost import model_cost, time_ratio
from im2dem.pipeline.evaluation_scene import Scene, TileRow, TileView
from im2dem.pipeline.evaluation_table import TileScore, aggregate
from im2dem.pipeline.evaluation_training import mean_training_row

UTM = "EPSG:32633"
SMALL = EvaluateOptions(tile_px=64, min_tile_px=32, draws=200)


def heights(seed=0, shape=(150, 128), std=120.0):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 5)
    return (700 + std * field / field.std()).astype(np.float32)


def write(path, data, crs=UTM, gsd=30.0, origin=(500_000, 5_200_000), nodata=None):
    data = data if data.ndim == 3 else data[None]
    profile = {"driver": "GTiff", "count": len(data), "height": data.shape[1], "width": data.shape[2]}
    georeference = {"crs": crs, "transform": Affine(gsd, 0, origin[0], 0, -gsd, origin[1])} if crs else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # that is what some tests are about
        with rasterio.open(path, "w", dtype=data.dtype, nodata=nodata, **profile, **georeference) as dataset:
            dataset.write(data)
    return path


def write_pair(folder, dem, image=None, meta=None, **where):
    write(folder / "dem.tif", np.where(np.isfinite(dem), dem, -9999).astype(np.float32), nodata=-9999, **where)
    if image is None:
        shade = hillshade(np.nan_to_num(dem, nan=700), (30.0, 30.0), 135, 45)
        image = np.repeat((20 + 200 * shade)[None], 3, axis=0).astype(np.uint8)
    write(folder / "rgb.tif", image, **where)
    (folder / "meta.json").write_text(json.dumps({"split": "val", "gsd_m": 30, **(meta or {})}))
    return folder


def row_of(evaluation, method, alignment, group="all"):
    return next(
        row for row in evaluation.rows if (row["method"], row["alignment"], row["group"]) == (method, alignment, group)
    )


def test_two_files(tmp_path):
    z = heights()
    rng = np.random.default_rng(1)
    p = 0.5 * z + rng.normal(0, 4, z.shape).astype(np.float32) + 100
    evaluation = evaluate_files(write(tmp_path / "p.tif", p), write(tmp_path / "z.tif", z), SMALL)
    a0, a2 = (row_of(evaluation, "prediction", alignment) for alignment in ("A0", "A2"))
    # 150 x 128 in tiles of 64: rows 64 + 64 + 22 (dropped), columns 64 + 64.
    assert a0["tiles"] == 4
    # Tiles of one size: the mean of their means is the mean of the scored part.
    assert a0["mae"] == pytest.approx(np.abs(p - z)[:128].mean(), rel=1e-4)
    # Noise of 4 m, scaled by 2: mean absolute error 8 sqrt(2 / pi) = 6.4 m; the fit takes off a little.
    assert a2["mae"] == pytest.approx(6.4, rel=0.1)
    assert a2["mae_lo"] <= a2["mae"] <= a2["mae_hi"]
    assert a2["pearson_r"] > 0.95
    assert a2["inverted"] == 0
    assert a2["answered"] == 1
    flat, plane = (row_of(evaluation, name, "A0") for name in ("flat at the true mean", "best plane"))
    assert a2["mae"] < plane["mae"] < flat["mae"]
    assert not any("brightness" in row["method"] for row in evaluation.rows)
    assert "only" in evaluation.notes[0]
    assert "one region" in evaluation.notes[0]


def test_a_perfect_prediction(tmp_path):
    z = heights()
    evaluation = evaluate_files(write(tmp_path / "p.tif", z), write(tmp_path / "z.tif", z), SMALL)
    for alignment in ("A0", "A1", "A2", "A3"):
        row = row_of(evaluation, "prediction", alignment)
        assert row["mae"] == pytest.approx(0, abs=1e-6)
        assert row["skill"] == pytest.approx(1)
    assert row_of(evaluation, "prediction", "A0")["hillshade_ssim_45"] == pytest.approx(1)


def test_relative_heights_are_noted(tmp_path):
    z = heights()
    pred = write(tmp_path / "p.tif", z / 30)
    with rasterio.open(pred, "r+") as dataset:
        dataset.units = ("px",)
    evaluation = evaluate_files(pred, write(tmp_path / "z.tif", z), SMALL)
    assert row_of(evaluation, "prediction", "A2")["mae"] == pytest.approx(0, abs=1e-3)
    assert any("relative (px)" in note for note in evaluation.notes)


def test_folders_are_matched_by_stem_and_by_pair(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        write(tmp_path / "pred" / f"{name}.tif", heights(seed) + 5, origin=(500_000 + 9000 * seed, 0))
        write_pair(tmp_path / "truth" / name, heights(seed), origin=(500_000 + 9000 * seed, 0))
    write(tmp_path / "pred" / "c.tif", heights(3))
    seen = []
    evaluation = evaluate_files(
        tmp_path / "pred", tmp_path / "truth", SMALL, progress=lambda done, total: seen.append((done, total))
    )
    row = row_of(evaluation, "prediction", "A0")
    assert (row["tiles"], row["regions"]) == (8, 2)
    assert row["bias"] == pytest.approx(5, abs=1e-3)
    assert row_of(evaluation, "prediction", "A1")["mae"] == pytest.approx(0, abs=1e-3)
    assert seen == [(1, 2), (2, 2)]
    assert any("c" in note and "not scored" in note for note in evaluation.notes)
    # The pair's picture brings the brightness rows.
    assert row_of(evaluation, "brightness", "A2")["tiles"] == 8


def test_another_grid_is_warped_and_said_so(tmp_path):
    z = heights(shape=(192, 192))
    # The same plane of heights on coarser pixels that start elsewhere.
    row, col = np.mgrid[:192, :192]
    z = (500 + 0.4 * row * 30 - 0.2 * col * 30).astype(np.float32)
    row, col = np.mgrid[:140, :140]
    p = (500 + 0.4 * (row * 45 - 100) - 0.2 * (col * 45 - 200)).astype(np.float32)
    shift = 0.4 * (45 - 30) / 2 - 0.2 * (45 - 30) / 2  # heights belong to pixel centres
    pred = write(tmp_path / "p.tif", p + np.float32(shift), gsd=45.0, origin=(500_000 - 200, 5_200_000 + 100))
    evaluation = evaluate_files(pred, write(tmp_path / "z.tif", z), SMALL)
    # Bilinear is exact on a plane; GDAL approximates the transformation to an eighth of a pixel at worst.
    assert row_of(evaluation, "prediction", "A0")["mae"] < 0.125 * 30 * 0.45
    assert any("warped" in note for note in evaluation.notes)


def test_grids_that_cannot_be_joined(tmp_path):
    truth = write(tmp_path / "z.tif", heights())
    with pytest.raises(GridMismatchError, match="georeference them, or give rasters of one shape"):
        evaluate_files(write(tmp_path / "p.tif", heights()[:100], crs=None), truth, SMALL)
    same = evaluate_files(write(tmp_path / "q.tif", heights(), crs=None), truth, SMALL)
    assert row_of(same, "prediction", "A0")["mae"] == pytest.approx(0, abs=1e-6)
    far = write(tmp_path / "far.tif", heights(), origin=(900_000, 100_000))
    with pytest.raises(NoDataError, match=r"not one tile could be scored.*not predicted"):
        evaluate_files(far, truth, SMALL)


def test_wrong_arguments(tmp_path):
    truth = write(tmp_path / "truth" / "z.tif", heights())
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotAnImageError, match="no such file"):
        evaluate_files(tmp_path / "none.tif", truth)
    with pytest.raises(UsageError, match="not one of each"):
        evaluate_files(tmp_path / "truth", truth)
    with pytest.raises(UsageError, match="no name is in both"):
        evaluate_files(tmp_path / "empty", tmp_path / "truth")
    with pytest.raises(UsageError, match="no alignment"):
        EvaluateOptions(alignments=("A9",))
    with pytest.raises(UsageError, match="tiles of"):
        EvaluateOptions(tile_px=100, min_tile_px=200)
    with pytest.raises(UsageError, match="no pair found"):
        find_pairs(tmp_path / "empty")
    with pytest.raises(UsageError, match="no such folder"):
        find_pairs(tmp_path / "none")


def test_second_band_is_sigma(tmp_path):
    z = heights()
    rng = np.random.default_rng(2)
    sigma = rng.uniform(2, 30, z.shape)
    p = z + rng.laplace(0, 1 / math.sqrt(2), z.shape) * sigma
    pred = write(tmp_path / "p.tif", np.stack([p, sigma]).astype(np.float32))
    row = row_of(evaluate_files(pred, write(tmp_path / "z.tif", z), SMALL), "prediction", "A0")
    # 4 tiles of 4,096 pixels: five standard errors of a share are 0.02.
    assert row["coverage_50"] == pytest.approx(0.5, abs=0.02)
    assert row["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert row["ece"] < 0.02
    assert row["sigma_rho"] > 0.4


def test_pixels_without_truth_or_picture_are_not_scored(tmp_path):
    z = heights()
    z[:64, :40] = np.nan  # five eighths of the first tile
    image = np.full((4, *z.shape), 90, np.uint8)
    image[:3] = np.random.default_rng(0).integers(1, 255, (3, *z.shape))
    image[3] = 255
    image[3, 70:90, 70:90] = 0  # transparent
    write_pair(tmp_path / "truth" / "a", z, image)
    p = heights()
    p[70:90, 70:90] = 1e4
    p[:64, :40] = -1e4
    write(tmp_path / "pred" / "a.tif", p)
    evaluation = evaluate_files(tmp_path / "pred", tmp_path / "truth", SMALL)
    row = row_of(evaluation, "prediction", "A0")
    assert row["tiles"] == 3
    assert row["mae"] == pytest.approx(0, abs=1e-3)
    assert any("1 tiles left out, too few valid pixels" in note for note in evaluation.notes)


def shading_model(image, known):
    """Heights that follow the brightness, as an injected model."""
    assert image.shape[0] == 3
    assert image.dtype == np.float32
    assert known["name"] in ("north", "south")
    assert known["gsd_m"] == pytest.approx(30, rel=0.01)
    return image.mean(axis=0), np.full(image.shape[1:], 50, np.float32)


def test_model_over_pairs(tmp_path):
    for seed, name in enumerate(("north", "south")):
        write_pair(tmp_path / "pairs" / name, heights(seed), crs=None if seed else UTM)
    write_pair(tmp_path / "pairs" / "train", heights(5), meta={"split": "train"})
    pairs = find_pairs(tmp_path, "val")
    assert [pair.name for pair in pairs] == ["north", "south"]
    assert [pair.name for pair in find_pairs(tmp_path / "pairs" / "train")] == ["train"]
    with pytest.raises(UsageError, match=r"there are train, val"):
        find_pairs(tmp_path, "test")
    evaluation = evaluate_model(shading_model, pairs, SMALL, name="shading")
    model, bright = row_of(evaluation, "shading", "A2"), row_of(evaluation, "brightness", "A2")
    assert (model["tiles"], model["regions"]) == (8, 2)
    for figure in ("mae_unit", "pearson_r", "slope_mae_deg", "gradcos_8", "inverted"):
        assert model[figure] == pytest.approx(bright[figure], rel=1e-4)
    inverted = row_of(evaluation, "inverted brightness", "A2")
    assert model["inverted"] + inverted["inverted"] == pytest.approx(1)
    assert "coverage_90" in model
    assert row_of(evaluation, "bicubic coarse x16", "A0")["mae"] < row_of(evaluation, "best plane", "A0")["mae"]
    methods = [row["method"] for row in evaluation.rows]
    assert methods[0] == "shading"
    assert len(set(methods)) == 8
    alone = evaluate_model(None, pairs, SMALL)
    assert {row["method"] for row in alone.rows} == set(methods) - {"shading"}
    # The same figures whoever is beside it; what the model is better or worse by comes on top.
    guess, beside = row_of(alone, "random smooth field", "A2"), row_of(evaluation, "random smooth field", "A2")
    assert guess.items() <= beside.items()
    assert {key.removesuffix("_lo").removesuffix("_hi") for key in beside.keys() - guess.keys()} == {
        "model_better",
        "delta_mae_unit",
        "delta_pearson_r",
        "delta_gradcos_4",
        "delta_hillshade_ssim_315",
    }


def test_other_models_are_rows_with_their_paired_difference(tmp_path):
    for seed, name in enumerate(("north", "south")):
        write_pair(tmp_path / name, heights(seed), crs=None if seed else UTM)
    pairs = find_pairs(tmp_path)

    def oracle(noise):
        def predict(image, known):
            seed = ("north", "south").index(known["name"])
            rng = np.random.default_rng(seed)
            return heights(seed) + noise * rng.standard_normal(image.shape[1:]).astype(np.float32), None

        return predict

    same, worse = Rival("same", oracle(10)), Rival("worse", oracle(40))
    evaluation = evaluate_model(oracle(10), pairs, SMALL, name="main", rivals=(same, worse))
    rows = {name: row_of(evaluation, name, "A2") for name in ("main", "same", "worse")}
    assert rows["main"]["tiles"] == rows["worse"]["tiles"] == 8
    assert rows["same"]["model_better"] == 0.5
    assert rows["same"]["delta_mae_unit"] == rows["same"]["delta_mae_unit_hi"] == 0
    assert rows["worse"]["model_better"] == 1
    difference = rows["main"]["mae_unit"] - rows["worse"]["mae_unit"]
    assert rows["worse"]["delta_mae_unit"] == pytest.approx(difference)
    assert rows["worse"]["delta_mae_unit_hi"] < 0
    assert "model_better" not in rows["main"]
    with pytest.raises(UsageError, match="one name"):
        evaluate_model(oracle(1), pairs, SMALL, name="same", rivals=(same,))


def test_a_row_made_tile_by_tile(tmp_path):
    """The seam for rows that need the model's answer, the picture or some of the truth."""
    write_pair(tmp_path / "north", heights(), crs=UTM)
    seen = []

    def fusion(view):
        seen.append(view)
        return None if view.sigma is None else ((view.dem + view.pred) / 2, view.sigma)

    options = replace(SMALL, rows=(TileRow("halfway", fusion),))
    pairs = find_pairs(tmp_path)
    evaluation = evaluate_model(shading_model, pairs, options)
    model, halfway = row_of(evaluation, "model", "A0"), row_of(evaluation, "halfway", "A0")
    assert halfway["mae"] == pytest.approx(model["mae"] / 2, rel=1e-4)
    assert "ece" in halfway
    assert seen[0].image.shape == (3, 64, 64)
    assert seen[0].pixel_size_m == pytest.approx((30, 30), rel=0.01)
    silent = evaluate_model(lambda image, known: (image[0], None), pairs, options)
    assert "halfway" not in {row["method"] for row in silent.rows}


def test_the_mean_training_dem_is_a_row_that_does_not_look(tmp_path):
    tilt = np.linspace(0, 300, 128, dtype=np.float32)[None, :].repeat(128, axis=0)
    for number in range(3):
        write_pair(tmp_path / "data" / f"t{number}", tilt + 100 * number, meta={"split": "train"})
    write_pair(tmp_path / "data" / "held", tilt, meta={"split": "val"})
    write_pair(tmp_path / "data" / "turned", tilt[:, ::-1], meta={"split": "val"})
    options = EvaluateOptions(tile_px=128, min_tile_px=64, draws=50, alignments=("A2",))
    row = mean_training_row(tmp_path / "data", options)
    evaluation = evaluate_model(None, find_pairs(tmp_path / "data", "val"), replace(options, rows=(row,)))
    assert row_of(evaluation, "mean training DEM", "A2")["inverted"] == 0.5
    by_scene = {t.scene: t.scores for t in evaluation.tiles if t.method == "mean training DEM"}
    assert by_scene["held"]["mae"] == pytest.approx(0, abs=0.01)  # heights are stored in single precision
    packed = Chips(
        np.zeros((1, 3, 256, 128), np.uint8),
        quantise_heights(np.concatenate([tilt, tilt]))[None],
        *([np.array([30.0])] * 4),
        names=("c",),
        provenance={"kind": "real"},
    )
    save_chips(tmp_path / "real.npz", packed)
    save_chips(tmp_path / "val-real.npz", replace(packed, dem=packed.dem[..., ::-1].copy()))
    again = mean_training_row(tmp_path, options)
    view = TileView(tilt, None, None, None, None, np.random.default_rng(0))
    one, two = row.answer(view)[0], again.answer(view)[0]
    # Packs keep heights in steps of 0.25 m; the mean is in units of 32 x 30 m.
    np.testing.assert_allclose(one, two, atol=0.25 / 960)
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="no pair"):
        mean_training_row(tmp_path / "none", options)


def test_calibration_is_that_of_all_tiles():
    """Two tiles whose sigma errs to either side are calibrated together; each alone is not."""
    keys = [coverage_key(level) for level in CURVE_LEVELS]
    levels = np.array(CURVE_LEVELS)
    wide, narrow = np.minimum(levels + 0.04, 1), levels - 0.04
    tiles = [
        TileScore("m", "A1", "s", "r", 0, 64 * i, 50.0, {**dict(zip(keys, curve, strict=True)), "ece": 0.04})
        for i, curve in enumerate((wide, narrow))
    ]
    (row,) = (row for row in aggregate(tiles) if row["group"] == "all")
    assert row["ece"] == pytest.approx(0.04)
    assert row["ece_pooled"] == pytest.approx(0, abs=1e-12)
    assert row["ece_pooled_hi"] == pytest.approx(0.04)


def test_seams_are_where_tiles_of_the_model_begin_and_end():
    grid = Grid((100, 120), Affine(1, 0, 0, 0, -1, 0))
    scene = Scene(None, "r", Raster(np.zeros((1, 100, 120), np.float32), grid, ("height",)), None, None, None)
    # Starts 0, 36 and 0, 28, 56 (as core.tiles plans them); ends 64 and 64, 92.
    assert scene.seams(replace(SMALL, model_tiles=(64, 16))) == ((36, 64), (28, 56, 64, 92))
    assert scene.seams(replace(SMALL, seam_rows=(5,))) == ((5,), ())


def test_the_cost_of_a_model_is_counted_from_its_file(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the model is drawn with onnx")
    helper, rng = onnx.helper, np.random.default_rng(0)
    weights = {"w": rng.random((8, 3, 3, 3)), "b": rng.random(8), "one": rng.random((2, 8, 1, 1))}
    tensors = [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    tensors.append(onnx.numpy_helper.from_array(np.array([1, 2, -1]), "shape"))
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["x"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["x", "one"], ["y"]),
        helper.make_node("Reshape", ["y", "shape"], ["relief"]),
    ]
    image = helper.make_tensor_value_info("image", 1, ["n", 3, "h", "w"])
    graph = helper.make_graph(nodes, "g", [image], [helper.make_tensor_value_info("relief", 1, None)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    cost = model_cost(tmp_path / "m.onnx", side_px=64)
    assert cost.parameters == 8 * 27 + 8 + 16
    assert cost.gmac == pytest.approx(32 * 32 * (8 * 27 + 2 * 8) / 1e9)
    assert cost.onnx_mb == pytest.approx((tmp_path / "m.onnx").stat().st_size / 1e6)
    ratio = time_ratio(tmp_path / "m.onnx", tmp_path / "m.onnx", rounds=3)
    assert 0.05 < ratio < 20  # one and the same file; microseconds on a busy machine
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="does not run"):
        model_cost(tmp_path / "bad.onnx")


def test_dates_of_one_place_are_one_region(tmp_path):
    for name in ("day1", "day2"):
        write_pair(tmp_path / name, heights(1))
    write_pair(tmp_path / "elsewhere", heights(2), origin=(600_000, 100))
    write_pair(tmp_path / "named", heights(3), meta={"region": "day1"}, crs=None)
    row = row_of(evaluate_model(None, find_pairs(tmp_path), SMALL), "best plane", "A0")
    assert (row["tiles"], row["regions"]) == (16, 2)


def test_model_that_answers_another_shape_or_not_everywhere(tmp_path):
    write_pair(tmp_path / "a", heights())
    pairs = find_pairs(tmp_path)
    with pytest.raises(GridMismatchError, match="one height a pixel"):
        evaluate_model(lambda image, known: (image[0, 1:], None), pairs, SMALL)

    def half(image, known):
        answer = image[0].copy()
        answer[:32] = np.nan
        return answer, None

    row = row_of(evaluate_model(half, pairs, SMALL), "model", "A2")
    assert row["answered"] == pytest.approx(0.75)  # half of two of the four tiles


def test_a_broken_meta_file_is_named(tmp_path):
    write_pair(tmp_path / "a", heights())
    (tmp_path / "a" / "meta.json").write_text("{split:")
    with pytest.raises(InputError, match=r"meta\.json"):
        find_pairs(tmp_path)


def test_picture_of_another_size_than_the_heights(tmp_path):
    write_pair(tmp_path / "a", heights(), image=np.zeros((3, 10, 10), np.uint8))
    with pytest.raises(GridMismatchError, match="a pair lies on one grid"):
        evaluate_model(None, find_pairs(tmp_path), SMALL)


def test_spikes_of_the_truth_can_be_left_out(tmp_path):
    z = heights()
    spoilt = z.copy()
    spoilt[::20, ::20] = 9000
    pred, truth = write(tmp_path / "p.tif", z), write(tmp_path / "t.tif", spoilt)
    rows = {limit: evaluate_files(pred, truth, replace(SMALL, spike_m=limit)).rows for limit in (None, 2000.0)}
    errors = {limit: next(r["mae"] for r in found if r["method"] == "prediction") for limit, found in rows.items()}
    assert errors[None] > 10
    assert errors[2000.0] < 0.01


def test_level_tiles_can_be_left_out(tmp_path):
    z = heights(shape=(128, 128))
    z[:64] = 3.0
    options = EvaluateOptions(tile_px=64, min_tile_px=64, min_relief_m=5.0, draws=50)
    evaluation = evaluate_files(write(tmp_path / "p.tif", z), write(tmp_path / "z.tif", z), options)
    assert row_of(evaluation, "prediction", "A2")["tiles"] == 2
    assert any("relief below 5.0 m" in note for note in evaluation.notes)


def test_control_points_and_seams(tmp_path):
    z = heights(shape=(128, 128))
    p = 0.5 * z + 10 * np.random.default_rng(0).standard_normal(z.shape).astype(np.float32)
    p[60:68] += 100
    options = EvaluateOptions(
        tile_px=128, min_tile_px=64, alignments=("A2", "A4(3)", "A4(100)"), seam_rows=(64,), draws=50
    )
    evaluation = evaluate_files(write(tmp_path / "p.tif", p), write(tmp_path / "z.tif", z), options)
    a2, few, many = (row_of(evaluation, "prediction", name) for name in options.alignments)
    assert a2["seam_ratio"] > 2
    assert few["mae"] > many["mae"]
    assert many["mae"] < 1.5 * a2["mae"]
    assert "A4(100)" in {r["alignment"] for r in evaluation.rows if r["method"] == "best plane"}


def test_same_seed_same_numbers(tmp_path):
    write_pair(tmp_path / "a", heights())
    pairs = find_pairs(tmp_path)
    one, two = (evaluate_model(None, pairs, SMALL).to_json() for _ in range(2))
    assert one == two
    other = evaluate_model(None, pairs, EvaluateOptions(tile_px=64, min_tile_px=32, draws=200, seed=1)).to_json()
    assert one != other


def test_forms_of_the_table(tmp_path):
    z = heights()
    z[64:] = 3.0  # level tiles: figures that are not defined
    evaluation = evaluate_files(write(tmp_path / "p.tif", heights(4)), write(tmp_path / "z.tif", z), SMALL)
    text = evaluation.to_table()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 2 + sum(row["group"] == "all" for row in evaluation.rows)
    assert "std < 5 m" in evaluation.to_table(groups=())
    assert "A0" not in evaluation.to_table(alignments=("A2",))
    loaded = json.loads(evaluation.to_json())
    assert len(loaded["rows"]) == len(evaluation.rows)
    level = next(r for r in loaded["rows"] if r["group"] == "std < 5 m" and r["method"] == "prediction")
    assert level["skill"] is None
    table = list(csv.DictReader(io.StringIO(evaluation.to_csv())))
    assert len(table) == len(evaluation.rows)
    assert float(table[0]["mae"]) == pytest.approx(evaluation.rows[0]["mae"], rel=1e-4)
    assert "nan" not in evaluation.to_csv().lower()


def test_groups_by_relief():
    tiles = [
        TileScore("m", "A2", "s", "r", 0, 0, std, {"mae": mae})
        for std, mae in ((2.0, 1.0), (50.0, 3.0), (60.0, 5.0), (500.0, 9.0))
    ]
    rows = {row["group"]: row for row in aggregate(tiles)}
    assert list(rows) == ["all", "std < 5 m", "std 20-100 m", "std > 300 m"]
    assert rows["all"]["mae"] == 4.5
    elsewhere = TileScore("m", "A2", "s", "q", 0, 0, 2.0, {"mae": 7.0})
    by_region = {row["group"]: row["mae"] for row in aggregate([*tiles, elsewhere])}
    assert by_region["region r"] == 4.5
    assert by_region["region q"] == 7.0
    assert rows["std 20-100 m"]["mae"] == 4.0
    assert rows["std 20-100 m"]["tiles"] == 2
