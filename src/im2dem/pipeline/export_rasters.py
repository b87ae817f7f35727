"""Height model to rasters, lines and text: 16-bit heights, EXR, hillshade, contours, xyz."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.errors import RasterioError
from rasterio.windows import Window as FileWindow

from im2dem.core.errors import NoDataError, UsageError
from im2dem.core.grid import Window
from im2dem.core.terrain import contour_levels, hillshade, multidirectional_hillshade
from im2dem.export.contours import Contour, LayerCrs, trace_contours, write_geojson, write_geopackage
from im2dem.export.heightmap import (
    HeightScale,
    engine_settings,
    engine_side,
    side_car,
    write_exr,
    write_r16,
    write_xyz,
)
from im2dem.export.png import write_png
from im2dem.io.atomic import check_target, new_file, output_error, publish, write_text
from im2dem.io.environment import gdal_env, quiet_georeference
from im2dem.io.georeference import file_crs

from .export_options import ExportOptions
from .export_source import HeightModel, pixel_size, positions, require_place, whole_heights

_CONTOURS_MAX_PX = 8193
_HALO = 1
_ROWS = 256
Result = tuple[list[Path], dict[str, Any]]


def height_range(model: HeightModel) -> tuple[float, float, int]:
    """(lowest height, highest height, pixels without a height), metres; reads the raster once.

    Raises
    ------
    NoDataError
        No pixel has a height.
    """
    low, high, missing = np.inf, -np.inf, 0
    for window in model.told_strips("looking for the range"):
        heights = model.read(window)
        finite = heights[np.isfinite(heights)]
        missing += heights.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if high < low:
        raise NoDataError(
            f"{model.reader.name}: not one pixel has a height; check its nodata value, or give another DEM"
        )
    return low, high, missing


def export_heightmap(model: HeightModel, target: Path, options: ExportOptions) -> Result:
    """16-bit numbers as PNG or RAW with a JSON side-car that turns them back into metres."""
    beside = target.with_name(target.name + ".json")
    for path in (target, beside):
        check_target(path, options.overwrite)
    low, high, missing = height_range(model)
    scale = HeightScale.spanning(low, high)
    shape, spacing = model.grid.shape, pixel_size(model.grid)
    upside_down = False
    if options.engine is None:
        rows: Iterator[NDArray[np.float32]] = (model.read(window) for window in model.told_strips("writing"))
    else:
        side = engine_side(options.engine, shape)
        spacing = (spacing[0] * (shape[1] - 1) / (side - 1), spacing[1] * (shape[0] - 1) / (side - 1))
        # Unity counts rows of RAW files from the south.
        upside_down = options.engine == "unity" and options.to == "r16"
        rows = _resampled(model, side, low, upside_down)
        shape = (side, side)
    numbers = (scale.encode(part) for part in rows)
    with new_file(target, options.overwrite) as sink:
        if options.to == "png16":
            write_png(sink, shape, numbers)
        else:
            write_r16(sink, numbers, options.byte_order or "little")
    facts = model.facts | side_car(scale, shape, spacing) | {
        "source_width": model.grid.width,
        "source_height": model.grid.height,
        "resampled": shape != model.grid.shape,
        "pixels_without_height": missing,
        "without_height": "written as the lowest height" if missing else None,
        "first_row": "south" if upside_down else "north",
    }  # fmt: skip
    if options.to == "r16":
        facts["byte_order"] = options.byte_order or "little"
    if options.engine is not None:
        facts["engine"] = options.engine
        facts[options.engine] = engine_settings(options.engine, scale, spacing, shape[0])
    write_text(beside, json.dumps(facts, indent=1) + "\n", overwrite=options.overwrite)
    figures = {"side_px": list(shape), "step_m": scale.step_m, "resampled": shape != model.grid.shape}
    return [target, beside], figures


def _resampled(model: HeightModel, side: int, fill_m: float, upside_down: bool) -> Iterator[NDArray[np.float32]]:
    """side x side heights, the outer ones at the outer pixel centres: bilinear, after block means where it shrinks."""
    height, width = model.grid.shape
    factor = max(1, max(height, width) // (2 * side))
    heights = np.nan_to_num(model.reduced(factor), nan=fill_m)
    rows, cols = heights.shape
    at_row = np.linspace(0, rows - 1, side)[:: -1 if upside_down else 1]
    at_col = np.linspace(0, cols - 1, side)
    left = np.minimum(at_col.astype(int), max(cols - 2, 0))
    right, share = np.minimum(left + 1, cols - 1), (at_col - left).astype(np.float32)
    for start in range(0, side, _ROWS):
        row = at_row[start : start + _ROWS]
        above = np.minimum(row.astype(int), max(rows - 2, 0))
        below, down = np.minimum(above + 1, rows - 1), (row - above).astype(np.float32)[:, None]
        lines = heights[above] * (1 - down) + heights[below] * down
        yield lines[:, left] * (1 - share) + lines[:, right] * share


def export_exr(model: HeightModel, target: Path, options: ExportOptions) -> Result:
    """32-bit heights as OpenEXR; NaN stays NaN."""
    check_target(target, options.overwrite)
    low, high, missing = height_range(model)
    with new_file(target, options.overwrite) as sink:
        rows = (model.read(window) for window in model.told_strips("writing"))
        write_exr(sink, model.grid.shape, rows, json.dumps(model.facts | {"spacing_m": pixel_size(model.grid)}))
    return [target], {"low_m": low, "high_m": high, "pixels_without_height": missing}


def export_xyz(model: HeightModel, target: Path, options: ExportOptions) -> Result:
    """Text lines "x y z" at pixel centres; gzip when the name ends in .gz."""
    check_target(target, options.overwrite)
    step = options.step or 1
    t = model.grid.transform
    # A thousandth of a pixel in x and y, a centimetre in z.
    size = min(abs(t.a) + abs(t.b), abs(t.d) + abs(t.e))
    decimals = max(0, min(12, 3 - int(np.floor(np.log10(size)))))
    written = 0

    def points() -> Iterator[NDArray[np.float64]]:
        nonlocal written
        for window in model.told_strips("writing"):
            first = -window.row_off % step
            heights = model.read(window)[first::step, ::step]
            row, col = np.nonzero(np.isfinite(heights))
            x, y = positions(t, col * step + 0.5, row * step + first + window.row_off + 0.5)
            written += len(row)
            yield np.stack([x, y, heights[row, col]], axis=1)

    with new_file(target, options.overwrite) as sink:
        if target.suffix == ".gz":
            with gzip.GzipFile(fileobj=sink, mode="wb", mtime=0) as packed:
                write_xyz(cast(BinaryIO, packed), points(), (decimals, 2))
        else:
            write_xyz(sink, points(), (decimals, 2))
        if written == 0:
            raise NoDataError(f"{model.reader.name}: not one pixel has a height; check its nodata value")
    return [target], {"points": written, "step": step}


def export_hillshade(model: HeightModel, target: Path, options: ExportOptions) -> Result:
    """Shaded relief as 8 bits, 1..255 and 0 for no data, as gdaldem has it: GeoTIFF, or PNG by name."""
    check_target(target, options.overwrite)
    height_range(model)
    if target.suffix.lower() == ".png":
        with new_file(target, options.overwrite) as sink:
            write_png(sink, model.grid.shape, (shaded for _, shaded in _shaded(model, options)))
    elif target.suffix.lower() in (".tif", ".tiff"):
        _write_grey_tiff(model, target, options)
    else:
        raise UsageError(f"{target}: a hillshade is written as .tif or .png; choose one by the name's ending")
    return [target], {
        "multidirectional": bool(options.multidirectional),
        "vertical_exaggeration": options.z_factor or 1.0,
    }


def _shaded(model: HeightModel, options: ExportOptions) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    size, z_factor = pixel_size(model.grid), options.z_factor or 1.0
    altitude = 45.0 if options.altitude_deg is None else options.altitude_deg
    azimuth = 315.0 if options.azimuth_deg is None else options.azimuth_deg
    for window in model.told_strips("writing", _ROWS):
        # One row more above and below, where there is one: slopes look at neighbours.
        first, last = max(0, window.row_off - _HALO), min(model.grid.height, window.row_stop + _HALO)
        heights = model.read(Window(first, 0, last - first, window.width))
        if options.multidirectional:
            light = multidirectional_hillshade(heights, size, altitude, z_factor)
        else:
            light = hillshade(heights, size, azimuth, altitude, z_factor)
        light = light[window.row_off - first :][: window.height]
        yield window, np.where(np.isfinite(light), np.rint(1 + 254 * np.nan_to_num(light)), 0).astype(np.uint8)


def _write_grey_tiff(model: HeightModel, target: Path, options: ExportOptions) -> None:
    part = target.with_name(target.name + ".part")
    grid = model.grid
    try:
        with (
            gdal_env(),
            quiet_georeference(),
            rasterio.open(
                part, "w", driver="GTiff", height=grid.height, width=grid.width, count=1, dtype="uint8",
                crs=file_crs(grid.crs), transform=grid.transform, nodata=0, compress="deflate", predictor=2,
                tiled=grid.height >= 16 and grid.width >= 16, blockxsize=256, blockysize=256, bigtiff="if_safer",
            ) as dataset,
        ):  # fmt: skip
            for window, shaded in _shaded(model, options):
                dataset.write(shaded, 1, window=FileWindow(0, window.row_off, window.width, window.height))
            dataset.descriptions = ("hillshade",)
        publish(part, target)
    except (RasterioError, OSError) as error:
        raise output_error(target, error) from error
    finally:
        part.unlink(missing_ok=True)


def export_contours(model: HeightModel, target: Path, options: ExportOptions) -> Result:
    """Contour lines as GeoPackage in the raster's reference system, or as GeoJSON in longitude and latitude."""
    check_target(target, options.overwrite)
    ending = target.suffix.lower()
    if ending not in (".geojson", ".json", ".gpkg"):
        raise UsageError(f"{target}: contours are written as .geojson or .gpkg; choose one by the name's ending")
    if ending != ".gpkg":
        require_place(model, "GeoJSON contours (longitude and latitude)")
    low, high, _ = height_range(model)
    heights, grid, factor = whole_heights(model, options.max_px or _CONTOURS_MAX_PX)
    if min(heights.shape) < 2:
        raise UsageError(f"contours need at least 2 x 2 pixels, got {heights.shape[0]} x {heights.shape[1]}")
    if low == high:
        raise UsageError(f"{model.reader.name}: every height is {low:g} m, so no contour runs through it")
    levels = contour_levels(low, high, options.interval_m)
    interval = options.interval_m or (float(levels[1] - levels[0]) if len(levels) > 1 else high - low)
    lines = trace_contours(heights, levels, interval)
    facts = model.facts | {"interval_m": interval}
    with new_file(target, options.overwrite) as sink:
        if ending == ".gpkg":
            placed = _placed(lines, grid.transform, None)
            count = write_geopackage(sink, placed, _layer_crs(grid.crs), facts)
        else:
            count = write_geojson(sink, _placed(lines, grid.transform, grid.crs), facts)
        if count == 0:
            raise UsageError(
                f"no contour lies between {low:g} and {high:g} m at intervals of {interval:g} m; "
                "give a smaller --interval"
            )
    return [target], {"lines": count, "interval_m": interval, "averaged_blocks_px": factor}


def _placed(lines: Iterator[Contour], transform: Any, crs: str | None) -> Iterator[Contour]:
    """Contours in units of the reference system, or in longitude and latitude when `crs` is given."""
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True) if crs else None
    for contour in lines:
        x, y = positions(transform, contour.line[:, 0], contour.line[:, 1])
        if to_lonlat is not None:
            x, y = to_lonlat.transform(x, y)
        yield Contour(contour.height_m, contour.is_index, np.stack([x, y], axis=1))


def _layer_crs(crs: str | None) -> LayerCrs:
    parsed = CRS.from_user_input(crs) if crs else None
    if parsed is None or parsed.is_engineering:
        return LayerCrs(None, None, None)
    return LayerCrs(parsed.to_epsg(), parsed.name, parsed.to_wkt("WKT1_GDAL"))
