"""Derivatives against gdaldem, the program most people's hillshades come from."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy import ndimage

from im2dem.core import terrain

pytestmark = pytest.mark.skipif(shutil.which("gdaldem") is None, reason="the command gdaldem is not installed")

PIXEL = (30.0, 20.0)


def surface():
    rng = np.random.default_rng(3)
    dem = ndimage.gaussian_filter(rng.standard_normal((70, 90)), 3) * 1500 + 800
    return dem.astype(np.float32)


@pytest.fixture(scope="module")
def dem_file(tmp_path_factory):
    return written(tmp_path_factory.mktemp("gdaldem") / "dem.tif", PIXEL)


def written(path, pixel):
    """The surface as a file with pixels of this size, metres."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": 70, "width": 90, "crs": "EPSG:32633"}
    transform = Affine(pixel[0], 0, 500000, 0, -pixel[1], 5200000)
    with rasterio.open(path, "w", transform=transform, nodata=-9999, **profile) as dataset:
        dataset.write(surface(), 1)
    return path


def gdaldem(mode, source, *arguments):
    """The other program's answer: float32, NaN = no data."""
    target = source.with_name(f"{mode}-{len(list(source.parent.iterdir()))}.tif")
    command = ["gdaldem", mode, str(source), str(target), "-q", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with rasterio.open(target) as dataset:
        return np.ma.filled(dataset.read(1, masked=True).astype(np.float32), np.nan)


def test_slope_also_at_the_edges(dem_file):
    theirs = gdaldem("slope", dem_file, "-compute_edges")
    ours = terrain.slope_deg(surface(), PIXEL)
    # Single precision on both sides; heights of 1000 m are good to 6e-5 m over 160 m.
    np.testing.assert_allclose(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=1e-3)
    # Edges are continued in the same way; only the four corners are clamped there.
    edge = np.ones(ours.shape, bool)
    edge[1:-1, 1:-1] = False
    edge[[0, 0, -1, -1], [0, -1, 0, -1]] = False
    np.testing.assert_allclose(ours[edge], theirs[edge], atol=2e-3)


def test_aspect(tmp_path):
    # Their aspect takes every pixel for a square.
    theirs = gdaldem("aspect", written(tmp_path / "dem.tif", (25.0, 25.0)))[1:-1, 1:-1]
    ours = terrain.aspect_deg(surface(), (25.0, 25.0))[1:-1, 1:-1]
    steep = terrain.slope_deg(surface(), (25.0, 25.0))[1:-1, 1:-1] > 1
    gap = (ours - theirs + 180) % 360 - 180
    # The direction of a slope of 1 degree is good to rounding / slope.
    assert np.abs(gap[steep]).max() < 0.02


@pytest.mark.parametrize(("azimuth", "altitude", "z"), [(315, 45, 1), (45, 45, 1), (157.4, 27.3, 2.5)])
def test_hillshade(dem_file, azimuth, altitude, z):
    theirs = gdaldem("hillshade", dem_file, "-az", str(azimuth), "-alt", str(altitude), "-z", str(z))
    ours = 1 + 254 * terrain.hillshade(surface(), PIXEL, azimuth, altitude, z)
    # Theirs is rounded to a byte.
    np.testing.assert_allclose(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=0.51)


def test_multidirectional_hillshade(dem_file):
    theirs = gdaldem("hillshade", dem_file, "-multidirectional")
    ours = 1 + 254 * terrain.multidirectional_hillshade(surface(), PIXEL)
    np.testing.assert_allclose(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=0.51)
