"""What a catalogue and a GIS want to know of a mosaic: STAC items, a catalog, and a VRT over all blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pyproj import CRS

from im2dem._version import __version__
from im2dem.core.grid import Grid, Window
from im2dem.core.nodata import NODATA
from im2dem.io.atomic import new_file, write_text

from .world import Block, World

STAC_VERSION = "1.0.0"
_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(grid: Grid, name: str, seen: str, href: str) -> dict[str, Any]:
    """A STAC item of a block.

    Parameters
    ----------
    grid
        Of the block.
    name
        Its id.
    seen
        When the picture was taken, UTC, ISO 8601.
    href
        Of the raster, from where the item will be.

    Source
    ------
    SpatioTemporal Asset Catalog 1.0.0, item specification; projection extension 2.0.0.
    """
    ring = [grid.lonlat(row, col) for row, col in _outline(grid)]
    corners = [list(point) for point in ring if point is not None]
    lons, lats = zip(*corners, strict=True) if corners else ((-180.0, 180.0), (-90.0, 90.0))
    left, bottom, right, top = grid.bounds
    projection: dict[str, Any] = {
        "proj:shape": list(grid.shape),
        "proj:transform": [*tuple(grid.transform)[:6]],
        "proj:bbox": [left, bottom, right, top],
    }
    crs = CRS.from_user_input(grid.crs)
    authority = crs.to_authority()
    projection |= {"proj:code": ":".join(authority)} if authority else {"proj:code": None, "proj:wkt2": crs.to_wkt()}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [_PROJECTION],
        "id": name,
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]} if corners else None,
        "properties": {"datetime": seen, "gsd": grid.gsd_m, **projection},
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
        ],
        "assets": {
            "dem": {
                "href": href,
                "type": _COG,
                "title": "height and its standard deviation, metres",
                "roles": ["data"],
            }
        },
    }


def _outline(grid: Grid, sides: int = 4) -> Iterator[tuple[float, float]]:
    """Points along the edge, counter-clockwise from the upper left; straight lines bend on the way to degrees."""
    h, w = grid.shape
    steps = [k / sides for k in range(sides)]
    yield from ((h * s, 0.0) for s in steps)
    yield from ((float(h), w * s) for s in steps)
    yield from ((h * (1 - s), float(w)) for s in steps)
    yield from ((0.0, w * (1 - s)) for s in steps)


def write_catalog(folder: Path, names: Sequence[str], about: str) -> None:
    """`catalog.json`, which links the items."""
    links = [{"rel": "item", "href": f"./items/{name}.json", "type": "application/geo+json"} for name in names]
    catalog = {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "mosaic",
        "description": about,
        "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}, *links],
    }
    write_text(folder / "catalog.json", json.dumps(catalog, indent=1) + "\n", overwrite=True)


def write_vrt(folder: Path, world: World, blocks: Sequence[Block], vertical_datum: str | None = None) -> None:
    """`mosaic.vrt`: all blocks as one raster with the bands height and sigma, and the datum as `io.cog` writes it.

    Source
    ------
    GDAL documentation, "VRT -- GDAL Virtual Format", elements VRTDataset, VRTRasterBand and SimpleSource.
    """
    rows, cols = [b.row for b in blocks], [b.col for b in blocks]
    n = world.block_px
    whole = Window(min(rows) * n, min(cols) * n, (max(rows) - min(rows) + 1) * n, (max(cols) - min(cols) + 1) * n)
    t = world.grid(whole).transform
    place = ", ".join(f"{v:.17g}" for v in (t.c, t.a, t.b, t.f, t.d, t.e))
    with new_file(folder / "mosaic.vrt", overwrite=True) as file:

        def say(text: str) -> None:
            file.write((text + "\n").encode("utf-8"))

        say(f'<VRTDataset rasterXSize="{whole.width}" rasterYSize="{whole.height}">')
        say(f"<SRS>{escape(CRS.from_user_input(world.crs).to_wkt())}</SRS><GeoTransform>{place}</GeoTransform>")
        tags = {"TIFFTAG_SOFTWARE": f"im2dem {__version__}"}
        if vertical_datum is not None:
            tags["VERTICAL_DATUM"] = vertical_datum
        metadata = "".join(f'<MDI key="{key}">{escape(value)}</MDI>' for key, value in tags.items())
        say(f"<Metadata>{metadata}</Metadata>")
        for band, name in enumerate(("height", "sigma"), start=1):
            say(f'<VRTRasterBand dataType="Float32" band="{band}" blockXSize="512" blockYSize="512">')
            say(f"<Description>{name}</Description><UnitType>m</UnitType><NoDataValue>{NODATA:g}</NoDataValue>")
            for b in blocks:
                x, y = b.col * n - whole.col_off, b.row * n - whole.row_off
                say(
                    f'<SimpleSource><SourceFilename relativeToVRT="1">blocks/{b.name}.tif</SourceFilename>'
                    f"<SourceBand>{band}</SourceBand>"
                    f'<SourceProperties RasterXSize="{n}" RasterYSize="{n}" DataType="Float32" '
                    'BlockXSize="512" BlockYSize="512"/>'
                    f'<SrcRect xOff="0" yOff="0" xSize="{n}" ySize="{n}"/>'
                    f'<DstRect xOff="{x}" yOff="{y}" xSize="{n}" ySize="{n}"/></SimpleSource>'
                )
            say("</VRTRasterBand>")
        say("</VRTDataset>")
