"""`im2dem view`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.web.page import PageOptions
from im2dem.web.view import view as make_view

from . import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("view")(view)


def view(
    dem: Annotated[Path, typer.Argument(help="Height raster.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file; default: beside the DEM.")] = None,
    image: Annotated[Path | None, typer.Option(help="Picture to drape.")] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    attribution: Annotated[str, typer.Option(help="Line of credit on the page.")] = "",
    exaggeration: Annotated[float | None, typer.Option(help="Vertical; default: chosen by the relief.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Make a 3D page of a DEM: one HTML file that opens from disk, without a network."""
    if exaggeration is not None and exaggeration <= 0:
        raise UsageError(f"--exaggeration must be above 0, got {exaggeration}")
    options = PageOptions(attribution=attribution, exaggeration=exaggeration)
    if title:
        options = replace(options, title=title)
    target = output or dem.with_suffix(".html")
    page = make_view(dem, image, target, options, overwrite)
    if open_page:
        page.open()
    size = target.stat().st_size
    if as_json:
        console.say_json({"output": str(target), "bytes": size})
    else:
        console.say(f"3D page  {target}  ({size / 1e6:.1f} MB)")
