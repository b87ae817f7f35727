"""A coarse height model over a picture: whatever its reference system, extent, resolution and voids, or why not."""

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

import drawing
from im2dem.core.errors import InputError
from im2dem.core.grid import Grid
from im2dem.io.prior import in_datum, load_prior

GRID = Grid((160, 200), drawing.UTM_TRANSFORM, drawing.UTM)  # 10 m
LON, LAT = GRID.lonlat(80, 100)


def land(lon, lat):
    """Heights of a made-up country, the same for every reference system; 100 m over a few kilometres."""
    return 500 + 60 * np.sin((lon - LON) * 300) + 40 * np.cos((lat - LAT) * 400)


def model(path, transform, shape, crs, **profile):
    """That country on some grid, at the middles of its pixels."""
    col, row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = transform @ (col, row)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return drawing.draw_dem(path, land(lon, lat).astype(np.float32), crs=crs, transform=transform, **profile)


def misfit(prior):
    """Error at the middles of the cells, metres."""
    f, (row0, col0) = prior.surface.factor, prior.surface.offset
    rows, cols = prior.heights.shape
    col, row = np.meshgrid((np.arange(cols) + 0.5) * f - col0, (np.arange(rows) + 0.5) * f - row0)
    x, y = GRID.transform @ (col, row)
    lon, lat = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return prior.heights - land(lon, lat)


def test_blocks_of_the_pictures_pixels_are_taken_as_they_are(tmp_path):
    transform = GRID.transform @ Affine.translation(-24, -16) @ Affine.scale(8)
    path = model(tmp_path / "c.tif", transform, (30, 40), GRID.crs)
    prior = load_prior([path], GRID)
    assert (prior.surface.factor, prior.surface.offset) == (8, (0, 0))
    assert prior.cell_m == pytest.approx(80, rel=1e-3)  # a map's scale is not quite 1
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(prior.heights, file.read(1)[2:22, 3:28])
    half = GRID.transform @ Affine.translation(-20, -11) @ Affine.scale(8)
    assert load_prior([model(tmp_path / "d.tif", half, (30, 40), GRID.crs)], GRID).surface.offset == (3, 4)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3035", "EPSG:32633"])
