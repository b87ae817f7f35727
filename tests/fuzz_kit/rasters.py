"""Pictures, height models, priors and the indexes of mosaics."""

from __future__ import annotations

import json
import sqlite3
import warnings
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

import drawing
from im2dem.core.grid import Grid, Window
from im2dem.core.scaling import Stretch, sample_reader
from im2dem.dataset.majortom_files import read_heights
from im2dem.io.geotiff import ensure_has_data, open_dem, open_reader, read_raster
from im2dem.io.prior import load_prior
from im2dem.io.reader import FileReader
from im2dem.pipeline.export_source import open_heights
from im2dem.pipeline.mosaic.index import scene_paths
from im2dem.pipeline.mosaic.scenes import open_scenes

from .door import Door, Drawn, beside, gathered, only

_PICTURES = (".vrt", ".tif", ".png", ".jpg", ".jp2", ".webp")
_GRID = Grid((48, 40), drawing.UTM_TRANSFORM, drawing.UTM)
# A picture that claims to be larger is read in its corners only: nobody waits here for the statistics of the whole.
_MOST_PIXELS = 250_000
_SIZE = 40, 48
_DEGREES = Affine(0.0001, 0.0, 20.999, 0.0, -0.0001, 36.146)  # over the corner of `drawing.UTM_TRANSFORM`


