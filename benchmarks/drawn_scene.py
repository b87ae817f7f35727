"""A satellite scene drawn to disk, of any size, in strips: what speed and memory are measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

STRIP = 512


def draw_scene(path: Path, side: int, seed: int = 0) -> Path:
    """A square uint16 scene of three bands of reflectance as Sentinel-2 has it: DEFLATE, blocks of 512, 10 m a pixel.

    Shaded hills, fields and sensor noise: it takes about as long to unpack as a real scene. No pixel is missing.
    """
    rng = np.random.default_rng(seed)
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint16", "crs": "EPSG:32633"}
    profile |= {"transform": Affine(10, 0, 500_000, 0, -10, 5_200_000), "compress": "deflate", "predictor": 2}
    with rasterio.open(path, "w", **profile, tiled=True, blockxsize=512, blockysize=512, bigtiff="IF_SAFER") as out:
        for top in range(0, side, STRIP):
            rows = min(STRIP, side - top)
            out.write(_strip(top, rows, side, rng), window=Window(0, top, side, rows))
    return path


def _strip(top: int, rows: int, width: int, rng: np.random.Generator) -> np.ndarray:
    row = np.arange(top, top + rows, dtype=np.float32)[:, None]
    col = np.arange(width, dtype=np.float32)[None, :]
    # Light from the south-east on four crossing ridges of 90 to 700 m.
    shade = np.zeros((rows, width), np.float32)
    for length, turn in ((70.0, 0.3), (31.0, 1.1), (17.0, 2.0), (9.0, 2.7)):
        shade += np.cos((row * np.sin(turn) + col * np.cos(turn)) * np.float32(2 * np.pi / length)) / 4
    fields = ((row // 37).astype(np.int64) * 7 + (col // 53).astype(np.int64) * 11) % 5
    out = np.empty((3, rows, width), np.uint16)
    for band, base in enumerate((1900, 1800, 1700)):
        noise = rng.normal(0, 25, (rows, width)).astype(np.float32)
        out[band] = base + 400 * shade + 60 * (band + 1) * fields + noise
    return out
