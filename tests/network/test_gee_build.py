"""Training sets from Earth Engine's client, answered by a stand-in on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ee", reason="the extra [gee] is not installed")

import ee
from google.auth.credentials import AnonymousCredentials

from im2dem.core.errors import RemoteError, UsageError
from im2dem.dataset.area import Area
from im2dem.dataset.gee_source import EarthEngineSource
from im2dem.dataset.store import Store
from im2dem.io import earth_engine
from im2dem.io.earth_engine import tiles_within
from im2dem.io.retry import Patience
from im2dem.io.stac_catalogs import EARTH_ENGINE
from im2dem.pipeline.build import BuildOptions, BuildReport
from im2dem.pipeline.build_area import PlanOptions, build_area
from im2dem.pipeline.build_rgb import build_picture
from im2dem.pipeline.build_sources import SourceOptions, make_source
from network import stac_world
from network.earth_engine_stand_in import PROJECT, SCORE, EarthEngineStandIn
from network.faulty_server import Fault
from network.truth import check_truth

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

PATIENCE = Patience(tries=4, first_wait_s=0.01, most_wait_s=0.05, timeout_s=20.0)
PLAN = PlanOptions(size_px=96, gsd_m=10.0)
CHIPS = 6
PIXELS = "image:computePixels"


@pytest.fixture(scope="module")
def _served(drawn_world: Path) -> Iterator[EarthEngineStandIn]:
    with EarthEngineStandIn(drawn_world) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ee.data, "get_persistent_credentials", AnonymousCredentials)
        # A list of data sets that go out of use, from another host: there is no network here.
        patch.setattr(ee.deprecation, "_FetchDataCatalogStac", dict)
        earth_engine._CONNECTED.clear()
        yield server
    earth_engine._CONNECTED.clear()
    ee.Reset()


@pytest.fixture
def server(_served: EarthEngineStandIn) -> EarthEngineStandIn:
    _served.faults.clear()
    _served.requests.clear()
    _served.asked.clear()
    _served.missing.clear()
    _served.registered = True
    return _served


@pytest.fixture
def build(server: EarthEngineStandIn, tmp_path: Path) -> Callable[..., BuildReport]:
    area = Area((stac_world.box_polygon(stac_world.inner_box()),), "scene")

    def call(out: str = "set", **fields: Any) -> BuildReport:
        source = EarthEngineSource(
            replace(EARTH_ENGINE, url=server.url), **{"project": PROJECT, "patience": PATIENCE, **fields}
        )
        return build_area(source, area, tmp_path / out, PLAN, BuildOptions(threads=2))

    return call


def test_chips_are_the_pixels_of_the_clearest_date(build, tmp_path):
    report = build()
    assert check_truth(tmp_path / "set") == report.counts["kept"] == CHIPS
    for meta in Store(tmp_path / "set").metas():
        assert (meta["sun_azimuth_deg"], meta["sun_elevation_deg"]) == (145.0, 62.0)
        assert (meta["vertical_datum"], meta["scenes"]) == ("EGM2008", ["20230720T101621_32TMR"])
    provenance = Store(tmp_path / "set").manifest()["provenance"]
    assert provenance["kind"] == "gee"
    assert [s["name"] for s in provenance["sources"]] == ["COPERNICUS/S2_SR_HARMONIZED", "COPERNICUS/DEM/GLO30"]


def test_no_request_is_larger_than_allowed(server, build, tmp_path):
    most = 200_000  # the block has 192 x 288 px of three bands of 2 bytes
    build(most_bytes=most)
    assert check_truth(tmp_path / "set") == CHIPS
    assert max(server.asked) <= most
    assert len(server.asked) == 3 * 3 + 2 + 2  # quality of three dates, a picture, heights


@given(
    st.integers(1, 40_000),
    st.integers(1, 40_000),
    st.sampled_from([4, 6, 8, 24]),
    st.sampled_from([50_331_648, 20_000_000]),
)
def test_tiles_cover_a_raster_once(height, width, pixel_bytes, most_bytes):
    windows = list(tiles_within((height, width), pixel_bytes, most_bytes))
    assert sum(w.height * w.width for w in windows) == height * width
    assert len({(w.row_off, w.col_off) for w in windows}) == len(windows)
    for w in windows:
        assert max(w.shape) <= 32_768
        assert w.height * w.width * pixel_bytes <= most_bytes
        assert w.row_stop <= height
        assert w.col_stop <= width


def test_clouds_are_what_the_score_says_and_a_low_sun_is_preferred(server, build, tmp_path):
    report = build(days=(date(2023, 6, 15), date(2023, 6, 15)))
    assert report.counts["cloud"] == 2  # the northern 28 % of the scene
    assert check_truth(tmp_path / "set") == report.counts["kept"] == CHIPS - 2
    build("low", composite="low-sun")
    assert {meta["sun_elevation_deg"] for meta in Store(tmp_path / "low").metas()} == {20.0}
    assert check_truth(tmp_path / "low") == CHIPS
    server.faults.append(Fault(PIXELS, "500", 10_000))
    with pytest.raises(RemoteError, match="not one of"):
        build("none")


@pytest.mark.parametrize(
    "fault",
    [Fault(PIXELS, "429", 2), Fault(PIXELS, "truncated", 1), Fault(PIXELS, "garbage"), Fault("$discovery", "500")],
    ids=lambda fault: f"{fault.part.strip(':$')} {fault.kind}",
)  # fmt: skip
def test_a_passing_fault_is_survived(server, build, tmp_path, fault):
    server.faults.append(replace(fault))
    if fault.part == "$discovery":
        earth_engine._CONNECTED.clear()
    before = sum(server.injected.values())
    assert build().failed == 0
    assert sum(server.injected.values()) > before
    assert check_truth(tmp_path / "set") == CHIPS


def test_a_scene_without_cloud_score_is_counted_and_told(server, build, tmp_path):
    server.missing.add(f"{SCORE}/20230720T101621_32TMR")
    report = build()
    assert report.events["scenes failed"] == 1
    assert "20230720" in report.problems[0]
    assert "not found" in report.problems[0]
    assert check_truth(tmp_path / "set") == CHIPS
    assert {m["dates"][0] for m in Store(tmp_path / "set").metas()} == {"2023-01-10"}


def test_missing_heights_are_never_the_sea(server, build, tmp_path):
    server.missing.add("COPERNICUS/DEM/GLO30/west")
    with pytest.raises(RemoteError, match="not one of"):
        build()
    assert list(Store(tmp_path / "set").metas()) == []


def test_what_is_missing_is_said_in_words(server, build, monkeypatch):
    with pytest.raises(UsageError, match="--project NAME"):
        build(project=None)

    def nobody() -> None:
        raise ee.EEException(
            "Please authorize access ... by running\n\nearthengine authenticate\n\nin your command line"
        )

    monkeypatch.setattr(ee.data, "get_persistent_credentials", nobody)
    earth_engine._CONNECTED.clear()
    with pytest.raises(UsageError, match=r"earthengine authenticate.*--source stac"):
        build()
    monkeypatch.setattr(ee.data, "get_persistent_credentials", AnonymousCredentials)
    server.registered = False
    earth_engine._CONNECTED.clear()
    with pytest.raises(UsageError, match=r"registered at https://code\.earthengine"):
        build()
    with pytest.raises(UsageError, match="not of landsat"):
        make_source(SourceOptions("gee", image="landsat", project=PROJECT))


def test_the_picture_of_a_place(server, tmp_path):
    from affine import Affine

    from im2dem.core.grid import Grid
    from im2dem.io.geotiff import read_raster

    grid = Grid((70, 90), Affine(10, 0, 400_000, 0, -10, 5_066_000), "EPSG:32632")
    source = EarthEngineSource(
        replace(EARTH_ENGINE, url=server.url), composite="low-sun", patience=PATIENCE, project=PROJECT
    ).with_bands(("B2", "B4"))
    report = build_picture(source, grid, tmp_path / "p.tif", block_px=128)
    picture = read_raster(tmp_path / "p.tif")
    assert (picture.bands, report.valid_share, report.dates) == (("B2", "B4"), 1.0, ("2023-01-10",))
    x, y = stac_world.pixel_centres(grid.transform, grid.shape)
    for k, band in enumerate(("B02", "B04")):
        # The sensor's digital numbers, half of one.
        assert np.abs(picture.data[k] - stac_world.reflectance_at(x, y, "20230110", band)).max() < 0.6e-4