def test_another_reference_system(tmp_path, crs):
    """A neighbouring zone, degrees, and an equal-area system: within what 90 m cells can tell of such hills."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(LON, LAT)
    pixel = 90 / 111_000 if crs == "EPSG:4326" else 90.0
    transform = Affine(pixel, 0, x - 60 * pixel, 0, -pixel, y + 60 * pixel)
    prior = load_prior([model(tmp_path / "c.tif", transform, (120, 120), crs)], GRID)
    assert prior.surface.factor in (8, 9)
    assert np.isfinite(prior.heights).all()
    assert np.abs(misfit(prior)).max() < 1.5  # of a range of 200 m; half a cell astray would be 9 m


@pytest.mark.parametrize("pixel_m", [4.0, 10.0, 33.0, 250.0])
def test_another_resolution(tmp_path, pixel_m):
    """Finer than the picture, as fine, no multiple of it, and so coarse that the picture has eight cells."""
    steps = round(8000 / pixel_m)
    transform = Affine(pixel_m, 0, 497_003, 0, -pixel_m, 4_003_001)
    prior = load_prior([model(tmp_path / "c.tif", transform, (steps, steps), GRID.crs)], GRID)
    assert prior.surface.factor == max(1, round(pixel_m / 10))
    # Cells of 250 m flatten waves of 2 km by 2 %, half a cell astray would be 15 m.
    assert np.abs(misfit(prior)).max() < (4.0 if pixel_m > 100 else 0.5)


def test_a_file_that_covers_a_part_and_one_that_covers_the_rest(tmp_path):
    west = model(tmp_path / "w.tif", GRID.transform @ Affine.scale(8), (20, 12), GRID.crs)
    east = model(tmp_path / "e.tif", GRID.transform @ Affine.translation(80, 0) @ Affine.scale(8), (20, 15), GRID.crs)
    alone = load_prior([west], GRID)
    assert alone.void_share == pytest.approx(13 / 25)
    both = load_prior([west, east], GRID)
    assert both.void_share == 0.0
    assert np.abs(misfit(both)).max() < 1e-3
    np.testing.assert_array_equal(both.heights[:, :12], alone.heights[:, :12])


@pytest.mark.parametrize("crs", ["EPSG:32634", "EPSG:3035"])
def test_voids_stay_voids(tmp_path, crs):
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(LON, LAT)
    transform = Affine(80, 0, x - 4000, 0, -80, y + 4000)
    path = model(tmp_path / "c.tif", transform, (100, 100), crs, nodata=-9999)
    with rasterio.open(path, "r+") as file:
        data = file.read(1)
        data[48:53, 47:54] = file.nodata
        file.write(data, 1)
    prior = load_prior([path], GRID)
    assert 0.01 < prior.void_share < 0.15
    # No sentinel leaks into the neighbours.
    assert np.nanmax(np.abs(misfit(prior))) < 4.0


def test_pixels_that_are_points_lie_where_they_say(tmp_path):
    """The same heights as areas and as points: the tie point of the second kind is the middle of the pixel."""
    transform = GRID.transform @ Affine.scale(8)
    area = model(tmp_path / "a.tif", transform, (20, 25), GRID.crs)
    with rasterio.open(area) as file:
        profile, data = file.profile, file.read()
    with rasterio.open(tmp_path / "p.tif", "w", **profile) as file:
        file.write(data)
        file.update_tags(AREA_OR_POINT="Point")
    priors = [load_prior([path], GRID) for path in (area, tmp_path / "p.tif")]
    np.testing.assert_array_equal(priors[0].heights, priors[1].heights)
    assert np.abs(misfit(priors[1])).max() < 1e-3


def test_what_cannot_be_laid_over_a_picture(tmp_path):
    far = model(tmp_path / "far.tif", Affine(80, 0, 900_000, 0, -80, 4_500_000), (10, 10), GRID.crs)
    with pytest.raises(InputError, match=r"far\.tif: no valid height within the picture"):
        load_prior([far], GRID)
    good = model(tmp_path / "good.tif", GRID.transform @ Affine.scale(8), (20, 25), GRID.crs)
    with pytest.raises(InputError, match="georeference the picture"):
        load_prior([good], Grid.local((100, 100), 10.0))
    nowhere = drawing.draw_dem(tmp_path / "n.tif", np.ones((5, 5), np.float32), crs=None, transform=Affine.identity())
    with pytest.raises(InputError, match=r"n\.tif: has no reference system"):
        load_prior([nowhere], GRID)
    with rasterio.open(good) as file:
        profile, data = file.profile, file.read()
    with rasterio.open(tmp_path / "N47E009.hgt.tif", "w", **profile) as file:
        file.write(data)
        file.update_tags(VERTICAL_DATUM="EGM2008")
    with rasterio.open(tmp_path / "srtm.tif", "w", **profile) as file:
        file.write(data)
    with pytest.raises(InputError, match="different vertical datums"):
        load_prior([tmp_path / "N47E009.hgt.tif", tmp_path / "srtm.tif"], GRID)


def test_a_datum_that_is_not_known_cannot_be_left(tmp_path):
    path = model(tmp_path / "c.tif", GRID.transform @ Affine.scale(8), (20, 25), GRID.crs)
    prior = load_prior([path], GRID)
    assert prior.vertical_datum is None
    with pytest.raises(InputError, match="--prior-datum"):
        in_datum(prior, GRID, "EGM96")
    told = load_prior([path], GRID, "egm-96")
    assert in_datum(told, GRID, "EGM96") is told


PROGRAM = """
import sys, numpy as np, pyproj
if len(sys.argv) > 2: pyproj.datadir.append_data_dir(sys.argv[2])
from im2dem.core.grid import Grid
from im2dem.io.prior import in_datum, load_prior
import rasterio
with rasterio.open(sys.argv[1]) as file:
    grid = Grid((160, 200), file.transform @ rasterio.Affine.scale(1 / 8), file.crs.to_string())
prior = load_prior([sys.argv[1]], grid, "EGM96")
try:
    moved = in_datum(prior, grid, "WGS84 ellipsoid")
    print(moved.vertical_datum, np.unique(np.round(moved.heights - prior.heights, 3)).tolist())
except ValueError as error: print(error)
"""


def test_heights_move_by_the_undulation_where_proj_has_its_grid(tmp_path):
    """In a process of its own: PROJ keeps the folders that it was told."""
    path = model(tmp_path / "c.tif", GRID.transform @ Affine.scale(8), (20, 25), GRID.crs)

    def answer(*folder):
        words = [sys.executable, "-c", PROGRAM, str(path), *folder]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    if "us_nga_egm96_15.tif" not in answer():
        pytest.skip("this machine has the grid of EGM96 already")
    assert "pyproj sync --file us_nga_egm96_15.tif" in answer()
    with rasterio.open(
        tmp_path / "us_nga_egm96_15.tif", "w", driver="GTiff", width=37, height=19, count=1, dtype="float32",
        crs="EPSG:4979", transform=Affine(10, 0, -185, 0, -10, 95),
    ) as geoid:  # fmt: skip
        geoid.write(np.full((1, 19, 37), 48.5, np.float32))
        geoid.update_tags(TYPE="VERTICAL_OFFSET_GEOGRAPHIC_TO_VERTICAL", AREA_OR_POINT="Point")
        geoid.set_band_description(1, "geoid_undulation")
    assert answer(str(tmp_path)).strip() == "WGS84 ellipsoid [48.5]"
