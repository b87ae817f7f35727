"""Packs back to folders of pairs, which every tool can open: our own, and data files of the research prototype."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import InputError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.nodata import NODATA, from_nan

from .chips import load_chips
from .encode import BANDS, raster_bytes
from .plan import Chip
from .seed_npz import TOP_LEVEL, is_seed_npz, read_seed_npz
from .seed_pack import record_of
from .store import EncodedChip, Store

_UNKNOWN = "not stated (NC assumed)"
_LONGEST_NAME = 200
_DAMAGED = (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Lost:
    """What a data file of the prototype has lost, where no record lies beside it.

    Parameters
    ----------
    gsd_m
        Metres a pixel.
    height_range_m
        Heights of the levels 0 and 255.
    licence
        In words.
    """

    gsd_m: float | None = None
    height_range_m: tuple[float, float] | None = None
    licence: str | None = None


def unpack(path: Path, output: Path, split: str, lost: Lost | None = None) -> int:
    """Write each chip of a pack as a pair: rgb.tif, dem.tif and meta.json in a folder of its own below `pairs`.

    Packs hold no place on Earth, so the rasters have none either: metres from the lower left corner.

    Parameters
    ----------
    path
        From `chips.save_chips` (`dataset pack`, `dataset synth`), or a data file of the prototype.
    output
        Folder; empty or not there.
    split
        "train", "val" or "test", for pairs whose pack does not say it.
    lost
        For a data file of the prototype that `seed_pack` has not written.

    Returns
    -------
    The number of pairs.

    Raises
    ------
    UsageError
        The folder holds something, or pixel size and range are wanted and not given.
    InputError
        The file is neither.
    OutputError
        The disk is full or not writable.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there and not empty; give a new folder")
    chips = _seed_chips(path, split, lost or Lost()) if is_seed_npz(path) else _pack_chips(path, split)
    store, count = Store(output), 0
    try:
        for name, rgb, dem, meta in chips:
            store.pairs.mkdir(parents=True, exist_ok=True)
            store.put(_encoded(name, rgb, dem, meta))
            count += 1
    finally:
        shutil.rmtree(store.parts, ignore_errors=True)
    return count


_Content = tuple[str, NDArray[np.uint8], NDArray[np.float32], dict[str, Any]]


def _pack_chips(path: Path, split: str) -> Iterator[_Content]:
    chips = load_chips(path, mapped=True)
    sources = chips.provenance.get("sources", [])
    licence = "; ".join(sorted({str(source.get("licence", _UNKNOWN)) for source in sources})) or _UNKNOWN
    for i, name in enumerate(chips.names):
        meta = {
            "split": split,
            "gsd_m": float(chips.gsd_m[i]),
            "licence": licence,
            "sun_azimuth_deg": _known(chips.sun_azimuth_deg[i]),
            "sun_elevation_deg": _known(chips.sun_elevation_deg[i]),
            "latitude_about": _known(chips.latitude_deg[i]),
            "vertical_datum": None,
            "heights": "above the mean of the chip",
        }
        yield _numbered(name, i, len(chips)), np.asarray(chips.rgb[i]), chips.heights_m(i), meta


def _seed_chips(path: Path, split: str, lost: Lost) -> Iterator[_Content]:
    tiles = read_seed_npz(path)
    record = record_of(path)
    told: dict[str, Any] = {}
    if record.is_file():
        try:
            told = dict(json.loads(record.read_text(encoding="utf-8")))
            rows = [_row(row) for row in told["tiles"]]
            known = float(told["height_range_m"][0]), float(told["height_range_m"][1])
        except _DAMAGED as error:
            raise InputError(f"{record}: damaged ({error}); remove it, and give --gsd and --height-range") from error
        if len(rows) != len(tiles):
            raise InputError(f"{record} tells of {len(rows)} tiles, {path.name} holds {len(tiles)}; remove it")
    elif lost.gsd_m is None or lost.height_range_m is None:
        raise UsageError(
            f"{path} holds levels from 0 to 255 and no pixel size; say both: --height-range LOW,HIGH (metres of the "
            "levels 0 and 255) and --gsd METRES"
        )
    else:
        rows = [{"name": path.stem, "gsd_m": lost.gsd_m, "licence": lost.licence or _UNKNOWN}] * len(tiles)
        known = lost.height_range_m
    low, high = known
    if not (high > low and np.isfinite(high - low)):
        raise UsageError(f"heights from {low:g} to {high:g} m hold no level; the first number is the lower one")
    for i, row in enumerate(rows):
        heights = low + tiles.dem[i].astype(np.float32) * np.float32((high - low) / TOP_LEVEL)
        meta = {**row, "split": row.get("split") or split, "height_step_m": (high - low) / TOP_LEVEL}
        yield _numbered(str(row["name"]), i, len(rows)), np.moveaxis(tiles.rgb[i], -1, 0), heights, meta


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the record whose values can be written; raises one of `_DAMAGED` else."""
    json.dumps(row, allow_nan=False)
    return {**row, "name": str(row["name"]), "gsd_m": float(row["gsd_m"]), "licence": str(row["licence"])}


def _numbered(name: str, i: int, n: int) -> str:
    """Names of a pack need not differ; they become those of folders, so they must not lead elsewhere."""
    leads_away = name in ("", ".", "..") or set(name) & set("/\\:")
    if leads_away or not name.isprintable() or len(name.encode()) > _LONGEST_NAME:
        raise InputError(f"a chip is called {name[:80]!r}, which cannot be the name of a folder; pack it again")
    return f"{name}-{i:0{len(str(n - 1))}d}" if n > 1 else name


def _encoded(name: str, rgb: NDArray[np.uint8], dem: NDArray[np.float32], meta: dict[str, Any]) -> EncodedChip:
    # 0 means "no picture" in the file; where there are heights, it is dark.
    stored = np.where(np.isfinite(dem), np.maximum(rgb, 1), rgb)
    chip = Chip(name, Grid.local(dem.shape, float(meta["gsd_m"])))
    tags = {"VERTICAL_DATUM": str(meta["vertical_datum"])} if meta.get("vertical_datum") else {}
    files = {
        "rgb.tif": raster_bytes(chip, stored, 0, BANDS, {}),
        "dem.tif": raster_bytes(chip, from_nan(dem)[None], NODATA, ("height",), tags),
        "meta.json": (json.dumps({**meta, "name": name}, indent=1, allow_nan=False) + "\n").encode(),
    }
    return EncodedChip(name, files, meta)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
