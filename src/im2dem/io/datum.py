"""Vertical datums: which one a file or a person means, and from one to another with PROJ's grids.

EGM96 and EGM2008 (two models of the sea level) differ by up to a few metres, the WGS84 ellipsoid from both by up to
107 m. Conversions need grids that PROJ does not ship; when one is missing the error says how to get it.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import TransformerGroup

from im2dem.core.errors import InputError, UsageError

FloatArray = NDArray[np.floating]

ELLIPSOID = "WGS84 ellipsoid"
_CODES = {"EGM96": "EPSG:4326+5773", "EGM2008": "EPSG:4326+3855", "EGM84": "EPSG:4326+5798", ELLIPSOID: "EPSG:4979"}
_NAMES = {
    **{re.sub(r"[^a-z0-9]", "", name.lower()): name for name in _CODES},
    "egm08": "EGM2008",
    "ellipsoid": ELLIPSOID,
    "wgs84": ELLIPSOID,
    "ellipsoidal": ELLIPSOID,
    "hae": ELLIPSOID,
    "wgs84g1762": ELLIPSOID,
}
_VERTICAL_EPSG = {"5773": "EGM96", "3855": "EGM2008", "5798": "EGM84", "4979": ELLIPSOID}
# What the makers of free global models say; files of these names carry no vertical reference of their own.
_PRODUCTS = (
    (r"copernicus_dsm", "EGM2008"),
    (r"(^|[^a-z])glo-?(30|90)([^0-9]|$)", "EGM2008"),
    (r"etopo_?2022", "EGM2008"),
    (r"srtm|nasadem|astgtm|alpsmlc30|aw3d30|^[ns]\d{2}[ew]\d{3}\.hgt$", "EGM96"),
)


def datum_named(text: str) -> str:
    """The name under which a vertical datum is kept: "EGM96", "EGM2008", "WGS84 ellipsoid", or the text itself.

    Parameters
    ----------
    text
        A name in any spelling ("egm-2008", "ellipsoid"), or an EPSG code of a vertical system ("EPSG:5773").

    Raises
    ------
    UsageError
        Neither a known name nor an EPSG code that PROJ knows as vertical.

    >>> datum_named("egm 2008"), datum_named("EPSG:5773"), datum_named("ellipsoid")
    ('EGM2008', 'EGM96', 'WGS84 ellipsoid')
    """
    plain = re.sub(r"[^a-z0-9]", "", text.lower().removesuffix(" height"))
    if plain in _NAMES:
        return _NAMES[plain]
    code = re.fullmatch(r"(?:epsg:?)?(\d{4,5})", text.strip().lower())
    if code and code[1] in _VERTICAL_EPSG:
        return _VERTICAL_EPSG[code[1]]
    try:
        crs = CRS.from_user_input(f"EPSG:{code[1]}" if code else text)
    except CRSError as error:
        raise UsageError(
            f"the vertical datum {text!r} is not known; give EGM96, EGM2008, ellipsoid, or the EPSG code of a "
            "vertical system, e.g. EPSG:5703"
        ) from error
    found = datum_of_crs(crs)
    if found is None:
        raise UsageError(f"{text!r} ({crs.name}) says nothing of heights; give a vertical system, e.g. EGM2008")
    return found


def datum_of_crs(crs: CRS) -> str | None:
    """The vertical datum that a reference system says, or None when it speaks of the horizontal only."""
    if crs.is_compound:
        crs = next((part for part in crs.sub_crs_list if part.is_vertical), crs)
    if crs.is_vertical:
        plain = re.sub(r"[^a-z0-9]", "", crs.name.lower().removesuffix(" height"))
        authority = crs.to_authority()
        return _NAMES.get(plain) or (":".join(authority) if authority else str(crs.name))
    return ELLIPSOID if len(crs.axis_info) == 3 else None


def datum_of_product(path: str) -> str | None:
    """The vertical datum of a well-known free height model, by the name of its file; None for any other.

    >>> datum_of_product("Copernicus_DSM_COG_10_N47_00_E009_00_DEM.tif"), datum_of_product("old-map.tif")
    ('EGM2008', None)
    """
    name = Path(path).name.lower()
    return next((datum for pattern, datum in _PRODUCTS if re.search(pattern, name)), None)


def convert_heights(lon: FloatArray, lat: FloatArray, height: FloatArray, source: str, target: str) -> FloatArray:
    """Heights above another vertical datum.

    Parameters
    ----------
    lon, lat
        Degrees (WGS84), any shape.
    height
        Metres above `source`, same shape; NaN stays NaN.
    source, target
        As `datum_named` gives them.

    Returns
    -------
    float64, metres above `target`.

    Raises
    ------
    InputError
        PROJ has no grid for it (the message says how to get it), knows no way at all, or a place lies outside the
        grid.
    """
    values = np.array(height, np.float64)
    if source == target:
        return values
    known = np.isfinite(values)
    x, y = np.broadcast_to(lon, values.shape)[known], np.broadcast_to(lat, values.shape)[known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a missing grid is an error here, with its remedy
        group = TransformerGroup(_spatial(source), _spatial(target), always_xy=True)
    if not group.best_available or not group.transformers:
        raise _no_grid(group, source, target)
    try:
        _, _, moved = group.transformers[0].transform(x, y, values[known], errcheck=True)
    except ProjError as error:
        raise InputError(f"heights cannot be converted from {source} to {target} at these places: {error}") from error
    values[known] = moved
    if not np.isfinite(values[known]).all():
        raise InputError(f"some places lie outside the grid between {source} and {target}; convert the heights first")
    return values


def _spatial(datum: str) -> CRS:
    code = _CODES.get(datum) or (f"EPSG:4326+{datum.removeprefix('EPSG:')}" if datum.startswith("EPSG:") else None)
    if code is None:
        raise InputError(
            f"heights above {datum!r} cannot be converted: PROJ knows no system of that name; convert the file first "
            "(gdalwarp -s_srs ... -t_srs ...), or name its datum (--prior-datum)"
        )
    try:
        return CRS.from_user_input(code)
    except CRSError as error:
        raise InputError(f"PROJ does not know the vertical system {datum}: {error}") from error


def _no_grid(group: TransformerGroup, source: str, target: str) -> InputError:
    grids = [grid for way in group.unavailable_operations for grid in way.grids if not grid.available]
    start = f"heights above {source} cannot be converted to {target}"
    if not grids:
        return InputError(f"{start}: PROJ knows no way; convert the file first, or name its datum (--prior-datum)")
    names = sorted({grid.short_name for grid in grids if grid.short_name.startswith("us_nga")} or {grids[0].short_name})
    links = ", ".join(grid.url or f"https://cdn.proj.org/{grid.short_name}" for grid in grids[: len(names)])
    commands = " and ".join(f"pyproj sync --file {name}" for name in names)
    return InputError(
        f"{start} without the grid of PROJ {', '.join(names)}; get it once with: {commands} (without a network on this "
        f"machine: put {links} into the folder pyproj.datadir.get_user_data_dir())"
    )
