"""From a file to a file with the weights that ship: whatever people bring, and whatever goes wrong on the way.

Nothing here says how good the heights are; `docs/results.md` does.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp as Role
from rio_cogeo.cogeo import cog_validate

import drawing
import im2dem
from im2dem.core.errors import NoDataError, NotAnImageError
from im2dem.io import cog
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.runtime import session
from im2dem.runtime.card import find_model, load_card
from im2dem.runtime.session import OnnxModel
from im2dem.runtime.spool import Spool

SOUTH_UP = Affine(10.0, 0.0, 500_000.0, 0.0, 10.0, 4_000_000.0)
# Tiles of 64 px, the least that the model takes, so that small pictures have many.
SMALL_TILES: dict[str, Any] = {"tile_px": 64, "overlap_px": 16, "threads": 1}


@pytest.fixture(scope="module", autouse=True)
def _open_the_model_once() -> Iterator[None]:
    """Opening takes longer than running on these small pictures; a session keeps nothing between runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "open_net", functools.cache(session.open_net))
        yield


def hole(height: int = 60, width: int = 70) -> np.ndarray:
    missing = np.zeros((height, width), dtype=bool)
    missing[10:20, 30:50] = True
    return missing


def with_hole(value: int, dtype: str = "uint8") -> np.ndarray:
    picture = drawing.colours().astype(dtype)
    picture[:, hole()] = value
    return picture


def draw_mask_beside_jpeg(path: Path) -> Path:
    drawing.draw(path, drawing.colours())
    mask = drawing.draw(path.with_name("mask.tif"), np.where(hole(), 0, 255).astype(np.uint8)[None])
    with rasterio.open(mask, "r+") as dataset:
        dataset.update_tags(INTERNAL_MASK_FLAGS_1="2")  # GDAL's mark of a mask for all bands
    mask.rename(path.with_name(path.name + ".msk"))
    return path


def draw_alpha(path: Path) -> Path:
    alpha = np.where(hole(), 0, 255).astype(np.uint8)[None]
    return drawing.draw(path, np.concatenate([drawing.colours(), alpha]))


