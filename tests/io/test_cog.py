"""`create_cog`: a valid COG or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from rio_cogeo.cogeo import cog_validate

import drawing
from im2dem.core.errors import OutputError, OutputExistsError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.raster import Raster
from im2dem.core.scaling import strips
from im2dem.io import atomic, cog
from im2dem.io.cog import CogOptions, create_cog, write_raster
from im2dem.io.geotiff import open_dem, read_raster

GRID = Grid((700, 1100), drawing.UTM_TRANSFORM, drawing.UTM)


def hills(grid=GRID, bands=("height", "sigma")):
    data = np.stack([drawing.heights(*grid.shape) + 7 * k for k in range(len(bands))])
    if min(grid.shape) > 20:
        data[:, 5:15, 8:20] = np.nan
    return Raster(data, grid, bands, "m", "EGM2008")


@pytest.mark.parametrize("compress", ["auto", "zstd", "deflate"])
def test_it_is_a_valid_cog_with_everything_in_it(tmp_path, compress):
    raster = hills()
    options = CogOptions(tags={"MODEL": "relief", "TILE_PX": 512}, compress=compress)
    path = write_raster(tmp_path / "dem.tif", raster, options=options)
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as dataset:
        assert dataset.dtypes == ("float32", "float32")
        assert dataset.nodatavals == (-9999.0, -9999.0)
        assert dataset.descriptions == ("height", "sigma")
        assert dataset.units == ("m", "m")
        assert dataset.block_shapes == [(512, 512), (512, 512)]
        assert dataset.overviews(1) == [2, 4]
        tags = dataset.tags()
        assert (tags["MODEL"], tags["TILE_PX"], tags["VERTICAL_DATUM"]) == ("relief", "512", "EGM2008")
        assert tags["AREA_OR_POINT"] == "Area"
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
        assert structure["COMPRESSION"] == {"auto": "ZSTD"}.get(compress, compress.upper())
        assert structure["PREDICTOR"] == "3"
        stored = dataset.read()
    np.testing.assert_array_equal(stored, np.where(np.isnan(raster.data), -9999.0, raster.data))
    assert os.listdir(tmp_path) == ["dem.tif"]


def test_pictures_are_bytes_that_any_program_shows(tmp_path):
    data = np.linspace(-3, 260, 3 * 700 * 1100, dtype=np.float32).reshape(3, 700, 1100)
    data[:, 5:15, 8:20] = np.nan
    picture = Raster(data, GRID, ("red", "green", "blue"), "DN")
    options = CogOptions(compress="deflate", dtype="uint8")
    path = write_raster(tmp_path / "rgb.tif", picture, options=options)
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as dataset:
        assert dataset.dtypes == ("uint8",) * 3
        assert [c.name for c in dataset.colorinterp] == ["red", "green", "blue"]
        assert dataset.overviews(1) == [2, 4]
        values = dataset.read(masked=True)
    assert (values.mask == np.isnan(data)).all()
    # Dark is 1 and not 0, which is no data.
    assert np.abs(values - np.clip(data, 1, 255)).max() <= 0.5
    assert values.min() == 1
    assert values.max() == 255
    with pytest.raises(UsageError, match="uint8"):
        CogOptions(dtype="int16")


def test_overviews_are_averages_without_nodata(tmp_path):
    raster = hills()
    path = write_raster(tmp_path / "dem.tif", raster)
    with rasterio.open(path, overview_level=0) as dataset:
        half = dataset.read(1)
    blocks = raster.data[0].reshape(350, 2, 550, 2)
    assert np.allclose(half[20:], blocks[20:].mean(axis=(1, 3)), atol=1e-3)  # float32 sums of 900 m
    assert ((half > 400) | (half == -9999)).all(), "-9999 must not leak into an average"


@pytest.mark.parametrize(
    "grid",
    [
        GRID,
        Grid.local((60, 70), None),
        Grid.local((60, 70), 10.0),
        Grid((60, 70), drawing.DEGREES, "EPSG:4326"),
        Grid((60, 70), drawing.ROTATED, drawing.UTM),
        Grid((60, 70), drawing.SHEARED, drawing.UTM),
        Grid((60, 70), drawing.UTM_TRANSFORM, None),
        Grid((1, 1), drawing.UTM_TRANSFORM, drawing.UTM),
        Grid((1, 513), drawing.UTM_TRANSFORM, drawing.UTM),
        Grid((1025, 3), drawing.UTM_TRANSFORM, drawing.UTM),
    ],
    ids=str,
)
def test_what_is_written_is_read_again(tmp_path, grid):
    raster = hills(grid)
    again = read_raster(write_raster(tmp_path / "dem.tif", raster))
    assert again.grid == raster.grid
    np.testing.assert_array_equal(again.data, raster.data)
    assert (again.bands, again.unit, again.vertical_datum) == (raster.bands, "m", "EGM2008")
    assert cog_validate(tmp_path / "dem.tif", strict=False)[0]


def test_wkt_survives(tmp_path):
    custom = Grid((4, 5), Affine(10, 0, 0, 0, -10, 0), "+proj=laea +lat_0=46 +lon_0=8 +datum=WGS84 +units=m")
    again = read_raster(write_raster(tmp_path / "dem.tif", hills(custom)))
    assert again.grid.crs is not None
    third = read_raster(write_raster(tmp_path / "again.tif", again))
    assert third.grid == again.grid


def test_relative_heights_have_no_datum_and_keep_their_unit(tmp_path):
    raster = replace(hills(Grid.local((9, 8), None)), unit="px", vertical_datum=None)
    path = write_raster(tmp_path / "dem.tif", raster, options=CogOptions(vertical_datum="ignored"))
    with open_dem(path) as reader:
        assert (reader.info.unit, reader.info.vertical_datum) == ("px", None)


def test_any_windows_make_the_same_file(tmp_path):
    raster = hills()
    options = CogOptions("m", raster.vertical_datum)
    with create_cog(tmp_path / "dem.tif", GRID, raster.bands, options=options) as writer:
        for strip in strips(GRID, 97):
            for col in (0, 333):
                window = Window(strip.row_off, col, strip.height, 333 if col == 0 else 1100 - 333)
                writer.write(window, raster.read(window))
    np.testing.assert_array_equal(read_raster(tmp_path / "dem.tif").data, raster.data)
    # Here GDAL made the overviews, there they were made in passing.
    assert (tmp_path / "dem.tif").read_bytes() == write_raster(tmp_path / "rows.tif", raster).read_bytes()


def test_rows_never_written_are_nodata(tmp_path):
    with create_cog(tmp_path / "dem.tif", GRID, ("height",)) as writer:
        writer.write(Window(0, 0, 10, 1100), np.ones((1, 10, 1100), dtype=np.float32))
    data = read_raster(tmp_path / "dem.tif").data
    assert np.isfinite(data).sum() == 11_000
    assert np.isfinite(data[0, :10]).all()


# ---- all or nothing ----


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [False, True])
def test_nothing_is_left_after_an_interruption(tmp_path, kind, existing):
    target = tmp_path / "dem.tif"
    if existing:
        target.write_bytes(b"precious")
    data = np.ones((1, 512, 1100), dtype=np.float32)

    def interrupted() -> None:
        with create_cog(target, GRID, ("height",), options=CogOptions(overwrite=True)) as writer:
            writer.write(Window(0, 0, 512, 1100), data)
            assert (tmp_path / "dem.part.tif").exists()
            raise kind

    with pytest.raises(kind):
        interrupted()
    assert os.listdir(tmp_path) == (["dem.tif"] if existing else [])
    if existing:
        assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("step", ["copy", "publish"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_nothing_is_left_after_an_interruption_at_the_end(tmp_path, monkeypatch, step, kind):
    def fail(*_args: object, **_options: object) -> None:
        raise kind(28, "No space left on device")

    if step == "copy":
        monkeypatch.setattr(cog.rasterio.shutil, "copy", fail)
    else:
        monkeypatch.setattr(cog, "publish", fail)
    expected = OutputError if kind is OSError else kind
    with pytest.raises(expected) as error:
        write_raster(tmp_path / "dem.tif", hills())
    assert os.listdir(tmp_path) == []
    if kind is OSError:
        assert "disk is full" in str(error.value)


def test_left_overs_of_a_killed_run_do_not_matter(tmp_path):
    for name in (
        "dem.part.tif",
        "dem.part.tif.ovr",
        "dem.part.tif.ovr.ovr.ovr.ovr",
        "dem.part.tif.ovr.ovr.aux.xml",
        "dem.part.cog.tif",
        "dem.part.cog.tif.ovr.tmp",
    ):
        (tmp_path / name).write_bytes(b"rubbish")
    write_raster(tmp_path / "dem.tif", hills())
    assert os.listdir(tmp_path) == ["dem.tif"]


def test_settings_that_hide_files_and_drivers_change_nothing(tmp_path):
    # As a server's jobs have them: GDAL looks for nothing beside a file, and knows no VRT.
    code = """
