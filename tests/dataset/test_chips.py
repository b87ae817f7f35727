"""Packs of chips, rendered and real."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from im2dem.core.errors import GridMismatchError, InputError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.dataset.chips import VOID, load_chips, quantise_heights, save_chips
from im2dem.dataset.pairs import cloud, find_dem_sources, find_pairs, read_pair
from im2dem.dataset.synth import DemSource, SynthOptions, make_chips
from im2dem.io.cog import write_raster


def hills(size: int, seed: int = 0) -> np.ndarray:
    """Smooth random relief of some hundred metres."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / 40.0
    waves = [rng.normal() * np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 2, (8, 3))]
    return (120 * np.sum(waves, axis=0) + 500).astype(np.float32)


def source(dem: np.ndarray, name: str = "hills") -> DemSource:
    return DemSource(name, "public domain", dem, 30.0, 40.0)


def test_synth_is_deterministic_and_labels_are_exact() -> None:
    options = SynthOptions(count=4, size_px=64, seed=3)
    one, two = make_chips([source(hills(300))], options), make_chips([source(hills(300))], options)
    assert one.rgb.tobytes() == two.rgb.tobytes()
    assert one.dem.tobytes() == two.dem.tobytes()
    assert ((one.gsd_m > 10) & (one.gsd_m < 240)).all()
    # a chip's own slopes must stay those of terrain: scaled heights and pixel sizes go together
    for i in range(4):
        rise = np.gradient(one.heights_m(i), one.gsd_m[i])
        assert np.hypot(*rise).mean() < 1.5


def test_synth_refuses_models_that_are_too_small_or_void() -> None:
    void = np.full((300, 300), np.nan, dtype=np.float32)
    for dem in (hills(40), void):
        with pytest.raises(InputError, match="larger models"):
            make_chips([source(dem)], SynthOptions(count=1, size_px=64))


def test_heights_survive_quantising_to_an_eighth_of_a_metre() -> None:
    dem = hills(50)
    dem[3, 4] = np.nan
    steps = quantise_heights(dem)
    assert steps[3, 4] == VOID
    back = np.where(steps == VOID, np.nan, steps * 0.25)
    np.testing.assert_allclose(back, dem - np.nanmean(dem), atol=0.126)


def test_wrong_units_are_noticed() -> None:
    with pytest.raises(InputError, match="metres"):
        quantise_heights(hills(20) * 1000)


def test_pack_round_trip(tmp_path: Path) -> None:
    chips = make_chips([source(hills(200))], SynthOptions(count=2, size_px=48))
    save_chips(tmp_path / "a.npz", chips)
    back = load_chips(tmp_path / "a.npz")
    assert back.names == chips.names
    assert back.provenance == chips.provenance
    np.testing.assert_array_equal(back.dem, chips.dem)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_file_that_is_no_pack_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="not a pack"):
        load_chips(tmp_path / "a.npz")


def write_pair(folder: Path, split: str = "train", licence: str = "public domain", size: int = 60) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    rgb = rng.integers(20, 100, (3, 60, size)).astype(np.float32)
    rgb[:, :5] = np.nan
    with rasterio.open(
        folder / "rgb.tif", "w", driver="GTiff", width=size, height=60, count=3, dtype="uint8", crs=None, nodata=0
    ) as target:
        target.write(np.nan_to_num(rgb).astype("uint8"))
    write_raster(folder / "dem.tif", Raster(hills(60)[None], Grid.local((60, 60), 30.0), ("height",)))
    meta = {"split": split, "gsd_m": 30, "licence": licence, "sun_azimuth_deg": 150, "sun_elevation_deg": 30}
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_pairs_are_found_by_split_and_licence(tmp_path: Path) -> None:
    write_pair(tmp_path / "a")
    write_pair(tmp_path / "b", split="val")
    write_pair(tmp_path / "c", licence="CC BY-NC-SA 4.0 (non-commercial)")
    assert [p.name for p in find_pairs(tmp_path)] == ["a", "b", "c"]
    assert [p.name for p in find_pairs(tmp_path, "train")] == ["a", "c"]
    assert [p.name for p in find_pairs(tmp_path, "train", free_only=True)] == ["a"]
    with pytest.raises(UsageError, match="no pair"):
        find_pairs(tmp_path, "test")
    chips = read_pair(find_pairs(tmp_path, "val")[0])
    assert np.isnan(chips.heights_m(0)[:5]).all()  # no picture, no truth
    assert np.isfinite(chips.heights_m(0)[5:]).all()
    assert (chips.sun_azimuth_deg[0], chips.gsd_m[0]) == (150, 30)
    assert np.isnan(chips.latitude_deg[0])


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_spikes_of_a_pair_are_left_out_where_asked(tmp_path: Path) -> None:
    write_pair(tmp_path / "a")
    dem = hills(60)
    dem[30, 30] += 4000
    (tmp_path / "a/dem.tif").unlink()
    write_raster(tmp_path / "a/dem.tif", Raster(dem[None], Grid.local((60, 60), 30.0), ("height",)))
    (pair,) = find_pairs(tmp_path)
    assert np.isfinite(read_pair(pair).heights_m(0)[30, 30])
    clean = read_pair(pair, spike_m=800).heights_m(0)
    assert np.isnan(clean[30, 30])
    assert np.isfinite(clean[31:]).all()


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_a_pair_on_two_grids_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path / "a", size=50)
    with pytest.raises(GridMismatchError, match="share a grid"):
        read_pair(find_pairs(tmp_path)[0])


def test_clouds_are_bright_and_grey() -> None:
    rgb = np.full((3, 40, 40), 60, dtype=np.uint8)
    rgb[:, 20, 20] = 220
    rgb[0, 5, 5] = 250  # red roof: bright in one band only
    found = cloud(rgb)
    assert found[20, 20]
    assert found[20, 25]
    assert not found[5, 5]


def test_height_sources_take_their_pixel_size_from_the_index_or_the_file(tmp_path: Path) -> None:
    write_raster(tmp_path / "h.tif", Raster(hills(30)[None], Grid.local((30, 30), 12.0), ("height",)))
    assert next(find_dem_sources(tmp_path / "h.tif")).gsd_m == 12.0
    (tmp_path / "index.json").write_text(json.dumps([{"name": "h", "gsd_m": 99, "licence": "x"}]))
    found = list(find_dem_sources(tmp_path))
    assert [(s.name, s.gsd_m, s.licence) for s in found] == [("h", 99.0, "x")]
    write_raster(tmp_path / "n.tif", Raster(hills(30)[None], Grid.local((30, 30), None), ("height",)))
    with pytest.raises(InputError, match="pixel size"):
        list(find_dem_sources(tmp_path / "n.tif"))
