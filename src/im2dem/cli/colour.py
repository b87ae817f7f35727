"""`im2dem colour`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.runtime.colouring_condition import CLIMATES, SEASONS

from . import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("colour")(colour)


def colour(
    dem: Annotated[str, typer.Argument(help="Heights: GeoTIFF, COG, VRT, ASCII grid ...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="GeoTIFF to write.")],
    sun: Annotated[str, typer.Option(help="Sun azimuth,elevation in degrees.")] = "150,40",
    climate: Annotated[str | None, typer.Option(help=f"{', '.join(CLIMATES)}.")] = None,
    season: Annotated[str | None, typer.Option(help=f"{', '.join(SEASONS)}.")] = None,
    variety: Annotated[int | None, typer.Option(help="Seed of what the relief leaves open.")] = None,
    engine: Annotated[str, typer.Option(help="network, physical (needs no weights) or auto.")] = "auto",
    model: Annotated[str, typer.Option(help="Name or path of a model for --engine network.")] = "colour",
    look: Annotated[str, typer.Option(help="Of the network: as a photo, as rendered, or any.")] = "photo",
    gsd: Annotated[float | None, typer.Option(help="Metres per pixel, for heights without georeference.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the network; default: all cores.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Colour heights as a satellite might see them: im2dem colour dem.tif -o rgb.tif --climate arid --sun 150,35."""
    from im2dem.pipeline.colour import ColourOptions, colour_file

    options = ColourOptions(
        engine=engine,  # type: ignore[arg-type]
        model=model,
        sun=_sun(sun),
        climate=climate,
        season=season,
        variety=variety,
        look=look,
        gsd_m=gsd,
        threads=threads,
        overwrite=overwrite,
    )
    with console.progress_bar() as progress:
        made = colour_file(dem, output, options, progress)
    if as_json:
        console.say_json(made)
        return
    height, width = made["size_px"]
    console.say(f"picture  {made['output']}  ({width} x {height} px, {made['gsd_m']:.4g} m a pixel)")
    console.say(f"engine   {made['engine']}" + (f", model {made['model']['name']}" if "model" in made else ""))
    console.say(f"land     {climate or 'climate not said'}, {season or 'season not said'}, invented from relief alone")


def _sun(text: str) -> tuple[float, float]:
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--sun wants azimuth,elevation in degrees, e.g. 150,35; got {text!r}") from error
    return azimuth, elevation