import sys
from im2dem.io.cog import write_raster
from im2dem.io.geotiff import read_raster
write_raster(sys.argv[2], read_raster(sys.argv[1]))
"""
    own = write_raster(tmp_path / "own.tif", hills())
    for name, settings in (
        ("plain.tif", {}),
        ("held.tif", {"GDAL_SKIP": "VRT", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}),
    ):
        words = [sys.executable, "-c", code, str(own), str(tmp_path / name)]
        subprocess.run(words, env={**os.environ, **settings}, check=True)
    assert (tmp_path / "held.tif").read_bytes() == (tmp_path / "plain.tif").read_bytes()
    with rasterio.open(tmp_path / "held.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]


@pytest.mark.skipif(os.name != "posix", reason="names as POSIX has them")
def test_a_name_as_long_as_names_may_be_with_the_temporary_endings(tmp_path):
    # 255 bytes less the longest ending beside it, ".part.cog.tif.msk.ovr.tmp"; more levels than fit are no names.
    path = write_raster(tmp_path / f"{'d' * 226}.tif", hills())
    assert os.listdir(tmp_path) == [path.name]


def test_existing_file_stops_it_before_any_work(tmp_path):
    target = tmp_path / "dem.tif"
    target.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        create_cog(target, GRID, ("height",))
    assert target.read_bytes() == b"precious"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "dem.tif"
    with pytest.raises(OutputExistsError), create_cog(target, GRID, ("height",)):
        target.write_bytes(b"precious")
    assert target.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["dem.tif"]


def test_overwriting_takes_the_old_side_cars_along(tmp_path):
    target = drawing.draw_dem(tmp_path / "dem.tif")
    (tmp_path / "dem.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "dem.tif.ovr").write_bytes(b"old")
    (tmp_path / "dem.tif.json").write_text("{}")
    write_raster(target, hills(), options=CogOptions(overwrite=True))
    assert sorted(os.listdir(tmp_path)) == ["dem.tif", "dem.tif.json"]
    np.testing.assert_array_equal(read_raster(target).data, hills().data)


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for path, words in [
        (tmp_path / "missing" / "dem.tif", "mkdir"),
        (tmp_path / "file" / "dem.tif", "not a folder"),
        (tmp_path, "folder"),
    ]:
        with pytest.raises(OutputError, match=words):
            create_cog(path, GRID, ("height",))
    assert os.listdir(tmp_path) == ["file"]


def test_folder_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "access", lambda *_: False)  # root may write anywhere, so the answer is faked
    with pytest.raises(OutputError, match="permission"):
        create_cog(tmp_path / "dem.tif", GRID, ("height",))


def test_too_small_a_disk_is_said_before_any_work(tmp_path, monkeypatch):
    usage = atomic.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(atomic.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(OutputError, match="MB"):
        create_cog(tmp_path / "dem.tif", GRID, ("height",)).__enter__()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="limits of file size are POSIX")
@pytest.mark.parametrize("limit", [2_000_000, 10_000_000])
def test_a_disk_that_fills_up(tmp_path, limit):
    """A limit on file size makes GDAL's writes fail as a full disk does: 12.6 MB are to be written.

    With 2 MB and with 10 MB all blocks still fit into GDAL's cache, whose last flush only logs its failure.
    """
    program = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from im2dem.core.errors import OutputError\n"
        "from im2dem.core.grid import Grid\n"
        "from im2dem.core.raster import Raster\n"
        "from im2dem.io.cog import write_raster\n"
        "limit = int(sys.argv[2])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "grid = Grid.local((1000, 1400), 10.0)\n"
        "noise = np.random.default_rng(1).normal(size=(2, 1000, 1400))\n"
        "try:\n"
        "    write_raster(sys.argv[1], Raster(noise, grid, ('height', 'sigma')))\n"
        "except OutputError as error:\n"
        "    sys.exit(0 if 'disk' in str(error) else 3)\n"
        "sys.exit(4)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "dem.tif"), str(limit)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert os.listdir(tmp_path) == []


# ---- wrong calls ----


def test_wrong_calls(tmp_path):
    target = tmp_path / "dem.tif"
    with pytest.raises(UsageError, match="band"):
        create_cog(target, GRID, ())
    with pytest.raises(UsageError, match="compress"):
        CogOptions(compress="jpeg")
    with pytest.raises(UsageError, match="reference system"):
        create_cog(target, Grid((4, 4), drawing.UTM_TRANSFORM, "EPSG:nonsense"), ("height",))
    writer = create_cog(target, GRID, ("height",))
    with pytest.raises(UsageError, match="not open"):
        writer.write(Window(0, 0, 1, 1), np.zeros((1, 1, 1), dtype=np.float32))
    with pytest.raises(UsageError, match="inside"), writer:
        writer.write(Window(699, 0, 2, 1), np.zeros((1, 2, 1), dtype=np.float32))
    with pytest.raises(UsageError, match="shape"), create_cog(target, GRID, ("height",)) as writer:
        writer.write(Window(0, 0, 2, 1), np.zeros((2, 1), dtype=np.float32))
    assert os.listdir(tmp_path) == []
