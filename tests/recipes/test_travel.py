"""The scripts beside the recipes: what travels arrives."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import drawing
from im2dem.dataset.training_data import find_training_data

RECIPES = Path(__file__).parents[2] / "recipes"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_heights_travel_without_loss_the_largest_steps_too(heights: np.ndarray) -> None:
    travel = script("travel")
    np.testing.assert_array_equal(travel.loosen_heights(travel.squeeze_heights(heights)), heights)


def test_pairs_and_models_arrive_and_the_test_split_stays_at_home(tmp_path: Path) -> None:
    travel = script("travel")
    dem = drawing.heights(96, 128)
    meta = {"gsd_m": 30.0, "sun_azimuth_deg": 150.0, "sun_elevation_deg": 30.0, "latitude_about": 36.0}
    for split, licence in (("train", "CC0"), ("val", "CC-BY-NC-SA-4.0"), ("test", "CC0")):
        folder = tmp_path / "data" / "pairs" / f"place-{split}"
        folder.mkdir(parents=True)
        drawing.draw(folder / "rgb.tif", drawing.colours(96, 128))
        drawing.draw(folder / "dem.tif", dem[None])
        (folder / "meta.json").write_text(json.dumps({**meta, "split": split, "licence": licence}))
    (tmp_path / "data" / "dem").mkdir()
    drawing.draw(tmp_path / "data" / "dem" / "hills.tif", dem[None])
    travel.squeeze(tmp_path / "data", tmp_path / "out", 45 << 20)
    travel.unpack(tmp_path / "out" / "1", tmp_path / "work")
    data = find_training_data([tmp_path / "work" / "packs"])
    assert [chips.names for chips in data.real] == [("place-train",)]
    assert [chips.names for chips in data.held_out] == [("place-val",)]
    np.testing.assert_allclose(data.real[0].heights_m(0), dem - dem.mean(), atol=0.13)
    with np.load(tmp_path / "work" / "dem" / "hills.npz") as model:
        # UTM stretches the ground a little
        assert json.loads(str(model["meta"]))["gsd_m"] == pytest.approx(10.0, rel=1e-3)


def test_the_queue_names_recipes_that_are_there_and_keys_that_they_have(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")
    from im2dem.train.recipe import complete, read_table

    runner = script("work_off")
    runs = tomllib.loads((RECIPES / "queues" / "gpu.toml").read_text())
    packs = tmp_path / "packs"
    packs.mkdir()
    for name in ("train-kanto-a", "train-pyrenees", "val-b", "synth-1", "restricted-train-c"):
        (packs / f"{name}.npz").touch()
    for name, run in runs.items():
        complete(read_table(RECIPES / run["recipe"], run.get("set")))
        line = runner.command(name, run, tmp_path)
        assert any("val-b" in part for part in line) == (name != "pix2pix")
        assert any("restricted" in part for part in line) == (name == "research")
    with pytest.raises(SystemExit, match="no pack"):
        runner.command("none", {"recipe": "relief.toml", "data": ["other-*"]}, tmp_path)
