"""The exported hillshade against gdaldem's own file, byte by byte."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import rasterio

import drawing
from im2dem.pipeline.export import ExportOptions, export_file

pytestmark = pytest.mark.skipif(shutil.which("gdaldem") is None, reason="the command gdaldem is not installed")


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], {}),
        (["-az", "70", "-alt", "30", "-z", "2"], {"azimuth_deg": 70.0, "altitude_deg": 30.0, "z_factor": 2.0}),
        (["-multidirectional"], {"multidirectional": True}),
    ],
    ids=["plain", "light", "multidirectional"],
)
def test_hillshade_is_that_of_gdaldem(tmp_path, flags, options):
    # Taller than a strip, with a void; in a local metre grid, where both programs see the same pixel size.
    heights = drawing.heights(300, 90)
    heights[40:50, 30:45] = -9999
    dem = drawing.draw_dem(tmp_path / "dem.tif", heights, nodata=-9999, crs="EPSG:32634")
    export_file(dem, tmp_path / "ours.tif", ExportOptions("hillshade", **options))
    theirs = tmp_path / "theirs.tif"
    subprocess.run(["gdaldem", "hillshade", dem, theirs, "-q", *flags], check=True)
    with rasterio.open(tmp_path / "ours.tif") as one, rasterio.open(theirs) as two:
        ours, reference = one.read(1).astype(int), two.read(1).astype(int)
        assert (one.transform, one.crs, one.nodata) == (two.transform, two.crs, two.nodata)
    both = reference > 0  # gdaldem leaves the rim and the surroundings of voids empty
    assert both.mean() > 0.9
    # UTM away from its meridian stretches by up to 0.04 %, which gdaldem does not see; that and rounding are one step.
    assert np.abs(ours - reference)[both].max() <= 1
    assert (ours[heights == -9999] == 0).all()
    assert (ours[heights != -9999] > 0).all()