def draw_palette(path: Path) -> Path:
    indexes = (drawing.colours()[0] // 64).astype(np.uint8)
    table = {0: (10, 20, 30, 255), 1: (90, 100, 50, 255), 2: (140, 150, 120, 255), 3: (0, 0, 0, 0)}
    return drawing.draw_palette(path, indexes, table)


def drawn(name: str, picture: Callable[[], np.ndarray] = drawing.colours, **profile: Any) -> Callable[[Path], Path]:
    return lambda folder: drawing.draw(folder / name, picture(), **profile)


def stretched(dtype: str, factor: float, offset: float) -> Callable[[], np.ndarray]:
    return lambda: (drawing.colours().astype(np.float64) * factor + offset).astype(dtype)


NOWHERE: dict[str, Any] = {"crs": None, "transform": Affine.identity()}
LAYOUTS: dict[str, Callable[[Path], Path]] = {
    # formats
    "GeoTIFF": drawn("a.tif"),
    "tiled and compressed": drawn("a.tif", tiled=True, blockxsize=16, blockysize=32, compress="deflate"),
    "COG": drawn("a.tif", driver="COG"),
    "VRT": drawn("a.vrt"),
    "JPEG 2000": drawn("a.jp2"),
    "PNG": drawn("a.png", **NOWHERE),
    "JPEG": drawn("a.jpg", **NOWHERE),
    "WebP": drawn("a.webp", **NOWHERE),
    # bands
    "one band": drawn("a.tif", lambda: drawing.colours(bands=1)),
    "four bands": drawn("a.tif", lambda: drawing.colours(bands=4), colorinterp=[Role.undefined] * 4),
    "six bands, blue first": drawn(
        "a.tif", lambda: drawing.colours(bands=6), descriptions=["B02", "B03", "B04", "B05", "B06", "B08"]
    ),
    "palette": lambda folder: draw_palette(folder / "a.tif"),
    # types
    "uint16 reflectance": drawn("a.tif", stretched("uint16", 20, 0)),
    "uint16 with an offset": drawn("a.tif", stretched("uint16", 20, 1000)),
    "int16": drawn("a.tif", stretched("int16", 30, -2000)),
    "float32": drawn("a.tif", stretched("float32", 1 / 255, 0)),
    "float64": drawn("a.tif", stretched("float64", 1 / 255, 0)),
    # what is missing
    "alpha": lambda folder: draw_alpha(folder / "a.tif"),
    "alpha in PNG": lambda folder: draw_alpha(folder / "a.png"),
    "nodata 0": drawn("a.tif", lambda: with_hole(0), nodata=0),
    "nodata -9999": drawn("a.tif", lambda: with_hole(-9999, "int16"), nodata=-9999),
    "nodata NaN": drawn("a.tif", lambda: np.where(hole(), np.nan, drawing.colours()).astype("float32"), nodata=np.nan),
    "mask inside": drawn("a.tif", mask=~hole()),
    "mask beside": drawn("a.tif", mask=~hole(), mask_inside=False),
    "mask beside a JPEG": lambda folder: draw_mask_beside_jpeg(folder / "a.jpg"),
    "black, nothing declared": drawn("a.tif", lambda: with_hole(0)),
    # places
    "degrees": drawn("a.tif", crs="EPSG:4326", transform=drawing.DEGREES),
    "web Mercator": drawn("a.tif", crs="EPSG:3857", transform=Affine(30, 0, 2e6, 0, -30, 5e6)),
    "feet": drawn("a.tif", crs="EPSG:2263", transform=Affine(100, 0, 9.8e5, 0, -100, 2e5)),
    "rotated": drawn("a.tif", transform=drawing.ROTATED),
    "sheared": drawn("a.tif", transform=drawing.SHEARED),
    "south up": drawn("a.tif", transform=SOUTH_UP),
    "Point": drawn("a.tif", tags={"AREA_OR_POINT": "Point"}),
    "ground control points": lambda folder: drawing.draw_ground_control(
        folder / "a.tif", drawing.colours(), drawing.ROTATED
    ),
    "no place": drawn("a.tif", **NOWHERE),
}


def read_heights(path: Path) -> im2dem.Raster:
    raster = im2dem.read_raster(path)
    assert raster.bands == ("height", "sigma")
    return raster


def assert_sound(output: Path, source: Path, **options: Any) -> im2dem.Raster:
    """A valid COG on the picture's grid, with heights exactly where there is picture, their mean 0."""
    assert cog_validate(output, strict=False)[0]
    with rasterio.open(output) as dataset:
        assert dataset.dtypes == ("float32", "float32")
        assert dataset.nodatavals == (-9999.0, -9999.0)
        # GDAL writes the tag only beside a georeference.
        assert dataset.tags().get("AREA_OR_POINT", "Area") == "Area"
    raster = read_heights(output)
    with open_reader(source, **options) as reader:
        assert raster.grid.shape == reader.grid.shape
        assert raster.grid.transform.almost_equals(reader.grid.transform, 1e-9)
        assert raster.grid.crs == reader.grid.crs
        valid = np.isfinite(reader.read(reader.grid.window)).all(axis=0)
    assert valid.any()
    np.testing.assert_array_equal(np.isfinite(raster.band("height")), valid)
    np.testing.assert_array_equal(np.isfinite(raster.band("sigma")), valid)
    height, sigma = raster.band("height")[valid].astype(np.float64), raster.band("sigma")[valid]
    # The mean is taken off in single precision: a millionth of the largest height for each of a few roundings.
    assert abs(height.mean()) <= 1e-5 * max(np.abs(height).max(), 1.0)
    assert (sigma > 0).all()
    return raster


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_becomes_a_sound_raster(tmp_path, layout):
    source = LAYOUTS[layout](tmp_path)
    output = tmp_path / "dem.tif"
    prediction = im2dem.predict_file(source, output, im2dem.PredictOptions(threads=1))
    raster = assert_sound(output, source)
    assert prediction.grid.shape == raster.grid.shape
    assert raster.unit == prediction.unit == ("px" if raster.grid.crs is None else "m")
    assert raster.vertical_datum is None
    assert not (tmp_path / "dem.tif.part").exists()


def test_a_hole_stays_a_hole(tmp_path):
    source = drawn("a.tif", lambda: with_hole(0), nodata=0)(tmp_path)
    im2dem.predict_file(source, tmp_path / "dem.tif")
    np.testing.assert_array_equal(~read_heights(tmp_path / "dem.tif").valid, hole())


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 700), (333, 517)], ids=str)
def test_every_size(tmp_path, shape):
    source = drawing.draw(tmp_path / "a.tif", drawing.colours(*shape))
    im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(threads=1))
    assert_sound(tmp_path / "dem.tif", source)


