"""Pairs to the prototype's arrays and back, and packs back to pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import drawing
from im2dem.core.errors import InputError, OutputExistsError, UsageError
from im2dem.dataset.chips import save_chips
from im2dem.dataset.pairs import find_pairs, read_pair
from im2dem.dataset.seed_npz import SeedTiles, read_seed_npz, write_seed_npz
from im2dem.dataset.seed_pack import pack_seed_npz, record_of
from im2dem.dataset.unpack import Lost, unpack
from im2dem.io.geotiff import open_dem, read_raster

SUN = {"sun_azimuth_deg": 150.0, "sun_elevation_deg": 31.0, "latitude_about": 46.1}


def draw_pair(folder: Path, height: int, width: int, base_m: float = 0.0) -> np.ndarray:
    folder.mkdir(parents=True)
    rows = np.arange(height)[:, None] / 9
    dem = (base_m + 100 * np.sin(rows) + np.arange(width)).astype(np.float32)
    drawing.draw(folder / "rgb.tif", drawing.colours(height, width))
    drawing.draw_dem(folder / "dem.tif", dem)
    meta = {"split": "train", "gsd_m": 10.0, "licence": "CC0-1.0", "vertical_datum": "EGM2008", **SUN}
    (folder / "meta.json").write_text(json.dumps(meta))
    return dem


@pytest.fixture
def data(tmp_path):
    low = draw_pair(tmp_path / "data/low", 300, 520)
    high = draw_pair(tmp_path / "data/high", 256, 256, base_m=2000)
    draw_pair(tmp_path / "data/small", 100, 100, base_m=9000)
    return tmp_path / "data", low, high


def test_the_arrays_are_those_of_one_minimum_and_one_maximum_of_all_tiles(data, tmp_path):
    folder, low, high = data
    made = pack_seed_npz(find_pairs(folder, "train"), tmp_path / "a.npz")
    assert (made.tiles, made.too_small) == (3, 1)
    # The pair below 256 px gives no tile, so its 9,000 m count for nothing.
    bottom, top = low[:256, :512].min(), high.max()
    assert made.height_range_m == (pytest.approx(bottom), pytest.approx(top))
    with np.load(tmp_path / "a.npz") as file:  # the prototype's own three lines
        pictures, levels = file["arr_0"], file["arr_1"]
    assert (pictures.shape, pictures.dtype) == ((3, 256, 256, 3), np.float32)
    assert (levels.shape, levels.dtype) == ((3, 256, 256, 1), np.int16)
    true = np.stack([high, low[:256, :256], low[:256, 256:512]])
    np.testing.assert_array_equal(levels[..., 0], np.rint((true.astype(float) - bottom) * (255 / (top - bottom))))
    assert read_seed_npz(tmp_path / "a.npz").rgb.std() > 0
    with pytest.raises(OutputExistsError):
        pack_seed_npz(find_pairs(folder, "train"), tmp_path / "a.npz")


def test_unpacked_tiles_have_their_metres_again(data, tmp_path):
    folder, _, high = data
    made = pack_seed_npz(find_pairs(folder, "train"), tmp_path / "a.npz")
    assert unpack(tmp_path / "a.npz", tmp_path / "out", "train") == 3
    pairs = find_pairs(tmp_path / "out", "train", free_only=True)
    assert [pair.name for pair in pairs] == ["high-0", "low-1", "low-2"]
    assert {key: pairs[0].meta[key] for key in SUN} == SUN
    with open_dem(pairs[0].dem) as reader:
        got = reader.read(reader.grid.window)[0]
        assert reader.info.vertical_datum == "EGM2008"
        assert reader.grid.gsd_m == pytest.approx(10.0)
    # Half a level of the whole set's range, and float32 on the way.
    step = (made.height_range_m[1] - made.height_range_m[0]) / 255
    assert np.abs(got - high).max() <= step / 2 + 1e-3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pairs"]


def test_a_file_of_the_prototype_wants_what_it_has_lost(tmp_path):
    rng = np.random.default_rng(0)
    tiles = SeedTiles(
        rng.integers(0, 256, (2, 256, 256, 3)).astype(np.uint8), rng.integers(0, 256, (2, 256, 256)).astype(np.int16)
    )
    path = write_seed_npz(tmp_path / "Dataset.npz", tiles)
    with pytest.raises(UsageError, match="--height-range"):
        unpack(path, tmp_path / "out", "val")
    with pytest.raises(UsageError, match="lower"):
        unpack(path, tmp_path / "out", "val", Lost(30.0, (2650.0, 100.0)))
    assert unpack(path, tmp_path / "out", "val", Lost(30.0, (100.0, 2650.0))) == 2
    pair = find_pairs(tmp_path / "out", "val")[1]
    assert not pair.is_free  # a licence that nobody stated is not free
    raster = read_raster(pair.dem)
    np.testing.assert_allclose(raster.data[0], 100 + 10.0 * tiles.dem[1], atol=1e-3)
    # 0 means "no picture" in a GeoTIFF: the darkest that a pixel can be is 1.
    got = np.moveaxis(read_raster(pair.image).data, 0, -1)
    np.testing.assert_array_equal(got, np.maximum(tiles.rgb[1], 1))


def test_a_record_that_is_of_another_file_is_refused(data, tmp_path):
    folder, _, _ = data
    pack_seed_npz(find_pairs(folder, "train"), tmp_path / "a.npz")
    record = record_of(tmp_path / "a.npz")
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "tiles": told["tiles"][:1]}))
    with pytest.raises(InputError, match="tells of 1 tiles"):
        unpack(tmp_path / "a.npz", tmp_path / "out", "train")
    record.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        unpack(tmp_path / "a.npz", tmp_path / "out", "train")
    assert not (tmp_path / "out").exists()


def test_packs_are_unpacked_to_what_they_were_packed_from(data, tmp_path):
    folder, _, _ = data
    chips = read_pair(find_pairs(folder, "train")[0])
    save_chips(tmp_path / "train-high.npz", chips)
    assert unpack(tmp_path / "train-high.npz", tmp_path / "out", "train") == 1
    again = read_pair(find_pairs(tmp_path / "out", "train")[0])
    np.testing.assert_array_equal(again.dem, chips.dem)
    np.testing.assert_array_equal(again.rgb, np.maximum(chips.rgb, 1))
    assert (again.gsd_m, again.sun_azimuth_deg, again.latitude_deg) == (10.0, 150.0, 46.1)
    with pytest.raises(UsageError, match="not empty"):
        unpack(tmp_path / "train-high.npz", tmp_path / "out", "train")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(InputError, match="not a pack"):
        unpack(tmp_path / "text.npz", tmp_path / "new", "train")


def test_pairs_without_a_whole_tile_are_told(data, tmp_path):
    folder, _, _ = data
    with pytest.raises(InputError, match="--size 256"):
        pack_seed_npz([p for p in find_pairs(folder) if p.name == "small"], tmp_path / "a.npz")
    assert not list(tmp_path.glob("a.npz*"))