def _pictures(root: Path) -> Drawn:
    colours = drawing.colours(*_SIZE)
    drawing.draw(root / "plain.tif", colours, tags={"ACQUISITION_DATE": "2021-07-14", "SUN_AZIMUTH": "150"})
    for name in ("deflate", "lzw", "jpeg", "webp", "zstd", "packbits", "lzma"):
        drawing.draw(root / f"{name}.tif", colours, compress=name, **({"predictor": 2} if name == "lzw" else {}))
    drawing.draw(root / "tiled.tif", colours, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    drawing.draw(root / "bands.tif", colours, interleave="band", bigtiff="yes")
    drawing.draw(root / "shorts.tif", colours.astype("u2") * 37, nodata=0)
    drawing.draw(root / "alpha.tif", np.concatenate([colours, colours[:1]]), colorinterp=[
        ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha])  # fmt: skip
    drawing.draw(root / "mask.tif", colours, mask=colours[0] > 60)
    drawing.draw_palette(root / "palette.tif", colours[0] // 16, {i: (i, 2 * i, 3 * i, 255) for i in range(16)})
    drawing.draw_ground_control(root / "gcp.tif", colours, drawing.ROTATED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for name in ("a.png", "b.jpg", "c.jp2", "d.webp"):
            drawing.draw(root / name, colours)
        (root / "a.pgw").write_text("10.0\n0.0\n0.0\n-10.0\n500005.0\n3999995.0\n")
        drawing.draw(root / "e.png", colours[:1].astype("u2") * 200)
        drawing.draw(root / "stack.vrt", colours)
    (root / "stack.vrt.base.tif").rename(root / "stack.tif")
    (root / "stack.vrt").write_text((root / "stack.vrt").read_text().replace("stack.vrt.base.tif", "stack.tif"))
    return beside(root)


def _read_windows(reader: FileReader) -> None:
    """What a command reads of a raster: the corners, something beyond the edge, and the statistics of a small one."""
    height, width = reader.grid.shape
    for window in (Window(0, 0, 16, 16), Window(height - 20, width - 20, 24, 24)):
        reader.read(window)
    if height * width <= _MOST_PIXELS:
        ensure_has_data(reader)
        Stretch.from_samples(sample_reader(reader, 4096).reshape(len(reader.bands), -1))
    assert reader.grid.gsd_m is None or reader.grid.gsd_m > 0
    reader.grid.lonlat(0, 0)


def _picture(folder: Path) -> None:
    with open_reader(only(folder, *_PICTURES)) as reader:
        _read_windows(reader)


def _dems(root: Path) -> Drawn:
    heights = drawing.heights(*_SIZE)
    drawing.draw_dem(root / "float.tif", heights, nodata=-9999, compress="deflate", predictor=3)
    drawing.draw_dem(root / "short.tif", heights.astype("i2"), crs="EPSG:32634+3855", nodata=-32768)
    drawing.draw_dem(root / "degrees.tif", heights, crs="EPSG:4326", transform=_DEGREES, compress="lerc")
    drawing.draw(root / "sigma.tif", np.stack([heights, heights / 50]), descriptions=["height", "sigma"])
    (root / "sigma.tif.json").write_text(json.dumps({"heights": "relative", "unit": "px"}))
    drawing.draw_dem(root / "double.tif", heights.astype("f8"), tags={"VERTICAL_DATUM": "EGM96"}, tiled=True,
                     blockxsize=16, blockysize=16)  # fmt: skip
    (root / "text.asc").write_text(
        "ncols 6\nnrows 4\nxllcorner 500000\nyllcorner 3999600\ncellsize 10\nNODATA_value -9999\n"
        + "\n".join(" ".join(str(i * j) for i in range(6)) for j in range(4))
    )
    (root / "text.prj").write_text(CRS.from_string(drawing.UTM).to_wkt())
    return beside(root)


def _dem(folder: Path) -> None:
    with open_dem(only(folder, ".tif", ".asc"), with_sigma=True) as reader:
        _read_windows(reader)


def _raster(folder: Path) -> None:
    read_raster(only(folder, ".tif", ".asc"))


def _model_of_heights(folder: Path) -> None:
    with open_heights(only(folder, ".tif", ".asc")) as model:
        assert isinstance(model.heights, str)


def _prior(folder: Path) -> None:
    load_prior([only(folder, ".tif", ".asc")], _GRID)


def _row_of_a_table(folder: Path) -> None:
    read_heights(only(folder, ".tif", ".asc").read_bytes(), "row")


def _indexes(root: Path) -> Drawn:
    folder = root / "scenes"
    folder.mkdir()
    drawing.draw(folder / "a.tif", drawing.colours(*_SIZE))
    drawing.draw(folder / "b.tif", drawing.colours(*_SIZE), transform=drawing.UTM_TRANSFORM @ Affine.translation(30, 0))
    names = ["a.tif", "b.tif"]
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    features = [{"type": "Feature", "properties": {"location": n, "id": 3}, "geometry": square} for n in names]
    (folder / "index.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (folder / "index.json").write_text(json.dumps(names))
    (folder / "index.txt").write_text("# scenes\n" + "\n".join(names) + "\n")
    with sqlite3.connect(folder / "index.gpkg") as db:
        db.execute("create table gpkg_contents (table_name text primary key, data_type text)")
        db.execute("create table scenes (fid integer primary key, geom blob, location text)")
        db.execute("insert into gpkg_contents values ('scenes', 'features')")
        db.executemany("insert into scenes (geom, location) values (x'4750', ?)", [(n,) for n in names])
    db.close()
    try:
        from pyarrow import parquet, table
    except ImportError:
        pass
    else:
        parquet.write_table(table({"location": names, "id": [1, 2]}), folder / "index.parquet")
    whole = gathered(folder)[0]
    scenes = {name: whole[name] for name in names}
    return [{**scenes, name: content} for name, content in whole.items() if name not in scenes]


def _index(folder: Path) -> None:
    paths = scene_paths(only(folder, ".geojson", ".json", ".txt", ".gpkg", ".parquet"))
    open_scenes(paths[:4], None, 128, 16)


DOORS = {
    "pictures": Door(_pictures, _picture),
    "height models": Door(_dems, _dem),
    "whole rasters": Door(_dems, _raster),
    "height models with a side-car": Door(_dems, _model_of_heights),
    "priors": Door(_dems, _prior),
    "rasters in tables": Door(_dems, _row_of_a_table),
    "indexes of mosaics": Door(_indexes, _index),
}
