"""What damaged files once did to readers, one small case for each."""

from __future__ import annotations

import json
import sqlite3
import zipfile

import numpy as np
import pytest
from rasterio.errors import RasterioIOError

import drawing
from fakes import toy_card
from im2dem.core.errors import InputError, ModelError, NotAnImageError, UnsupportedTypeError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.levelling import OverlapStats
from im2dem.core.tiles import TilePlan
from im2dem.dataset.area import read_area
from im2dem.dataset.chips import Chips, load_chips, save_chips
from im2dem.dataset.pairs import find_dem_sources, find_pairs
from im2dem.dataset.seed_npz import SeedTiles, is_seed_npz, read_seed_npz, write_seed_npz
from im2dem.dataset.sources import cached
from im2dem.dataset.store import INDEX_COLUMNS, Store
from im2dem.dataset.unpack import Lost, unpack
from im2dem.dataset.verify import verify
from im2dem.io.environment import damaged, why_unreadable
from im2dem.io.geotiff import open_dem, open_reader, read_raster
from im2dem.io.npz import read_npz
from im2dem.io.points import place_points, read_points
from im2dem.pipeline.animate import AnimateOptions, animate_run
from im2dem.pipeline.mosaic.index import scene_paths
from im2dem.runtime.spool import RowRecord, Spool, TileRecord

PLAN = TilePlan((100, 70), 64, 16)


def chips(names=("a",), **differing):
    known = {
        "rgb": np.full((1, 3, 16, 16), 90, np.uint8),
        "dem": np.zeros((1, 16, 16), np.int16),
        "provenance": {"kind": "real", "sources": [{"name": "drawn", "licence": "CC0-1.0"}]},
        **{key: np.array([30.0]) for key in ("gsd_m", "sun_azimuth_deg", "sun_elevation_deg", "latitude_deg")},
    }
    return Chips(**{**known, **differing}, names=tuple(names))


def with_member(path, name, change):
    """The archive with the bytes of a member changed, and a checksum that fits."""
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, change(content) if member == name else content)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"'shape': (", b"'shape': [", 1),  # the parser of headers asks Python's own
        lambda content: b"no array",
        lambda content: content.replace(b"(1, 3, 16, 16)", b"(9999999999999)", 1),  # more than any memory
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_pack_with_a_damaged_header_is_no_pack(tmp_path, change, mapped):
    save_chips(tmp_path / "a.npz", chips())
    with_member(tmp_path / "a.npz", "rgb.npy", change)
    with pytest.raises(InputError, match="not a pack"):
        load_chips(tmp_path / "a.npz", mapped)


@pytest.mark.parametrize(
    "differing",
    [
        {"gsd_m": np.array(["x"])},
        {"dem": np.zeros((1, 16, 16), np.float64)},
        {"provenance": ["no", "object"]},
        {"provenance": {"sources": [1]}},
        {"rgb": np.zeros((1, 1, 16, 16), np.uint8)},
    ],
)
def test_a_pack_of_other_types_is_no_pack(tmp_path, differing):
    save_chips(tmp_path / "a.npz", chips(**differing))
    with pytest.raises(InputError, match="not a pack"):
        load_chips(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["../../gone", "..", "", "a/b", "a\\b", "C:x", "a\0b", "x" * 300])
def test_no_chip_is_unpacked_elsewhere(tmp_path, name):
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "kept.txt").write_text("mine")
    rgb = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    write_seed_npz(tmp_path / "b.npz", SeedTiles(np.stack([rgb] * 3, axis=-1)[None], rgb.astype(np.int16)[None]))
    row = {"name": name, "gsd_m": 30.0, "licence": "CC0-1.0"}
    (tmp_path / "b.npz.json").write_text(json.dumps({"height_range_m": [0, 9], "tiles": [row]}))
    save_chips(tmp_path / "a.npz", chips([name]))
    for pack in ("a.npz", "b.npz") if "\0" not in name else ("b.npz",):  # an array of texts holds no NUL
        with pytest.raises(InputError, match="name of a folder"):
            unpack(tmp_path / pack, tmp_path / "out" / pack, "train", Lost())
    assert (tmp_path / "gone" / "kept.txt").read_text() == "mine"


