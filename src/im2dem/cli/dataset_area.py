"""`im2dem dataset build` and `rgb`: pictures and heights from anywhere on Earth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import RemoteError
from im2dem.dataset.cells import SplitPlan, default_cell_km
from im2dem.dataset.encode import Recipe
from im2dem.dataset.rules import ChipRules
from im2dem.pipeline.build import BuildOptions
from im2dem.pipeline.build_area import (
    ASSUMED_MB_S,
    Estimate,
    PlanOptions,
    area_from,
    build_area,
    estimate,
    plan_blocks,
    told,
)
from im2dem.pipeline.build_rgb import build_picture, grid_for
from im2dem.pipeline.build_sources import SourceOptions, make_scene_source, make_source, parse_composite, parse_days

from . import console, dataset_build
from .dataset_build import (
    Buffer,
    Cell,
    Depth,
    Json,
    MaxCloud,
    MaxVoid,
    MaxWater,
    MinRelief,
    Out,
    Overwrite,
    Scheduler,
    Seed,
    Shares,
    Size,
    Threads,
)

Source = Annotated[
    str,
    typer.Option(
        help="stac: a STAC API, no account. gee: Google Earth Engine. majortom: Major TOM's cells, no account."
    ),
]
CatalogName = Annotated[
    str | None,
    typer.Option(
        help="planetary-computer, earth-search or the address of a STAC API; for other sources that of a mirror."
    ),
]
Image = Annotated[str, typer.Option(help="sentinel-2 or landsat.")]
Dates = Annotated[str | None, typer.Option(help="First/last day, e.g. 2023-01/2024-12; default: any.")]
Sun = Annotated[str, typer.Option(help="low: the date with the lowest sun, where relief shows best; or any.")]
HowComposed = Annotated[str | None, typer.Option(help="best, low-sun, median or medoid.")]
SceneCloud = Annotated[float, typer.Option(help="Most cloud in a scene, percent, as the catalogue says.")]
MostDates = Annotated[int, typer.Option(help="Dates looked at in a block.")]
Memory = Annotated[float, typer.Option(help="Memory for blocks in work, MB.")]
Project = Annotated[str | None, typer.Option(help="Google Cloud project that is registered for Earth Engine.")]
Tries = Annotated[int, typer.Option(help="Attempts at each read before it counts as failed.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands on `im2dem dataset`."""
    app.command("build")(build)
    app.command("rgb")(rgb)


def build(
    out: Out,
    aoi: Annotated[Path | None, typer.Option(help="Area: GeoJSON with polygons, or a raster's outline.")] = None,
    dem: Annotated[
        str, typer.Option(help="cop30, aw3d30 or a height model; alone, its outline is the area.")
    ] = "cop30",
    source: Source = "stac",
    catalog: CatalogName = None,
    project: Project = None,
    image: Image = "sentinel-2",
    gsd: Annotated[float | None, typer.Option(help="Metres a pixel; default 10, Landsat 30.")] = None,
    size: Size = 256,
    dates: Dates = None,
    max_cloud: SceneCloud = 20.0,
    sun: Sun = "any",
    composite: HowComposed = None,
    most_dates: MostDates = 8,
    chip_cloud: MaxCloud = 2.0,
    max_void: MaxVoid = 1.0,
    max_water: MaxWater = 90.0,
    min_relief: MinRelief = 1.0,
    cell_km: Cell = None,
    buffer_m: Buffer = 1000.0,
    shares: Shares = "0.1,0.1",
    seed: Seed = 0,
    depth: Depth = 8,
    limit: Annotated[int | None, typer.Option(help="Take this many chips of the plan at most.")] = None,
    memory: Memory = 1000.0,
    threads: Threads = 4,
    tries: Tries = 5,
    scheduler: Scheduler = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count chips, bytes and hours; download nothing.")] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """A training set of an area: pictures and heights on one grid, split by place; an interrupted build goes on."""
    is_file = dem not in ("cop30", "aw3d30")
    area = area_from(aoi, dem if is_file else None)
    gsd = gsd or (30.0 if image == "landsat" else 10.0)
    chosen = make_source(
        SourceOptions(
            source,
            catalog,
            image,
            dem,
            parse_days(dates) if dates else None,
            max_cloud,
            parse_composite(sun, composite),
            most_dates,
            tries=tries,
            project=project,
        )
    )
    plan = PlanOptions(size, gsd, memory, limit)
    rules = ChipRules(0.0, chip_cloud / 100, max_void / 100, max_water / 100, min_relief)
    split = SplitPlan(cell_km or default_cell_km(size, gsd), buffer_m, dataset_build.pair(shares, "--shares"), seed)
    options = BuildOptions(Recipe(rules, split, dataset_build.depth_of(depth)), threads, scheduler, overwrite)
    if dry_run:
        blocks = plan_blocks(chosen, area, plan, threads)
        _tell_estimate(estimate(chosen, blocks, plan), as_json)
        return
    with console.progress_bar() as progress:
        report = build_area(chosen, area, out, plan, options, progress)
    dataset_build.tell(report, as_json)
    if report.failed:
        raise RemoteError(f"{report.failed} chips could not be read; run the same command again, it goes on from there")


def rgb(
    place: Annotated[Path, typer.Argument(help="Height model, or area as GeoJSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="GeoTIFF to write.")],
    bands: Annotated[
        str | None, typer.Option(help="Bands by their names in the catalogue, e.g. B02,B03,B04,B08; default: RGB.")
    ] = None,
    source: Source = "stac",
    catalog: CatalogName = None,
    project: Project = None,
    image: Image = "sentinel-2",
    gsd: Annotated[float | None, typer.Option(help="Metres a pixel; default: the height model's, else 10.")] = None,
    dates: Dates = None,
    max_cloud: SceneCloud = 20.0,
    sun: Sun = "any",
    composite: HowComposed = None,
    most_dates: MostDates = 8,
    tries: Tries = 5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Json = False,
) -> None:
    """The satellite picture, or more bands, of a height model or an area: one GeoTIFF of reflectance."""
    is_area = place.suffix.lower() in (".geojson", ".json")
    area = area_from(place, None) if is_area else None
    how = parse_composite(sun, composite or (None if sun == "low" else "median"))
    days = parse_days(dates) if dates else None
    asked = SourceOptions(
        source, catalog, image, "cop30", days, max_cloud, how, most_dates, tries=tries, project=project
    )
    made = make_scene_source(asked)
    names = tuple(bands.split(",")) if bands else None
    grid = grid_for(None if is_area else place, area, gsd)
    with console.progress_bar() as progress:
        report = build_picture(made.with_bands(names), grid, output, overwrite=overwrite, progress=progress)
    if as_json:
        console.say_json(asdict(report))
        return
    height, width = report.shape
    console.say(
        f"picture  {report.output}  ({width} x {height} px, {', '.join(report.bands)}; {report.valid_share:.1%})"
    )
    console.say(f"dates    {', '.join(report.dates)}")


def _tell_estimate(what: Estimate, as_json: bool) -> None:
    if as_json:
        console.say_json(told(what))
        return
    console.say(f"plan     {what.chips} chips in {what.blocks} blocks")
    if what.scenes_per_block is not None:
        console.say(f"scenes   {what.scenes_per_block:.1f} a block (mean of {what.asked_blocks} blocks asked about)")
    console.say(f"download about {what.download_bytes / 1e9:.2f} GB; {what.disk_bytes / 1e9:.2f} GB on disk")
    console.say(f"time     about {what.hours:.1f} h at {ASSUMED_MB_S:g} MB/s")
