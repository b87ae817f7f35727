"""Terrain, its picture by the physical engine, and what the shipped model makes of the picture."""

import numpy as np
import pytest

from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.pipeline.predict import predict_dem
from im2dem.pipeline.terrain import TerrainOptions, generate_terrain, photograph

pytest.importorskip("numba", reason="the extra [synth] is not installed; a picture needs it")


@pytest.mark.slow
def test_predicted_heights_follow_the_terrain() -> None:
    terrain = generate_terrain(TerrainOptions("glacial", 7, 288))
    dem = Raster(terrain.data, Grid.local((288, 288), 30.0), terrain.bands, terrain.unit)
    predicted = predict_dem(photograph(dem, 7)).band("height")
    r = np.corrcoef(dem.band("height").ravel(), predicted.ravel())[0, 1]
    # 0.50 with the weights of November 2026; an inverted or blind model has 0 or less.
    assert r > 0.35
