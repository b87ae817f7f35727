"""Pictures and heights from Major TOM (Core-S2L2A and Core-DEM), cell by cell, out of their Parquet files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import RemoteError, UsageError
from im2dem.core.grid import Window
from im2dem.core.sun import solar_position
from im2dem.io.clouds import Clarity
from im2dem.io.geotiff import open_dem
from im2dem.io.parquet import Wanted, row_at, rows_where
from im2dem.io.retry import Patience
from im2dem.io.stac import Scene, reflectance

from .area import Area, outer_rings
from .composite import SINGLE_DATE, Composite, clearest, lowest_sun
from .encode import Draft
from .file_source import read_onto
from .majortom_files import BANDS, read_heights, read_picture
from .majortom_grid import CELL_GSD_M, CELL_PX, cell_corner, cell_grid, cell_place, cells_of
from .plan import Block, Chip, Portion, clip_ring
from .sources import Expected, Log, cached
from .store import Outcome

log = logging.getLogger("im2dem")

ADDRESS = "https://huggingface.co/datasets/Major-TOM"
PICTURES, HEIGHTS = "Core-S2L2A", "Core-DEM"
_PRODUCT = re.compile(r"(S2[A-D])_MSIL2A_(\d{8}T\d{6})_N(\d\d)(\d\d)_R\d{3}_T(\d\d[A-Z]{3})_\w+")
# Products of the baseline 99.99 do not say whether the offset of baseline 04.00 is in their numbers.
_UNKNOWN_BASELINE = (99, 99)
_LICENCE = "CC-BY-SA-4.0 (Major TOM {0}); {1}"
_SENTINEL = "contains modified Copernicus Sentinel data"
_COPERNICUS = "contains Copernicus DEM, DLR e.V. and Airbus Defence and Space GmbH"


@dataclass(frozen=True)
class Place:
    """Where a cell's data lie.

    Parameters
    ----------
    url
        Of a Parquet file.
    row
        Number of its group of rows, which holds one row.
    """

    url: str
    row: int


@dataclass(frozen=True)
class CellBlock(Block):
    """A cell as a block.

    Parameters
    ----------
    cell
        Its name.
    product
        Sentinel-2 product of the picture.
    picture
        Where that lies.
    heights
        Where the heights lie; None: from a file.
    """

    cell: str = ""
    product: str = ""
    picture: Place = Place("", 0)
    heights: Place | None = None


@dataclass(frozen=True)
class MajorTomSource:
    """What is asked of Major TOM.

    Parameters
    ----------
    address
        Folder on a server that holds Core-S2L2A and Core-DEM.
    dem
        "cop30" (Core-DEM), or the path of a height model.
    days
        First and last day, or None: any.
    most_cloud_percent
        Pictures with more cloud, as the index says, are left out.
    composite
        "best" (least cloud) or "low-sun": which picture of a cell is taken where there are several.
    cloud_margin_m
        Clouds are grown by this.
    patience
        With the server.
    """

    address: str = ADDRESS
    dem: str = "cop30"
    days: tuple[date, date] | None = None
    most_cloud_percent: float = 20.0
    composite: Composite = "best"
    cloud_margin_m: float = 60.0
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if self.composite not in SINGLE_DATE:
            raise UsageError(f"Major TOM has one date a picture: {' or '.join(SINGLE_DATE)}, not {self.composite}")
        if self.dem == "aw3d30":
            raise UsageError("Major TOM has the height model cop30, not aw3d30; take --source stac for that")

    @property
    def request(self) -> dict[str, Any]:
        """All that decides about the content."""
        return {
            "source": "majortom",
            "address": self.address,
            "dem": "cop30" if self.dem == "cop30" else Path(self.dem).name,
            "days": None if self.days is None else [day.isoformat() for day in self.days],
            "most_cloud_percent": self.most_cloud_percent,
            "composite": self.composite,
            "cloud_margin_m": self.cloud_margin_m,
        }

    @property
    def provenance(self) -> dict[str, Any]:
        """The two collections and their licences."""
        return {
            "kind": "majortom",
            "address": self.address,
            "sources": [
                {"role": "picture", "name": PICTURES, "licence": _LICENCE.format(PICTURES, _SENTINEL)},
                {"role": "heights", **self._heights_record()},
            ],
        }

    def bytes_per_pixel(self) -> int:
        """Memory that a pixel of a cell takes while it is made."""
        return 50

    def expected(self, blocks: Sequence[Block]) -> Expected:
        """Bands and mask compress to 1.4 and 0.1 bytes a pixel, heights of 30 m to 3, about."""
        del blocks
        return Expected(3 * 1.4 + 0.1 + 3.0 / 9)

    def blocks(self, area: Area, portion: Portion) -> list[Block]:
        """One block a cell that touches the area and has a picture, its chips side by side in the middle of the cell.

        Raises
        ------
        UsageError
            Pixels of another size than 10 m, or chips larger than a cell.
        RemoteError
            The index cannot be read.
        """
        if portion.gsd_m != CELL_GSD_M or not 16 <= portion.size_px <= CELL_PX:
            raise UsageError(
                f"Major TOM has pixels of {CELL_GSD_M:g} m in squares of {CELL_PX}, got chips of {portion.size_px} px "
                f"of {portion.gsd_m:g} m"
            )
        cells = frozenset(cells_of(area))
        pictures = self._pictures(cells)
        heights = self._places(HEIGHTS, cells & pictures.keys()) if self.dem == "cop30" else {}
        made: list[Block] = []
        left = portion.limit
        for cell in sorted(pictures, key=cell_place):
            row = pictures[cell]
            if self.dem == "cop30" and cell not in heights:
                continue
            grid = cell_grid(cell, str(row["crs"]))
            name = f"mt-{cell}-{row['product_id'][11:19]}"
            chips = list(_chips(name, grid.window, portion.size_px))
            squares = [(Chip(n, grid.crop(w)), w) for n, w in chips]
            inside = [(chip, window) for chip, window in squares if _touches(area, chip)][:left]
            if inside:
                place = Place(str(row["parquet_url"]), int(row["parquet_row"]))
                made.append(CellBlock(name, grid, tuple(inside), cell, row["product_id"], place, heights.get(cell)))
            if left is not None:
                left -= len(inside)
                if left <= 0:
                    break
        return made

    def read(self, block: Block, cache: Path | None, log: Log) -> Iterator[Draft | Outcome]:
        """See `sources.PairSource`. Fails as a whole when neither picture nor heights can be had."""
        if not isinstance(block, CellBlock):
            raise UsageError(f"{block.name} is no cell of Major TOM")
        try:
            stored = cached(cache, "picture", lambda: self._picture(block))
            dem = cached(cache, "heights", lambda: self._heights(block))
        except RemoteError as error:
            log.add("blocks failed", f"{block.name}: {error}")
            yield from (Outcome(chip.name, "failed", str(error)[:300]) for chip, _ in block.chips)
            return
        log.add("scenes read")
        scene = scene_of_product(block.product)
        picture = reflectance(stored[:3], scene, "sentinel-2")
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(picture).all(axis=0))
        margin = round(self.cloud_margin_m / CELL_GSD_M)
        clarity = Clarity(np.asarray(seen & (stored[3] == 0)), np.zeros_like(seen), seen).with_margin(margin)
        record = self._record(block, scene)
        for chip, window in block.chips:
            where = window.slices()
            yield Draft(
                chip, picture[(slice(None), *where)], dem[where], "reflectance", clarity.cloud[where], None, record
            )

    def _picture(self, block: CellBlock) -> NDArray[np.uint16]:
        row = row_at(block.picture.url, block.picture.row, ("product_id", "grid_cell", *BANDS), self.patience)
        if (row["product_id"], row["grid_cell"]) != (block.product, block.cell):
            raise RemoteError(
                f"{block.picture.url}: row {block.picture.row} holds {row['product_id']} of cell {row['grid_cell']}, "
                f"the index says {block.product} of {block.cell}; index and files are of different versions"
            )
        return read_picture(row, block.grid, block.name)

    def _heights(self, block: CellBlock) -> NDArray[np.float32]:
        if block.heights is None:
            with open_dem(self.dem) as reader:
                return np.asarray(read_onto(reader, block.grid)[0])
        row = row_at(block.heights.url, block.heights.row, ("grid_cell", "DEM"), self.patience)
        if row["grid_cell"] != block.cell:
            raise RemoteError(
                f"{block.heights.url}: row {block.heights.row} holds {row['grid_cell']}, not {block.cell}"
            )
        return np.asarray(read_onto(read_heights(row["DEM"], block.name), block.grid)[0])

    def _record(self, block: CellBlock, scene: Scene) -> dict[str, Any]:
        heights = self._heights_record()
        azimuth, elevation = self._sun(block.cell, scene)
        datum = "EGM2008"
        if block.heights is None:
            with open_dem(self.dem) as reader:
                datum = reader.info.vertical_datum or ""
        return {
            "licence": f"{_LICENCE.format(PICTURES, _SENTINEL)}; {heights['licence']}",
            "vertical_datum": datum or None,
            "dem_kind": heights["kind"],
            "dem_gsd_m": 30.0 if block.heights else None,
            "sun_azimuth_deg": round(azimuth, 3),
            "sun_elevation_deg": round(elevation, 3),
            "dates": [scene.when.date().isoformat()],
            "observations": 1,
            "composite": self.composite,
            "image": "sentinel-2",
            "dem": heights["name"],
            "source": self.address,
            "scenes": [block.product],
            "baselines": [f"{scene.baseline[0]:02d}.{scene.baseline[1]:02d}"],
        }

    def _heights_record(self) -> dict[str, str]:
        if self.dem == "cop30":
            return {"name": HEIGHTS, "licence": _LICENCE.format(HEIGHTS, _COPERNICUS), "kind": "DSM"}
        return {"name": Path(self.dem).name, "licence": "heights: not stated (NC)", "kind": "not stated"}

    def _pictures(self, cells: frozenset[str]) -> dict[str, dict[str, Any]]:
        """The row of the index for the picture that is taken of each cell."""
        columns = ("product_id", "cloud_cover", "nodata", "crs", "parquet_url", "parquet_row")
        by_cell: dict[str, list[tuple[Scene, dict[str, Any]]]] = {}
        unsure = 0
        for row in self._index(PICTURES, columns, cells):
            scene = scene_of_product(str(row["product_id"]), float(row.get("cloud_cover") or 0.0))
            day = scene.when.date()
            if scene.cloud_percent > self.most_cloud_percent or (self.days and not self.days[0] <= day <= self.days[1]):
                continue
            if scene.baseline == _UNKNOWN_BASELINE:
                unsure += 1
                continue
            by_cell.setdefault(row["grid_cell"], []).append((scene, row))
        if unsure:
            log.warning("%d pictures of baseline 99.99 are left out: it is not known how bright they are", unsure)
        chosen = {}
        for cell, rows in by_cell.items():
            rows.sort(key=lambda pair: (float(pair[1].get("nodata") or 0.0), pair[0].name))
            shares = [1 - scene.cloud_percent / 100 - float(row.get("nodata") or 0.0) for scene, row in rows]
            suns = [self._sun(cell, scene)[1] for scene, _ in rows]
            i = lowest_sun(shares, suns) if self.composite == "low-sun" else clearest(shares)
            chosen[cell] = rows[i][1]
        return chosen

    def _places(self, collection: str, cells: frozenset[str]) -> dict[str, Place]:
        rows = self._index(collection, ("parquet_url", "parquet_row"), cells)
        return {row["grid_cell"]: Place(str(row["parquet_url"]), int(row["parquet_row"])) for row in rows}

    def _index(self, collection: str, columns: Sequence[str], cells: frozenset[str]) -> Iterator[dict[str, Any]]:
        if not cells:
            return
        rows = [cell_place(cell)[0] for cell in cells]
        wanted = Wanted("grid_cell", cells, "grid_row_u", min(rows), max(rows))
        yield from rows_where(
            f"{self.address}/{collection}/resolve/main/metadata.parquet", columns, wanted, self.patience
        )

    @staticmethod
    def _sun(cell: str, scene: Scene) -> tuple[float, float]:
        return solar_position(scene.when, *cell_corner(cell))


def scene_of_product(product: str, cloud_percent: float = 0.0) -> Scene:
    """What the name of a Sentinel-2 L2A product says.

    Raises
    ------
    RemoteError
        It is none.
    """
    parts = _PRODUCT.fullmatch(product)
    if parts is None:
        raise RemoteError(f"the index names {product[:80]!r}, which is no Sentinel-2 L2A product")
    platform, when, major, minor, tile = parts.groups()
    moment = datetime.strptime(when, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    baseline = int(major), int(minor)
    return Scene(product, PICTURES, platform.lower(), tile, moment, cloud_percent, None, baseline, False, {})


def _chips(name: str, whole: Window, size_px: int) -> Iterator[tuple[str, Window]]:
    """As many as there is room for, in the middle: at the edge of a cell heights would be extrapolated."""
    count = whole.height // size_px
    first = (whole.height - count * size_px) // 2
    for row in range(first, first + count * size_px, size_px):
        for col in range(first, first + count * size_px, size_px):
            yield f"{name}-r{row:04d}-c{col:04d}-{size_px}px", Window(row, col, size_px, size_px)


def _touches(area: Area, chip: Chip) -> bool:
    rings = (ring for geometry in area.geometries for ring in outer_rings(geometry))
    return any(len(clip_ring([(p[0], p[1]) for p in ring], chip.box)) >= 3 for ring in rings)
