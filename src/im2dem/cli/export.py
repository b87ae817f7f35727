"""`im2dem export`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.pipeline.export import FORMATS, Exported, ExportOptions, export_file

from . import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("export")(export)


def export(
    dem: Annotated[Path, typer.Argument(help="Height raster.")],
    to: Annotated[str, typer.Option("--to", help=f"Format: {', '.join(FORMATS)}.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File; a folder for formats of many tiles.")],
    image: Annotated[Path | None, typer.Option(help="glb, obj: picture to drape; default: colours by height.")] = None,
    max_error: Annotated[
        float | None,
        typer.Option(help="Meshes: largest vertical error, metres; default: by the relief."),
    ] = None,
    z_factor: Annotated[float | None, typer.Option(help="Meshes, hillshade: vertical exaggeration.")] = None,
    size: Annotated[float | None, typer.Option(help="stl, 3mf: longest side, millimetres; default 150.")] = None,
    base: Annotated[float | None, typer.Option(help="stl, 3mf: thickness under the lowest point, mm.")] = None,
    tiles: Annotated[str | None, typer.Option(help="stl, 3mf: several prints that fit, ROWSxCOLUMNS.")] = None,
    skirt: Annotated[float | None, typer.Option(help="glb, obj: walls of this depth under the rim, metres.")] = None,
    max_px: Annotated[int | None, typer.Option(help="Meshes, contours: average larger rasters in blocks.")] = None,
    engine: Annotated[str | None, typer.Option(help="png16, r16: unreal or unity, whose sizes are used.")] = None,
    byte_order: Annotated[str | None, typer.Option(help="r16: little (default) or big.")] = None,
    zoom: Annotated[str | None, typer.Option(help="Tiles: LOW-HIGH; default: from the pixel size.")] = None,
    encoding: Annotated[str | None, typer.Option(help="pmtiles: terrarium (default) or mapbox.")] = None,
    nodata_height: Annotated[float | None, typer.Option(help="Tiles: height where there is none; default 0.")] = None,
    url: Annotated[str | None, typer.Option(help="terrarium, mapbox: address the folder will have.")] = None,
    interval: Annotated[float | None, typer.Option(help="contours: metres between lines.")] = None,
    azimuth: Annotated[float | None, typer.Option(help="hillshade: where light comes from, degrees.")] = None,
    altitude: Annotated[float | None, typer.Option(help="hillshade: height of the light, degrees.")] = None,
    multidirectional: Annotated[bool, typer.Option("--multidirectional", help="hillshade: four lights.")] = False,
    step: Annotated[int | None, typer.Option(help="xyz: every step-th pixel.")] = None,
    gsd: Annotated[float | None, typer.Option(help="Metres per pixel, for a DEM without reference system.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Write a DEM for other programs: 3D models, prints, game engines, map tiles, contours, text."""
    options = ExportOptions(
        to=to,
        image=image,
        max_error_m=max_error,
        z_factor=z_factor,
        size_mm=size,
        base_mm=base,
        tiles=_pair(tiles, r"(\d+)[x×](\d+)", "--tiles must be ROWSxCOLUMNS, e.g. 2x2"),
        skirt_m=skirt,
        max_px=max_px,
        engine=engine,
        byte_order=byte_order,
        zoom=_pair(zoom, r"(\d+)-(\d+)", "--zoom must be LOW-HIGH, e.g. 8-13"),
        encoding=encoding,
        nodata_m=nodata_height,
        url=url,
        interval_m=interval,
        azimuth_deg=azimuth,
        altitude_deg=altitude,
        multidirectional=multidirectional or None,
        step=step,
        gsd_m=gsd,
        overwrite=overwrite,
    )
    with console.progress_bar() as progress:
        exported = export_file(dem, output, options, progress)
    if as_json:
        console.say_json(_summary(exported))
        return
    names = ", ".join(str(path) for path in exported.paths[:4]) + (" ..." if len(exported.paths) > 4 else "")
    console.say(f"{to:<14} {names}  ({exported.size_bytes / 1e6:.1f} MB)")
    console.say(f"{'heights':<14} {exported.heights}")
    for key, value in exported.figures.items():
        console.say(f"{key:<14} {value}")


def _pair(text: str | None, pattern: str, wanted: str) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(pattern, text.strip())
    if match is None:
        raise UsageError(f"{wanted}; got {text!r}")
    return int(match[1]), int(match[2])


def _summary(exported: Exported) -> dict[str, object]:
    return {
        "to": exported.to,
        "outputs": [str(path) for path in exported.paths],
        "bytes": exported.size_bytes,
        "heights": exported.heights,
        **exported.figures,
    }
