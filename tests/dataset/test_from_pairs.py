"""Sets from one's own rasters: one grid, whole folders, proofs that notice every kind of damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

import drawing
from im2dem.core.errors import InputError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.dataset.cells import SplitPlan
from im2dem.dataset.encode import Recipe, quantise
from im2dem.dataset.file_source import FileSource
from im2dem.dataset.pairs import find_pairs, read_pair
from im2dem.dataset.resplit import resplit
from im2dem.dataset.store import Store
from im2dem.dataset.verify import verify
from im2dem.io.cog import write_raster
from im2dem.pipeline.build import BuildOptions, build_from_files

RECIPE = Recipe(split=SplitPlan(cell_km=1.0, buffer_m=100.0, shares=(0.3, 0.3)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    drawing.draw(folder / "a.tif", drawing.colours(200, 330))
    drawing.draw_dem(folder / "b.tif", drawing.heights(200, 330))
    source = FileSource(
        str(folder / "a.tif"), str(folder / "b.tif"), licence="mine", sun=(150.0, 30.0), vertical_datum="EGM2008"
    )
    report = build_from_files(source, folder / "set", 64, options=BuildOptions(RECIPE, threads=2))
    assert report.counts == {"kept": 15}
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return Path(shutil.copytree(made / "set", tmp_path / "set"))


def test_chips_are_the_pixels_of_the_picture(made):
    picture, dem = drawing.colours(200, 330), drawing.heights(200, 330)
    for meta in Store(made / "set").metas():
        with rasterio.open(made / "set/pairs" / meta["name"] / "rgb.tif") as file:
            col, row = (round(v) for v in ~drawing.UTM_TRANSFORM @ (file.transform.c, file.transform.f))
            np.testing.assert_array_equal(file.read(), picture[:, row : row + 64, col : col + 64])
        with rasterio.open(made / "set/pairs" / meta["name"] / "dem.tif") as file:
            np.testing.assert_array_equal(file.read(1), dem[row : row + 64, col : col + 64])
            assert file.tags()["VERTICAL_DATUM"] == "EGM2008"
            assert file.tags()["AREA_OR_POINT"] == "Area"


def test_find_pairs_and_pack_read_it(made):
    pairs = find_pairs(made / "set")
    assert len(pairs) == 15
    chips = read_pair(pairs[0])
    assert chips.rgb.shape == (1, 3, 64, 64)
    assert chips.gsd_m[0] == 10.0
    assert chips.sun_elevation_deg[0] == 30.0


def test_a_licence_that_is_not_stated_is_not_free(made, tmp_path):
    source = FileSource(str(made / "a.tif"), str(made / "b.tif"))
    build_from_files(source, tmp_path / "set", 64, options=BuildOptions(RECIPE))
    assert not any(pair.is_free for pair in find_pairs(tmp_path / "set"))


def test_another_grid_is_brought_onto_utm(tmp_path):
    step = Affine(0.0003, 0, 9.0, 0, -0.0003, 46.1)
    row, col = np.mgrid[0:300, 0:300] + 0.5
    grid = Grid((300, 300), step, "EPSG:4326")
    dem = 500 + 30 * np.sin(col / 20) + 0.4 * row
    write_raster(tmp_path / "dem.tif", Raster(dem[None], grid, ("height",), "m", "EGM96"))
    drawing.draw(tmp_path / "a.tif", drawing.colours(300, 300), crs="EPSG:4326", transform=step)
    source = FileSource(str(tmp_path / "a.tif"), str(tmp_path / "dem.tif"))
    build_from_files(source, tmp_path / "set", 64, 30.0, BuildOptions(RECIPE))
    metas = list(Store(tmp_path / "set").metas())
    assert metas
    for meta in metas:
        assert meta["crs"] == "EPSG:32632"
        assert meta["vertical_datum"] == "EGM96"
        with rasterio.open(tmp_path / "set/pairs" / meta["name"] / "dem.tif") as file:
            got = file.read(1)[32, 32]
            place = Grid(file.shape, file.transform, "EPSG:32632").lonlat(32.5, 32.5)
        c, r = ~step @ place
        # Bilinear between pixels 30 m apart: 0.04 m at the curvature of this relief.
        assert got == pytest.approx(500 + 30 * np.sin(c / 20) + 0.4 * r, abs=0.1)
    assert verify(tmp_path / "set") == []


def test_a_sound_set_has_no_fault(made):
    assert verify(made / "set") == []


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_meta(path, **changes):
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | changes))


DAMAGE = {
    "rgb.tif was changed": lambda folder: flip_byte(folder / "rgb.tif"),
    "dem.tif was changed": lambda folder: flip_byte(folder / "dem.tif"),
    "cannot be read": lambda folder: (folder / "dem.tif").unlink(),
    "meta.json cannot be read": lambda folder: (folder / "meta.json").write_text("{"),
    "its folder is missing": lambda folder: shutil.rmtree(folder),
    "not listed in index.csv": lambda folder: shutil.copytree(folder, folder.with_name("other")),
    "disagree": lambda folder: edit_meta(folder / "meta.json", relief_m=1.0),
    "its place belongs to": lambda folder: edit_meta(
        folder / "meta.json",
        split="val" if json.loads((folder / "meta.json").read_text())["split"] != "val" else "test",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_verify_notices(copy, what):
    DAMAGE[what](sorted((copy / "pairs").iterdir())[3])
    assert any(what in str(fault) for fault in verify(copy))


def test_verify_notices_a_leak(copy):
    store = Store(copy)
    for i, meta in enumerate(store.metas()):
        edit_meta(copy / "pairs" / meta["name"] / "meta.json", split=("train", "test")[i % 2])
    store.write_index()
    assert any("leaks" in str(fault) for fault in verify(copy))


def test_heights_that_are_not_on_earth(tmp_path):
    drawing.draw(tmp_path / "a.tif", drawing.colours(64, 64))
    drawing.draw_dem(tmp_path / "b.tif", drawing.heights(64, 64) * 20)
    build_from_files(FileSource(str(tmp_path / "a.tif"), str(tmp_path / "b.tif")), tmp_path / "set", 64)
    assert any("not on Earth" in str(fault) for fault in verify(tmp_path / "set"))


def test_splitting_anew_stays_sound(copy):
    counts = resplit(copy, SplitPlan(1.0, 50.0, (0.4, 0.2), 9))
    assert sum(counts.values()) == 15
    assert verify(copy) == []


def test_a_journal_cut_short_is_read(copy):
    store = Store(copy)
    whole = store.journal_file.read_text()
    store.journal_file.write_text(whole[:-20])
    assert len(store.done()) == 14
    assert store.counts() == {"kept": 14}


def test_refusals(tmp_path, made):
    drawing.draw(tmp_path / "none.tif", drawing.colours(64, 64), crs=None)
    with pytest.raises(InputError, match="reference system"):
        build_from_files(FileSource(str(tmp_path / "none.tif"), str(made / "b.tif")), tmp_path / "s", 64)
    with pytest.raises(InputError, match="smaller than one chip"):
        build_from_files(FileSource(str(made / "a.tif"), str(made / "b.tif")), tmp_path / "s", 512)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/precious.txt").write_text("x")
    with pytest.raises(UsageError, match="no training set"):
        build_from_files(FileSource(str(made / "a.tif"), str(made / "b.tif")), tmp_path / "full", 64)
    with pytest.raises(InputError, match=r"manifest\.json"):
        verify(tmp_path / "full")


@pytest.mark.parametrize("depth", [8, 16])
def test_pictures_come_back_from_whole_numbers(depth):
    rng = np.random.default_rng(0)
    values = rng.uniform(0.0, 0.3, (3, 32, 32)).astype(np.float32)
    values[:, 3, 4] = np.nan
    stored, (scale, offset) = quantise(values, "reflectance", depth)
    assert (stored[:, 3, 4] == 0).all()
    seen = np.isfinite(values)
    back = stored * scale + offset
    # Half a step; the brightest 0.2 % are cut at 8 bits, and 0 becomes 1 at 16.
    assert np.quantile(np.abs(back - values)[seen], 0.99) <= 0.51 * scale
    assert (stored[seen] >= 1).all()
