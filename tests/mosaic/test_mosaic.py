"""Mosaics in this process: the same blocks whatever is asked for, one level, nothing done twice, files others read."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rio_cogeo.cogeo import cog_validate

import drawing
from im2dem.core.errors import GridMismatchError, InputError, NoDataError, OutputExistsError, UsageError
from im2dem.core.grid import Window
from im2dem.io.geotiff import open_dem
from im2dem.pipeline.anchoring import AnchorOptions
from im2dem.pipeline.mosaic import MosaicOptions, predict_mosaic
from im2dem.pipeline.mosaic import block as blocks_room
from im2dem.pipeline.mosaic.index import scene_paths
from im2dem.pipeline.mosaic.scenes import open_scenes, tasks
from im2dem.runtime import session
from mosaic_kit import BLOCK_PX, COL0, GSD_M, ROW0, contents, draw_scene, options, relief, write_net

pytest.importorskip("onnx", reason="toy nets are made with onnx")

PICTURE = Window(ROW0, COL0, 440, 520)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return write_net(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module", autouse=True)
def _open_the_model_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "open_net", functools.cache(session.open_net))
        yield


@pytest.fixture(scope="module")
def made(net, tmp_path_factory):
    """One picture as a mosaic of 4 x 5 blocks: (folder, report)."""
    folder = tmp_path_factory.mktemp("made")
    draw_scene(folder / "a.tif", PICTURE)
    return folder / "out", predict_mosaic(folder / "a.tif", folder / "out", options(net))


def mosaic_heights(folder: Path) -> tuple[np.ndarray, Window]:
    """Heights of the VRT, NaN where there are none, and its pixels in the world."""
    with rasterio.open(folder / "mosaic.vrt") as dataset:
        height = dataset.read(1, masked=True).filled(np.nan)
        t = dataset.transform
        return height, Window(round(-t.f / GSD_M), round(t.c / GSD_M), *dataset.shape)


def test_the_vrt_holds_the_relief_up_to_one_line(made):
    folder, report = made
    height, window = mosaic_heights(folder)
    inside = PICTURE.slices(window)
    assert np.isfinite(height[inside]).all()
    assert np.isfinite(height).sum() == PICTURE.height * PICTURE.width
    truth = relief(PICTURE)
    assert np.corrcoef(height[inside].ravel(), truth.ravel())[0, 1] > 0.99
    # Blocks are stretched each by itself: without levelling they would differ by tens of metres.
    assert report.levels["step_after"] < 0.1 * report.levels["step_before"]


def test_no_seams_between_blocks(made):
    """Bends along block edges against bends elsewhere, once the relief's own are taken off."""
    height, window = mosaic_heights(made[0])
    for axis, start in ((0, window.row_off), (1, window.col_off)):
        assert start % BLOCK_PX == 0
        steps = np.abs(np.diff(height, axis=axis))
        edges = np.arange(BLOCK_PX - 1, steps.shape[axis], BLOCK_PX)
        at = float(np.nanmean(np.take(steps, edges, axis=axis)))
        truth = np.abs(np.diff(relief(window), axis=axis))
        truth[~np.isfinite(steps)] = np.nan
        own = np.nanmean(np.take(truth, edges, axis=axis)) / np.nanmean(truth)
        assert at / float(np.nanmean(steps)) / own <= 1.1


def test_blocks_are_cogs_with_the_tags_of_predict(made):
    folder, report = made
    assert len(contents(folder, "blocks")) == report.blocks - report.empty == 20
    path = next((folder / "blocks").glob("*.tif"))
    assert cog_validate(path)[0]
    with rasterio.open(path) as dataset:
        assert dataset.shape == (BLOCK_PX, BLOCK_PX)
        assert dataset.descriptions == ("height", "sigma")
        assert dataset.units == ("m", "m")
        assert dataset.nodatavals == (-9999.0, -9999.0)
        tags = dataset.tags()
        assert {"IM2DEM_MODEL", "IM2DEM_MODEL_SHA256", "IM2DEM_INPUT", "IM2DEM_SUN", "TIFFTAG_SOFTWARE"} <= set(tags)
        assert "whole mosaic" in tags["IM2DEM_HEIGHT_KIND"]
        assert dataset.transform.c % (BLOCK_PX * GSD_M) == 0
        assert dataset.transform.f % (BLOCK_PX * GSD_M) == 0


