import subprocess
import sys

import numpy as np
import pytest
import rasterio

from im2dem.core.errors import InputError, UsageError
from im2dem.io.datum import convert_heights, datum_named, datum_of_product


def test_names_are_told_apart():
    assert [datum_named(n) for n in ("egm96", "EGM2008 height", "EPSG:4979", "EPSG:5703")] == [
        "EGM96", "EGM2008", "WGS84 ellipsoid", "EPSG:5703",
    ]  # fmt: skip
    for bad in ("sea level", "EPSG:32633"):
        with pytest.raises(UsageError, match="EGM2008"):
            datum_named(bad)
    assert datum_of_product("N47E009.hgt") == "EGM96"


def test_the_same_datum_needs_no_grid():
    z = np.array([1.0, np.nan])
    np.testing.assert_array_equal(convert_heights(z, z, z, "EGM96", "EGM96"), z)
    with pytest.raises(InputError, match="PROJ knows no system"):
        convert_heights(np.ones(1), np.ones(1), np.ones(1), "the old map's", "EGM96")


PROGRAM = """
import sys, numpy as np, pyproj
if len(sys.argv) > 1: pyproj.datadir.append_data_dir(sys.argv[1])
from im2dem.io.datum import convert_heights
try: print(convert_heights(np.array([9.0]), np.array([47.0]), np.array([100.0]), "EGM96", "WGS84 ellipsoid")[0])
except ValueError as error: print(error)
"""


def answer(*folder):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *folder], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_grid_converts_and_a_missing_one_is_named(tmp_path):
    if "us_nga_egm96_15.tif" not in answer():
        pytest.skip("this machine has the grid of EGM96 already")
    assert "pyproj sync --file us_nga_egm96_15.tif" in answer()
    with rasterio.open(
        tmp_path / "us_nga_egm96_15.tif", "w", driver="GTiff", width=37, height=19, count=1, dtype="float32",
        crs="EPSG:4979", transform=rasterio.Affine(10, 0, -185, 0, -10, 95), AREA_OR_POINT="Point",
    ) as grid:  # fmt: skip
        grid.write(np.full((1, 19, 37), 48.5, np.float32))
        grid.update_tags(TYPE="VERTICAL_OFFSET_GEOGRAPHIC_TO_VERTICAL", AREA_OR_POINT="Point")
        grid.set_band_description(1, "geoid_undulation")
    assert float(answer(str(tmp_path))) == pytest.approx(148.5)  # above the ellipsoid by the undulation
