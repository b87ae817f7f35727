"""What the sections on throughput, memory and speed make of their figures, and the ways that they measure."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import memory
import peaks
import speed
import throughput
import ways
from drawn_scene import draw_scene
from throughput import Found

from im2dem.runtime import session


def turn(wall: float, cpu: float, peak_gb: float = 0.5) -> dict[str, float]:
    return {"wall": wall, "cpu": cpu, "peak_gb": peak_gb}


BESIDE = {
    "bare": [turn(10, 10), turn(20, 10)],
    "im2dem": [turn(10.5, 12), turn(21, 12)],
    "seed": [turn(100, 100)],
    "geoai": [{**turn(30, 30), "version": "1.2.3"}],
}


def test_ratios_are_those_of_neighbours_and_bars_can_fail() -> None:
    alone = {"bare": [turn(20, 8)], "im2dem": [turn(30, 9)]}
    workers = {"whole": turn(10, 10, 0.5), "one": turn(12, 11, 0.6), "two": turn(9, 13, 0.9)}
    outcome = throughput.describe(Found(2048, BESIDE, {"loader": "it is not here"}, alone, workers, {1: 0.1}))
    beside, missing, threads, mosaic, served = outcome.blocks
    assert beside.rows[1][1:] == ("2", "0.95", "1.050", "1.05 to 1.05", "1.200", "0.50")
    assert beside.rows[2][1:3] == ("1", "0.10")
    assert beside.rows[3][0].endswith("version 1.2.3")
    assert "2048 x 2048" in beside.caption
    assert "DataLoader" in missing
    assert missing.endswith("it is not here.")
    assert threads.rows == (
        ("bare, 1 thread", "1.00", "1.00"),
        ("bare, all cores", "0.75", "1.25"),
        ("im2dem, 1 thread", "1.50", "1.12"),
        ("im2dem, all cores", "0.79", "1.50"),
    )
    assert mosaic.rows == (
        ("whole", "1.00", "1.00", "0.50"),
        ("one", "1.20", "1.10", "0.60"),
        ("two", "0.90", "1.30", "0.90"),
    )
    assert served.rows == (("1", "0.100"),)
    assert [bar.met for bar in outcome.bars] == [True, False]
    assert [bar.found for bar in outcome.bars] == ["+5.0%", "+20.0%"]


def test_what_was_not_measured_has_no_table() -> None:
    outcome = throughput.describe(Found(1024, BESIDE))
    assert len(outcome.blocks) == 1


def test_cost_grows_with_pixels_and_memory_with_width() -> None:
    full = {1000: turn(2, 1.0, 0.4), 2000: turn(8, 4.0, 0.5), 4000: turn(32, 16.0, 0.7)}
    repeated = {4000: turn(4, 4.0, 0.7), 20_000: turn(100, 100.0, 2.3)}
    outcome = memory.describe(full, repeated)
    about, whole, hollow, growth = outcome.blocks
    assert "peak" in about
    assert "time: 1.00." in whole.caption
    assert whole.rows[-1] == ("16", "16.00", "16.00", "1.00", "0.70")
    assert hollow.rows[-1] == ("400", "50.00", "100.00", "1.00", "2.30")
    assert "100 MB" in growth  # 1.6 GB over 16,000 pixels of width
    # the peak beyond a Sentinel-2 scene has no bar
    assert [bar.what for bar in outcome.bars[:-1]] == [f"peak at {s:,} x {s:,}" for s in (1000, 2000, 4000)]
    assert all(bar.met for bar in outcome.bars)
    steep = memory.describe({1000: turn(1, 1.0), 2000: turn(1, 5.0, 1.6)}, {4000: turn(1, 1.0)})
    assert [bar.met for bar in steep.bars] == [True, False, True, False]


def test_a_repeated_scene_is_the_drawn_one_again_and_again(tmp_path: Path) -> None:
    drawn = draw_scene(tmp_path / "a & b.tif", 64)
    scene = memory.repeat_scene(drawn, tmp_path / "scene.vrt", 150)
    with rasterio.open(drawn) as one, rasterio.open(scene) as many:
        assert (many.crs, many.transform, many.count, many.dtypes) == (one.crs, one.transform, 3, one.dtypes)
        np.testing.assert_array_equal(many.read(), np.tile(one.read(), (1, 3, 3))[:, :150, :150])


# rasterio reads beyond a picture's edge with an operator that affine 3.1 gives up
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("way", ["bare", "im2dem", ways.HOLLOW, "loader", "seed"])
def test_every_way_does_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way in ("loader", "seed"):
        pytest.importorskip("torch", reason="needs torch")
    monkeypatch.setattr(session, "open_net", session.open_net)  # one way puts another in its place
    scene = draw_scene(tmp_path / "scene.tif", 640 if way != "seed" else 200)
    found = ways.one_way(way, scene, tmp_path / "out.tif", throughput.Setup.model, 1)
    assert found["wall"] > 0
    assert found["cpu"] > 0
    assert (tmp_path / "out.tif").is_file() == (way != "bare")


def test_the_network_runs_once_where_its_answer_is_repeated() -> None:
    class Net:
        required = optional = outputs = frozenset[str]()
        calls = 0

        def run(self, output: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
            self.calls += 1
            return inputs["image"] + self.calls

    net = Net()
    echo = ways._Echo(net)
    first = echo.run("relief", {"image": np.zeros(3, np.float32)})
    first += 5  # whoever gets it may change it
    np.testing.assert_array_equal(echo.run("relief", {"image": np.ones(3, np.float32)}), [1, 1, 1])
    assert net.calls == 1


def test_a_rival_that_is_not_there_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ways.RIVAL, raising=False)
    assert ways.RIVAL in str(ways.why_not("geoai"))
    monkeypatch.setenv(ways.RIVAL, str(tmp_path / "no-python"))
    assert "does not run" in str(ways.why_not("geoai"))
    bare = tmp_path / "python"  # one that has none of the packages
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv(ways.RIVAL, str(bare))
    assert "No module named" in str(ways.why_not("geoai"))
    assert ways.why_not("bare") is None


@pytest.mark.skipif(sys.platform != "linux", reason="memory of several processes is read from /proc")
def test_processes_count_together() -> None:
    hold = "import time; x = b'x' * 150_000_000; time.sleep(1.5)"
    program = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; p.wait()"
    began = time.perf_counter()
    found = peaks.together([sys.executable, "-c", program])
    assert 0.3 < found["peak_gb"] < 0.4
    assert 1.5 < found["wall"] <= time.perf_counter() - began
    assert 0 < found["cpu"] < found["wall"]
    with pytest.raises(RuntimeError, match="no such thing"):
        peaks.together([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_bars_of_speed_are_on_time_and_processor_time() -> None:
    stages = dict.fromkeys(speed.STAGES, 0.01)
    outcome = speed.describe([{**stages, "wall": 1.05, "total": 1.2, "cpu": 1.12}] * 3, 25)
    assert [(bar.found, bar.met) for bar in outcome.bars] == [("+5.0%", True), ("+20.0%", False), ("+12.0%", False)]