def test_stac_is_read_by_pystac(made):
    pystac = pytest.importorskip("pystac", reason="the extra [data] is not installed")
    folder, report = made
    catalog = pystac.Catalog.from_file(str(folder / "catalog.json"))
    items = list(catalog.get_items())
    assert len(items) == 20
    for item in items:
        with rasterio.open(item.get_assets()["dem"].get_absolute_href()) as dataset:
            assert item.properties["proj:bbox"] == list(dataset.bounds)
            assert item.properties["proj:code"] == drawing.UTM
        left, bottom, right, top = item.bbox
        assert 18 < left < right < 24
        assert 35 < bottom < top < 37
        assert item.geometry["coordinates"][0][0] == item.geometry["coordinates"][0][-1]
        assert item.datetime is not None
    assert json.loads((folder / "mosaic.json").read_text())["blocks"] == report.blocks


def test_a_part_and_another_cut_give_the_same_blocks_to_the_byte(made, net, tmp_path):
    whole, _ = made
    all_raw = contents(whole, "raw")
    # Part of the same index.
    x, y = (COL0 + 150) * GSD_M, -(ROW0 + 180) * GSD_M
    report = predict_mosaic(
        whole.parent / "a.tif", tmp_path / "part", options(net, bounds=(x, y, x + 1000.0, y + 1000.0))
    )
    part = contents(tmp_path / "part", "raw")
    assert 1 <= len(part) == report.predicted < len(all_raw)
    assert all(all_raw[name] == data for name, data in part.items())
    # Another picture of the same ground, cut elsewhere: blocks whose halo lies in both are equal. The file has the same
    # name, because its name is one of the tags.
    (tmp_path / "b").mkdir()
    cut = Window(PICTURE.row_off + 40, PICTURE.col_off + 100, PICTURE.height + 60, PICTURE.width - 40)
    draw_scene(tmp_path / "b/a.tif", cut)
    predict_mosaic(tmp_path / "b/a.tif", tmp_path / "cut", options(net))
    other = contents(tmp_path / "cut", "raw")
    world, scenes = open_scenes([str(tmp_path / "b/a.tif")], None, BLOCK_PX, 16)
    both = PICTURE.intersection(cut)
    shared = [
        f"{task.block.name}.tif"
        for task in tasks(world, scenes, None)
        if both.intersection(world.haloed(task.block)) == world.haloed(task.block)
    ]
    assert len(shared) >= 2
    assert all(other[name] == all_raw[name] for name in shared)
    edge = set(other) & set(all_raw) - set(shared)
    assert any(other[name] != all_raw[name] for name in edge)  # the comparison can fail


def test_a_second_call_does_nothing_twice(made, net, tmp_path, monkeypatch):
    done: list[str] = []
    real = blocks_room.predict_file

    def counted(source, path, chosen):
        done.append(Path(path).name)
        if len(done) == 4:
            raise KeyboardInterrupt
        return real(source, path, chosen)

    monkeypatch.setattr(blocks_room, "predict_file", counted)
    index, out = made[0].parent / "a.tif", tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict_mosaic(index, out, options(net))
    assert not list(out.glob("blocks/*.tif"))
    report = predict_mosaic(index, out, options(net))
    assert (report.resumed, report.predicted, report.joined) == (3, 17, 20)
    assert len(done) == 4 + 17
    assert len(set(done)) == 20
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.tif")}
    report = predict_mosaic(index, out, options(net))
    assert (report.resumed, report.predicted, report.joined, report.kept) == (20, 0, 0, 20)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.tif")} == stamps
    assert contents(out, "blocks") == contents(made[0], "blocks")
    assert not list(out.rglob("*.part*"))
    # A scene that changed is predicted again.
    os.utime(index, ns=(1, 1))
    assert predict_mosaic(index, out, options(net)).predicted == 20