def test_levels_of_an_endless_range_are_refused(tmp_path):
    levels = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    write_seed_npz(tmp_path / "a.npz", SeedTiles(np.stack([levels] * 3, axis=-1)[None], levels.astype(np.int16)[None]))
    with pytest.raises(UsageError, match="hold no level"):
        unpack(tmp_path / "a.npz", tmp_path / "out", "train", Lost(10.0, (0.0, float("inf"))))


def test_a_card_whose_file_has_no_possible_name_is_told():
    with pytest.raises(ModelError, match="name of a file"):
        toy_card(onnx="9" * 5000)


def test_names_of_chips_stay_what_they_were(tmp_path):
    save_chips(tmp_path / "a.npz", chips(["fuji-30m é (2)"]))
    assert unpack(tmp_path / "a.npz", tmp_path / "out", "train") == 1
    assert [p.name for p in (tmp_path / "out" / "pairs").iterdir()] == ["fuji-30m é (2)"]


def test_a_damaged_stream_in_data_of_the_prototype_is_told(tmp_path):
    levels = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    tiles = SeedTiles(np.stack([levels] * 3, axis=-1)[None], levels.astype(np.int16)[None])
    path = write_seed_npz(tmp_path / "a.npz", tiles)
    content = bytearray(path.read_bytes())
    content[80:120] = bytes(range(40))
    path.write_bytes(content)
    assert is_seed_npz(path)
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        read_seed_npz(path)


def test_arrays_that_need_more_than_the_memory_are_told(tmp_path, monkeypatch):
    def refuse(*_args, **_named):
        raise MemoryError("Unable to allocate 8 EiB")

    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    assert read_npz(tmp_path / "a.npz", ("b",)) == {}
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", refuse)
    with pytest.raises(InputError, match="do not fit into memory"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("how", ["GDAL, on opening", "GDAL, on reading", "NumPy, addresses", "NumPy, bytes"])
def test_a_picture_larger_than_the_memory_is_not_called_damaged(tmp_path, monkeypatch, how):
    path = drawing.draw(tmp_path / "a.tif", drawing.colours(40, 48))
    if how == "GDAL, on opening":
        error = why_unreadable(str(path), RasterioIOError("Cannot allocate memory"))
    elif how == "GDAL, on reading":
        cause = RasterioIOError("Read failed. See previous exception for details.")
        cause.__cause__ = type("CPLE_OutOfMemoryError", (Exception,), {})("a block")
        error = damaged(str(path), cause)
    else:
        with open_reader(path) as reader:
            monkeypatch.setattr(reader, "_stored", lambda *_: np.empty(1 << (60 if how == "NumPy, addresses" else 55)))
            with pytest.raises(InputError) as caught:
                reader.read(Window(0, 0, 8, 8))
        error = caught.value
    assert "needs more memory than there is" in str(error)
    assert not isinstance(error, NotAnImageError)
    assert isinstance(damaged(str(path), RasterioIOError("bad tile")), NotAnImageError)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gpx", '<gpx><wpt lat="x" lon="1"><ele>3</ele></wpt></gpx>'),
        ("a.gpx", '<gpx><wpt lat="1"><ele>3</ele></wpt></gpx>'),
        ("a.geojson", '{"type": "Point", "coordinates": [1, 2, 1' + "0" * 400 + "]}"),
    ],
)
def test_points_that_are_none_are_told(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name):
        read_points(tmp_path / name)


