"""Proof that a training set is what it says: every file there and unchanged, one grid, sane numbers, no leak."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from im2dem.core.errors import Im2DemError, InputError, UsageError
from im2dem.io.environment import gdal_env, quiet_georeference

from .cells import BUFFER, SPLITS, SplitPlan, too_near
from .store import DAMAGED, Store, index_row, sha256

LOWEST_M, HIGHEST_M = -500.0, 9000.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Parameters
    ----------
    chip
        Name of the chip, or of the file.
    what
        In words.
    """

    chip: str
    what: str

    def __str__(self) -> str:
        return f"{self.chip}: {self.what}"


def verify(root: str | Path, progress: Progress | None = None) -> list[Fault]:
    """All that is wrong with a training set; an empty list when nothing is.

    Parameters
    ----------
    root
        Its folder.
    progress
        Called with (chips done, chips in all).

    Raises
    ------
    InputError
        Not a training set: no readable manifest or index.
    """
    store = Store(root)
    manifest = store.manifest()
    rows = store.index()
    faults = list(_folders(store, {row["name"] for row in rows}))
    names = [row["name"] for row in rows]
    faults += (
        [Fault(name, "is listed twice") for name in sorted({n for n in names if names.count(n) > 1})]
        if len(set(names)) != len(names)
        else []
    )
    plan = split_plan(manifest)
    for i, row in enumerate(rows):
        faults += list(_chip(store.pairs / row["name"], row, plan, manifest))
        if progress is not None:
            progress(i + 1, len(rows))
    faults += list(_leaks(rows, plan.buffer_m))
    return faults


def split_plan(manifest: dict[str, Any]) -> SplitPlan:
    """The split that a manifest tells.

    Raises
    ------
    UsageError
        A value out of range.
    InputError
        What it tells is no split.
    """
    try:
        told = dict(manifest.get("split") or {})
        told["shares"] = tuple(told.get("shares", SplitPlan().shares))
        return SplitPlan(**told)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"manifest.json: its split is damaged ({error}); build the set again") from error


def _folders(store: Store, listed: set[str]) -> Iterator[Fault]:
    there = {path.name for path in store.pairs.iterdir()} if store.pairs.is_dir() else set()
    yield from (Fault(name, "is listed in index.csv, but its folder is missing") for name in sorted(listed - there))
    yield from (Fault(name, "has a folder, but is not listed in index.csv") for name in sorted(there - listed))


def _chip(folder: Path, row: dict[str, str], plan: SplitPlan, manifest: dict[str, Any]) -> Iterator[Fault]:
    name = row["name"]
    if not folder.is_dir():
        return
    try:
        meta = dict(json.loads((folder / "meta.json").read_text(encoding="utf-8")))
        expected = {key: "" if value is None else str(value) for key, value in index_row(meta).items()}
        west, south, east, north = (float(v) for v in meta["box"])
        wanted = plan.split_of((west, south, east, north))
    except (*DAMAGED, OSError) as error:
        yield Fault(name, f"meta.json cannot be read ({error})")
        return
    differing = sorted(key for key, value in expected.items() if row.get(key) != value)
    if differing:
        yield Fault(name, f"index.csv and meta.json disagree about {', '.join(differing)}")
    split = meta.get("split")
    if manifest.get("split") is not None and split != wanted:
        yield Fault(name, f"is said to be {split!r}, but its place belongs to {wanted!r}")
    if split not in (*SPLITS, BUFFER):
        yield Fault(name, f"has the split {split!r}; there are {', '.join((*SPLITS, BUFFER))}")
    for file, key in (("rgb.tif", "sha256_rgb"), ("dem.tif", "sha256_dem")):
        try:
            if sha256(folder / file) != meta.get(key):
                yield Fault(name, f"{file} was changed: its SHA-256 is not the one that was recorded")
        except OSError as error:
            yield Fault(name, f"{file} cannot be read ({error.strerror})")
    yield from _rasters(folder, name, meta)


def _rasters(folder: Path, name: str, meta: dict[str, Any]) -> Iterator[Fault]:
    try:
        with (
            gdal_env(),
            quiet_georeference(),
            rasterio.open(folder / "rgb.tif") as rgb,
            rasterio.open(folder / "dem.tif") as dem,
        ):
            if (rgb.shape, rgb.transform, rgb.crs) != (dem.shape, dem.transform, dem.crs):
                yield Fault(name, "rgb.tif and dem.tif are not on one grid")
            if list(dem.shape) != meta["size"] or not np.allclose(list(dem.transform)[:6], meta["transform"]):
                yield Fault(name, "the grid of dem.tif is not the one in meta.json")
            if rgb.count != 3 or dem.count != 1 or dem.dtypes[0] != "float32":
                yield Fault(
                    name, f"3 bands and 1 float32 band are wanted, got {rgb.count} and {dem.count} {dem.dtypes[0]}"
                )
            heights = dem.read(1)
            known = heights[heights != dem.nodata]
            if known.size == 0 or not np.isfinite(known).all():
                yield Fault(name, "dem.tif holds no height, or numbers that are none")
            elif known.min() < LOWEST_M or known.max() > HIGHEST_M:
                yield Fault(name, f"heights run from {known.min():.0f} to {known.max():.0f} m, which is not on Earth")
            if not rgb.read().any():
                yield Fault(name, "rgb.tif is empty")
            missing = round(float((heights == dem.nodata).mean()), 6)
            if missing != meta["void_share"]:
                yield Fault(name, f"{missing:.2%} of the heights are missing, meta.json says {meta['void_share']:.2%}")
    except (RasterioError, OSError, *DAMAGED, Im2DemError) as error:
        yield Fault(name, f"a raster cannot be read ({error})")


def _leaks(rows: list[dict[str, str]], buffer_m: float) -> Iterator[Fault]:
    boxes = []
    for r in rows:
        try:
            west, south, east, north = (float(r[side]) for side in ("west", "south", "east", "north"))
            if not (-360 <= west <= east <= 540 and -90 <= south <= north <= 90):
                raise ValueError(f"{west:g}, {south:g} to {east:g}, {north:g}")
        except ValueError as error:
            yield Fault(r["name"], f"has no place in index.csv ({error})")
        else:
            boxes.append((r["name"], r["split"], (west, south, east, north)))
    splits = {name: split for name, split, _ in boxes}
    for a, b, distance_m in too_near(boxes, buffer_m):
        yield Fault(
            a,
            f"leaks: it is {splits[a]}, {distance_m:.0f} m from {b} ({splits[b]}); {buffer_m:g} m are wanted",
        )