def test_bands_by_hand(tmp_path):
    picture = drawing.colours(bands=6)
    stack = drawing.draw(tmp_path / "stack.tif", picture)
    same = drawing.draw(tmp_path / "same.tif", picture[[4, 2, 0]])
    by_hand = im2dem.predict_dem(stack, bands=(5, 3, 1))
    np.testing.assert_array_equal(by_hand.data, im2dem.predict_dem(same).data)
    assert (by_hand.data != im2dem.predict_dem(stack).data).any()


# ---- nothing, or next to nothing, to see ----


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("size", [(60, 70), (1, 1), (300, 400)], ids=str)
def test_all_nodata_is_an_error_and_leaves_no_file(tmp_path, size):
    source = drawing.draw(tmp_path / "a.tif", np.zeros((3, *size), np.uint8), nodata=0)
    with pytest.raises(NoDataError) as caught:
        im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(**SMALL_TILES))
    assert caught.value.exit_code == 3
    assert files_in(tmp_path) == {"a.tif"}
    with pytest.raises(NoDataError):
        im2dem.predict_dem(source)


def test_nan_everywhere_is_an_error(tmp_path):
    source = drawing.draw(tmp_path / "a.tif", np.full((3, 30, 30), np.nan, np.float32))
    with pytest.raises(NoDataError):
        im2dem.predict_file(source, tmp_path / "dem.tif")
    assert files_in(tmp_path) == {"a.tif"}


@pytest.mark.parametrize("where", [(0, 0), (133, 77)])
def test_one_valid_pixel(tmp_path, where):
    picture = np.zeros((3, 150, 120), np.uint8)
    picture[:, where[0], where[1]] = 90, 100, 110
    source = drawing.draw(tmp_path / "a.tif", picture, nodata=0)
    im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(**SMALL_TILES))
    raster = assert_sound(tmp_path / "dem.tif", source)
    assert raster.valid.sum() == 1
    # Heights are relative, and there is nothing to be relative to.
    assert raster.band("height")[where] == pytest.approx(0, abs=1e-4)


def test_a_truncated_picture_leaves_no_file(tmp_path):
    # Noise does not compress: the last strips are surely cut off, and reading fails long after the start.
    noise = np.random.default_rng(0).integers(1, 255, (3, 300, 200), dtype=np.uint8)
    source = drawing.truncate(drawing.draw(tmp_path / "a.tif", noise, compress="deflate"), 0.7)
    with pytest.raises(NotAnImageError):
        im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(**SMALL_TILES))
    assert files_in(tmp_path) == {"a.tif"}


# ---- the same scene in other numbers ----


@pytest.mark.parametrize(
    ("dtype", "factor", "offset"),
    [
        ("uint16", 40, 0),
        ("uint16", 40, 1000),
        ("int16", 100, -12_050),  # no pixel becomes 0, which would be missing
        ("float32", 1 / 255, 0),
        ("float64", 1e-4, 0.1),
    ],
)
def test_other_digital_numbers_give_the_same_heights(tmp_path, dtype, factor, offset):
    plain = im2dem.predict_dem(drawing.draw(tmp_path / "a.tif", drawing.colours()), threads=1)
    picture = stretched(dtype, factor, offset)()
    other = im2dem.predict_dem(drawing.draw(tmp_path / "b.tif", picture), threads=1)
    # The stretch undoes factor and offset up to rounding in single precision: 3e-6 of the range (see `Stretch`).
    # A net multiplies that by its steepness; a thousandth of the relief leaves room for one of 300.
    relief = float(plain.band("height").std())
    np.testing.assert_allclose(other.band("height"), plain.band("height"), atol=1e-3 * relief, rtol=0)
    np.testing.assert_allclose(other.band("sigma"), plain.band("sigma"), rtol=1e-3)