def test_a_point_nowhere_is_outside(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z\n500055,3999945,512\n1e308,-1e308,500\n")
    placed = place_points(read_points(tmp_path / "a.csv"), Grid((40, 48), drawing.UTM_TRANSFORM, drawing.UTM))
    assert placed.z.tolist() == [512]
    (tmp_path / "b.csv").write_text("lon,lat,z\n1e300,0,500\n")
    with pytest.raises(InputError, match="none of its 1 points"):
        place_points(read_points(tmp_path / "b.csv"), Grid((40, 48), drawing.UTM_TRANSFORM, drawing.UTM))


def test_an_area_beyond_every_number_is_told(tmp_path):
    ring = [[0, 0], [10**400, 0], [1, 1], [0, 0]]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    with pytest.raises(InputError, match=r"a\.geojson"):
        read_area(tmp_path / "a.geojson")


@pytest.mark.parametrize("crs", [3, [], {"properties": 3}, {"properties": {"name": 3}}])
def test_a_reference_system_of_geojson_that_says_nothing_is_passed_over(tmp_path, crs):
    point = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [9, 46, 500]}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [point]}))
    assert read_points(tmp_path / "a.geojson").crs == "EPSG:4326"


def test_a_geopackage_whose_layer_has_no_name_is_told(tmp_path):
    with sqlite3.connect(tmp_path / "a.gpkg") as db:
        db.execute("create table gpkg_contents (table_name text)")
        db.execute("insert into gpkg_contents values (null)")
    db.close()
    with pytest.raises(InputError, match="no layer"):
        scene_paths(tmp_path / "a.gpkg")


