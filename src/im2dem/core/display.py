"""A raster as a small piece of HTML: what it is beside what it looks like, for a notebook."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from pyproj import CRS

from .preview import preview_png

if TYPE_CHECKING:
    from .raster import Raster

_UNITS = {"1": "", "DN": " DN", "m": " m", "px": " px"}
_LONGEST_CODE = 16


def raster_line(raster: Raster) -> str:
    """One line of text: bands, size, reference system and ground step."""
    bands = ", ".join(raster.bands)
    system = _system(raster.grid.crs).split(" · ")[0]
    return f"<Raster {bands}: {_size(raster)}, {system}, {_step(raster)}>"


def raster_html(raster: Raster) -> str:
    """A table of size, reference system, ground step, range and no data, with the picture beside it.

    Returns
    -------
    One `div`; the picture lies inside it as data, so nothing is fetched and no other file is needed. Colours are those
    of the page around it, light or dark.
    """
    rows = [("Size", _size(raster)), ("System", _system(raster.grid.crs)), ("Ground step", _step(raster))]
    rows += [(name.capitalize(), _range(raster, k)) for k, name in enumerate(raster.bands)]
    if raster.unit in ("m", "px"):
        rows.append(("Heights above", raster.vertical_datum or "a level of their own (relative)"))
    empty = 1 - float(raster.valid.mean()) if raster.valid.size else 1.0
    rows.append(("No data", "none" if empty == 0 else f"{max(100 * empty, 0.1):.1f} %"))
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:600;padding:1px 14px 1px 0;opacity:.7">{escape(name)}'
        f'</th><td style="text-align:left;padding:1px 0">{escape(value)}</td></tr>'
        for name, value in rows
    )
    png = b64encode(preview_png(raster.data, raster.grid.pixel_size_m())).decode()
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:18px;align-items:flex-start;font-size:13px;line-height:1.45">'
        f'<img src="data:image/png;base64,{png}" alt="{escape(", ".join(raster.bands))}" '
        'style="max-width:min(320px,100%);height:auto;border-radius:6px">'
        f'<table style="border-collapse:collapse;border:0;font-variant-numeric:tabular-nums"><caption '
        f'style="text-align:left;font-weight:650;padding-bottom:4px;color:inherit">Raster</caption>{cells}</table></div>'
    )


def _size(raster: Raster) -> str:
    height, width = raster.grid.shape
    return f"{width:,} × {height:,} pixels"


def _system(crs: str | None) -> str:
    """Code and name where both are short, the name alone of a system that is given in full."""
    if crs is None:
        return "no reference system"
    name = CRS.from_user_input(crs).name
    return f"{crs} · {name}" if len(crs) <= _LONGEST_CODE else name


def _step(raster: Raster) -> str:
    size = raster.grid.pixel_size_m()
    if size is None:
        return "ground step unknown"
    x, y = (f"{side:.4g}" for side in size)
    return f"{x} m" if x == y else f"{x} × {y} m"


def _range(raster: Raster, band: int) -> str:
    values = raster.data[band]
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return "no value"
    low, high = (f"{float(v):,.4g}" if abs(v) < 1000 else f"{float(v):,.0f}" for v in (finite.min(), finite.max()))
    return f"{low} to {high}{_UNITS.get(raster.unit, f' {raster.unit}')}"
