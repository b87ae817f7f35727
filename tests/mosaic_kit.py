"""Mosaics drawn for tests: a relief whose brightness is its height, and a net that says so.

The net answers with the mean of the three bands as the height, in slope units, so that after the stretch of each block
heights differ from the relief by an offset and a gain: just what levelling has to undo.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

import drawing
from fakes import toy_card
from im2dem.core.grid import Window
from im2dem.pipeline.mosaic import MosaicOptions
from im2dem.pipeline.prediction import PredictOptions
from im2dem.runtime.card import file_sha256, save_card

GSD_M = 10.0
BLOCK_PX = 128
# Pixels of the world (rows southwards from the equator, columns from easting 0), off the corners of blocks.
ROW0, COL0 = -400_000 + 37, 50_000 + 61


def write_net(folder: Path) -> Path:
    """A model folder whose net takes the mean of the bands for the height; sigma is a constant."""
    import onnx

    h, t = onnx.helper, onnx.TensorProto
    nodes = [
        h.make_node("ReduceMean", ["image"], ["height"], axes=[1], keepdims=1),
        h.make_node("Mul", ["height", "zero"], ["nothing"]),
        h.make_node("Sub", ["nothing", "three"], ["log_b"]),
        h.make_node("Concat", ["height", "log_b"], ["relief"], axis=1),
    ]
    image = h.make_tensor_value_info("image", t.FLOAT, ["n", 3, "h", "w"])
    relief = h.make_tensor_value_info("relief", t.FLOAT, ["n", 2, "h", "w"])
    constants = [h.make_tensor("zero", t.FLOAT, [1], [0.0]), h.make_tensor("three", t.FLOAT, [1], [3.0])]
    graph = h.make_graph(nodes, "toy", [image], [relief], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    save_card(replace(toy_card(), sha256=file_sha256(folder / "model.onnx")), folder / "card.json")
    return folder


def relief(window: Window) -> NDArray[np.float64]:
    """Heights 0 to 1 of some pixels of the world: long waves, short waves, and ramps, without a period."""
    row, col = (
        np.arange(start, stop, dtype=np.float64)
        for start, stop in ((window.row_off, window.row_stop), (window.col_off, window.col_stop))
    )
    r, c = row[:, None] - ROW0, col[None, :] - COL0
    waves = np.sin(r / 61 + np.cos(c / 83)) + 0.6 * np.cos(c / 47 - r / 97) + 0.2 * np.sin(r / 9) * np.cos(c / 11)
    return np.asarray(0.5 + waves / 4, np.float64)


def draw_scene(path: Path, window: Window, *, gain: float = 1.0, offset: float = 0.0, **profile: Any) -> Path:
    """A picture of some pixels of the world, uint16, whose radiometry may be its own."""
    grey = 1000 + 8000 * (gain * relief(window) + offset)
    bands = np.stack([grey, grey * 0.9 + 50, grey * 1.1]).astype(np.uint16)
    transform = Affine(GSD_M, 0, window.col_off * GSD_M, 0, -GSD_M, -window.row_off * GSD_M)
    return drawing.draw(path, bands, **{"crs": drawing.UTM, "transform": transform, "nodata": 0, **profile})


def options(net: Path, *, overwrite: bool = False, level: bool = True, **differing: Any) -> MosaicOptions:
    """Small blocks, one thread."""
    predict = PredictOptions(str(net), threads=1, overwrite=overwrite, level=level)
    return MosaicOptions(predict, **{"block_px": BLOCK_PX, **differing})


def contents(folder: Path, room: str) -> dict[str, bytes]:
    """Rasters of a room of a mosaic by name."""
    return {path.name: path.read_bytes() for path in sorted((folder / room).glob("*.tif"))}
