"""`im2dem view`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.web.page import LAYERS, PageOptions
from im2dem.web.view import view as make_view

from . import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("view")(view)


def view(
    dem: Annotated[Path, typer.Argument(help="Height raster.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file; default: beside the DEM.")] = None,
    image: Annotated[Path | None, typer.Option(help="Picture to drape, in any reference system.")] = None,
    truth: Annotated[Path | None, typer.Option(help="True heights in metres to compare with; adds error.")] = None,
    layer: Annotated[str | None, typer.Option(help=f"What lies on the surface at first: {', '.join(LAYERS)}.")] = None,
    sigma: Annotated[bool, typer.Option("--sigma", help="Show the uncertainty at first: --layer sigma.")] = False,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    attribution: Annotated[str, typer.Option(help="Line of credit on the page.")] = "",
    exaggeration: Annotated[float | None, typer.Option(help="Vertical; default: chosen by the relief.")] = None,
    sun: Annotated[str | None, typer.Option(help="Light from azimuth,elevation in degrees, e.g. 150,35.")] = None,
    date: Annotated[str | None, typer.Option(help="Light of this moment, UTC, e.g. 2021-11-17T01:20.")] = None,
    detail: Annotated[
        int, typer.Option(help="Longer side of the finest heights in pixels; 0: the overview alone.")
    ] = 4096,
    max_image: Annotated[int, typer.Option(help="Longer side of the picture in pixels.")] = 2048,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Make a 3D page of a DEM: one HTML file that opens from disk, without a network."""
    if exaggeration is not None and exaggeration <= 0:
        raise UsageError(f"--exaggeration must be above 0, got {exaggeration}")
    if sigma and layer not in (None, "sigma"):
        raise UsageError(f"--sigma and --layer {layer} are two first layers; give one of them")
    if sun and date:
        raise UsageError("--sun and --date both set the light; give one of them")
    options = PageOptions(
        attribution=attribution,
        exaggeration=exaggeration,
        layer="sigma" if sigma else layer,
        date=_moment(date) if date else None,
        detail_px=detail,
        max_image_px=max_image,
    )
    if title:
        options = replace(options, title=title)
    if sun:
        azimuth, elevation = _pair(sun)
        options = replace(options, sun_azimuth_deg=azimuth, sun_elevation_deg=elevation)
    target = output or dem.with_suffix(".html")
    page = make_view(dem, image, target, options, overwrite, truth)
    if open_page:
        page.open()
    size = target.stat().st_size
    if as_json:
        console.say_json({"output": str(target), "bytes": size})
    else:
        console.say(f"3D page  {target}  ({size / 1e6:.1f} MB)")


def _pair(text: str) -> tuple[float, float]:
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--sun wants azimuth,elevation in degrees such as 150,35, got {text!r}") from error
    return azimuth, elevation


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--date wants a moment such as 2021-11-17T01:20, got {text!r}") from error
