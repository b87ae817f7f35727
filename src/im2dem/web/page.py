"""The 3D page: one HTML file with the heights, the picture and the viewer inside."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from im2dem.core.errors import InputError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.ground import ground_basis, land_heights
from im2dem.core.protocols import RasterReader
from im2dem.core.raster import Raster
from im2dem.core.reduction import block_mean, read_reduced, reduction_factor
from im2dem.core.sun import solar_position

from .detail import detail_members, halvings
from .drape import drape
from .payload import PAYLOAD_FORMAT, PAYLOAD_VERSION, encode_heights
from .picture import encode_picture
from .place import place_members
from .truth import truth_members, truth_on_mesh

# What a page may weigh, and the least that is left for the picture when the heights are pure noise.
_PAGE_BYTES = 5_600_000
_LEAST_IMAGE_BYTES = 400_000
_MORE_IMAGE_BYTES = 3_000_000
# A relief that takes this part of the longer side reads as mountains, not as a wall or a sheet of paper.
_PLEASANT_RELIEF = 0.085
LAYERS = ("image", "hillshade", "height", "slope", "aspect", "sigma", "error")
_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True)
class PageOptions:
    """How a page looks when it opens.

    Parameters
    ----------
    title
        Heading and window title; plain text.
    exaggeration
        Factor on the heights, > 0; None: chosen from relief and extent, and shown.
    sun_azimuth_deg, sun_elevation_deg
        Where the light comes from: clockwise from north, and above the horizon (0 to 90).
    date
        Moment that sets the light instead, where the place is known; without a time zone it is taken as UTC.
    attribution
        Whose data these are; plain text, shown at the foot of the page and in screenshots.
    unit
        Unit of the heights in place of the raster's own.
    layer
        What lies on the surface at first: one of `LAYERS`; None: the image if there is one, else the heights.
    max_px
        Longer side of the mesh; larger rasters are averaged in blocks. Up to half more where finer tiles follow.
    detail_px
        Longer side of the finest tiles, which the page reads where somebody looks closely; `max_px` or less: none.
    max_image_px
        Longer side of the picture; above 2048 the page may weigh 3 MB more, and opens later.

    Raises
    ------
    UsageError
        A number out of its range.
    """

    title: str = "Elevation model"
    exaggeration: float | None = None
    sun_azimuth_deg: float = 315.0
    sun_elevation_deg: float = 45.0
    attribution: str = ""
    unit: str | None = None
    date: datetime | None = None
    layer: str | None = None
    max_px: int = 1024
    max_image_px: int = 2048
    detail_px: int = 4096

    def __post_init__(self) -> None:
        if self.exaggeration is not None and not 0 < self.exaggeration < math.inf:
            raise UsageError(f"the exaggeration must be a positive number, got {self.exaggeration}")
        if not math.isfinite(self.sun_azimuth_deg):
            raise UsageError(f"the sun's azimuth must be a number of degrees, got {self.sun_azimuth_deg}")
        if not 0 <= self.sun_elevation_deg <= 90:
            raise UsageError(f"the sun's elevation must be 0 to 90 degrees, got {self.sun_elevation_deg}")
        if self.layer is not None and self.layer not in LAYERS:
            raise UsageError(f"there is no layer {self.layer!r}; choose one of {', '.join(LAYERS)}")
        if self.max_px < 2 or self.max_image_px < 2:
            raise UsageError(f"a page needs at least 2 pixels a side, got {self.max_px} and {self.max_image_px}")


def build_page(
    dem: Raster, image: Raster | None = None, options: PageOptions | None = None, truth: Raster | None = None
) -> str:
    """One HTML page that shows a height model in 3D without a network.

    Parameters
    ----------
    dem
        Heights in the first band, in `dem.unit`, NaN = no data (holes in the surface); a band "sigma"
        (one standard deviation, same unit) becomes a layer of its own.
    image
        Draped over the heights: on the DEM's grid, on any other grid, or without a georeference and of the
        DEM's aspect ratio.
    options
        Title, light, exaggeration, sizes.
    truth
        True heights in the first band, metres: a second surface to compare with, and the layer "error".

    Returns
    -------
    The HTML text. Equal input gives equal text: no date, no path.

    Raises
    ------
    InputError
        Infinite heights, or a raster of one row or column: not a surface.
    NoDataError
        Not one valid height, or none in common with the truth.
    GridMismatchError
        The image or the truth cannot be laid over the DEM.
    UsageError
        A first layer that this page has not, or a date without a place.
    """
    source = HeightSource(dem, dem.unit, dem.vertical_datum)
    return build_page_from(source, image, options or PageOptions(), truth)


@dataclass(frozen=True)
class HeightSource:
    """Where the heights come from: a reader (heights first, "sigma" if it has it), their unit and datum."""

    reader: RasterReader
    unit: str
    vertical_datum: str | None


def build_page_from(
    source: HeightSource, image: RasterReader | None, options: PageOptions, truth: RasterReader | None = None
) -> str:
    """`build_page` for readers: the rasters are read strip by strip, so they may be larger than memory."""
    dem = source.reader
    if min(dem.grid.shape) < 2:
        raise InputError(f"the DEM has {dem.grid.height} x {dem.grid.width} pixels; a surface needs 2 x 2 or more")
    factor, finest = _block_sides(dem.grid.shape, options)
    fine = read_reduced(dem, finest)
    data = block_mean(fine, factor // finest)
    unit = options.unit or source.unit
    payload: dict[str, Any] = {
        "format": PAYLOAD_FORMAT,
        "version": PAYLOAD_VERSION,
        "title": options.title,
        "attribution": options.attribution,
        "grid": _grid_members(dem.grid, factor),
        "place": place_members(dem.grid),
        "height": {"unit": unit, "datum": source.vertical_datum, "field": encode_heights(data[0])},
        "layers": _layers(dem.bands, data),
        "image": None,
    }
    payload["height"]["metres"] = metres = _metres_per_unit(unit, dem.grid)
    payload["detail"], tiles = detail_members(fine[0], factor // finest)
    if truth is not None:
        heights = truth_on_mesh(truth, dem.grid, dem.grid.coarsen(factor), factor)
        payload["truth"] = truth_members(data[0], heights, source.vertical_datum is None, metres)
    payload["view"] = {
        "exaggeration": options.exaggeration or automatic_exaggeration(data[0], payload),
        "automatic": options.exaggeration is None,
        **_light(options, payload["place"]),
        **_first_layer(options, payload, image is not None),
    }
    if image is not None:
        room = _PAGE_BYTES - len(_json(payload)) - len(_static("viewer.js"))
        image_px = options.max_image_px
        # A larger picture may weigh more, or its pixels would be bought with the quality of all.
        room += _MORE_IMAGE_BYTES if image_px > 2048 else 0
        payload["image"] = encode_picture(drape(image, dem.grid, image_px), image_px, max(room, _LEAST_IMAGE_BYTES))
    return _fill(options, payload, tiles)


def _block_sides(shape: tuple[int, int], options: PageOptions) -> tuple[int, int]:
    """Sides of the blocks that make a pixel of the mesh, and of the finest tiles."""
    factor = reduction_factor(shape, options.max_px)
    if factor == 1:
        return 1, 1
    finest = min(factor, reduction_factor(shape, max(options.detail_px, options.max_px)))
    if options.detail_px > options.max_px:
        factor = halvings(max(shape) / options.max_px, finest)
    # A strip of 1 x 3000 pixels must not be averaged down to one row: it would be no surface any more.
    most = max(1, min(shape) // 2)
    if factor > most:
        return most, most
    return factor, finest


def _light(options: PageOptions, place: dict[str, Any] | None) -> dict[str, Any]:
    if options.date is None:
        return {"sun_azimuth_deg": options.sun_azimuth_deg % 360, "sun_elevation_deg": options.sun_elevation_deg}
    if place is None:
        raise UsageError("a date sets the sun only where the place is known; give the sun's azimuth and elevation")
    moment = options.date.replace(tzinfo=UTC) if options.date.tzinfo is None else options.date.astimezone(UTC)
    azimuth, elevation = solar_position(moment, place["lon"], place["lat"])
    return {
        "sun_azimuth_deg": azimuth,
        "sun_elevation_deg": elevation,
        "date_utc": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _first_layer(options: PageOptions, payload: dict[str, Any], has_image: bool) -> dict[str, str]:
    layer = options.layer
    if layer is None:
        return {}
    has = {"image": has_image, "sigma": "sigma" in payload["layers"], "error": "truth" in payload}
    if not has.get(layer, True):
        wanted = {"image": "an image", "sigma": 'a band "sigma" in the DEM', "error": "a truth"}[layer]
        raise UsageError(f"the layer {layer!r} needs {wanted}, which was not given")
    return {"layer": layer}


def automatic_exaggeration(heights: NDArray[np.float32], payload: dict[str, Any]) -> float:
    """A factor that makes the relief (1st to 99th percentile) a pleasant part of the extent.

    Never below 1 where both are in metres: true mountains are shown as they are.

    Parameters
    ----------
    heights
        Shape (row, col), in the payload's height unit, NaN = no data.
    payload
        With members `grid` and `height.metres`.
    """
    low, high = np.nanpercentile(land_heights(heights), [1, 99])
    east, north = np.array(payload["grid"]["basis"]).T
    extent = max(math.hypot(east[0], north[0]) * heights.shape[1], math.hypot(east[1], north[1]) * heights.shape[0])
    relief = float(high - low) * payload["height"]["metres"]
    if not relief > 0:
        return 1.0
    wanted = _PLEASANT_RELIEF * extent / relief
    if payload["grid"]["unit"] == "px" and wanted < 1:
        return float(f"{wanted:.1g}")
    return max(step for step in _STEPS if step <= max(wanted, 1.0))


def _grid_members(grid: Grid, factor: int) -> dict[str, Any]:
    coarse = grid.coarsen(factor)
    col, row, unit = ground_basis(grid)
    name, geographic = _crs_label(grid.crs)
    return {
        "width": coarse.width,
        "height": coarse.height,
        "transform": list(coarse.transform)[:6],
        "crs": name,
        "geographic": geographic,
        "basis": [[v * factor for v in col], [v * factor for v in row]],
        "unit": unit,
        "factor": factor,
        "source": [grid.width, grid.height],
    }


def _crs_label(crs: str | None) -> tuple[str | None, bool]:
    if crs is None:
        return None, False
    try:
        parsed = CRS.from_user_input(crs)
    except CRSError:
        return crs[:60], False
    short = f"{crs} · " if re.fullmatch(r"[A-Za-z]+:\d+", crs) else ""
    return short + parsed.name, parsed.is_geographic


def _metres_per_unit(unit: str, grid: Grid) -> float:
    """Ground units (metres, or pixels where those are unknown) in one unit of height."""
    return (grid.gsd_m or 1.0) if unit == "px" else 1.0


def _layers(bands: tuple[str, ...], data: NDArray[np.float32]) -> dict[str, Any]:
    if "sigma" not in bands[1:]:
        return {}
    sigma = data[bands.index("sigma")]
    return {"sigma": encode_heights(sigma, bits=8)} if np.isfinite(sigma).any() else {}


def _json(payload: dict[str, Any]) -> str:
    """JSON that may stand inside a script element: no text in it can close the element or open a comment."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


@cache
def _static(name: str) -> str:
    return (resources.files("im2dem.web") / "static" / name).read_text(encoding="utf-8")


def _fill(options: PageOptions, payload: dict[str, Any], tiles: Mapping[str, Any]) -> str:
    parts = {
        "tiles": "\n".join(
            f'<script type="application/json" id="{name}">{_json(dict(field))}</script>'
            for name, field in tiles.items()
        ),
        "title": html.escape(options.title),
        "attribution": html.escape(options.attribution),
        "style": _static("viewer.css"),
        "payload": _json(payload),
        "script": _static("viewer.js"),
    }
    # One pass over the template alone: what is put in is never searched for places again.
    pieces = re.split(r"\{\{(\w+)\}\}", _static("template.html"))
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))