@pytest.mark.parametrize("told", [[], {"gsd_m": "far"}, {"gsd_m": -1}, {"sun_azimuth_deg": [1]}, {"gsd_m": 10**400}])
def test_a_record_of_a_pair_with_other_values_is_told(tmp_path, told):
    (tmp_path / "a").mkdir()
    drawing.draw_dem(tmp_path / "a" / "dem.tif")
    (tmp_path / "a" / "meta.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"meta\.json"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("text", ["[", "[1]", '[{"gsd_m": 10}]', '[{"name": "a", "gsd_m": {}}]', "3", "\xff"])
def test_an_index_of_height_models_that_is_none_is_told(tmp_path, text):
    drawing.draw_dem(tmp_path / "a.tif")
    (tmp_path / "index.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"index\.json"):
        list(find_dem_sources(tmp_path))


def a_row(name):
    return {**dict.fromkeys(INDEX_COLUMNS, "0"), "name": name, "split": "train"}


def write_set(folder, rows, manifest):
    (folder / "manifest.json").write_text(json.dumps(manifest))
    lines = [",".join(INDEX_COLUMNS), *(",".join(row[c] for c in INDEX_COLUMNS) for row in rows)]
    (folder / "index.csv").write_text("\n".join(lines) + "\n")


def test_what_is_wrong_with_a_set_is_told_whatever_it_is(tmp_path):
    write_set(tmp_path, [a_row("a"), a_row("b") | {"west": "é"}], {"split": None})
    for name, meta in (("a", {"size": [1, 1], "box": [0, 0, 1, 1], "dates": [3]}), ("b", {"size": 3})):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        (tmp_path / "pairs" / name / "meta.json").write_text(json.dumps(meta))
    faults = [str(fault) for fault in verify(tmp_path)]
    assert any(fault.startswith("a: meta.json cannot be read") for fault in faults)
    assert any(fault.startswith("b: has no place in index.csv") for fault in faults)
    assert Store(tmp_path).write_index() == 0  # what cannot be read is left out, not fatal


@pytest.mark.parametrize("manifest", [[1], {"request": []}, {"split": 3}, {"split": {"surplus": 1}}])
def test_a_manifest_that_is_none_is_told(tmp_path, manifest):
    write_set(tmp_path, [a_row("a")], manifest)
    with pytest.raises(InputError, match=r"manifest\.json"):
        verify(tmp_path)


def test_an_index_cut_short_is_told(tmp_path):
    write_set(tmp_path, [a_row("a")], {})
    (tmp_path / "index.csv").write_text((tmp_path / "index.csv").read_text() + "b,train")
    with pytest.raises(InputError, match="line 3"):
        verify(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"tiles": [{"index": "0", "mass": 0.5, "mean": 1.0}]},
        {"tiles": [{"index": 5, "mass": 0.5, "mean": 1.0}]},
        {"tiles": [{"index": 2, "mass": 10**400, "mean": 1.0}]},
        {"tiles": [{"index": 2, "mass": None, "mean": 1.0}]},
        {"row": True},
        {"pairs": [[0, 99]]},
    ],
)
def test_a_journal_counts_up_to_its_first_damaged_row(tmp_path, change):
    with Spool(tmp_path, PLAN, 2, fingerprint="a", resume=False, durable=False) as spool:
        for row in range(2):
            for tile in PLAN.row(row):
                spool.write(tile, np.zeros((2, *PLAN.tile_shape), np.float32))
            records = tuple(TileRecord(t.index, 0.5, 1.0) for t in PLAN.row(row))
            spool.finish_row(RowRecord(row, records, (OverlapStats(0, 1, 0.1, 0.3, 2.0, 3.0, 4.0, 0.5),)))
    journal = tmp_path / "journal.jsonl"
    head, first, second = journal.read_text().splitlines()
    value = json.loads(second)
    if "pairs" in change:
        ends = dict(zip(("first", "second"), change["pairs"][0], strict=True))
        change = {"pairs": [value["pairs"][0] | ends]}
    if "row" in change:
        value, change = json.loads(first), {}  # the first row twice
    journal.write_text("\n".join([head, first, json.dumps(value | change), ""]))
    with Spool(tmp_path, PLAN, 2, fingerprint="a", resume=True, durable=False) as spool:
        assert [row.row for row in spool.rows] == [0]


@pytest.mark.parametrize(
    "differing",
    [
        {"step": np.array([1, 2])},
        {"names": np.array(["a"])},
        {"truth": np.full((2, 16, 16), 1e38)},
        {"relief": np.zeros((2, 16, 8))},
        {"image": np.zeros((2, 3, 16, 16), np.float32)},
        {"truth": np.zeros((2, 16, 16), complex)},
    ],
)
def test_a_snapshot_of_other_arrays_is_told(tmp_path, differing):
    (tmp_path / "snapshots").mkdir()
    heights = np.stack([drawing.heights(16, 16)] * 2)
    known = {"step": 5, "names": np.array(["a", "b"]), "image": np.full((2, 3, 16, 16), 90, np.uint8)}
    np.savez(tmp_path / "snapshots" / "step-5.npz", **{**known, "truth": heights, "relief": heights, **differing})
    with pytest.raises(InputError, match="not a snapshot"):
        animate_run(tmp_path, tmp_path / "a.gif", AnimateOptions(frames=2, size_px=64))


@pytest.mark.parametrize(
    "change", [lambda c: c[:90], lambda c: c.replace(b"'shape': (", b"'shape': [", 1), lambda c: b""]
)
def test_a_damaged_cache_is_read_again(tmp_path, change):
    values = np.arange(6.0).reshape(2, 3)
    cached(tmp_path, "a", lambda: values)
    (tmp_path / "a.npy").write_bytes(change((tmp_path / "a.npy").read_bytes()))
    np.testing.assert_array_equal(cached(tmp_path, "a", lambda: values), values)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)


def test_a_file_of_very_many_bands_is_refused_at_once(tmp_path):
    few, many = (drawing.draw(tmp_path / f"{n}.tif", np.ones((n, 2, 2), np.uint8)) for n in (600, 5000))
    assert read_raster(few).data.shape == (600, 2, 2)
    for read in (read_raster, open_reader, open_dem):
        with pytest.raises(UnsupportedTypeError, match="5,000 bands"):
            read(many)


def test_a_file_whose_own_text_gdal_repeats_is_told(tmp_path, monkeypatch):
    def repeat(*_args, **_named):
        b"\xff".decode()

    path = drawing.draw(tmp_path / "a.tif", drawing.colours(8, 8))
    monkeypatch.setattr("rasterio.open", repeat)
    with pytest.raises(NotAnImageError, match=r"a\.tif"):
        open_reader(path)
