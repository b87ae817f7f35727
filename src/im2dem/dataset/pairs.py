"""Real pairs on disk: folders with a picture, its heights and a record; and height models for rendering.

A pair is a folder with ``rgb.tif`` (or any picture named ``rgb.*``), ``dem.tif`` on the same grid, and ``meta.json``
with at least ``split`` (train, val, test), ``gsd_m`` and ``licence``; ``sun_azimuth_deg``, ``sun_elevation_deg`` and
``latitude_about`` where known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import GridMismatchError, InputError, UsageError
from im2dem.core.nodata import without_spikes
from im2dem.io.geotiff import open_dem, open_reader

from .chips import Chips, quantise_heights
from .synth import DemSource

CLOUD_DN = 150
CLOUD_MARGIN_PX = 6
Meta = dict[str, Any]

_IMAGE_NAMES = ("rgb.tif", "rgb.tiff", "rgb.jpg", "rgb.jpeg", "rgb.png", "rgb.jp2", "rgb.webp")
_NUMBERS = ("gsd_m", "sun_azimuth_deg", "sun_elevation_deg", "latitude_about")
_NOT_FREE = ("NC", "non-commercial")
_DEM_NAMES = ("dem.tif", "dem.tiff")


@dataclass(frozen=True)
class Pair:
    """A picture with its true heights.

    Parameters
    ----------
    name
        Name of the folder or file.
    dem
        File of the heights.
    image
        File of the picture, or None.
    meta
        Content of `meta.json`: split, gsd_m, sun_azimuth_deg ...; may be empty.
    """

    name: str
    dem: Path
    image: Path | None = None
    meta: Meta = field(default_factory=dict)

    @property
    def is_free(self) -> bool:
        """Whether a model that learned from the pair may be used for anything; a licence not stated is not free."""
        licence = str(self.meta.get("licence", "NC"))
        return not any(word in licence for word in _NOT_FREE)


def find_pairs(folder: str | Path, split: str | None = None, free_only: bool = False) -> tuple[Pair, ...]:
    """The pairs of a data set: subfolders with `dem.tif`, `rgb.tif` (or .jpg, .png ...) and `meta.json`.

    Parameters
    ----------
    folder
        The folder that holds the pairs, or one that holds it under the name `pairs`, or one pair.
    split
        Only pairs whose `meta.json` says so ("train", "val", "test"); None: all.
    free_only
        Leave out pairs whose licence forbids commercial use.

    Returns
    -------
    Sorted by name.

    Raises
    ------
    UsageError
        There is no such folder, or no pair in it (of that split).
    InputError
        A `meta.json` is not JSON.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; give one with a subfolder for each pair")
    inner = root / "pairs" if (root / "pairs").is_dir() else root
    folders = [inner, *sorted(path for path in inner.iterdir() if path.is_dir())]
    pairs = [pair for pair in map(pair_of, folders) if pair is not None and (pair.is_free or not free_only)]
    chosen = tuple(pair for pair in pairs if split is None or pair.meta.get("split") == split)
    if not chosen:
        splits = sorted({str(pair.meta.get("split")) for pair in pairs})
        raise UsageError(
            f"{root}: no pair of split {split!r} among its {len(pairs)} pairs; there are {', '.join(splits)}"
            if pairs
            else f"{root}: no pair found; each needs a folder with dem.tif, and rgb.tif or rgb.jpg"
        )
    return chosen


def pair_of(folder: Path) -> Pair | None:
    """The pair in a folder, or None when it has no `dem.tif`."""
    dem = next((folder / name for name in _DEM_NAMES if (folder / name).is_file()), None)
    if dem is None:
        return None
    image = next((folder / name for name in _IMAGE_NAMES if (folder / name).is_file()), None)
    meta_file = folder / "meta.json"
    meta: Meta = {}
    if meta_file.is_file():
        try:
            meta = _told(json.loads(meta_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InputError(f"{meta_file}: not a JSON object ({error}); correct or remove it") from error
    return Pair(folder.name, dem, image, meta)


def _told(content: Any) -> Meta:
    """A record whose numbers are numbers; TypeError, ValueError or OverflowError else."""
    if not isinstance(content, dict):
        raise TypeError(f"a {type(content).__name__} in place of an object")
    numbers = {key: float(content[key]) for key in _NUMBERS if content.get(key) is not None}
    if "gsd_m" in numbers and not (math.isfinite(numbers["gsd_m"]) and numbers["gsd_m"] > 0):
        raise ValueError(f"gsd_m is {content['gsd_m']!r}, wanted is a positive number of metres")
    return content | numbers


def read_pair(pair: Pair, drop_clouds: bool = False, spike_m: float | None = None) -> Chips:
    """A whole pair as one chip, for packing.

    Parameters
    ----------
    pair
        The folder.
    drop_clouds
        Take out the heights under bright grey pixels and their surroundings: right for training, not for scoring.
    spike_m
        Take out heights that stand out by more than this, metres, see `core.nodata.without_spikes`; None: none.

    Raises
    ------
    GridMismatchError
        Picture and heights differ in shape.
    InputError
        No picture, no pixel size or licence in the record, or a picture that is not 8-bit.
    """
    missing = [key for key in ("gsd_m", "licence") if key not in pair.meta]
    if pair.image is None or missing:
        raise InputError(f"{pair.dem.parent}: training wants a picture rgb.*, and gsd_m and licence in meta.json")
    with open_reader(pair.image) as reader, open_dem(pair.dem) as heights:
        if reader.grid.shape != heights.grid.shape:
            raise GridMismatchError(
                f"{pair.dem.parent}: the picture is {reader.grid.shape}, the DEM {heights.grid.shape}; "
                "they must share a grid"
            )
        if reader.dtype != "uint8":
            raise InputError(f"{pair.image} is {reader.dtype}; packs hold 8-bit pictures: stretch it first")
        picture = reader.read(reader.grid.window)
        dem = heights.read(heights.grid.window)[0]
    dem[~np.isfinite(picture).all(axis=0)] = np.nan
    rgb = np.nan_to_num(picture).astype(np.uint8)
    if drop_clouds:
        dem[cloud(rgb)] = np.nan
    if spike_m is not None:
        dem = without_spikes(dem, spike_m)
    meta = pair.meta
    azimuth, elevation, latitude = (
        np.array([float("nan") if meta.get(key) is None else meta[key]])
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


def find_dem_sources(root: Path) -> Iterator[DemSource]:
    """Height models below a folder that an ``index.json`` lists (name, gsd_m, licence), or all GeoTIFFs there.

    Raises
    ------
    InputError
        No height model there, or one whose pixel size is not known.
    """
    index = root / "index.json"
    records = _records(index) if index.exists() else {}
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
        yield DemSource(
            path.stem, str(record.get("licence", "not stated")), dem, float(gsd_m), place[1] if place else float("nan")
        )


def _records(index: Path) -> dict[str, Meta]:
    try:
        records: dict[str, Meta] = {str(record["name"]): record for record in json.loads(index.read_text("utf-8"))}
        for record in records.values():
            if "gsd_m" in record and not (0 < float(record["gsd_m"]) < math.inf):
                raise ValueError(f"gsd_m is {record['gsd_m']!r}, wanted is a positive number of metres")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{index}: not a list of objects with name, gsd_m and licence ({error!r}); correct it"
        ) from error
    return records
