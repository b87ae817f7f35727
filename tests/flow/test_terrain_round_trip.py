"""Terrain, its picture by the physical engine, and what the shipped model makes of the picture."""

from pathlib import Path

import numpy as np
import pytest

from im2dem.io.geotiff import read_raster
from im2dem.pipeline.predict import PredictOptions, predict_file
from im2dem.pipeline.terrain import Companions, TerrainOptions, write_terrain

pytest.importorskip("numba", reason="the extra [synth] is not installed; a picture needs it")


# November 2026: 0.88 to 0.90 with a line of snow, which shows where the land is high; 0.72 and more without, where
# long waves have nothing but their shading. An inverted or blind model has 0 or less.
@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "season", "least"), [("alps", "winter", 0.8), ("glacial", None, 0.6)])
def test_predicted_heights_follow_the_terrain(tmp_path: Path, recipe: str, season: str | None, least: float) -> None:
    files = [tmp_path / name for name in ("dem.tif", "rgb.tif", "predicted.tif")]
    write_terrain(files[0], TerrainOptions(recipe, 7, 320), Companions(colour=files[1], season=season))
    prediction = predict_file(files[1], files[2], PredictOptions())
    assert prediction.configuration["condition"]["sun_from"] == "tags"
    truth, predicted = (read_raster(files[k]).band("height") for k in (0, 2))
    assert np.corrcoef(truth.ravel(), predicted.ravel())[0, 1] > least
