"""`im2dem dataset from-pairs`, `verify`, `info`, `split`: training sets as folders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from im2dem.core.errors import InputError, UsageError
from im2dem.dataset.cells import SplitPlan
from im2dem.dataset.encode import Recipe
from im2dem.dataset.file_source import UNKNOWN_LICENCE, FileSource
from im2dem.dataset.geoparquet import write_geoparquet
from im2dem.dataset.resplit import resplit
from im2dem.dataset.rules import REASONS, ChipRules
from im2dem.dataset.store import Store
from im2dem.dataset.verify import split_plan, verify
from im2dem.pipeline.build import BuildOptions, BuildReport, build_from_files

from . import console

Folder = Annotated[Path, typer.Argument(help="Folder of the training set.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the training set to make or to complete.")]
Size = Annotated[int, typer.Option(help="Side of a chip in pixels.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON summary.")]
Cell = Annotated[
    float | None, typer.Option(help="Side of the cells that are hashed to train, val or test, km; default: 8 chips.")
]
Buffer = Annotated[float, typer.Option(help="Least distance between chips of different splits, metres.")]
Shares = Annotated[str, typer.Option(help="Shares of val and test.")]
Seed = Annotated[int, typer.Option(help="Seed of the hash.")]
Threads = Annotated[int, typer.Option(help="Blocks worked on at a time.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler, e.g. tcp://host:8786.")]
Depth = Annotated[int, typer.Option(help="Bits of the pictures: 8 or 16.")]
MaxCloud = Annotated[float, typer.Option(help="Most cloud in a kept chip, percent.")]
MaxVoid = Annotated[float, typer.Option(help="Most missing heights in a kept chip, percent.")]
MaxWater = Annotated[float, typer.Option(help="Most water in a kept chip, percent.")]
MinRelief = Annotated[float, typer.Option(help="Least standard deviation of the heights of a kept chip, metres.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Throw away a set made by another request.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands on `im2dem dataset`."""
    app.command("from-pairs")(from_pairs)
    app.command("info")(info)
    app.command("verify")(verify_set)
    app.command("split")(split_set)


