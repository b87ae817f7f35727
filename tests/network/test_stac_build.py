"""Training sets from a STAC API of somebody else's making, on loopback, with a server that fails in every known way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

pytest.importorskip("odc.stac", reason="the extra [data] is not installed")

from im2dem.core.errors import RemoteError
from im2dem.dataset.area import Area
from im2dem.dataset.cells import SplitPlan
from im2dem.dataset.encode import Recipe
from im2dem.dataset.stac_source import StacSource
from im2dem.dataset.store import Store
from im2dem.io.retry import Patience
from im2dem.pipeline.build import BuildOptions, BuildReport
from im2dem.pipeline.build_area import PlanOptions, build_area, estimate, plan_blocks
from im2dem.pipeline.build_rgb import build_picture, grid_for
from network import stac_world
from network.faulty_server import Fault, FaultyServer
from network.truth import DEM_TOLERANCE_M, check_truth

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

PATIENCE = Patience(tries=4, first_wait_s=0.02, most_wait_s=0.1, timeout_s=2.0)
PLAN = PlanOptions(size_px=96, gsd_m=10.0, memory_mb=2000.0)
CHIPS = 6

Build = Callable[..., BuildReport]


@pytest.fixture
def area() -> Area:
    return Area((stac_world.box_polygon(stac_world.inner_box()),), "scene")


@pytest.fixture
def build(catalog: Any, area: Area, tmp_path: Path) -> Build:
    def call(
        out: str = "set", options: BuildOptions | None = None, plan: PlanOptions = PLAN, **fields: Any
    ) -> BuildReport:
        source = StacSource(catalog, patience=PATIENCE, **fields)
        recipe = Recipe(split=SplitPlan(cell_km=1.0, buffer_m=200.0, shares=(0.3, 0.3)))
        return build_area(source, area, tmp_path / out, plan, options or BuildOptions(recipe, threads=2))

    return call


def test_the_clearest_date_of_the_newest_baseline(world, build, tmp_path):
    report = build()
    assert check_truth(tmp_path / "set") == report.counts["kept"] == CHIPS
    assert {m["dates"][0] for m in Store(tmp_path / "set").metas()} <= {"2023-07-20", "2023-01-10"}
    assert {b for m in Store(tmp_path / "set").metas() for b in m["baselines"]} == {"05.00"}
    assert world.count("20230615-old") == 0


def test_chips_are_snapped_to_the_pixel_and_say_where_they_are_from(build, tmp_path):
    build()
    for meta in Store(tmp_path / "set").metas():
        assert meta["transform"][2] % 960 == 0
        assert meta["transform"][5] % 960 == 0
        assert meta["sun_azimuth_deg"] == 145.0
        assert meta["sun_elevation_deg"] == 62.0
        assert meta["registration"] == "Area"
        assert "Copernicus" in meta["licence"]
    manifest = json.loads((tmp_path / "set/manifest.json").read_text())
    assert manifest["complete"]
    assert [s["role"] for s in manifest["provenance"]["sources"]] == ["picture", "heights"]


def test_a_low_sun_is_preferred_when_asked_for(build, tmp_path):
    build(composite="low-sun")
    assert check_truth(tmp_path / "set") == CHIPS
    assert {m["sun_elevation_deg"] for m in Store(tmp_path / "set").metas()} == {20.0}


def test_old_and_new_baselines_agree_after_the_offset(build, tmp_path):
    """The old baseline of 15 June is stored as 5000 everywhere, without offset: 0.5 if it were taken."""
    report = build(days=(date(2023, 6, 15), date(2023, 6, 15)))
    assert check_truth(tmp_path / "set") == report.counts["kept"]
    assert report.counts["cloud"] == 2  # the northern 28 % of the scene


@pytest.mark.parametrize("composite", ["median", "medoid"])
def test_composites_leave_clouds_out(build, tmp_path, composite):
    build(composite=composite)
    suns = ("20230110", "20230615", "20230720")
    for meta in Store(tmp_path / "set").metas():
        with rasterio.open(tmp_path / "set/pairs" / meta["name"] / "rgb.tif") as file:
            got = file.read(1) * meta["picture"]["scale"] + meta["picture"]["offset"]
            x, y = stac_world.pixel_centres(file.transform, file.shape)
        cloudy = y > stac_world.TOP - 0.28 * stac_world.SIDE * 10 - 100
        true = np.stack([stac_world.reflectance_at(x, y, day, "B04") for day in suns])
        tolerance = 0.5 * meta["picture"]["scale"] + 0.6e-4
        if composite == "median" and not cloudy.any():
            assert np.abs(got - np.minimum(np.median(true, axis=0), 254 * meta["picture"]["scale"])).max() < tolerance
        # Nothing but ground: the cloud's 0.9 is in no chip.
        assert got.max() < true.max() + tolerance
        assert meta["observations"] in (2, 3)


FAULTS = {
    "429": Fault("/B0", "429", 6),
    "500": Fault("/s2/", "500", 6),
    "slow": Fault("/s2/20230720/B03", "slow", 1),
    "truncated": Fault("/s2/", "truncated", 6),
    "truncated heights": Fault("/dem/", "truncated", 2),
    "garbage": Fault("/s2/", "garbage", 3),
    "heights 500": Fault("/dem/", "500", 3),
    "catalogue 429": Fault("/search", "429", 2),
    "catalogue 500": Fault("/search", "500", 2),
    "catalogue cut short": Fault("/search", "truncated", 1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_passing_fault_is_survived_and_nothing_wrong_lands_in_a_chip(world, build, tmp_path, name):
    world.faults.append(replace(FAULTS[name]))
    report = build()
    assert sum(world.injected.values()) > 0
    assert check_truth(tmp_path / "set") == CHIPS
    assert report.failed == 0


def test_a_token_that_ends_is_renewed(world, build, tmp_path):
    world.needs_token, world.token_life_s, world.latency_s = True, 2.5, 0.15
    report = build(readers=1)
    assert len(world.tokens) > 2
    assert check_truth(tmp_path / "set") == report.counts["kept"] == CHIPS


def test_a_refused_token_is_asked_for_again(world, build, tmp_path):
    world.needs_token = True
    world.faults.append(Fault("/s2/", "403", 2))
    assert build().failed == 0
    assert check_truth(tmp_path / "set") == CHIPS


def test_a_missing_scene_is_counted_and_told(world, build, tmp_path):
    world.faults.append(Fault("/s2/20230720/SCL", "404", 10_000))
    report = build()
    assert report.events["scenes failed"] >= 1
    assert "20230720" in report.problems[0]
    assert check_truth(tmp_path / "set") == CHIPS
    assert {m["dates"][0] for m in Store(tmp_path / "set").metas()} == {"2023-01-10"}


def test_missing_heights_are_never_the_sea(world, build, tmp_path):
    world.faults.append(Fault("/dem/", "404", 10_000))
    with pytest.raises(RemoteError, match="not one of"):
        build()
    assert list(Store(tmp_path / "set").metas()) == []
    world.faults.clear()
    report = build()  # goes on: failed chips are tried again
    assert check_truth(tmp_path / "set") == report.counts["kept"] == CHIPS
    assert json.loads((tmp_path / "set/manifest.json").read_text())["complete"]


def test_an_interrupted_build_goes_on_without_a_second_download(world, catalog, area, tmp_path):
    plan = replace(PLAN, memory_mb=0.5)  # one chip a block
    source, options = StacSource(catalog, patience=PATIENCE), BuildOptions(threads=1)
    assert len(plan_blocks(source, area, plan, 1)) == CHIPS

    class StopError(Exception):
        pass

    def progress(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise StopError

    with pytest.raises(StopError):
        build_area(source, area, tmp_path / "set", plan, options, progress)
    assert len(list(Store(tmp_path / "set").metas())) == 3
    first = [path for path, _ in world.requests if path == "/search"]
    world.requests.clear()
    report = build_area(source, area, tmp_path / "set", plan, options)
    assert report.done_before == 3
    assert report.counts == {"kept": CHIPS}
    assert check_truth(tmp_path / "set") == CHIPS
    # A search for pictures and one for heights a block; the three blocks that were done are not asked about again.
    assert len([path for path, _ in world.requests if path == "/search"]) == 6
    assert 6 <= len(first) <= 8  # the next block may have begun
    before = len(world.requests)
    assert build_area(source, area, tmp_path / "set", plan, options).done_before == CHIPS
    assert len(world.requests) == before


def test_a_crash_within_a_block_keeps_what_was_downloaded(world, catalog, area, tmp_path, monkeypatch):
    from im2dem.pipeline import build as room

    source = StacSource(catalog, patience=PATIENCE)
    calls = []
    real = room.Store.put

    def put(self: Store, chip: Any) -> None:
        calls.append(chip.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(self, chip)

    monkeypatch.setattr(room.Store, "put", put)
    with pytest.raises(KeyboardInterrupt):
        build_area(source, area, tmp_path / "set", PLAN, BuildOptions(threads=1))
    monkeypatch.setattr(room.Store, "put", real)
    read = {path for path, _ in world.requests if "/s2/" in path or "/dem/" in path}
    world.requests.clear()
    build_area(source, area, tmp_path / "set", PLAN, BuildOptions(threads=1))
    assert read & {path for path, _ in world.requests} == set()
    assert check_truth(tmp_path / "set") == CHIPS


def test_another_request_does_not_touch_the_set(build, tmp_path):
    build()
    with pytest.raises(ValueError, match="another request"):
        build(composite="median")
    assert check_truth(tmp_path / "set") == CHIPS


def test_a_dry_run_counts_and_downloads_nothing(world, catalog, area):
    source = StacSource(catalog, patience=PATIENCE)
    blocks = plan_blocks(source, area, PLAN, 2)
    what = estimate(source, blocks, PLAN)
    assert what.chips == CHIPS
    assert what.scenes_per_block == 3.0
    assert what.download_bytes > 0
    assert world.count("/s2/") == world.count("/dem/") == 0


def test_no_answer_at_all(area, catalog, tmp_path):
    source = StacSource(replace(catalog, url="http://127.0.0.1:9"), patience=replace(PATIENCE, tries=1))
    with pytest.raises(RemoteError, match="does not answer"):
        build_area(source, area, tmp_path / "set", PLAN)


def test_the_picture_of_a_height_model(world, catalog, tmp_path):
    from affine import Affine

    from im2dem.core.grid import Grid
    from im2dem.core.raster import Raster
    from im2dem.io.cog import write_raster
    from im2dem.io.geotiff import read_raster

    grid = Grid((120, 150), Affine(10, 0, 400_000, 0, -10, 5_066_000), "EPSG:32632")
    x, y = stac_world.pixel_centres(grid.transform, grid.shape)
    write_raster(tmp_path / "dem.tif", Raster(stac_world.height_at(x, y)[None], grid, ("height",)))
    source = StacSource(catalog, composite="low-sun", patience=PATIENCE).with_bands(("B02", "B04"))
    report = build_picture(source, grid_for(tmp_path / "dem.tif", None, None), tmp_path / "p.tif", block_px=64)
    picture = read_raster(tmp_path / "p.tif")
    assert picture.grid == grid
    assert picture.bands == ("B02", "B04")
    assert report.valid_share == 1.0
    for k, band in enumerate(("B02", "B04")):
        # The sensor's digital numbers, half of one.
        assert np.abs(picture.data[k] - stac_world.reflectance_at(x, y, "20230110", band)).max() < 0.6e-4


def test_earth_search_says_other_names_and_has_taken_the_offset_out(world, area, tmp_path):
    from im2dem.io.stac_catalogs import EARTH_SEARCH

    # Its collection has the name of the Planetary Computer's; on one server they need two.
    pictures = replace(EARTH_SEARCH.picture("sentinel-2"), collection="earth-search-l2a")
    there = replace(EARTH_SEARCH, url=world.url, pictures={"sentinel-2": pictures})
    report = build_area(StacSource(there, patience=PATIENCE), area, tmp_path / "set", PLAN)
    assert check_truth(tmp_path / "set") == report.counts["kept"] == CHIPS
    assert world.count("/es/") > 0
    assert world.count("/token/") == 0
    with pytest.raises(ValueError, match="not of landsat"):
        StacSource(there, image="landsat")


def test_landsat_at_30_m_with_its_own_scale_and_quality_bits(build, tmp_path):
    plan = PlanOptions(size_px=32, gsd_m=30.0)  # the same chips on the ground
    report = build(plan=plan, image="landsat", dem="aw3d30")
    assert report.counts == {"cloud": 2, "kept": CHIPS - 2}
    # Whole metres, and the interpolation between them; half of a digital number.
    assert check_truth(tmp_path / "set", 0.5 + DEM_TOLERANCE_M, 1.5e-5) == CHIPS - 2
    for meta in Store(tmp_path / "set").metas():
        assert meta["vertical_datum"] == "EGM96"
        assert (meta["image"], meta["dem"], meta["gsd_m"]) == ("landsat", "alos-dem", 30.0)
        assert "Geological Survey" in meta["licence"]


@pytest.mark.slow
def test_blocks_on_a_cluster_of_two_workers(world, build, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra [dask] is not installed")
    plan = replace(PLAN, memory_mb=0.5)  # one chip a block
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        options = BuildOptions(Recipe(split=SplitPlan(cell_km=1.0, buffer_m=200.0, shares=(0.3, 0.3))),
                               scheduler=cluster.scheduler_address)  # fmt: skip
        report = build("far", options, plan)
        assert report.counts == {"kept": CHIPS}
        assert build("far", options, plan).done_before == CHIPS
    build("near", plan=plan)
    assert check_truth(tmp_path / "far") == CHIPS
    # The same files to the byte, whoever worked on them.
    assert (tmp_path / "far/index.csv").read_bytes() == (tmp_path / "near/index.csv").read_bytes()
    with pytest.raises(RemoteError, match="no Dask scheduler answers"):
        build("none", replace(options, scheduler="tcp://127.0.0.1:9"), plan)


def test_server_and_world_are_what_they_seem(world: FaultyServer):
    assert world.count("/") == 0
    assert not world.faults