# ---- in memory ----


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 150 x 200 px with a hole: 3 x 4 tiles of 64 px."""
    picture = drawing.colours(150, 200)
    picture[:, 60:80, 90:130] = 0
    return drawing.draw(tmp_path_factory.mktemp("wide") / "wide.tif", picture, nodata=0)


@pytest.fixture(scope="module")
def wide_dem(wide: Path) -> im2dem.Raster:
    """Its heights by an uninterrupted run."""
    return im2dem.predict_dem(wide, **SMALL_TILES)


def test_in_memory_equals_the_file(tmp_path, wide, wide_dem):
    im2dem.predict_file(wide, tmp_path / "dem.tif", im2dem.PredictOptions(**SMALL_TILES))
    raster = read_heights(tmp_path / "dem.tif")
    np.testing.assert_array_equal(raster.data, wide_dem.data)
    assert (raster.grid, raster.unit, raster.bands) == (wide_dem.grid, wide_dem.unit, wide_dem.bands)


def test_a_raster_of_an_array_equals_its_file(wide, wide_dem):
    with open_reader(wide) as reader:
        picture = im2dem.Raster(reader.read(reader.grid.window), reader.grid, ("red", "green", "blue"), "DN")
    np.testing.assert_array_equal(im2dem.predict_dem(picture, **SMALL_TILES).data, wide_dem.data)


def test_an_array_without_place():
    picture = drawing.colours().astype(np.float64)
    picture[:, 5, 5] = np.nan
    for gsd_m, unit in ((None, "px"), (20.0, "m")):
        raster = im2dem.Raster(picture, im2dem.Grid.local((60, 70), gsd_m), ("red", "green", "blue"), "DN")
        dem = im2dem.predict_dem(raster)
        assert (dem.unit, dem.grid) == (unit, raster.grid)
        assert np.argwhere(~dem.valid).tolist() == [[5, 5]]
    assert np.isfinite(picture).sum() == picture.size - 3  # what was given is left as it was


def test_an_array_that_is_no_picture():
    grid = im2dem.Grid.local((60, 70), 10.0)
    with pytest.raises(im2dem.UsageError, match="three bands"):
        im2dem.predict_dem(im2dem.Raster(drawing.colours(bands=2), grid, ("a", "b"), "DN"))
    with pytest.raises(NoDataError):
        im2dem.predict_dem(im2dem.Raster(np.full((3, 60, 70), np.nan), grid, ("red", "green", "blue"), "DN"))


def test_a_model_by_its_folder(tmp_path, wide, wide_dem):
    shutil.copytree(find_model("relief-free").parent, tmp_path / "mine")
    again = im2dem.predict_dem(wide, model=str(tmp_path / "mine"), **SMALL_TILES)
    np.testing.assert_array_equal(again.data, wide_dem.data)
    with (tmp_path / "mine/model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(im2dem.ModelError, match="SHA-256"):
        im2dem.predict_dem(wide, model=str(tmp_path / "mine"))


# ---- tiles ----


def test_levelling_can_be_left_out(tmp_path, wide, wide_dem):
    reports = {}
    for level in (True, False):
        options = im2dem.PredictOptions(level=level, **SMALL_TILES)
        reports[level] = im2dem.predict_file(wide, tmp_path / f"{level}.tif", options).report
        assert_sound(tmp_path / f"{level}.tif", wide)
        assert json.loads((tmp_path / f"{level}.tif.json").read_text())["level"] is level
    assert reports[False].levels is None
    levels = reports[True].levels
    assert levels is not None
    # 3 x 4 tiles: 3 x 3 neighbours sideways and 2 x 4 downwards, besides those across corners.
    assert levels.pairs >= 17
    assert levels.groups == 1
    assert np.isfinite([levels.step_before, levels.step_after, levels.offset_spread]).all()
    assert (read_heights(tmp_path / "False.tif").data != wide_dem.data).any()


def test_batches_and_progress(tmp_path, wide, wide_dem):
    seen: dict[str, list[tuple[int, int]]] = {}
    batched = im2dem.predict_dem(
        wide, None, lambda stage, done, total: seen.setdefault(stage, []).append((done, total)), batch=3, **SMALL_TILES
    )
    # Batches may take other kernels, which round otherwise: single precision, a hundred layers deep.
    relief = float(np.nanstd(wide_dem.band("height")))
    np.testing.assert_allclose(batched.data, wide_dem.data, atol=1e-4 * relief)
    assert list(seen) == ["predict", "level", "write"]
    assert seen["predict"] == [(i, 12) for i in range(1, 13)]
    for steps in seen.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


# ---- what the result says of itself ----


def test_tags_and_side_car(tmp_path, wide):
    options = im2dem.PredictOptions(sun=(150.0, 35.0), **SMALL_TILES)
    im2dem.predict_file(wide, tmp_path / "dem.tif", options)
    card = load_card(find_model("relief-free"))
    with rasterio.open(tmp_path / "dem.tif") as dataset:
        tags = dataset.tags()
        assert dataset.descriptions == ("height", "sigma")
        assert dataset.units == ("m", "m")
    gsd_m = im2dem.read_raster(wide).grid.gsd_m
    assert gsd_m is not None
    assert tags["TIFFTAG_SOFTWARE"] == f"im2dem {im2dem.__version__}"
    assert tags["IM2DEM_VERSION"] == im2dem.__version__
    assert tags["IM2DEM_INPUT"] == "wide.tif"  # no folder: that is nobody's business
    assert (tags["IM2DEM_MODEL"], tags["IM2DEM_MODEL_SHA256"]) == ("relief-free", card.sha256)
    assert tags["IM2DEM_HEIGHT_KIND"].startswith("relative")
    assert tags["IM2DEM_VERTICAL_DATUM"].startswith("none")
    assert float(tags["IM2DEM_GSD_M"]) == pytest.approx(gsd_m)
    assert (tags["IM2DEM_TILE_PX"], tags["IM2DEM_OVERLAP_PX"]) == ("64", "16")
    assert "VERTICAL_DATUM" not in tags
    side_car = json.loads((tmp_path / "dem.tif.json").read_text())
    assert side_car["model"] == {
        "name": "relief-free", "sha256": card.sha256, "licence": card.licence, "dem_kind": card.dem_kind,
    }  # fmt: skip
    assert side_car["condition"] == pytest.approx(
        {
            "sun_azimuth_deg": 150.0, "sun_elevation_deg": 35.0, "gsd_m": gsd_m,
            "latitude_deg": 36.14, "sun_from": "given",
        },
        abs=0.01,
    )  # fmt: skip
    assert json.loads(tags["IM2DEM_SUN"]) == side_car["condition"]
    assert side_car["shape"] == [150, 200]
    assert side_car["unit"] == "m"
    assert side_car["im2dem"] == im2dem.__version__
    assert Path(side_car["input"]).name == "wide.tif"
    assert Path(side_car["output"]).name == "dem.tif"
    assert (side_car["tile_px"], side_car["overlap_px"]) == (64, 16)
    assert len(side_car["stretch"]["low"]) == 3
    assert side_car["vertical_datum"] is None
    assert {"read", "model", "level", "blend", "write", "wall"} <= set(side_car["report"]["seconds"])
    with open_dem(tmp_path / "dem.tif", with_sigma=True) as again:
        assert again.bands == ("height", "sigma")


# ---- the sun ----

PLACES = {
    "north up": (drawing.UTM_TRANSFORM, 150.0),
    "south up": (SOUTH_UP, 30.0),  # the mirror image, upside down: 180 - 150
    "east up": (Affine(0, 10, 500_000, 10, 0, 4_000_000) @ Affine.scale(-1, 1), None),
    "a quarter turn": (drawing.UTM_TRANSFORM @ Affine.rotation(90), None),
    "rotated by 30 degrees": (drawing.ROTATED, None),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_sun_is_turned_into_the_picture(tmp_path, place):
    transform, expected = PLACES[place]
    source = drawing.draw(tmp_path / "a.tif", drawing.colours(), transform=transform)
    azimuth = np.radians(150.0)
    # The pixel that lies towards the sun from the middle, by the inverse of the transform itself.
    middle = transform @ (35, 30)
    towards = ~transform @ (middle[0] + 100 * np.sin(azimuth), middle[1] + 100 * np.cos(azimuth))
    col, row = towards[0] - 35, towards[1] - 30
    seen = np.degrees(np.arctan2(col, -row)) % 360
    assert expected is None or seen == pytest.approx(expected)
    prediction = im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(sun=(150.0, 35.0)))
    condition = prediction.configuration["condition"]
    assert condition["sun_azimuth_deg"] == pytest.approx(seen, abs=1e-6)
    assert condition["sun_elevation_deg"] == 35.0


def test_the_sun_of_the_tags_and_of_a_date_are_turned_too(tmp_path):
    tags = {"SUN_AZIMUTH": "150", "SUN_ELEVATION": "35"}
    source = drawing.draw(tmp_path / "a.tif", drawing.colours(), transform=SOUTH_UP, tags=tags)
    by_tags = im2dem.predict_file(source, tmp_path / "tags.tif").configuration["condition"]
    assert (by_tags["sun_from"], by_tags["sun_azimuth_deg"]) == ("tags", 30.0)
    when = datetime(2021, 12, 28, 8, 30, tzinfo=UTC)
    by_date = im2dem.predict_file(source, tmp_path / "date.tif", im2dem.PredictOptions(date=when)).configuration
    # At 21 degrees east it is 9:54 by the sun, in winter: about 150 degrees and 24 high on the ground.
    assert by_date["condition"]["sun_from"] == "date given"
    assert by_date["condition"]["sun_azimuth_deg"] == pytest.approx(30, abs=5)
    assert by_date["condition"]["sun_elevation_deg"] == pytest.approx(24, abs=4)
    given = im2dem.predict_file(source, tmp_path / "given.tif", im2dem.PredictOptions(sun=(90, 20), date=when))
    assert given.configuration["condition"]["sun_from"] == "given"
    assert given.configuration["condition"]["sun_azimuth_deg"] == pytest.approx(90)


def test_a_sun_too_low_is_not_used(tmp_path, caplog):
    source = drawing.draw(tmp_path / "a.tif", drawing.colours())
    got = im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(sun=(150.0, 3.0))).configuration
    assert got["condition"]["sun_azimuth_deg"] is None
    assert got["condition"]["sun_from"] == "unknown"
    assert "3.0 degrees" in caplog.text


def test_the_sun_reaches_the_model(wide, wide_dem):
    told = im2dem.predict_dem(wide, sun=(330.0, 30.0), **SMALL_TILES)
    assert np.nanmax(np.abs(told.band("height") - wide_dem.band("height"))) > 0


def test_a_date_without_a_place(tmp_path):
    source = drawn("a.png", **NOWHERE)(tmp_path)
    with pytest.raises(im2dem.UsageError, match="--sun"):
        im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(date=datetime.now(UTC)))
    assert files_in(tmp_path) == {"a.png"}


# ---- interruption and resumption ----


def interrupt_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Press Ctrl-C in call number `call` of the model, from 0."""
    answer, calls = OnnxModel.__call__, iter(range(10_000))

    def interrupted(self: OnnxModel, batch: np.ndarray) -> np.ndarray:
        if next(calls) == call:
            raise KeyboardInterrupt
        return answer(self, batch)

    monkeypatch.setattr(OnnxModel, "__call__", interrupted)


