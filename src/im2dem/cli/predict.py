"""`im2dem predict`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.pipeline.defaults import DEFAULT_MODEL, SAME_DATUM

from . import console
from .mosaic import MosaicChoice, run_mosaic

if TYPE_CHECKING:
    from im2dem.pipeline.predict import Prediction


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("predict")(predict)


def predict(
    image: Annotated[
        str, typer.Argument(help="Picture: GeoTIFF, COG, VRT, JPEG 2000, PNG, JPEG, WebP ...; or, with --out, scenes.")
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="GeoTIFF to write.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of a mosaic to write; the picture may be a folder or index of scenes.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name (see `im2dem models list`) or path of a model.")] = DEFAULT_MODEL,
    gsd: Annotated[float | None, typer.Option(help="Metres per pixel, for a picture without georeference.")] = None,
    bands: Annotated[str | None, typer.Option(help="Red, green, blue bands from 1, e.g. 4,3,2.")] = None,
    sun: Annotated[str | None, typer.Option(help="Sun azimuth,elevation in degrees, e.g. 150,35.")] = None,
    date: Annotated[str | None, typer.Option(help="When the picture was taken, UTC, e.g. 2021-11-17T01:20.")] = None,
    tile: Annotated[int | None, typer.Option(help="Tile side in pixels; default: the model's.")] = None,
    overlap: Annotated[int | None, typer.Option(help="Overlap of tiles in pixels; default: the model's.")] = None,
    level: Annotated[bool, typer.Option(help="Level the tiles' heights from their overlaps.")] = True,
    threads: Annotated[int | None, typer.Option(help="Threads of the network; default: all cores.")] = None,
    batch: Annotated[int, typer.Option(help="Tiles a run of the network.")] = 1,
    provider: Annotated[str, typer.Option(help="cpu, openvino, cuda ..., or auto: the fastest here.")] = "cpu",
    prior: Annotated[
        str | None, typer.Option(help="Coarse height model that makes heights absolute, or auto to fetch GLO-30.")
    ] = None,
    points: Annotated[str | None, typer.Option(help="Known heights: CSV x,y,z[,sigma], GeoJSON or GPX.")] = None,
    points_crs: Annotated[str | None, typer.Option(help="Their reference system, e.g. EPSG:4326+3855.")] = None,
    prior_datum: Annotated[str | None, typer.Option(help="EGM96, EGM2008, ellipsoid or an EPSG code.")] = None,
    prior_sigma: Annotated[float, typer.Option(help="Standard deviation of the prior, metres.")] = 2.0,
    datum: Annotated[
        str, typer.Option(help="Datum of the result: egm96, egm2008, ellipsoid, an EPSG code or same-as-prior.")
    ] = SAME_DATUM,
    anchor: Annotated[str, typer.Option(help="auto, shift, scale, field, fusion or poisson.")] = "auto",
    compress: Annotated[str, typer.Option(help="auto, zstd or deflate.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    block_px: Annotated[int | None, typer.Option(help="Side of a mosaic's blocks, pixels; default 4096.")] = None,
    bbox: Annotated[str | None, typer.Option(help="Part of a mosaic: left,bottom,right,top in its CRS.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler that works on a mosaic.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that work on a mosaic.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Predict heights from a picture: a GeoTIFF with the bands height and sigma on the picture's own grid.

    With --out, many scenes or a picture of any size become a folder of such files on a grid fixed in the world.
    """
    from im2dem.pipeline.anchoring import AnchorOptions
    from im2dem.pipeline.predict import PredictOptions, predict_file, summary

    mosaic = MosaicChoice(out, block_px, bbox, scheduler, workers)
    mosaic.check(output)
    options = PredictOptions(
        model=model,
        bands=_whole_numbers(bands, "--bands") if bands else None,
        gsd_m=gsd,
        sun=_sun(sun) if sun else None,
        date=_date(date) if date else None,
        tile_px=tile,
        overlap_px=overlap,
        level=level,
        threads=threads,
        batch=batch,
        provider=provider,
        resume=resume,
        overwrite=overwrite,
        compress=compress,
        anchor=AnchorOptions(prior, points, points_crs, prior_datum, anchor, prior_sigma, datum),  # type: ignore[arg-type]
    )
    if output is None:
        run_mosaic(image, mosaic, options, as_json)
        return
    with console.progress_bar() as progress:
        prediction = predict_file(image, output, options, progress)
    if as_json:
        console.say_json(summary(prediction))
    else:
        tell(prediction)


def tell(prediction: Prediction) -> None:
    """The summary for people."""
    height, width = prediction.grid.shape
    gsd_m = prediction.grid.gsd_m
    size = f"{width} x {height} px" + (f", {gsd_m:.4g} m a pixel" if gsd_m else "")
    console.say(f"DEM      {prediction.output}  ({size})")
    console.say(f"heights  {prediction.heights_are}")
    condition = prediction.configuration["condition"]
    if condition["sun_azimuth_deg"] is None:
        console.say("sun      unknown; tell it with --sun or --date for better relief")
    else:
        azimuth, elevation = condition["sun_azimuth_deg"], condition["sun_elevation_deg"]
        console.say(f"sun      azimuth {azimuth:.1f}, elevation {elevation:.1f} degrees ({condition['sun_from']})")
    console.say(f"model    {prediction.configuration['model']['name']}, {prediction.configuration['model']['licence']}")


def _whole_numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} wants whole numbers with commas, e.g. 4,3,2; got {text!r}") from error


def _sun(text: str) -> tuple[float, float]:
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--sun wants azimuth,elevation in degrees, e.g. 150,35; got {text!r}") from error
    return azimuth, elevation


def _date(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--date wants a date and time, e.g. 2021-11-17T01:20; got {text!r}") from error
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
