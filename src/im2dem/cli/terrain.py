"""`im2dem terrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from im2dem.core.errors import UsageError
from im2dem.io.atomic import check_target

from . import console

PERLIN_SIZE, TERRAIN_SIZE = 256, 1025
KINDS = "alps, hills, dunes, badlands, canyon, volcano, islands, plateau, glacial, plains"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("terrain")(terrain)


def terrain(
    output: Annotated[Path, typer.Option("--output", "-o", help="GeoTIFF to write; .npz with --perlin.")],
    recipe: Annotated[str, typer.Option(help=f"Kind of country: {KINDS}.")] = "alps",
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    size: Annotated[int | None, typer.Option(help="Side in pixels; default 1025, with --perlin 256.")] = None,
    gsd: Annotated[float | None, typer.Option(help="Metres per pixel; default: the recipe's.")] = None,
    tile: Annotated[str | None, typer.Option(help="Column,row of a tile of an endless world, e.g. 3,-7.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder for slope, flow, deposit, wetness, rock, snow.")] = None,
    colour: Annotated[Path | None, typer.Option(help="Also write a picture of it, a GeoTIFF.")] = None,
    glb: Annotated[Path | None, typer.Option(help="Also write a 3D model, wearing the picture of --colour.")] = None,
    sun: Annotated[str, typer.Option(help="Of the picture: azimuth,elevation in degrees.")] = "150,35",
    climate: Annotated[str | None, typer.Option(help="Of the picture, as in `im2dem colour`; default: fits.")] = None,
    season: Annotated[str | None, typer.Option(help="Of the picture: summer, autumn or winter.")] = None,
    view: Annotated[Path | None, typer.Option(help="Also write a 3D page of it, an HTML file.")] = None,
    perlin: Annotated[bool, typer.Option("--perlin", help="Plain Perlin frames 0..255 in an .npz instead.")] = False,
    octaves: Annotated[int, typer.Option(help="Of --perlin.")] = 5,
    count: Annotated[int, typer.Option(help="Frames of --perlin.")] = 10,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the outputs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Make artificial terrain: im2dem terrain --recipe alps --seed 7 --size 1025 -o dem.tif."""
    # compiled code takes a second to load: other commands need not wait for it
    from im2dem.pipeline.terrain import Companions, TerrainOptions, perlin_frames, write_perlin, write_terrain

    if perlin:
        if tile or masks or colour or glb or view:
            raise UsageError("--perlin makes frames of noise; --tile, --masks, --colour, --glb, --view are for recipes")
        if output.suffix.lower() != ".npz":
            raise UsageError(f"--perlin writes an array of NumPy: give -o a name that ends in .npz, got {output}")
        check_target(output, overwrite)
        frames = perlin_frames(count, PERLIN_SIZE if size is None else size, octaves, seed)
        write_perlin(output, frames, overwrite)
        made = {"output": str(output), "array": "arr_0", "shape": list(frames.shape), "octaves": octaves, "seed": seed}
    else:
        if view is not None:
            check_target(view, overwrite)
        place = _tile(tile) if tile is not None else None
        options = TerrainOptions(recipe, seed, TERRAIN_SIZE if size is None else size, gsd, place, overwrite)
        companions = Companions(masks, colour, glb, _sun(sun), climate, season)
        with console.progress_bar() as bar:
            made = write_terrain(output, options, companions, lambda done, total: bar("terrain", done, total))
        if view is not None:
            from im2dem.web.view import view as make_view  # the page is large; only who asks for it loads it

            make_view(output, colour, view, overwrite=overwrite)
            made["view"] = str(view)
    if as_json:
        console.say_json(made)
    else:
        console.say(f"terrain  {output}")
        _say_companions(made)


def _say_companions(made: dict[str, Any]) -> None:
    if made.get("colour"):
        console.say(f"picture  {made['colour']}  ({made['climate']}, {made['season'] or 'summer'})")
    for word, key in (("model", "glb"), ("page", "view")):
        if made.get(key):
            console.say(f"{word:8} {made[key]}")
    if made.get("masks"):
        console.say(f"masks    {Path(made['masks']['slope']).parent}  ({', '.join(made['masks'])})")


def _tile(text: str) -> tuple[int, int]:
    try:
        col, row = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--tile wants column,row in whole numbers, e.g. 3,-7; got {text!r}") from error
    return col, row


def _sun(text: str) -> tuple[float, float]:
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--sun wants azimuth,elevation in degrees, e.g. 150,35; got {text!r}") from error
    return azimuth, elevation
