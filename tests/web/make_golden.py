"""Makes golden-payload.json and golden-page.json, which the tests of Python and of the viewer both read.

Run ``python tests/web/make_golden.py`` after a change of the payload's version, and only then.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from im2dem.core.grid import Grid
from im2dem.core.sun import solar_position
from im2dem.core.terrain import choose_interval
from im2dem.web.payload import PAYLOAD_FORMAT, PAYLOAD_VERSION, decode_heights, encode_heights
from im2dem.web.place import place_members, tolerance_deg

GOLDEN = Path(__file__).with_name("golden-payload.json")
GOLDEN_PAGE = Path(__file__).with_name("golden-page.json")
GRIDS = {
    "utm": Grid((400, 600), Affine(30, 0, 4e5, 0, -30, 5.2e6), "EPSG:32632"),
    "turned": Grid((300, 200), Affine.translation(7e5, 4e6) @ Affine.rotation(35) @ Affine.scale(20), "EPSG:32654"),
    "degrees over the date line": Grid((100, 120), Affine(0.01, 0, 179.5, 0, -0.01, -16), "EPSG:4326"),
    "polar": Grid((200, 200), Affine(500, 0, -1.2e6, 0, -500, -9e5), "EPSG:3031"),
}


def main() -> None:
    """Write the file: a smooth hill (predictor plane), white noise (left), eight bits, gaps."""
    rng = np.random.default_rng(7)
    rows, cols = np.mgrid[0:11, 0:9].astype(np.float32)
    hill = 1200 + 35 * rows + 20 * cols - 3 * (cols - 4) ** 2
    hill[3:6, 2:4] = np.nan
    hill[10, 8] = np.nan
    noise = rng.uniform(-400, 8800, (11, 9)).astype(np.float32)
    spread = rng.uniform(0, 30, (11, 9)).astype(np.float32)
    spread[0, 0] = np.nan
    fields = {
        "hill": encode_heights(hill),
        "noise": encode_heights(noise),
        "spread": encode_heights(spread, 8),
    }
    expected = {name: _rows(decode_heights(field)) for name, field in fields.items()}
    whole = {"format": PAYLOAD_FORMAT, "version": PAYLOAD_VERSION, "fields": fields, "expected": expected}
    GOLDEN.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    page = {"sun": _suns(), "intervals": _intervals(), "places": [_place(name, grid) for name, grid in GRIDS.items()]}
    GOLDEN_PAGE.write_text(json.dumps(page, indent=1) + "\n", encoding="utf-8")


def _suns() -> list[dict[str, Any]]:
    """What `core.sun` says at eighty moments and places, night and poles included."""
    rng = np.random.default_rng(3)
    out = []
    for _ in range(80):
        moment = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(minutes=int(rng.integers(0, 50 * 525_600)))
        lon, lat = round(float(rng.uniform(-180, 180)), 4), round(float(rng.uniform(-89, 89)), 4)
        azimuth, elevation = solar_position(moment, lon, lat)
        utc = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        out.append({"utc": utc, "lon": lon, "lat": lat, "azimuth": azimuth, "elevation": elevation})
    return out


def _intervals() -> list[dict[str, float]]:
    spans = [(0, 1000), (312, 318.5), (-65, 801), (0, 0.02), (2000, 8848), (5, 5), (0, 17), (-3, 250)]
    return [{"low": low, "high": high, "interval": choose_interval(low, high)} for low, high in spans]


def _place(name: str, grid: Grid) -> dict[str, Any]:
    """The member `place`, and what PROJ says about the centres of some pixels of a mesh of 4 x 4 pixels each."""
    rng = np.random.default_rng(11)
    mesh = grid.coarsen(4)
    points = []
    for _ in range(25):
        col, row = round(float(rng.uniform(0, mesh.width - 1)), 3), round(float(rng.uniform(0, mesh.height - 1)), 3)
        lonlat = mesh.lonlat(row + 0.5, col + 0.5)
        assert lonlat is not None
        points.append([col, row, *lonlat])
    size = {"name": name, "factor": 4, "source": [grid.width, grid.height]}
    return {"place": place_members(grid), "grid": size, "points": points, "tolerance": 2 * tolerance_deg(grid)}


def _rows(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values.ravel()]


if __name__ == "__main__":
    main()