@pytest.mark.parametrize(("call", "resumed"), [(0, 0), (3, 0), (6, 4), (11, 8)])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, wide, wide_dem, call, resumed):
    output = tmp_path / "dem.tif"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, call)
        with pytest.raises(KeyboardInterrupt):
            im2dem.predict_file(wide, output, im2dem.PredictOptions(**SMALL_TILES))
    assert files_in(tmp_path) == {"dem.tif.part"}  # nothing that could be taken for a result
    done = im2dem.predict_file(wide, output, im2dem.PredictOptions(resume=True, **SMALL_TILES))
    assert done.report.resumed == resumed
    np.testing.assert_array_equal(read_heights(output).data, wide_dem.data)
    assert files_in(tmp_path) == {"dem.tif", "dem.tif.json"}


def interrupted_run(source: Path, output: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            im2dem.predict_file(source, output, im2dem.PredictOptions(**SMALL_TILES))


@pytest.mark.parametrize("changes", [{"sun": (90.0, 40.0)}, {"overlap_px": 32}, {"resume": False}], ids=str)
def test_what_has_changed_is_not_gone_on_with(tmp_path, wide, changes):
    interrupted_run(wide, tmp_path / "dem.tif")
    choices = {"resume": True, **SMALL_TILES, **changes}
    done = im2dem.predict_file(wide, tmp_path / "dem.tif", im2dem.PredictOptions(**choices))
    assert done.report.resumed == 0
    fresh = im2dem.predict_dem(wide, **{**choices, "resume": False})
    np.testing.assert_array_equal(read_heights(tmp_path / "dem.tif").data, fresh.data)


def test_another_picture_of_the_same_name_is_not_gone_on_with(tmp_path):
    source = drawing.draw(tmp_path / "a.tif", drawing.colours(150, 200))
    interrupted_run(source, tmp_path / "dem.tif")
    stamp = source.stat().st_mtime_ns
    picture = drawing.colours(150, 200)
    picture[:, 100:] = picture[:, 100:, ::-1]  # below what was done already, and the same percentiles
    drawing.draw(source, picture)
    os.utime(source, ns=(stamp + 1_000_000_000, stamp + 1_000_000_000))  # written a second later
    done = im2dem.predict_file(source, tmp_path / "dem.tif", im2dem.PredictOptions(resume=True, **SMALL_TILES))
    assert done.report.resumed == 0


def test_ctrl_c_while_the_file_is_finished(tmp_path, wide, wide_dem, monkeypatch):
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "dem.tif"
    with monkeypatch.context() as patch:
        patch.setattr(cog.rasterio.shutil, "copy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            im2dem.predict_file(wide, output, im2dem.PredictOptions(**SMALL_TILES))
    assert files_in(tmp_path) == {"dem.tif.part"}
    done = im2dem.predict_file(wide, output, im2dem.PredictOptions(resume=True, **SMALL_TILES))
    assert done.report.resumed == 12
    np.testing.assert_array_equal(read_heights(output).data, wide_dem.data)


def test_an_interrupted_run_leaves_the_earlier_result_alone(tmp_path, wide):
    output = tmp_path / "dem.tif"
    im2dem.predict_file(wide, output, im2dem.PredictOptions(**SMALL_TILES))
    before = output.read_bytes(), (tmp_path / "dem.tif.json").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            im2dem.predict_file(wide, output, im2dem.PredictOptions(overwrite=True, sun=(90.0, 40.0), **SMALL_TILES))
    assert (output.read_bytes(), (tmp_path / "dem.tif.json").read_bytes()) == before


# ---- outputs that cannot be ----


def test_an_output_that_is_there(tmp_path, wide):
    output = tmp_path / "dem.tif"
    output.write_text("precious")
    with pytest.raises(im2dem.OutputExistsError, match="--overwrite"):
        im2dem.predict_file(wide, output)
    assert output.read_text() == "precious"
    im2dem.predict_file(wide, output, im2dem.PredictOptions(overwrite=True))
    assert_sound(output, wide)


@pytest.mark.parametrize("place", ["nowhere/dem.tif", "a-file/dem.tif", "."])
def test_a_place_where_nothing_can_be_written(tmp_path, wide, place):
    (tmp_path / "a-file").write_text("not a folder")
    with pytest.raises(im2dem.OutputError) as caught:
        im2dem.predict_file(wide, tmp_path / place)
    assert caught.value.exit_code == 1
    assert files_in(tmp_path) == {"a-file"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path, wide):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(im2dem.OutputError, match="permission"):
        im2dem.predict_file(wide, closed / "dem.tif")


def test_a_disk_that_is_too_small_is_noticed_before_the_work(tmp_path, wide, monkeypatch):
    monkeypatch.setattr("im2dem.io.atomic.shutil.disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(im2dem.OutputError, match="free"):
        im2dem.predict_file(wide, tmp_path / "dem.tif")
    assert files_in(tmp_path) - {"dem.tif.part"} == set()


def test_a_disk_that_fills_up_can_be_emptied_and_the_run_resumed(tmp_path, wide, wide_dem, monkeypatch):
    store, output = Spool.write, tmp_path / "dem.tif"

    def full(self: Spool, tile: Any, data: np.ndarray) -> None:
        if tile.index == 6:
            raise im2dem.OutputError("no space left")
        store(self, tile, data)

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "write", full)
        with pytest.raises(im2dem.OutputError, match="no space"):
            im2dem.predict_file(wide, output, im2dem.PredictOptions(**SMALL_TILES))
    assert files_in(tmp_path) == {"dem.tif.part"}
    done = im2dem.predict_file(wide, output, im2dem.PredictOptions(resume=True, **SMALL_TILES))
    assert done.report.resumed == 4
    np.testing.assert_array_equal(read_heights(output).data, wide_dem.data)