def test_scenes_of_different_radiometry_are_one_mosaic(net, tmp_path):
    (tmp_path / "scenes").mkdir()
    half = PICTURE.width // 2
    draw_scene(tmp_path / "scenes/1.tif", Window(ROW0, COL0, PICTURE.height, half + 30), tags={"SUN_AZIMUTH": "150"})
    draw_scene(
        tmp_path / "scenes/2.tif", Window(ROW0, COL0 + half, PICTURE.height, half), gain=0.5, offset=0.3, compress="lzw"
    )
    report = predict_mosaic(tmp_path / "scenes", tmp_path / "out", options(net))
    assert report.scenes == 2
    height, window = mosaic_heights(tmp_path / "out")
    inside = PICTURE.slices(window)
    assert np.isfinite(height[inside]).all()
    # Half the contrast is no half relief: the scenes' own percentiles undo it.
    assert np.corrcoef(height[inside].ravel(), relief(PICTURE).ravel())[0, 1] > 0.97


def test_what_lies_apart_and_what_is_empty(net, tmp_path):
    scene = draw_scene(tmp_path / "a.tif", Window(ROW0, COL0, 100, 100))
    draw_scene(tmp_path / "b.tif", Window(ROW0 + 900, COL0 + 900, 100, 100))
    with rasterio.open(draw_scene(tmp_path / "c.tif", Window(ROW0 + 400, COL0, 90, 90)), "r+") as dataset:
        dataset.write(np.zeros((3, 90, 90), np.uint16))
    report = predict_mosaic(tmp_path, tmp_path / "out", options(net))
    assert report.empty >= 1
    assert report.levels["groups"] >= 2
    _, window = mosaic_heights(tmp_path / "out")
    assert min(window.shape) >= 900
    again = predict_mosaic(tmp_path, tmp_path / "out", options(net))
    assert (again.predicted, again.resumed) == (0, report.blocks)  # empty blocks are not tried twice
    with pytest.raises(NoDataError, match="not one of"):
        predict_mosaic(tmp_path / "c.tif", tmp_path / "none", options(net))
    assert scene.exists()


def test_a_hundred_thousand_pixels_are_planned_from_their_header(net, tmp_path):
    draw_scene(tmp_path / "a.tif", Window(ROW0, COL0, 200, 200))
    side = 100_000
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{b}"><NoDataValue>0</NoDataValue><SimpleSource><SourceFilename '
        f'relativeToVRT="1">a.tif</SourceFilename><SourceBand>{b}</SourceBand><SrcRect xOff="0" yOff="0" xSize="200" '
        f'ySize="200"/><DstRect xOff="50000" yOff="50000" xSize="200" ySize="200"/></SimpleSource></VRTRasterBand>'
        for b in (1, 2, 3)
    )
    x, y = (COL0 - 50_000) * GSD_M, -(ROW0 - 50_000) * GSD_M
    (tmp_path / "big.vrt").write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>{drawing.UTM}</SRS>'
        f"<GeoTransform>{x}, {GSD_M}, 0, {y}, 0, {-GSD_M}</GeoTransform>{bands}</VRTDataset>"
    )
    block_px = 1024
    world, scenes = open_scenes([str(tmp_path / "big.vrt")], None, block_px, 16)
    plan = tasks(world, scenes, None)
    assert next(plan).block.row == (ROW0 - 50_000) // block_px
    tracemalloc.start()
    count = 1 + sum(1 for _ in plan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (side // block_px) ** 2 <= count <= (side // block_px + 2) ** 2
    # One row of about a hundred blocks; all 9,600 that are planned, at some 300 bytes each, would be 3 MB.
    assert peak < 3e5
    bounds = (COL0 * GSD_M, -(ROW0 + 120) * GSD_M, (COL0 + 120) * GSD_M, -ROW0 * GSD_M)
    report = predict_mosaic(tmp_path / "big.vrt", tmp_path / "out", options(net, bounds=bounds))
    assert report.blocks <= 4
    assert report.valid > 120 * 120


def test_every_kind_of_index(tmp_path):
    names = ["b.tif", "sub/a.tif"]
    wanted = tuple(str(tmp_path / name) for name in names)
    features = [{"type": "Feature", "geometry": None, "properties": {"location": name}} for name in names]
    (tmp_path / "i.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (tmp_path / "i.json").write_text(json.dumps(names))
    (tmp_path / "i.txt").write_text("# scenes\nb.tif\n\nsub/a.tif\n")
    connection = sqlite3.connect(tmp_path / "i.gpkg")
    connection.execute("CREATE TABLE gpkg_contents (table_name TEXT)")
    connection.execute("CREATE TABLE tiles (fid INTEGER PRIMARY KEY, geom BLOB, location TEXT)")
    connection.execute("INSERT INTO gpkg_contents VALUES ('tiles')")
    connection.executemany("INSERT INTO tiles (location) VALUES (?)", [(name,) for name in names])
    connection.commit()
    connection.close()
    kinds = ["geojson", "json", "txt", "gpkg"]
    try:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"location": names}), tmp_path / "i.parquet")
        kinds.append("parquet")
    except ImportError:
        pass
    for kind in kinds:
        assert scene_paths(tmp_path / f"i.{kind}") == wanted, kind


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("i.json", "{", InputError),
        ("i.geojson", '{"type": "FeatureCollection"}', InputError),
        ("i.geojson", '{"type": "FeatureCollection", "features": [{"properties": {}}]}', InputError),
        ("i.json", "[]", NoDataError),
        ("i.txt", "# nothing\n", NoDataError),
        ("i.gpkg", "no database", InputError),
    ],
)
def test_indexes_that_cannot_be_used(tmp_path, name, text, error):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=name):
        scene_paths(tmp_path / name)


