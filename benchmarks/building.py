"""Building training sets on a loopback server: speed against a plain loop, memory as the area grows, leaks.

Needs the extras "data" and "test". `python benchmarks/building.py --memory 4` prints the peak memory of one build of an
area of 4 times the side: a process of its own, since a peak never falls.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from harness import Bar, Outcome, Setup, Table, number, say

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from im2dem.dataset.area import Area
from im2dem.dataset.cells import SplitPlan, too_near
from im2dem.dataset.plan import lonlat_box, plan_chips
from im2dem.dataset.stac_source import StacSource
from im2dem.io.stac_catalogs import PLANETARY_COMPUTER
from im2dem.pipeline.build import BuildOptions
from im2dem.pipeline.build_area import PlanOptions, build_area

SIZE_PX = 64
LATENCIES_S = (0.0, 0.05)
AREAS, QUICK_AREAS = 1000, 50
GROWTH = 4
EXPLAIN = (
    "A STAC API (rustac) and its rasters on loopback, every answer late by the latency. *chips a second*: `dataset "
    "build` with four threads over a plain loop with pystac-client and odc-stac, in turn, the best of two each. *peak "
    "memory*: of a build of 16 times the area over that of the area, blocks of 20 MB. *leaks*: pairs of chips of "
    "different splits nearer than the buffer, on random areas of 0.2 degrees, cells of 5 to 20 km, buffers of 0.3 to "
    "3 km."
)


def run(setup: Setup) -> Outcome:
    """Leaks, speed, memory."""
    chips, found = leaks(QUICK_AREAS if setup.quick else AREAS)
    say(f"  {chips} chips: {found} leaks")
    lines = [("pairs nearer than the buffer", f"{chips} chips", str(found))]
    for latency_s in LATENCIES_S[:1] if setup.quick else LATENCIES_S:
        lines.append(
            ("chips a second, over a plain loop", f"latency {latency_s * 1000:.0f} ms", number(speed(latency_s), 1))
        )
        say(f"  {lines[-1]}")
    peaks = [_peak_mb(side) for side in (1, GROWTH)]
    lines.append(("peak memory", "16 times the area", number(peaks[1] / peaks[0], 2)))
    bar = Bar("Chips of different splits nearer than the buffer", "none", str(found), found == 0)
    return Outcome((EXPLAIN, Table("", ("what", "of", "found"), tuple(lines))), (bar,))


def _peak_mb(side: int) -> float:
    told = subprocess.run(
        [sys.executable, __file__, "--memory", str(side)], capture_output=True, text=True, check=True
    ).stdout
    return float(told.split("peak ")[1].split(" MB")[0])


def scene_area(side: int) -> Area:
    """All that the drawn scene covers."""
    from network import stac_world

    return Area((stac_world.box_polygon(stac_world.scene_box(side)),), "scene")


def plain_loop(url: str, area: Area) -> int:
    """What a person writes with the same libraries: one chip after the other, no retry, no rules, no proof."""
    import odc.stac
    import pystac_client
    import rasterio
    from odc.geo.geobox import GeoBox

    client = pystac_client.Client.open(url)
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for chip in plan_chips(area, SIZE_PX, 10.0):
            box = lonlat_box(chip.grid)
            geobox = GeoBox(chip.grid.shape, chip.grid.transform, chip.grid.crs)
            found = client.search(collections=["sentinel-2-l2a"], bbox=box).item_collection()
            if not found:
                continue
            item = min(found, key=lambda i: i.properties["eo:cloud_cover"])
            rgb = odc.stac.load([item], bands=["B04", "B03", "B02"], geobox=geobox, nodata=0)
            if not rgb["B04"].values.any():
                continue
            tiles = client.search(collections=["cop-dem-glo-30"], bbox=box).item_collection()
            dem = odc.stac.load(tiles, bands=["data"], geobox=geobox, resampling="bilinear")
            profile = {
                "driver": "GTiff", "height": SIZE_PX, "width": SIZE_PX, "crs": chip.grid.crs,
                "transform": chip.grid.transform, "compress": "deflate",
            }  # fmt: skip
            picture = np.stack([rgb[b].values[0] for b in ("B04", "B03", "B02")])
            with rasterio.open(f"{folder}/{count}-rgb.tif", "w", count=3, dtype=picture.dtype, **profile) as file:
                file.write(picture)
            with rasterio.open(f"{folder}/{count}-dem.tif", "w", count=1, dtype="float32", **profile) as file:
                file.write(dem["data"].values[0], 1)
            count += 1
    return count


def speed(latency_s: float, side: int = 320) -> float:
    """Chips a second over those of a plain loop."""
    from network import conftest, stac_world

    with tempfile.TemporaryDirectory() as folder:
        stac_world.draw_world(Path(folder), side)
        with conftest.serving(Path(folder), side) as server:
            server.latency_s = latency_s
            area = scene_area(side)
            seconds = {}
            for name in ("plain loop", "im2dem", "plain loop", "im2dem"):
                begun = time.perf_counter()
                if name == "im2dem":
                    catalog = replace(
                        PLANETARY_COMPUTER, url=server.url, token_url=f"{server.url}/token/{{collection}}"
                    )
                    out = Path(folder) / "set"
                    report = build_area(StacSource(catalog), area, out, PlanOptions(SIZE_PX), BuildOptions(threads=4))
                    count = report.counts["kept"]
                    shutil.rmtree(out)
                else:
                    count = plain_loop(server.url, area)
                took = (time.perf_counter() - begun) / count
                seconds[name] = min(took, seconds.get(name, took))
            return seconds["plain loop"] / seconds["im2dem"]


def memory(factor: int) -> None:
    """Print the peak of one build."""
    from network import conftest, stac_world

    side = 320 * factor
    with tempfile.TemporaryDirectory() as folder:
        stac_world.draw_world(Path(folder), side)
        with conftest.serving(Path(folder), side) as server:
            catalog = replace(PLANETARY_COMPUTER, url=server.url, token_url=None)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            plan = PlanOptions(SIZE_PX, memory_mb=20.0)
            report = build_area(
                StacSource(catalog), scene_area(side), Path(folder) / "set", plan, BuildOptions(threads=2)
            )
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{report.planned} chips: peak {after:.0f} MB, of which {after - before:.0f} MB came with the build")


def leaks(areas: int) -> tuple[int, int]:
    """Chips planned on random areas, and pairs of them that leak."""
    rng = np.random.default_rng(0)
    chips, found = 0, 0
    for _ in range(areas):
        lon, lat = rng.uniform(-179, 179), np.degrees(np.arcsin(rng.uniform(-0.95, 0.97)))
        plan = SplitPlan(
            float(rng.choice([5, 10, 20])), float(rng.choice([300, 1000, 3000])), (0.25, 0.25), int(rng.integers(99))
        )
        ring = [[lon - 0.1, lat - 0.1], [lon + 0.1, lat - 0.1], [lon + 0.1, lat + 0.1], [lon - 0.1, lat + 0.1]]
        area = Area(({"type": "Polygon", "coordinates": [[*ring, ring[0]]]},), "random")
        boxes = [(c.name, plan.split_of(c.box), c.box) for c in plan_chips(area, 256, 10.0)]
        chips += len(boxes)
        found += len(too_near(boxes, plan.buffer_m))
    return chips, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, required=True, help="side of the area in units of 320 pixels")
    memory(parser.parse_args().memory)
