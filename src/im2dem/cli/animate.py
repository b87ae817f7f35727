"""`im2dem animate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.pipeline.animate import AnimateOptions, animate_file, animate_run

from . import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("animate")(animate)


def animate(
    source: Annotated[Path, typer.Argument(help="Height raster, or the folder of a training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File: .gif, .webp or .mp4.")],
    image: Annotated[Path | None, typer.Option(help="Picture to drape; default: colours by height.")] = None,
    frames: Annotated[int, typer.Option(help="Pictures in one turn.")] = 48,
    size: Annotated[int, typer.Option(help="Longer side in pixels.")] = 720,
    pitch: Annotated[float, typer.Option(help="How far down the camera looks, degrees.")] = 35.0,
    exaggeration: Annotated[float | None, typer.Option(help="Vertical; default: chosen by the relief.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length; default 6, or half a second a snapshot.")] = None,
    start: Annotated[float, typer.Option(help="Where the camera stands first, degrees from north.")] = 180.0,
    gsd: Annotated[float | None, typer.Option(help="Metres per pixel, for a DEM without reference system.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Make a turntable of a DEM, or a film of a training run; needs no display and no browser."""
    options = AnimateOptions(frames, size, pitch, exaggeration, seconds, start, gsd, overwrite)
    with console.progress_bar() as progress:
        if source.is_dir():
            if image is not None:
                raise UsageError("--image does nothing for a training run, which brings its pictures; leave it out")
            made = animate_run(source, output, options, progress)
        else:
            made = animate_file(source, output, image, options, progress)
    size_bytes = made.path.stat().st_size
    if as_json:
        console.say_json(
            {
                "output": str(made.path),
                "frames": made.frames,
                "seconds": made.seconds,
                "bytes": size_bytes,
                **made.figures,
            }
        )
        return
    console.say(f"animation     {made.path}  ({made.frames} frames, {made.seconds:g} s, {size_bytes / 1e6:.2f} MB)")
    for key, value in made.figures.items():
        console.say(f"{key:<13} {value}")