def test_what_does_not_fit_together(net, tmp_path):
    a = draw_scene(tmp_path / "a.tif", Window(ROW0, COL0, 100, 100))
    draw_scene(tmp_path / "crs.tif", Window(ROW0, COL0, 100, 100), crs="EPSG:32635")
    with rasterio.open(a) as dataset:
        t = dataset.transform
    draw_scene(tmp_path / "half.tif", Window(ROW0, COL0, 100, 100), transform=t.translation(5, 5) @ t)
    draw_scene(tmp_path / "size.tif", Window(ROW0, COL0, 100, 100), transform=t @ t.scale(2))
    draw_scene(tmp_path / "turned.tif", Window(ROW0, COL0, 100, 100), transform=t @ t.rotation(10))
    for name, words in (("crs", "EPSG:32635"), ("half", "0.50"), ("size", "20 x 20"), ("turned", "north up")):
        (tmp_path / "i.txt").write_text(f"a.tif\n{name}.tif\n")
        with pytest.raises(GridMismatchError, match=words):
            predict_mosaic(tmp_path / "i.txt", tmp_path / "out", options(net))
    with pytest.raises(InputError, match="no such file"):
        predict_mosaic(tmp_path / "none.vrt", tmp_path / "out", options(net))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoDataError, match="no scenes"):
        predict_mosaic(tmp_path / "empty", tmp_path / "out", options(net))
    with pytest.raises(NoDataError, match="reaches"):
        predict_mosaic(a, tmp_path / "out", options(net, bounds=(0.0, 0.0, 10.0, 10.0)))
    with pytest.raises(UsageError, match="left,bottom"):
        predict_mosaic(a, tmp_path / "out", options(net, bounds=(10.0, 0.0, 0.0, 10.0)))
    assert not (tmp_path / "out").exists()  # nothing was begun


