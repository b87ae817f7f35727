"""What the section on throughput makes of its figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import throughput
from drawn_scene import draw_scene


def turn(wall: float, cpu: float, peak_gb: float = 0.5) -> dict[str, float]:
    return {"wall": wall, "cpu": cpu, "peak_gb": peak_gb}


def test_ratios_are_those_of_neighbours_and_bars_can_fail() -> None:
    beside = {
        "bare": [turn(10, 10), turn(20, 10)],
        "im2dem": [turn(10.5, 12), turn(21, 12)],
        "seed": [turn(100, 100)],
    }
    threads = {"bare 1": [2.0], "im2dem 1": [3.0]}
    growth = {1000: 1.0, 2000: 4.0, 4000: 16.0}
    outcome = throughput.describe(2048, 2, beside, threads, growth, {1: 0.1})
    ways, by_threads, cost, served = outcome.blocks
    assert ways.rows[1][1:] == ("2", "0.95", "1.050", "1.05 to 1.05", "1.200", "0.50")
    assert ways.rows[2][1:3] == ("1", "0.10")
    assert by_threads.rows == (("bare 1", "1.00"), ("im2dem 1", "1.50"))
    assert "logarithms: 1.00" in cost.caption
    assert cost.rows[-1] == ("16", "16.0", "1.00")
    assert served.rows == (("1", "0.100"),)
    assert [bar.met for bar in outcome.bars] == [True, False, True]
    steep = throughput.describe(2048, 2, beside, threads, {1000: 1.0, 2000: 5.0}, None)
    assert not steep.bars[2].met
    assert len(steep.blocks) == 3


# rasterio reads beyond a picture's edge with an operator that affine 3.1 gives up
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("way", ["bare", "im2dem", "loader", "seed"])
def test_every_way_does_the_job(tmp_path: Path, way: str) -> None:
    if way in ("loader", "seed"):
        pytest.importorskip("torch", reason="needs torch")
    scene = draw_scene(tmp_path / "scene.tif", 640 if way != "seed" else 200)
    found = throughput.one_way(way, scene, tmp_path / "out.tif", throughput.DEFAULT_MODEL, 1)
    assert found["wall"] > 0
    assert found["cpu"] > 0
    assert (tmp_path / "out.tif").is_file() == (way != "bare")
