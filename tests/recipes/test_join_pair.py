"""A pair of a picture and finer heights that cover a part of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

import drawing
from im2dem.dataset.training_data import find_training_data
from im2dem.io.geotiff import read_raster

SCRIPT = Path(__file__).parents[2] / "recipes" / "join_pair.py"


def test_heights_are_averaged_onto_the_part_of_the_picture_that_they_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("join_pair", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    picture = drawing.colours(60, 70)
    picture[:, :5] = 0  # outside the scene
    drawing.draw(tmp_path / "image.tif", picture, transform=Affine(20, 0, 500_000, 0, -20, 4_000_000))
    fine = np.arange(80 * 100, dtype=np.float32).reshape(80, 100)
    fine[40:44, 60:64] = -1.0
    # half the pixel size, from the tenth row and the fourth column of the picture on; its last rows lie beyond none
    there = Affine(10, 0, 500_080, 0, -10, 3_999_800)
    drawing.draw(tmp_path / "dem.tif", fine[None], transform=there, nodata=-1.0)
    out = tmp_path / "data" / "pairs" / "joined"
    words = [str(tmp_path / "image.tif"), str(tmp_path / "dem.tif"), str(out), "--licence", "CC0", "--sun", "150,35"]
    monkeypatch.setattr(sys, "argv", ["join_pair.py", *words])
    module.main()
    wanted = np.where(fine < 0, np.nan, fine).reshape(40, 2, 50, 2).mean(axis=(1, 3))
    made = read_raster(out / "dem.tif").data[0]
    np.testing.assert_allclose(made, wanted, rtol=1e-6)
    meta = json.loads((out / "meta.json").read_text())
    assert (meta["split"], meta["size"], meta["sun_azimuth_deg"]) == ("train", [40, 50], 150.0)
    assert meta["gsd_m"] == pytest.approx(20.0, abs=0.1)
    assert len(find_training_data([tmp_path / "data"]).real) == 1
