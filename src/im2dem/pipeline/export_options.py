"""What may be asked of an export, and which format listens to which wish."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, fields

from im2dem.core.errors import UsageError

_MESH = frozenset({"max_error_m", "z_factor", "max_px"})
_MAP = frozenset({"zoom", "nodata_m"})
USES: dict[str, frozenset[str]] = {
    "glb": _MESH | {"image", "skirt_m"},
    "obj": _MESH | {"image", "skirt_m"},
    "stl": _MESH | {"size_mm", "base_mm", "tiles"},
    "3mf": _MESH | {"size_mm", "base_mm", "tiles"},
    "png16": frozenset({"engine"}),
    "r16": frozenset({"engine", "byte_order"}),
    "exr": frozenset(),
    "terrarium": _MAP | {"url"},
    "mapbox": _MAP | {"url"},
    "pmtiles": _MAP | {"encoding"},
    "quantized-mesh": _MAP,
    "contours": frozenset({"interval_m", "max_px"}),
    "hillshade": frozenset({"azimuth_deg", "altitude_deg", "multidirectional", "z_factor"}),
    "xyz": frozenset({"step"}),
}
FORMATS = tuple(USES)
_ALWAYS = frozenset({"to", "gsd_m", "overwrite"})
_FLAGS = {
    "max_error_m": "--max-error", "size_mm": "--size", "base_mm": "--base", "skirt_m": "--skirt",
    "interval_m": "--interval", "azimuth_deg": "--azimuth", "altitude_deg": "--altitude",
    "nodata_m": "--nodata-height", "gsd_m": "--gsd",
}  # fmt: skip
_POSITIVE = ("size_mm", "base_mm", "z_factor", "interval_m", "step", "skirt_m", "gsd_m")


@dataclass(frozen=True)
class ExportOptions:
    """How a height model is exported; None everywhere means: as the format likes it.

    Parameters
    ----------
    to
        One of `FORMATS`.
    image
        Picture for GLB and OBJ; None: colours by height.
    max_error_m
        Largest vertical distance of the triangles from any pixel, metres; None: 1/200 of the relief, or more where that
        would take more than a million triangles.
    z_factor
        Vertical exaggeration of models, prints and hillshade; None: 1.
    size_mm, base_mm
        Longest side of a print (all tiles together) and thickness under its lowest point, millimetres; None: 150 and 3.
    tiles
        (rows, columns) of prints that fit each other; None: one.
    skirt_m
        Walls of this depth under the rim of GLB and OBJ, metres; None: none.
    max_px
        Larger rasters are averaged in blocks for meshes (None: 4097) and contours (None: 8193).
    engine
        "unreal" or "unity": resample to a side that it takes; None: the raster's own size.
    byte_order
        Of r16: "little" (None) or "big".
    zoom
        (lowest, highest) of map tiles; None: from the pixel size.
    encoding
        Of pmtiles: "terrarium" (None) or "mapbox".
    nodata_m
        Height that tiles get where there is none, metres; None: 0.
    url
        Address that a folder of map tiles will have, for its tilejson.json; None: tiles are named from the folder.
    interval_m
        Metres between contours; None: about 12 lines.
    azimuth_deg, altitude_deg, multidirectional
        Light of the hillshade; None: 315, 45, False.
    step
        xyz takes every step-th pixel; None: 1.
    gsd_m
        Metres per pixel, for a file without reference system.
    overwrite
        Whether files that are there may be replaced.

    Raises
    ------
    UsageError
        A format that is not known, a wish that the format does not listen to, or one out of range.
    """

    to: str
    image: str | os.PathLike[str] | None = None
    max_error_m: float | None = None
    z_factor: float | None = None
    size_mm: float | None = None
    base_mm: float | None = None
    tiles: tuple[int, int] | None = None
    skirt_m: float | None = None
    max_px: int | None = None
    engine: str | None = None
    byte_order: str | None = None
    zoom: tuple[int, int] | None = None
    encoding: str | None = None
    nodata_m: float | None = None
    url: str | None = None
    interval_m: float | None = None
    azimuth_deg: float | None = None
    altitude_deg: float | None = None
    multidirectional: bool | None = None
    step: int | None = None
    gsd_m: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.to not in USES:
            raise UsageError(f"--to must be one of {', '.join(FORMATS)}; got {self.to!r}")
        given = {f.name for f in fields(self) if getattr(self, f.name) not in (None, False)}
        for name in sorted(given - USES[self.to] - _ALWAYS):
            listeners = ", ".join(to for to, used in USES.items() if name in used)
            raise UsageError(f"{_flag(name)} does nothing for {self.to}; leave it out (it is for {listeners})")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{_flag(name)} must be above 0, got {value}")
        if self.max_px is not None and self.max_px < 2:
            raise UsageError(f"--max-px must be at least 2, got {self.max_px}")
        if self.tiles is not None and min(self.tiles) < 1:
            raise UsageError(f"--tiles must be ROWSxCOLUMNS of at least 1x1, got {self.tiles[0]}x{self.tiles[1]}")
        if self.url is not None and not re.match(r"https?://[^/]", self.url):
            raise UsageError(f"--url must begin with http:// or https://; got {self.url!r}")
        if self.zoom is not None and not 0 <= self.zoom[0] <= self.zoom[1] <= 22:
            raise UsageError(f"--zoom must be LOW-HIGH between 0 and 22, got {self.zoom[0]}-{self.zoom[1]}")


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.replace("_", "-"))
