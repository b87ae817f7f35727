"""Real pairs on disk: folders with a picture, its heights and a record; and height models for rendering.

A pair is a folder with ``rgb.tif`` (or any picture named ``rgb.*``), ``dem.tif`` on the same grid, and ``meta.json``
with at least ``split`` (train, val, test), ``gsd_m`` and ``licence``; ``sun_azimuth_deg``, ``sun_elevation_deg`` and
``latitude_about`` where known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import GridMismatchError, InputError
from im2dem.io.geotiff import open_dem, open_reader

from .chips import Chips, quantise_heights
from .synth import HeightSource

SPLITS = ("train", "val", "test")
CLOUD_DN = 150
CLOUD_MARGIN_PX = 6
FREE_LICENCE_EXCEPTIONS = ("NC", "non-commercial")


@dataclass(frozen=True)
class Pair:
    """A pair folder and its record."""

    folder: Path
    meta: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def picture(self) -> Path:
        """Path of the picture.

        Raises
        ------
        InputError
            There is none.
        """
        found = sorted(p for p in self.folder.glob("rgb.*") if p.suffix not in (".json", ".xml", ".msk"))
        if not found:
            raise InputError(f"{self.folder} has no picture; a file rgb.tif, rgb.jpg or rgb.png is wanted")
        return found[0]

    @property
    def heights(self) -> Path:
        """Path of the height model."""
        return self.folder / "dem.tif"

    @property
    def is_free(self) -> bool:
        """Whether a model that learned from the pair may be used for anything."""
        return not any(word in str(self.meta["licence"]) for word in FREE_LICENCE_EXCEPTIONS)


def find_pairs(root: Path, split: str | None = None, free_only: bool = False) -> list[Pair]:
    """The pairs below a folder, sorted by name.

    Raises
    ------
    InputError
        No pair there, or a record that cannot be read or lacks a key.
    """
    pairs = []
    for path in sorted(root.rglob("meta.json")):
        try:
            meta = json.loads(path.read_text())
            missing = [key for key in ("split", "gsd_m", "licence") if key not in meta]
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if missing or meta["split"] not in SPLITS:
            raise InputError(
                f"{path}: wanted split (train, val or test), gsd_m and licence; missing or wrong: {missing or 'split'}"
            )
        pair = Pair(path.parent, meta)
        if (split is None or meta["split"] == split) and (pair.is_free or not free_only):
            pairs.append(pair)
    if not pairs:
        raise InputError(
            f"no pair{f' of the split {split!r}' if split else ''} below {root}; "
            "a pair is a folder with rgb.*, dem.tif, meta.json"
        )
    return pairs


def read_pair(pair: Pair, drop_clouds: bool = False) -> Chips:
    """A whole pair as one chip, for packing.

    Parameters
    ----------
    pair
        The folder.
    drop_clouds
        Take out the heights under bright grey pixels and their surroundings: right for training, not for scoring.

    Raises
    ------
    GridMismatchError
        Picture and heights differ in shape.
    """
    with open_reader(pair.picture) as reader, open_dem(pair.heights) as heights:
        if reader.grid.shape != heights.grid.shape:
            raise GridMismatchError(
                f"{pair.folder}: the picture is {reader.grid.shape}, the DEM {heights.grid.shape}; "
                "they must share a grid"
            )
        if reader.dtype != "uint8":
            raise InputError(f"{pair.picture} is {reader.dtype}; packs hold 8-bit pictures: stretch it first")
        picture = reader.read(reader.grid.window)
        dem = heights.read(heights.grid.window)[0]
    dem[~np.isfinite(picture).all(axis=0)] = np.nan
    rgb = np.nan_to_num(picture).astype(np.uint8)
    if drop_clouds:
        dem[cloud(rgb)] = np.nan
    meta = pair.meta
    azimuth, elevation, latitude = (
        np.array([float("nan") if meta.get(key) is None else float(meta[key])])
        for key in ("sun_azimuth_deg", "sun_elevation_deg", "latitude_about")
    )
    return Chips(
        rgb[None],
        quantise_heights(dem)[None],
        np.array([float(meta["gsd_m"])]),
        azimuth,
        elevation,
        latitude,
        names=(pair.name,),
        provenance={"kind": "real", "sources": [{"name": pair.name, "licence": meta["licence"]}]},
    )


def cloud(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a true-colour picture is bright and grey, with a margin, shape (row, col); roofs and snow count too."""
    return np.asarray(ndimage.binary_dilation(rgb.min(axis=0) > CLOUD_DN, iterations=CLOUD_MARGIN_PX))


def find_height_sources(root: Path) -> Iterator[HeightSource]:
    """Height models below a folder that an ``index.json`` lists (name, gsd_m, licence), or all GeoTIFFs there.

    Raises
    ------
    InputError
        No height model there, or one whose pixel size is not known.
    """
    index = root / "index.json"
    records = {r["name"]: r for r in json.loads(index.read_text())} if index.exists() else {}
    paths = [root / f"{name}.tif" for name in records] or sorted([root] if root.is_file() else root.glob("*.tif"))
    if not paths:
        raise InputError(f"no height model in {root}: a GeoTIFF, or a folder of them, is wanted")
    for path in paths:
        record = records.get(path.stem, {})
        with open_dem(path) as reader:
            grid = reader.grid
            gsd_m = record.get("gsd_m", grid.gsd_m)
            if gsd_m is None:
                raise InputError(
                    f"{path} has no reference system, so its pixel size is not known; "
                    "give it one, or list it in index.json"
                )
            place = grid.lonlat(grid.height / 2, grid.width / 2)
            dem = reader.read(grid.window)[0]
        yield HeightSource(
            path.stem, str(record.get("licence", "not stated")), dem, float(gsd_m), place[1] if place else float("nan")
        )
