"""A height model in the formats of other programs: one call, one format."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .export_cesium import export_quantized_mesh
from .export_options import FORMATS, ExportOptions
from .export_rasters import export_contours, export_exr, export_heightmap, export_hillshade, export_xyz
from .export_source import HeightModel, Progress, open_heights
from .export_surfaces import export_model, export_print
from .export_tiles import export_map_tiles

__all__ = ["FORMATS", "ExportOptions", "Exported", "export_file"]

_Exporter = Callable[[HeightModel, Path, ExportOptions], tuple[list[Path], dict[str, Any]]]
_EXPORTERS: dict[str, _Exporter] = {
    "glb": export_model,
    "obj": export_model,
    "stl": export_print,
    "3mf": export_print,
    "png16": export_heightmap,
    "r16": export_heightmap,
    "exr": export_exr,
    "terrarium": export_map_tiles,
    "mapbox": export_map_tiles,
    "pmtiles": export_map_tiles,
    "quantized-mesh": export_quantized_mesh,
    "contours": export_contours,
    "hillshade": export_hillshade,
    "xyz": export_xyz,
}


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Parameters
    ----------
    to
        The format.
    paths
        Files or the folder.
    heights
        What the heights are, in words.
    size_bytes
        Of all files together.
    figures
        Triangles, steps, zooms ...: what the format has to tell. JSON can hold it.
    """

    to: str
    paths: tuple[Path, ...]
    heights: str
    size_bytes: int
    figures: dict[str, Any]


def export_file(
    dem: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: ExportOptions,
    progress: Progress | None = None,
) -> Exported:
    """Write a height model in the format of another program.

    Parameters
    ----------
    dem
        Path of a height raster, heights in the first band.
    output
        File, or folder for the formats that are folders of tiles.
    options
        Format and wishes.
    progress
        Called as progress(stage, done, total).

    Raises
    ------
    NotAnImageError, UnsupportedTypeError
        The height model or the picture cannot be read.
    NoDataError
        No pixel has a height.
    UsageError
        The format needs what this raster lacks (a place on Earth, 2 x 2 pixels), or has no room for it.
    GridMismatchError
        The picture cannot be laid over the heights.
    OutputExistsError, OutputError
        The output is there already, or cannot be written.
    MissingDependencyError
        An extra is not installed.
    """
    with open_heights(dem, options.gsd_m, progress) as model:
        paths, figures = _EXPORTERS[options.to](model, Path(output), options)
        return Exported(options.to, tuple(paths), model.heights, sum(map(_size, paths)), figures)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