def test_a_folder_of_other_options_is_left_alone(net, tmp_path):
    a = draw_scene(tmp_path / "a.tif", Window(ROW0, COL0, 100, 100))
    predict_mosaic(a, tmp_path / "out", options(net))
    before = contents(tmp_path / "out", "blocks")
    with pytest.raises(OutputExistsError, match="block_px"):
        predict_mosaic(a, tmp_path / "out", options(net, block_px=64))
    assert contents(tmp_path / "out", "blocks") == before
    report = predict_mosaic(a, tmp_path / "out", options(net, block_px=64, overwrite=True))
    assert report.resumed == 0
    assert not set(contents(tmp_path / "out", "raw")) & set(before)
    with pytest.raises(OutputExistsError, match="not empty"):
        predict_mosaic(a, tmp_path, options(net))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    """Means of 8 x 8 pixels of the relief, 300 m high, above EGM2008, around the picture."""
    cells = 8
    place = Window(ROW0 - 37 - 2 * BLOCK_PX, COL0 - 61 - 2 * BLOCK_PX, 8 * BLOCK_PX, 8 * BLOCK_PX)
    fine = 500 + 300 * relief(place)
    coarse = fine.reshape(place.height // cells, cells, -1, cells).mean(axis=(1, 3), dtype=np.float64)
    side = cells * GSD_M
    transform = Affine(side, 0, place.col_off * GSD_M, 0, -side, -place.row_off * GSD_M)
    path = tmp_path_factory.mktemp("prior") / "coarse.tif"
    drawing.draw(path, coarse[None].astype(np.float32), crs=drawing.UTM, transform=transform, nodata=-9999)
    return path


def anchored_to(prior: Path, net: Path, **differing):
    chosen = options(net, **differing)
    anchor = AnchorOptions(str(prior), prior_datum="EGM2008", prior_sigma_m=0.0)
    return replace(chosen, predict=replace(chosen.predict, anchor=anchor))


def test_a_prior_makes_heights_absolute_block_by_block(made, net, prior, tmp_path, monkeypatch):
    picture = made[0].parent / "a.tif"
    monkeypatch.chdir(prior.parent)  # workers may stand elsewhere: the prior is kept under its whole name
    report = predict_mosaic(picture, tmp_path / "out", anchored_to(Path(prior.name), net))
    monkeypatch.chdir(tmp_path)
    assert (report.predicted, report.vertical_datum) == (20, "EGM2008")
    assert set(map(tuple, json.loads((tmp_path / "out/levels.json").read_text()).values())) == {(1.0, 0.0)}
    assert "EGM2008" in json.loads((tmp_path / "out/catalog.json").read_text())["description"]
    found, place = mosaic_heights(tmp_path / "out")
    truth = 500 + 300 * relief(place)
    off = (found - truth)[np.isfinite(found)]
    assert off.size == PICTURE.height * PICTURE.width
    # 0.12 m were found; the prior alone, interpolated with cubics, is 0.41 m off, its cells as they are 3.6 m.
    assert np.sqrt(np.mean(off**2)) < 0.2
    # Nothing is levelled, and still no seam: 1.14 was found.
    steps = np.abs(np.diff(found - truth, axis=1))
    assert np.nanmean(steps[:, BLOCK_PX - 1 :: BLOCK_PX]) < 1.5 * np.nanmean(steps)
    with open_dem(tmp_path / "out/mosaic.vrt") as reader:
        assert reader.info.vertical_datum == "EGM2008"
    with rasterio.open(next((tmp_path / "out/blocks").glob("*.tif"))) as dataset:
        assert dataset.tags()["VERTICAL_DATUM"] == "EGM2008"
        assert "anchored by fusion to coarse.tif" in dataset.tags()["IM2DEM_HEIGHT_KIND"]
    # A part alone has the same raw blocks, and now the same finished ones too where its neighbours are in it.
    x, y = (COL0 + 150) * GSD_M, -(ROW0 + 180) * GSD_M
    bounds = (x, y, x + 1000.0, y + 1000.0)
    predict_mosaic(picture, tmp_path / "part", anchored_to(prior, net, bounds=bounds))
    whole, part = contents(tmp_path / "out", "raw"), contents(tmp_path / "part", "raw")
    assert part
    assert all(whole[name] == data for name, data in part.items())
    # A prior that has changed since is another job.
    assert predict_mosaic(picture, tmp_path / "part", anchored_to(prior, net, bounds=bounds)).predicted == 0
    os.utime(prior, ns=(1, 1))
    with pytest.raises(OutputExistsError, match="anchor"):
        predict_mosaic(picture, tmp_path / "part", anchored_to(prior, net, bounds=bounds))


@pytest.mark.parametrize(
    ("anchor", "error", "said"),
    [
        ({"points": "gcp.csv"}, UsageError, "single picture"),
        ({"prior": "auto"}, UsageError, "one file"),
        ({"prior": "missing.tif"}, InputError, "missing.tif"),
    ],
)
def test_anchors_that_are_not_for_mosaics(made, net, tmp_path, anchor, error, said):
    chosen = options(net).predict
    with pytest.raises(error, match=said):
        predict_mosaic(
            made[0].parent / "a.tif",
            tmp_path / "out",
            MosaicOptions(replace(chosen, anchor=AnchorOptions(**anchor)), block_px=BLOCK_PX),
        )
    assert not (tmp_path / "out").exists()
