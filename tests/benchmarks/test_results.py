"""The page of results: put together from fragments, and verdicts and figures that can be wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy import ndimage

from im2dem.core.tiles import TilePlan
from im2dem.pipeline.evaluate import EvaluateOptions, find_pairs
from im2dem.runtime.engine import ApplyOptions

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ablations
import accuracy
import colouring
import drawn_scene
import exactness
import flatland
import memory
import report
import results
import training
from harness import Bar, Outcome, Setup, Table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = EvaluateOptions(tile_px=64, min_tile_px=64, draws=50)


@pytest.fixture
def folder(tmp_path):
    """A pair of hills and a picture that shows nothing of them, the sun known."""
    rng = np.random.default_rng(0)
    hills = ndimage.gaussian_filter(rng.standard_normal((128, 192)), 6)
    dem = (500 + 80 * hills / hills.std()).astype(np.float32)
    image = rng.integers(50, 200, (3, 128, 192), dtype=np.uint8)
    place = tmp_path / "hills-30m"
    place.mkdir()
    common = {"driver": "GTiff", "height": 128, "width": 192, "crs": "EPSG:32633"}
    common |= {"transform": Affine(30, 0, 500_000, 0, -30, 5_200_000)}
    for name, data in (("dem", dem[None]), ("rgb", image)):
        with rasterio.open(place / f"{name}.tif", "w", count=len(data), dtype=data.dtype, **common) as out:
            out.write(data)
    (place / "meta.json").write_text(json.dumps({"split": "val", "sun_azimuth_deg": 150, "sun_elevation_deg": 30}))
    return tmp_path, dem


def test_the_verdict_tells_a_model_that_knows_from_one_that_guesses(folder):
    (pair,), dem = find_pairs(folder[0]), folder[1]
    noise = np.random.default_rng(1).normal(0, 20, dem.shape).astype(np.float32)

    def good(image, known):
        return dem + noise, np.full_like(dem, 20)

    def upside_down(image, known):
        return -dem, np.full_like(dem, 20)

    tiles = accuracy.score(pair, told=good, hidden=upside_down, options=SMALL)
    (group,) = accuracy.groups_of(tiles)
    # 80 m of relief with 20 m of noise against flat: nothing trivial comes near, but 16 px of true heights do.
    text, beats = accuracy.verdict(group)
    assert beats
    assert "beats every trivial row" in text
    # The row with the sun is the one that is judged; the other is upside down on every tile.
    rows = group.rows()
    assert rows[accuracy.TOLD]["inverted"] == 0
    assert rows[accuracy.HIDDEN]["inverted"] == 1
    assert rows[accuracy.TOLD]["tiles"] == rows["flat at the true mean"]["tiles"] == 6

    tiles = accuracy.score(pair, told=upside_down, hidden=good, options=SMALL)
    text, beats = accuracy.verdict(accuracy.groups_of(tiles)[0])
    assert not beats
    assert "does **not** beat" in text
    assert not accuracy.describe(tiles).bars[0].met


def test_places_without_a_sun_count_over_all_places(folder):
    (pair,), dem = find_pairs(folder[0]), folder[1]
    tiles = accuracy.score(pair, *[lambda image, known: (dem, None)] * 2, options=SMALL)
    dark = [accuracy.replace(t, scene="zion", region="zion") for t in tiles if t.method != accuracy.TOLD]
    whole = accuracy.groups_of([*tiles, *dark])[-1].rows()
    assert whole[accuracy.TOLD]["tiles"] == whole[accuracy.HIDDEN]["tiles"] == 12


def test_flat_land_is_measured_without_alignment(folder, monkeypatch):
    (pair,), dem = find_pairs(folder[0]), folder[1]
    monkeypatch.setattr(flatland, "OPTIONS", SMALL)
    monkeypatch.setattr(flatland, "FLAT_M", 1000.0)
    tiles = flatland.flat_tiles([pair], lambda image, known: (3 * dem, None))
    assert len(tiles) == 6
    (line,) = flatland.describe(tiles).blocks[1].rows
    assert line[-1] == "3.00 [3.00, 3.00]"


def test_the_identity_is_exact_and_seams_are_seen():
    error, rounding = exactness.identity_error((100, 130), ApplyOptions(level=False, centre=False), 64, 16)
    assert error <= exactness.ROUNDINGS * rounding
    plan = TilePlan((100, 120), 64, 16)
    assert exactness.sides(plan) == ((36, 64), (28, 56, 64, 92))
    noise = np.random.default_rng(0).normal(size=plan.shape)
    # White noise has no seams; a step where tiles overlap is one.
    assert exactness.gradient_ratio(noise, plan) == pytest.approx(1, abs=0.1)
    noise[:, 60:] += 50
    assert exactness.gradient_ratio(noise, plan) > 2


def test_peak_memory_is_that_of_the_command_alone():
    ballast = np.ones(400_000_000, np.uint8)
    assert memory.peak_gb([sys.executable, "-c", "pass"]) < 0.1
    assert memory.peak_gb([sys.executable, "-c", "b'x' * 200_000_000"]) > 0.2
    assert ballast.all()
    with pytest.raises(RuntimeError, match="no such thing"):
        memory.peak_gb([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_the_drawn_scene_has_no_missing_pixel(tmp_path):
    with rasterio.open(drawn_scene.draw_scene(tmp_path / "scene.tif", 600)) as scene:
        data = scene.read()
    assert data.shape == (3, 600, 600)
    assert data.dtype == np.uint16
    assert data.min() > 500


def test_the_page_has_the_newest_fragment_of_each_section(tmp_path):
    made = report.provenance(Setup(data=tmp_path / "secret"), "speed")
    assert "secret" not in json.dumps(made)
    table = Table("caption", ("what", "ratio"), (("reading", "0.10"),))
    for ratio, met in (("0.30", False), ("0.10", True)):
        report.save(tmp_path, "speed", made, Outcome((table,), (Bar("overhead", "at most 0.15", ratio, met),)))
    page = report.assemble(tmp_path)
    assert "| reading |  0.10 |" in page
    assert "0.30" not in page
    assert "other weights" not in page
    assert page.count("Not measured yet.") == len(report.TITLES) - 1
    report.save(tmp_path, "speed", made | {"sha256": "0" * 64}, Outcome(()))
    assert "other weights" in report.assemble(tmp_path)


def test_ablations_show_the_runs_that_are_finished(tmp_path):
    head = "step,r_sun_told,r_sun_hidden,inverted_hidden,r north"
    for name, step, r in (("relief", 300, 0.5), ("sun-never-told", 300, 0.4), ("all-eight-turns", 200, 0.3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "validation.csv").write_text(f"{head}\n{step},{r + 0.1},{r},0.25,0.7\n")
        (tmp_path / name / "log.csv").write_text("step,chips_per_s\n300,20\n")
    _, table = ablations.outcome_of(tmp_path, steps=300, batch=24, crop=128).blocks
    assert table.columns[1] == "north"
    assert [row[0] for row in table.rows] == ["relief", "sun never told"]
    assert table.rows[1][1:] == ("0.70", "0.400", "0.500", "25 %", "1.00")


def test_what_the_loader_costs_is_a_ratio_of_two_runs(monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")
    rates = iter([10.0, 12.5, 4.0, 10.0, 10.0, 4.0, *[99.0, 100.0, 50.0] * 2])
    monkeypatch.setattr(training, "_rate", lambda *a, **k: next(rates))
    monkeypatch.setattr(training, "drawn_chips", lambda: None)
    outcome = training.measure(steps=3, rounds=2)
    assert [row[-1] for row in outcome.blocks[1].rows] == ["1.00", "1.12", "0.40"]
    # 20 % in one round, nothing in the other
    assert (outcome.bars[0].found, outcome.bars[0].met) == ("10.0 %", False)
    assert (outcome.bars[1].found, outcome.bars[1].met) == ("1.0 %", True)
    for bar, name in zip(outcome.bars, training.RECIPES, strict=True):
        assert name in bar.what


def test_classes_of_relief_and_the_calibration_have_their_place(folder):
    (pair,), dem = find_pairs(folder[0]), folder[1]
    noise = np.random.default_rng(1).laplace(0, 20 / np.sqrt(2), dem.shape).astype(np.float32)
    answers = [lambda image, known: (dem + noise, np.full_like(dem, 20))] * 2
    outcome = accuracy.describe(accuracy.score(pair, *answers, options=SMALL))
    (relief,) = (b for b in outcome.blocks if isinstance(b, Table) and "class of relief" in b.caption)
    assert [row[0] for row in relief.rows] == ["std 20-100 m"]
    (gap,) = (bar for bar in outcome.bars if "ECE" in bar.what)
    assert gap.met
    assert float(gap.found) < 0.02  # the noise is of the law and size that sigma tells


def test_the_command_needs_data_before_it_starts(tmp_path, capsys):
    # ablations take hours and have a command of their own
    assert set(report.TITLES) - {"ablations"} == set(results.SECTIONS)
    out = tmp_path / "results.md"
    assert results.main(["--only", "flat", "--out", str(out)]) == 2
    assert "--data" in capsys.readouterr().err
    assert results.main(["--assemble", "--out", str(out)]) == 0
    assert out.read_text().startswith("# Results")


def test_a_split_from_pairs_to_page(folder, tmp_path):
    """With the weights that ship, in a process of its own: scoring starts further ones."""
    meta = folder[0] / "hills-30m" / "meta.json"
    meta.write_text(meta.read_text().replace("val", "test"))
    out = tmp_path / "page" / "results.md"
    command = [
        sys.executable,
        str(BENCHMARKS / "results.py"),
        "--only",
        "test",
        "--data",
        str(folder[0]),
        "--out",
        str(out),
    ]
    done = subprocess.run([*command, "--threads", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = out.read_text()
    assert "hills-30m, all tiles: the model" in page
    assert page.count("| random smooth field") == 1
    assert str(folder[0]) not in page
    assert "## Bars" not in page  # the test split is reported, whatever comes out


def test_tiles_for_colours_are_hilly_and_their_pictures_of_8_bits(folder, monkeypatch):
    (pair,), dem = find_pairs(folder[0]), folder[1]
    monkeypatch.setattr(colouring, "SIDE_PX", 64)
    tiles = colouring.tiles_of(pair)
    assert len(tiles) == 6
    picture, heights, gsd_m, sun = tiles[1]
    assert sun == (150.0, 30.0)
    assert gsd_m == pytest.approx(30.0, rel=1e-3)  # on the ground: UTM is not true to scale
    np.testing.assert_array_equal(heights, dem[:64, 64:128])
    assert 50 / 255 <= picture.min() <= picture.max() < 200 / 255
    monkeypatch.setattr(colouring, "LEAST_RELIEF_M", 1000.0)
    assert colouring.tiles_of(pair) == []
