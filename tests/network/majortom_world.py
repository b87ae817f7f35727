"""A cell of Major TOM as its authors lay it out: index and data files in Parquet, one row a group, GeoTIFFs in columns.

cell      513U_77R, Sentinel-2 tile 32TMR, EPSG:32632; pixels on the tile's lattice, files that say the unrounded corner
pictures  reflectance as `stac_world` has it; 2023-01-10 (N0509, low sun, clear), 2023-07-20 (N0207, high sun, cloud in
          the north), 2023-06-15 (N9999: nobody knows its offset); and cells far away, to be left alone
heights   356 px of 30 m, true everywhere
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.io import MemoryFile

from im2dem.core.grid import Grid
from im2dem.dataset.majortom_grid import cell_grid
from network import stac_world

pa = pytest.importorskip("pyarrow", reason="the extra [data] is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra [data] is not installed")

CELL, CRS = "513U_77R", "EPSG:32632"
HEADER_SHIFT = (3.64, -2.16)
PRODUCTS = {
    "20230110": "S2A_MSIL2A_20230110T102341_N0509_R065_T32TMR_20230110T142222",
    "20230720": "S2A_MSIL2A_20230720T102601_N0207_R108_T32TMR_20230720T163600",
    "20230615": "S2B_MSIL2A_20230615T102609_N9999_R108_T32TMR_20230912T010101",
}
CLOUD_ROWS = 260


def true_grid() -> Grid:
    return cell_grid(CELL, CRS)


def tiff(data: np.ndarray, transform: Affine, nodata: float | None = None) -> bytes:
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=data.shape[0], width=data.shape[1], count=1, dtype=data.dtype.name,
            crs=CRS, transform=transform, nodata=nodata, compress="deflate", zlevel=1,
        ) as file:  # fmt: skip
            file.write(data, 1)
        return bytes(memory.read())


def picture_row(date: str) -> dict[str, Any]:
    grid = true_grid()
    x, y = stac_world.pixel_centres(grid.transform, grid.shape)
    header = Affine.translation(*HEADER_SHIFT) @ grid.transform
    row: dict[str, Any] = {
        "product_id": PRODUCTS[date],
        "grid_cell": CELL,
        "product_datetime": date,
        "thumbnail": b"png",
    }
    offset = 1000 if "N05" in PRODUCTS[date] else 0
    for band in stac_world.BANDS:
        dn = np.rint(stac_world.reflectance_at(x, y, date, band) * 10_000).astype(np.uint16) + offset
        row[band] = tiff(dn.astype(np.uint16), header)
    mask = np.zeros(grid.shape, np.uint8)
    if date == "20230720":
        mask[:CLOUD_ROWS] = 1
    row["cloud_mask"] = tiff(mask, header)
    # What nobody asks for: were it downloaded, the count of bytes would tell.
    row["B08"] = np.random.default_rng(0).bytes(3_000_000)
    return row


def dem_row() -> dict[str, Any]:
    grid = true_grid()
    transform = Affine(30, 0, grid.transform.c, 0, -30, grid.transform.f)
    x, y = stac_world.pixel_centres(transform, (356, 356))
    dem = stac_world.height_at(x, y).astype(np.float32)
    dem[120:123, 120:123] = -32767  # a sentinel that the file does not declare
    return {"grid_cell": CELL, "thumbnail": b"png", "compressed": b"png", "DEM": tiff(dem, transform)}


def far_row(row: dict[str, Any], cell: str) -> dict[str, Any]:
    return {**row, "grid_cell": cell, **({"product_id": "far"} if "product_id" in row else {})}


def write_groups(path: Path, rows: list[dict[str, Any]]) -> None:
    """One row a group, as Core's files are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.Table.from_pylist(rows[:1]).schema
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for row in rows:
            writer.write_table(pa.Table.from_pylist([row], schema))


def draw(folder: Path, url: str) -> None:
    """Both collections below `folder`, which is served at `url`."""
    pictures = [picture_row(date) for date in ("20230110", "20230720")]
    pictures.append({**pictures[0], "product_id": PRODUCTS["20230615"]})
    write_groups(folder / "Core-S2L2A/part_1.parquet", [far_row(pictures[0], "900U_1R"), *pictures])
    dem = dem_row()
    write_groups(folder / "Core-DEM/part_1.parquet", [far_row(dem, "900U_1R"), dem])
    index = [
        entry(CELL, 513, product, cloud, f"{url}/Core-S2L2A/part_1.parquet", i + 1)
        for i, (product, cloud) in enumerate(zip(PRODUCTS.values(), (0.5, 9.0, 0.0), strict=True))
    ]
    # Thousands of cells elsewhere, in groups of their own, that a reader of the index need not download.
    names = np.random.default_rng(1).bytes(20_000 * 16).hex()
    far = [
        entry(f"{row}D_{col}L", -row, names[32 * (500 * (row - 1) + col) :][:32], 0.0, f"{url}/nowhere.parquet", col)
        for row in range(1, 41)
        for col in range(500)
    ]
    write_index(folder / "Core-S2L2A/resolve/main/metadata.parquet", [*index, *far])
    heights = [
        {key: e[key] for key in ("grid_cell", "grid_row_u", "product_id", "parquet_url", "parquet_row")}
        for e in [entry(CELL, 513, "", 0, f"{url}/Core-DEM/part_1.parquet", 1), *far]
    ]
    write_index(folder / "Core-DEM/resolve/main/metadata.parquet", heights)


def entry(cell: str, row: int, product: str, cloud: float, url: str, group: int) -> dict[str, Any]:
    return {
        "grid_cell": cell,
        "grid_row_u": row,
        "product_id": product,
        "timestamp": product[11:26],
        "cloud_cover": float(cloud),
        "nodata": 0.0,
        "centre_lat": row * 180 / 2004 + 0.045,
        "crs": CRS,
        "parquet_url": url,
        "parquet_row": group,
    }


def write_index(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    near, far = rows[:-20_000], rows[-20_000:]
    schema = pa.Table.from_pylist(rows[:1]).schema
    with pq.ParquetWriter(path, schema) as writer:
        for part in (far, near):
            writer.write_table(pa.Table.from_pylist(part, schema), row_group_size=5_000)