def from_pairs(
    image: Annotated[str, typer.Option("--image", help="Picture: a georeferenced raster.")],
    dem: Annotated[str, typer.Option("--dem", help="Height model: a georeferenced raster.")],
    out: Out,
    size: Size = 256,
    gsd: Annotated[float | None, typer.Option(help="Metres a pixel on the UTM grid; default: the picture's.")] = None,
    bands: Annotated[str | None, typer.Option(help="Red, green, blue bands from 1, e.g. 4,3,2.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of picture and heights, in words.")] = UNKNOWN_LICENCE,
    sun: Annotated[str | None, typer.Option(help="Sun azimuth,elevation in degrees, e.g. 150,35.")] = None,
    vertical_datum: Annotated[str | None, typer.Option(help="Vertical datum of the heights, e.g. EGM2008.")] = None,
    max_void: MaxVoid = 1.0,
    min_relief: MinRelief = 1.0,
    cell_km: Cell = None,
    buffer_m: Buffer = 1000.0,
    shares: Shares = "0.1,0.1",
    seed: Seed = 0,
    depth: Depth = 8,
    threads: Threads = 2,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """A training set from your own rasters: one grid, chips, leak-free split, measured shift between the two."""
    source = FileSource(
        image,
        dem,
        _numbers(bands, "--bands", int) if bands else None,
        licence,
        pair(sun, "--sun") if sun else None,
        vertical_datum,
    )
    rules = ChipRules(most_void=max_void / 100, least_relief_m=min_relief)
    plan = SplitPlan(cell_km or source.default_cell_km(size, gsd), buffer_m, pair(shares, "--shares"), seed)
    recipe = Recipe(rules, plan, depth_of(depth))
    options = BuildOptions(recipe, threads, overwrite=overwrite)
    with console.progress_bar() as progress:
        report = build_from_files(source, out, size, gsd, options, progress)
    tell(report, as_json)


def info(
    folder: Folder,
    geoparquet: Annotated[
        Path | None, typer.Option(help="Write the index as GeoParquet, too: for GeoPandas, DuckDB, QGIS.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the GeoParquet file.")] = False,
    as_json: Json = False,
) -> None:
    """What a training set holds: chips by split, dropped ones by reason, sources, licences, shifts."""
    store = Store(folder)
    manifest = store.manifest()
    if geoparquet is not None:
        write_geoparquet(store, geoparquet, overwrite)
    metas = list(store.metas())
    shifts = [m["shift"] for m in metas if m.get("shift") and m["shift"]["is_sure"]]
    sizes = sorted((s["down_px"] ** 2 + s["right_px"] ** 2) ** 0.5 for s in shifts)
    told: dict[str, Any] = {
        "folder": str(folder),
        "chips": len(metas),
        "complete": manifest.get("complete"),
        "splits": manifest.get("splits"),
        "counts": manifest.get("counts"),
        "relief_m": [min(m["relief_m"] for m in metas), max(m["relief_m"] for m in metas)] if metas else None,
        "shift": {
            "measured": len(sizes),
            "median_px": sizes[len(sizes) // 2] if sizes else None,
            "p90_px": sizes[int(0.9 * (len(sizes) - 1))] if sizes else None,
        },
        "events": manifest.get("events"),
        "provenance": manifest.get("provenance"),
    }
    if as_json:
        console.say_json(told)
        return
    console.say(f"set      {folder}  ({len(metas)} chips{'' if told['complete'] else ', not complete'})")
    console.say(f"splits   {_counted(told['splits'] or {})}")
    dropped = {k: v for k, v in (told["counts"] or {}).items() if k != "kept"}
    for reason, count in dropped.items():
        console.say(f"dropped  {count} {reason}: {REASONS.get(reason, '')}")
    if sizes:
        shift = told["shift"]
        console.say(
            f"shift    picture against heights: median {shift['median_px']:.2f} px, 90 % below {shift['p90_px']:.2f} "
            f"({shift['measured']} chips with relief enough to tell)"
        )
    for source in (manifest.get("provenance") or {}).get("sources", []):
        console.say(f"source   {source.get('role', '')} {source.get('name', '')}: {source.get('licence', '')}")


def verify_set(folder: Folder, as_json: Json = False) -> None:
    """Prove a training set: every file there and unchanged, grids and heights sane, no two splits within the buffer."""
    with console.progress_bar() as progress:
        faults = verify(folder, lambda done, total: progress("verifying", done, total))
    if as_json:
        console.say_json({"folder": str(folder), "faults": [asdict(fault) for fault in faults]})
    else:
        for fault in faults:
            console.say(str(fault))
    if faults:
        raise InputError(f"{folder}: {len(faults)} faults found; build the chips again, or do not train on this set")
    if not as_json:
        plan = split_plan(Store(folder).manifest())
        console.say(f"sound    {folder}: files, grids and heights; no two splits within {plan.buffer_m:g} m")


def split_set(
    folder: Folder,
    cell_km: Cell = None,
    buffer_m: Buffer = 1000.0,
    shares: Shares = "0.1,0.1",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Divide a training set anew by place: cells are hashed to train, val and test, a buffer is kept between them."""
    cell_km = cell_km or split_plan(Store(folder).manifest()).cell_km
    counts = resplit(folder, SplitPlan(cell_km, buffer_m, pair(shares, "--shares"), seed))
    if as_json:
        console.say_json({"folder": str(folder), "splits": counts})
    else:
        console.say(f"splits   {_counted(counts)}")


def tell(report: BuildReport, as_json: bool) -> None:
    """The summary of a build."""
    if as_json:
        console.say_json(asdict(report))
        return
    kept = report.counts.get("kept", 0)
    console.say(f"set      {report.output}  ({kept} chips kept of {report.planned}; {_counted(report.splits)})")
    for reason, count in report.counts.items():
        if reason != "kept":
            console.say(f"dropped  {count} {reason}: {REASONS.get(reason, '')}")
    if report.done_before:
        console.say(f"resumed  {report.done_before} chips were there from an earlier run")
    for what, count in report.events.items():
        console.say(f"         {count} {what}")
    for problem in report.problems[:5]:
        console.tell_error(f"im2dem: {problem}")


def depth_of(depth: int) -> Any:
    """8 or 16."""
    if depth not in (8, 16):
        raise UsageError(f"--depth is 8 or 16, got {depth}")
    return depth


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _numbers(text: str, option: str, kind: type) -> tuple[Any, ...]:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} wants numbers with commas between, got {text!r}") from error


def pair(text: str, option: str) -> tuple[float, float]:
    """Two numbers with a comma between."""
    values = _numbers(text, option, float)
    if len(values) != 2:
        raise UsageError(f"{option} wants two numbers with a comma between, got {text!r}")
    return values[0], values[1]
