"""Known heights, areas, training sets, packs, and what runs leave behind to go on from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

import drawing
from im2dem.core.grid import Grid
from im2dem.core.levelling import OverlapStats
from im2dem.core.tiles import TilePlan
from im2dem.dataset.area import read_area
from im2dem.dataset.cells import SplitPlan
from im2dem.dataset.chips import Chips, load_chips, quantise_heights, save_chips
from im2dem.dataset.encode import Recipe
from im2dem.dataset.file_source import FileSource
from im2dem.dataset.pairs import find_dem_sources, find_pairs, read_pair
from im2dem.dataset.seed_npz import SeedTiles, write_seed_npz
from im2dem.dataset.store import Store
from im2dem.dataset.training_data import find_training_data
from im2dem.dataset.unpack import Lost, unpack
from im2dem.dataset.verify import verify
from im2dem.io.points import place_points, read_points
from im2dem.pipeline.animate import AnimateOptions, animate_run
from im2dem.pipeline.build import BuildOptions, build_from_files
from im2dem.runtime.spool import RowRecord, Spool, TileRecord
from im2dem.web.serve.jobs import Failure, Job, JobStore, State

from .door import Door, Drawn, beside, gathered, only

_GRID = Grid((40, 48), drawing.UTM_TRANSFORM, drawing.UTM)
_PLAN = TilePlan((100, 70), 64, 16)


def _point_files(root: Path) -> Drawn:
    lonlat = [_GRID.lonlat(row, col) or (0.0, 0.0) for row, col in ((5, 5), (20, 30), (33, 40))]
    (root / "a.csv").write_text("x,y,z\n500055,3999945,512.5\n500305,3999795,640\n500405.5,3999665,700,0.5\n")
    (root / "b.csv").write_text(
        "lon;lat;height [m];sigma\n" + "".join(f"{lon};{lat};{600 + i};0.5\n" for i, (lon, lat) in enumerate(lonlat))
    )
    (root / "c.txt").write_text("# east north height\n500055 3999945 512.5\n500305 3999795 640\n")
    features = [
        {"type": "Feature", "properties": {"sigma": 2.0}, "geometry": {"type": "Point", "coordinates": [*p, 600.0]}}
        for p in lonlat
    ]
    many = {"type": "MultiPoint", "coordinates": [[*p, 700.0] for p in lonlat]}
    features.append({"type": "Feature", "properties": None, "geometry": many})
    (root / "d.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    point = {"type": "Feature", "properties": {"ele": 600}, "geometry": {"type": "Point", "coordinates": lonlat[0]}}
    (root / "e.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": named, "features": [point]}))
    way = "".join(f'<wpt lat="{lat}" lon="{lon}"><ele>{600 + i}</ele></wpt>' for i, (lon, lat) in enumerate(lonlat))
    (root / "f.gpx").write_text(f'<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1">{way}</gpx>')
    return beside(root)


def _points(folder: Path) -> None:
    place_points(read_points(only(folder, ".csv", ".txt", ".geojson", ".gpx")), _GRID)


def _areas(root: Path) -> Drawn:
    ring = [[9.0, 46.0], [9.1, 46.0], [9.1, 46.1], [9.0, 46.0]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    many = {"type": "MultiPolygon", "coordinates": [[ring], [ring]]}
    feature = {"type": "Feature", "properties": {"name": "x"}, "geometry": polygon}
    collection = {"type": "GeometryCollection", "geometries": [polygon, {"type": "Point", "coordinates": [9, 46]}]}
    whole = {"type": "FeatureCollection", "features": [feature, {**feature, "geometry": collection}]}
    for name, content in (("a", polygon), ("b", many), ("c", feature), ("d", whole)):
        (root / f"{name}.geojson").write_text(json.dumps(content))
    return beside(root)


def _area(folder: Path) -> None:
    read_area(only(folder, ".geojson"))


def _small_chips(size: int = 24) -> Chips:
    rng = np.random.default_rng(0)
    heights = quantise_heights(drawing.heights(size, size))
    return Chips(
        rng.integers(20, 200, (2, 3, size, size), dtype=np.uint8),
        np.stack([heights, heights]),
        np.array([10.0, 30.0]),
        np.array([150.0, np.nan]),
        np.array([40.0, np.nan]),
        np.array([46.0, np.nan]),
        ("a", "b"),
        {"kind": "real", "sources": [{"name": "drawn", "licence": "CC0-1.0"}]},
    )


def _packs(root: Path) -> Drawn:
    save_chips(root / "pack.npz", _small_chips())
    save_chips(root / "other.npz", _small_chips(16))
    return [{"pack.npz": (root / name).read_bytes()} for name in ("pack.npz", "other.npz")]


def _pack(folder: Path) -> None:
    chips = load_chips(folder / "pack.npz")
    for i in range(min(len(chips), 4)):
        chips.heights_m(i)
    find_training_data([folder])


def _unpacked(folder: Path) -> None:
    unpack(only(folder, ".npz"), folder / "out", "train", Lost(10.0, (0.0, 900.0)))


def _seed_files(root: Path) -> Drawn:
    rows, cols = np.mgrid[0:256, 0:256]
    rgb = np.stack([rows, cols, (rows + cols) // 2], axis=-1).astype(np.uint8)[None]
    write_seed_npz(root / "a.npz", SeedTiles(rgb, rows.astype(np.int16)[None]))
    row = {"name": "a", "gsd_m": 30.0, "licence": "CC0-1.0", "split": "train"}
    (root / "a.npz.json").write_text(json.dumps({"height_range_m": [0.0, 900.0], "tiles": [row]}))
    np.savez(root / "b.npz", arr_0=rgb.astype(np.float32), arr_1=rows.astype(np.int16)[None, ..., None])
    return beside(root)


def _trees(root: Path) -> Drawn:
    for name, split in (("a", "train"), ("b", "val")):
        folder = root / "set" / "pairs" / name
        folder.mkdir(parents=True)
        drawing.draw(folder / "rgb.tif", drawing.colours(32, 32), compress="deflate")
        drawing.draw_dem(folder / "dem.tif", drawing.heights(32, 32), nodata=-9999)
        told = {"name": name, "split": split, "gsd_m": 10.0, "licence": "CC0-1.0", "sun_azimuth_deg": 150.0}
        (folder / "meta.json").write_text(json.dumps({**told, "sun_elevation_deg": 40, "latitude_about": 36.1}))
    return gathered(root / "set")


def _pairs(folder: Path) -> None:
    for pair in find_pairs(folder):
        read_pair(pair, drop_clouds=True)


def _dem_folders(root: Path) -> Drawn:
    folder = root / "dems"
    folder.mkdir()
    drawing.draw_dem(folder / "a.tif", drawing.heights(24, 24))
    drawing.draw_dem(folder / "b.tif", drawing.heights(24, 24))
    (folder / "index.json").write_text(json.dumps([{"name": n, "gsd_m": 10.0, "licence": "CC0-1.0"} for n in "ab"]))
    return gathered(folder)


def _dem_sources(folder: Path) -> None:
    for source in find_dem_sources(folder):
        assert source.gsd_m > 0


def _sets(root: Path) -> Drawn:
    drawing.draw(root / "a.tif", drawing.colours(70, 140))
    drawing.draw_dem(root / "b.tif", drawing.heights(70, 140))
    source = FileSource(str(root / "a.tif"), str(root / "b.tif"), licence="CC0-1.0", sun=(150.0, 30.0))
    options = BuildOptions(Recipe(split=SplitPlan(cell_km=1.0, buffer_m=100.0, shares=(0.3, 0.3))), threads=1)
    build_from_files(source, root / "set", 64, options=options)
    return gathered(root / "set")


def _training_set(folder: Path) -> None:
    store = Store(folder)
    store.done()
    store.counts()
    faults: list[object] = []
    try:
        faults = list(verify(folder))
    finally:
        store.write_index()
    assert all(str(fault) for fault in faults)


def _spools(root: Path) -> Drawn:
    folder = root / "spool"
    with Spool(folder, _PLAN, 2, fingerprint="a", resume=False, durable=False) as spool:
        for row in range(2):
            for tile in _PLAN.row(row):
                spool.write(tile, np.full((2, *_PLAN.tile_shape), row, np.float32))
            records = tuple(TileRecord(t.index, 0.5, 1.0) for t in _PLAN.row(row))
            spool.finish_row(RowRecord(row, records, (OverlapStats(0, 1, 0.1, 0.3, 2.0, 3.0, 4.0, 0.5),)))
    return gathered(folder)


def _spool(folder: Path) -> None:
    with Spool(folder, _PLAN, 2, fingerprint="a", resume=True, durable=False) as spool:
        for row in spool.rows:
            for tile in row.tiles:
                assert 0 <= tile.index < len(list(_PLAN))
                assert isinstance(tile.mass * tile.mean, float)
            for pair in row.pairs:
                assert all(isinstance(v, int | float) for v in asdict(pair).values())


def _snapshot_runs(root: Path) -> Drawn:
    folder = root / "run" / "snapshots"
    folder.mkdir(parents=True)
    truth = np.stack([drawing.heights(16, 16)] * 2)
    rgb = np.full((2, 3, 16, 16), 90, np.uint8)
    for step in (5, 10):
        np.savez(folder / f"step-{step:07d}.npz", step=step, names=np.array(["a", "b"]), truth=truth,
                 relief=truth * np.float32(step / 10), image=rgb)  # fmt: skip
    return gathered(root / "run")


def _snapshots(folder: Path) -> None:
    animate_run(folder, folder / "out.gif", AnimateOptions(frames=2, size_px=64))


def _tables(root: Path) -> Drawn:
    store = JobStore(root / "jobs.sqlite")
    store.put(Job("a" * 20, "x.png", "png", 5, 1.0, {"gsd_m": 10.0}))
    store.put(Job("b" * 20, "y.png", "png", 5, 2.0, state=State.FAILED, failure=Failure("input", "no"), notes=("n",)))
    store.close()
    return [{"jobs.sqlite": (root / "jobs.sqlite").read_bytes()}]


def _jobs(folder: Path) -> None:
    store = JobStore(folder / "jobs.sqlite")
    try:
        for job in store.all():
            store.put(job.ended(3.0))
    finally:
        store.close()


DOORS = {
    "known heights": Door(_point_files, _points),
    "areas": Door(_areas, _area),
    "training packs": Door(_packs, _pack),
    "packs unpacked": Door(_packs, _unpacked),
    "data of the prototype": Door(_seed_files, _unpacked),
    "folders of pairs": Door(_trees, _pairs),
    "folders of height models": Door(_dem_folders, _dem_sources),
    "training sets": Door(_sets, _training_set),
    "interrupted predictions": Door(_spools, _spool),
    "snapshots of a run": Door(_snapshot_runs, _snapshots),
    "tables of jobs": Door(_tables, _jobs),
}
