"""`open_reader`: every layout of picture, and every way to be no picture."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp as Role

import drawing
from im2dem.core.errors import NoDataError, NotAnImageError, UnsupportedTypeError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.io.geotiff import ensure_has_data, open_reader, read_raster

PLACE = {"crs": drawing.UTM, "transform": drawing.UTM_TRANSFORM}


def read_all(path: Path, **options):
    with open_reader(path, **options) as reader:
        assert reader.bands == ("red", "green", "blue")
        data = reader.read(reader.grid.window)
    assert data.dtype == np.float32
    assert data.shape == (3, *reader.grid.shape)
    return data


# The name's ending chooses the driver. Lossy JPEG: quality 95 on edges of fields stays within 25 of 255, mean
# within 2.5.
@pytest.mark.parametrize(
    ("ending", "profile", "tolerance"),
    [
        (".tif", {}, 0),
        (".tif", {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate"}, 0),
        (".tif", {"interleave": "pixel", "compress": "lzw"}, 0),
        (".tif", {"driver": "COG"}, 0),
        (".vrt", {}, 0),
        (".jp2", {}, 0),
        (".png", {}, 0),
        (".webp", {}, 0),
        (".jpg", {}, 25),
    ],
)
def test_every_format_gives_its_pixels(tmp_path, ending, profile, tolerance):
    picture = drawing.colours()
    path = drawing.draw(tmp_path / f"scene{ending}", picture, **profile)
    data = read_all(path)
    assert np.abs(data - picture).max() <= tolerance
    assert np.abs(data - picture).mean() <= tolerance / 10


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_every_type_gives_its_values(tmp_path, dtype):
    picture = (drawing.colours() // 2).astype(dtype)
    path = drawing.draw(tmp_path / "scene.tif", picture)
    np.testing.assert_array_equal(read_all(path), picture.astype(np.float32))
    with open_reader(path) as reader:
        assert reader.dtype == dtype


@pytest.mark.parametrize(
    ("bands", "roles", "chosen"),
    [
        (1, [Role.gray], (0, 0, 0)),
        (3, [Role.undefined] * 3, (0, 1, 2)),
        (3, [Role.blue, Role.green, Role.red], (2, 1, 0)),
        (4, [Role.red, Role.green, Role.blue, Role.undefined], (0, 1, 2)),
        (4, [Role.undefined, Role.blue, Role.green, Role.red], (3, 2, 1)),
        (6, [Role.gray] + [Role.undefined] * 5, (0, 1, 2)),
    ],
)
def test_bands_are_chosen_by_their_colour_else_the_first_three(tmp_path, bands, roles, chosen):
    picture = drawing.colours(bands=bands).astype(np.uint16)
    path = drawing.draw(tmp_path / "scene.tif", picture, colorinterp=roles)
    np.testing.assert_array_equal(read_all(path), picture[list(chosen)])


@pytest.mark.parametrize(
    ("names", "chosen"),
    [(["B02", "B03", "B04", "B08"], (2, 1, 0)), (["NIR", "Red", "Green", "Blue"], (1, 2, 3))],
)
def test_bands_are_chosen_by_their_names_first(tmp_path, names, chosen):
    picture = drawing.colours(bands=4)  # GDAL calls the first three of four bytes red, green, blue by itself
    path = drawing.draw(tmp_path / "scene.tif", picture, descriptions=names)
    np.testing.assert_array_equal(read_all(path), picture[list(chosen)])


def test_bands_given_by_hand(tmp_path):
    picture = drawing.colours(bands=6)
    path = drawing.draw(tmp_path / "scene.tif", picture)
    np.testing.assert_array_equal(read_all(path, bands=(4, 3, 2)), picture[[3, 2, 1]])
    np.testing.assert_array_equal(read_all(path, bands=(5,)), picture[[4, 4, 4]])
    np.testing.assert_array_equal(read_all(path, bands=(2, 6, 2)), picture[[1, 5, 1]])


@pytest.mark.parametrize("bands", [(4, 3, 7), (0, 1, 2), (1, 2), (), (-1,)])
def test_bands_that_cannot_be(tmp_path, bands):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(bands=6))
    with pytest.raises(UsageError, match="band"):
        open_reader(path, bands=bands)


def test_palette_is_expanded_and_its_transparent_colour_masks(tmp_path):
    indexes = (np.arange(60 * 70).reshape(60, 70) % 3).astype(np.uint8)
    table = {0: (10, 20, 30, 255), 1: (200, 100, 50, 255), 2: (0, 0, 0, 0)}
    path = drawing.draw_palette(tmp_path / "scene.tif", indexes, table)
    data = read_all(path)
    assert data[:, 0, 0].tolist() == [10, 20, 30]
    assert data[:, 0, 1].tolist() == [200, 100, 50]
    np.testing.assert_array_equal(np.isnan(data).all(axis=0), indexes == 2)


# ---- what is missing ----


def hole():
    missing = np.zeros((60, 70), dtype=bool)
    missing[10:20, 30:50] = True
    return missing


def assert_only_hole(data, picture):
    missing = np.broadcast_to(hole(), data.shape)
    np.testing.assert_array_equal(np.isnan(data), missing)
    np.testing.assert_array_equal(data[~missing], np.broadcast_to(picture, data.shape)[~missing])


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 0),
        ("uint8", 255),
        ("uint16", 0),
        ("uint16", 65535),
        ("int16", -32768),
        ("int16", -9999),
        ("int32", -(2**31)),
        ("float32", -9999.0),
        ("float32", float("nan")),
        ("float32", -3.4028234663852886e38),
        ("float64", -1.7976931348623157e308),
    ],
)
def test_nodata_value(tmp_path, dtype, nodata):
    picture = drawing.colours().astype(dtype)
    stored = picture.copy()
    stored[:, hole()] = nodata
    path = drawing.draw(tmp_path / "scene.tif", stored, nodata=nodata)
    assert_only_hole(read_all(path), picture)


def test_nan_without_declaration(tmp_path):
    picture = drawing.colours().astype(np.float32)
    stored = picture.copy()
    stored[:, hole()] = np.nan
    assert_only_hole(read_all(drawing.draw(tmp_path / "scene.tif", stored)), picture)


def test_nodata_zero_does_not_swallow_deep_shadow_in_one_band(tmp_path):
    picture = drawing.colours()
    picture[2, 5, 5] = 0
    picture[:, 6, 6] = 0
    data = read_all(drawing.draw(tmp_path / "scene.tif", picture, nodata=0))
    assert data[2, 5, 5] == 0
    assert np.isnan(data[:, 6, 6]).all()
    assert np.isnan(data).sum() == 3


@pytest.mark.parametrize(
    ("bands", "ending"), [(1, ".tif"), (1, ".png"), (3, ".tif"), (3, ".png"), (3, ".webp"), (3, ".jp2")]
)
def test_alpha_band(tmp_path, bands, ending):
    picture = drawing.colours(bands=bands)
    alpha = np.where(hole(), 0, 255).astype(np.uint8)
    roles = {1: [Role.gray, Role.alpha], 3: [Role.red, Role.green, Role.blue, Role.alpha]}[bands]
    path = drawing.draw(
        tmp_path / f"scene{ending}", np.concatenate([picture, alpha[None]]), colorinterp=roles, alpha="yes",
    )  # fmt: skip
    assert_only_hole(read_all(path), picture)


def test_half_transparent_counts_and_alpha_of_16_bits(tmp_path):
    picture = drawing.colours().astype(np.uint16) * 100
    alpha = np.where(hole(), 0, 1).astype(np.uint16)
    roles = [Role.red, Role.green, Role.blue, Role.alpha]
    path = drawing.draw(tmp_path / "scene.tif", np.concatenate([picture, alpha[None]]), colorinterp=roles, alpha="yes")
    assert_only_hole(read_all(path), picture)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("bands", [1, 3])
def test_mask(tmp_path, inside, bands):
    picture = drawing.colours(bands=bands)
    path = drawing.draw(tmp_path / "scene.tif", picture, mask=~hole(), mask_inside=inside)
    assert (tmp_path / "scene.tif.msk").exists() is not inside
    assert_only_hole(read_all(path), picture)


def test_mask_beside_a_jpeg(tmp_path):
    drawing.draw(tmp_path / "scene.jpg", drawing.colours())
    mask = drawing.draw(tmp_path / "mask.tif", np.where(hole(), 0, 255).astype(np.uint8)[None])
    # INTERNAL_MASK_FLAGS_1 = 2 is GDAL's mark of a mask that counts for all bands.
    with rasterio.open(mask, "r+") as dataset:
        dataset.update_tags(INTERNAL_MASK_FLAGS_1="2", INTERNAL_MASK_FLAGS_2="2", INTERNAL_MASK_FLAGS_3="2")
    mask.rename(tmp_path / "scene.jpg.msk")
    data = read_all(tmp_path / "scene.jpg")
    np.testing.assert_array_equal(np.isnan(data), np.broadcast_to(hole(), data.shape))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_undeclared_black_is_missing_but_black_in_two_bands_is_not(tmp_path, dtype):
    picture = drawing.colours().astype(dtype)
    stored = picture.copy()
    stored[:, hole()] = 0
    stored[:2, 0, 0] = 0
    data = read_all(drawing.draw(tmp_path / "scene.tif", stored))
    picture[:2, 0, 0] = 0
    assert_only_hole(data, picture)


def test_undeclared_black_stays_where_the_file_declares_something_else(tmp_path):
    picture = drawing.colours()
    picture[:, 3, 3] = 0
    path = drawing.draw(tmp_path / "scene.tif", picture, mask=~hole())
    assert read_all(path)[:, 3, 3].tolist() == [0, 0, 0]


def test_collar_of_a_jpeg_is_only_nearly_black(tmp_path):
    picture = drawing.colours(64, 80)
    picture[:, :, :16] = 1  # whole blocks of 8 x 8, so that nothing rings into the scene
    data = read_all(drawing.draw(tmp_path / "scene.jpg", picture))
    assert np.isnan(data[:, :, :16]).all()
    assert np.isfinite(data[:, :, 16:]).all()
    exact = read_all(drawing.draw(tmp_path / "scene.png", picture))
    assert np.isfinite(exact).all()


# ---- where it is ----


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32634", drawing.UTM_TRANSFORM),
        ("EPSG:4326", drawing.DEGREES),
        ("EPSG:3857", drawing.UTM_TRANSFORM),
        ("EPSG:2056", drawing.UTM_TRANSFORM),
        ("EPSG:32634", drawing.ROTATED),
        ("EPSG:32634", drawing.SHEARED),
    ],
)
@pytest.mark.parametrize("ending", [".tif", ".vrt", ".jp2"])
def test_grid_is_the_files(tmp_path, crs, transform, ending):
    path = drawing.draw(tmp_path / f"scene{ending}", drawing.colours(), crs=crs, transform=transform)
    with open_reader(path) as reader:
        assert reader.grid.crs == crs
        assert reader.grid.shape == (60, 70)
        # GMLJP2 and VRT write decimals: 1e-9 of a coordinate of 4e6 is 4 mm.
        assert reader.grid.transform.almost_equals(transform, precision=1e-2 if crs != "EPSG:4326" else 1e-9)


def test_south_up(tmp_path):
    south_up = Affine(10.0, 0.0, 500_000.0, 0.0, 10.0, 4_000_000.0)
    with open_reader(drawing.draw(tmp_path / "scene.tif", drawing.colours(), transform=south_up)) as reader:
        assert reader.grid.transform == south_up


def test_crs_without_a_code_stays_as_text(tmp_path):
    crs = "+proj=laea +lat_0=46.5 +lon_0=8.25 +datum=WGS84 +units=m"
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(), crs=crs)
    with open_reader(path) as reader:
        assert reader.grid.crs is not None
        assert "Lambert Azimuthal" in reader.grid.crs
        assert reader.grid.gsd_m == pytest.approx(10.0, rel=0.1)  # 500 km from the projection's centre


@pytest.mark.parametrize("registration", ["Area", "Point"])
@pytest.mark.parametrize("user_setting", [False, True])
def test_area_and_point_are_the_same_pixel_corner(tmp_path, registration, user_setting):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(), tags={"AREA_OR_POINT": registration})
    # A user's settings that ask GDAL to leave out the half pixel must not move the picture.
    with rasterio.Env(GTIFF_POINT_GEO_IGNORE=user_setting), open_reader(path) as reader:
        assert reader.grid.transform == drawing.UTM_TRANSFORM


def test_point_tiepoint_is_the_pixel_centre(tmp_path):
    """The tie point inside a pixel-is-point file is half a pixel in: read as Area it is 5 m off."""
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(), tags={"AREA_OR_POINT": "Point"})
    with rasterio.Env(GTIFF_POINT_GEO_IGNORE=True), rasterio.open(path) as raw:
        assert raw.transform @ (0, 0) == (500_005.0, 3_999_995.0)


def test_ground_control_points(tmp_path, caplog):
    path = drawing.draw_ground_control(tmp_path / "scene.tif", drawing.colours(), drawing.ROTATED)
    with caplog.at_level(logging.WARNING, "im2dem"), open_reader(path) as reader:
        assert reader.grid.crs == drawing.UTM
        assert reader.grid.transform.almost_equals(drawing.ROTATED, precision=1e-4)  # least squares at 4e6 m
    assert "4 ground control points" in caplog.text


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif"])
def test_no_georeference(tmp_path, ending):
    path = drawing.draw(tmp_path / f"photo{ending}", drawing.colours(), crs=None, transform=Affine.identity())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_reader(path) as reader:
            assert reader.grid == Grid.local((60, 70), None)
            assert reader.grid.gsd_m is None
        with open_reader(path, gsd_m=10.0) as reader:
            assert reader.grid == Grid.local((60, 70), 10.0)
            assert reader.grid.gsd_m == pytest.approx(10.0)


@pytest.mark.parametrize(("ending", "world"), [(".jpg", ".jgw"), (".png", ".pgw"), (".tif", ".tfw")])
def test_world_file_without_crs_keeps_its_transform(tmp_path, ending, world):
    path = drawing.draw(tmp_path / f"photo{ending}", drawing.colours(), crs=None, transform=Affine.identity())
    # A world file gives the centre of the first pixel: 500005, 3999995 for a corner at 500000, 4000000.
    path.with_suffix(world).write_text("10\n0\n0\n-10\n500005\n3999995\n")
    with open_reader(path) as reader:
        assert reader.grid == Grid((60, 70), drawing.UTM_TRANSFORM, None)
    with open_reader(path, gsd_m=2.0) as reader:
        assert reader.grid == Grid.local((60, 70), 2.0)


def test_metres_per_pixel_for_a_georeferenced_file(tmp_path):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours())
    with pytest.raises(UsageError, match="leave out"):
        open_reader(path, gsd_m=10.0)


@pytest.mark.parametrize("gsd_m", [0.0, -1.0, float("nan")])
def test_metres_per_pixel_that_cannot_be(tmp_path, gsd_m):
    path = drawing.draw(tmp_path / "photo.png", drawing.colours(), crs=None, transform=Affine.identity())
    with pytest.raises(UsageError, match="positive"):
        open_reader(path, gsd_m=gsd_m)


def test_crs_without_transform_is_no_place(tmp_path, caplog):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(), transform=Affine.identity())
    with caplog.at_level(logging.WARNING, "im2dem"), open_reader(path) as reader:
        assert reader.grid == Grid.local((60, 70), None)
    assert "no usable transform" in caplog.text


# ---- windows ----


@pytest.mark.parametrize("shape", [(1, 1), (1, 57), (57, 1), (61, 127), (13, 1000)])
@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_any_size(tmp_path, shape, ending):
    picture = drawing.colours(*shape)
    np.testing.assert_array_equal(read_all(drawing.draw(tmp_path / f"scene{ending}", picture)), picture)


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiled") / "scene.tif"
    with open_reader(
        drawing.draw(path, drawing.colours(), tiled=True, blockxsize=16, blockysize=16, nodata=0)
    ) as reader:
        yield reader


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(-80, 80), col=st.integers(-80, 80), height=st.integers(1, 100), width=st.integers(1, 100))
def test_a_window_anywhere_is_the_picture_with_nan_around(tiled, row, col, height, width):
    around = np.pad(drawing.colours().astype(np.float32), ((0, 0), (180, 180), (180, 180)), constant_values=np.nan)
    expected = around[:, 180 + row : 180 + row + height, 180 + col : 180 + col + width]
    np.testing.assert_array_equal(tiled.read(Window(row, col, height, width)), expected)


def test_threads_may_share_a_reader(tiled):
    picture = drawing.colours()
    wrong = []

    def work(row: int) -> None:
        for _ in range(20):
            data = tiled.read(Window(row, 0, 10, 70))
            if not np.array_equal(data, picture[:, row : row + 10]):
                wrong.append(row)

    threads = [Thread(target=work, args=(row,)) for row in (0, 17, 33, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_giant_is_read_row_by_row(tmp_path):
    """20 of 40 rows of tiles of 20,000 x 20,000: 600 MB of bytes pass, 31 MB (123 MB as float) at a time."""
    path = drawing.draw_empty_giant(tmp_path / "giant.tif")
    program = (
        "import resource, sys\n"
        "from im2dem.io.geotiff import open_reader\n"
        "from im2dem.core.grid import Window\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with open_reader(sys.argv[1]) as reader:\n"
        "    for row in range(0, 20 * 512, 512):\n"
        "        reader.read(Window(row, 0, 512, 20_000))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    # Two strips of floats (246 MB), bytes, masks and at most 256 MB of block cache; all pixels are 4.8 GB.
    assert int(done.stdout) < 750_000


# ---- what it says about itself ----


def test_scene_info_from_tags(tmp_path):
    tags = {"TIFFTAG_DATETIME": "2021:07:14 10:30:31", "SUN_AZIMUTH": "144.5", "SUN_ELEVATION": "61.25"}
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(), tags=tags, nodata=0)
    with open_reader(path) as reader:
        info = reader.info
    assert info.acquired == datetime(2021, 7, 14, 10, 30, 31, tzinfo=UTC)
    assert (info.sun_azimuth_deg, info.sun_elevation_deg) == (144.5, 61.25)
    assert (info.driver, info.unit, info.vertical_datum) == ("GTiff", "DN", None)
    assert "0" in info.nodata


def test_scene_info_of_silence_and_of_nonsense(tmp_path):
    tags = {"ACQUISITION_DATE": "yesterday", "SUN_AZIMUTH": "unknown", "SUN_ELEVATION": "1234"}
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(), tags=tags)
    with open_reader(path) as reader:
        info = reader.info
    assert (info.acquired, info.sun_azimuth_deg, info.sun_elevation_deg) == (None, None, None)


def test_fingerprint_follows_the_file(tmp_path):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours())
    with open_reader(path) as reader:
        first = reader.fingerprint
    with open_reader(path) as reader:
        assert reader.fingerprint == first
        assert reader.name == str(path)
    os.utime(path, ns=(1, 1))
    with open_reader(path) as reader:
        assert reader.fingerprint != first


def test_reading_leaves_no_trace_beside_the_picture(tmp_path):
    path = drawing.draw(tmp_path / "photo.jpg", drawing.colours(), crs=None, transform=Affine.identity())
    before = sorted(tmp_path.iterdir())
    read_all(path)
    assert sorted(tmp_path.iterdir()) == before


# ---- what is no picture ----


def one_sentence(error: pytest.ExceptionInfo[BaseException], path: Path) -> None:
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message.replace(str(path), "")) < 300
    assert error.value.exit_code == 3


@pytest.mark.parametrize("content", [b"", b"hello, this is a letter\n" * 50, b"II*\0" + b"\xff" * 40, b"%PDF-1.4 no"])
@pytest.mark.parametrize("name", ["scene.tif", "scene.jpg", "notes"])
def test_files_that_are_no_image(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(NotAnImageError) as error:
        open_reader(path)
    one_sentence(error, path)
    if not content:
        assert "empty" in str(error.value)


def test_missing_path_and_folder(tmp_path):
    with pytest.raises(NotAnImageError, match="no such file") as error:
        open_reader(tmp_path / "missing.tif")
    one_sentence(error, tmp_path / "missing.tif")
    with pytest.raises(NotAnImageError, match="folder") as error:
        open_reader(tmp_path)
    one_sentence(error, tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
@pytest.mark.parametrize(
    ("ending", "profile"),
    [
        (".tif", {}),
        (".tif", {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}),
        (".tif", {"driver": "COG"}),
        (".png", {}),
        (".jpg", {}),
        (".webp", {}),
        (".jp2", {}),
    ],
)
def test_truncated_files(tmp_path, ending, profile, share):
    noise = np.random.default_rng(7).integers(1, 255, (3, 120, 150), dtype=np.uint8)  # does not compress away
    path = drawing.truncate(drawing.draw(tmp_path / f"scene{ending}", noise, **profile), share)
    with pytest.raises(NotAnImageError) as error:
        read_all(path)
    one_sentence(error, path)


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_numbers(tmp_path, dtype):
    path = tmp_path / "radar.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=1, dtype=dtype, **PLACE) as dataset:
        dataset.write(np.ones((1, 4, 4), dtype=np.complex64))
    with pytest.raises(UnsupportedTypeError, match="complex") as error:
        open_reader(path)
    one_sentence(error, path)


def test_two_bands_without_alpha_ask_which(tmp_path):
    path = drawing.draw(tmp_path / "radar.tif", drawing.colours(bands=2))
    with pytest.raises(UnsupportedTypeError, match="--bands 1") as error:
        open_reader(path)
    one_sentence(error, path)
    assert np.isfinite(read_all(path, bands=(1,))).all()


def test_reading_after_closing(tmp_path):
    with open_reader(drawing.draw(tmp_path / "scene.tif", drawing.colours())) as reader:
        pass
    with pytest.raises(UsageError, match="closed"):
        reader.read(Window(0, 0, 1, 1))


# ---- nothing in it ----


@pytest.mark.parametrize(
    ("dtype", "value", "nodata"),
    [("uint8", 0, 0), ("float32", float("nan"), None), ("uint16", 0, None), ("int16", -9, -9)],
)
def test_nothing_but_nodata(tmp_path, dtype, value, nodata):
    path = drawing.draw(tmp_path / "scene.tif", np.full((3, 60, 70), value, dtype=dtype), nodata=nodata)
    with open_reader(path) as reader, pytest.raises(NoDataError, match="60 x 70") as error:
        ensure_has_data(reader)
    one_sentence(error, path)


@pytest.mark.parametrize("where", [(0, 0), (59, 69), (31, 41)])
def test_one_valid_pixel_is_data(tmp_path, where):
    picture = np.zeros((3, 60, 70), dtype=np.uint16)
    picture[:, where[0], where[1]] = 500
    with open_reader(drawing.draw(tmp_path / "scene.tif", picture, nodata=0)) as reader:
        ensure_has_data(reader)
        assert np.isfinite(reader.read(reader.grid.window)).sum() == 3


def test_one_valid_pixel_between_the_samples(tmp_path):
    picture = np.zeros((1, 700, 900), dtype=np.uint8)
    picture[0, 501, 333] = 7
    with open_reader(drawing.draw(tmp_path / "scene.tif", picture, compress="deflate")) as reader:
        ensure_has_data(reader)


def test_bands_that_are_never_valid_together_are_no_data(tmp_path):
    picture = np.full((3, 4, 4), np.nan, dtype=np.float32)
    picture[0, :2] = 1.0
    picture[1:, 2:] = 1.0
    with open_reader(drawing.draw(tmp_path / "scene.tif", picture)) as reader, pytest.raises(NoDataError):
        ensure_has_data(reader)


def test_read_raster_keeps_the_bands(tmp_path):
    picture = drawing.colours(bands=4).astype(np.int16)
    path = drawing.draw(tmp_path / "scene.tif", picture, descriptions=["a", "b", "c", "d"])
    raster = read_raster(path)
    assert raster.bands == ("a", "b", "c", "d")
    assert (raster.unit, raster.vertical_datum) == ("DN", None)
    np.testing.assert_array_equal(raster.data, picture)
