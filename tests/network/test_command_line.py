"""`im2dem dataset build` and `rgb` as a person types them, against a STAC server on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("odc.stac", reason="the extra [data] is not installed")

from im2dem.cli.app import run
from im2dem.dataset.store import Store
from im2dem.io.geotiff import read_raster
from network import stac_world
from network.faulty_server import Fault, FaultyServer

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def im2dem(
    world: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run `im2dem dataset` with these words in a folder that holds area.geojson; (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    Path("area.geojson").write_text(json.dumps(stac_world.box_polygon(stac_world.inner_box())))

    def call(*words: object) -> tuple[int, str, str]:
        code = run(["dataset", *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def asked(world: FaultyServer, *more: object) -> list[Any]:
    return ["build", "--aoi", "area.geojson", "--out", "set", "--catalog", world.url, "--size", 96, "--tries", 2,
            "--dates", "2023-01/2023-12", "--sun", "low", "--cell-km", 1, "--buffer-m", 200, *more]  # fmt: skip


def test_a_set_is_counted_built_completed_and_proved(world, im2dem):
    code, out, _ = im2dem(*asked(world, "--dry-run", "--json"))
    told = json.loads(out)
    assert (code, told["chips"], told["scenes_per_block"]) == (0, 6, 3.0)
    assert not Path("set").exists()
    code, out, _ = im2dem(*asked(world))
    assert code == 0
    assert "6 chips kept of 6" in out
    assert {meta["sun_elevation_deg"] for meta in Store("set").metas()} == {20.0}
    assert im2dem("verify", "set")[0] == 0
    code, out, _ = im2dem(*asked(world, "--json"))
    assert json.loads(out)["done_before"] == 6
    code, _, err = im2dem(*asked(world, "--depth", 16))
    assert code == 2
    assert "another request" in err


def test_failed_chips_end_with_code_5_and_are_tried_again(world, im2dem):
    world.faults.append(Fault("/s2/20230110/B03", "500", 100))
    code, _, err = im2dem(*asked(world))
    assert code == 5
    assert "could be read" in err or "could not be read" in err
    world.faults.clear()
    assert im2dem(*asked(world))[0] == 0
    assert im2dem("verify", "set")[0] == 0


def test_the_index_as_geoparquet(world, im2dem):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [data] is not installed")
    im2dem(*asked(world))
    code, _, _ = im2dem("info", "set", "--geoparquet", "index.parquet")
    assert code == 0
    assert parquet.read_table("index.parquet").num_rows == 6
    assert im2dem("info", "set", "--geoparquet", "index.parquet")[0] == 2  # there already


def test_a_picture_of_an_area(world, im2dem):
    words = ("rgb", "area.geojson", "-o", "rgb.tif", "--catalog", world.url, "--bands", "B02,B04", "--sun", "low")
    code, out, _ = im2dem(*words, "--json")
    assert code == 0
    assert json.loads(out)["dates"] == ["2023-01-10"]
    assert read_raster("rgb.tif").bands == ("B02", "B04")
    assert im2dem("rgb", "area.geojson", "-o", "x.tif", "--source", "majortom")[0] == 2
    assert im2dem("build", "--aoi", "area.geojson", "--out", "x", "--source", "moon")[0] == 2
    assert im2dem("build", "--out", "x")[0] == 2
