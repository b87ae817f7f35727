"""Training sets from Major TOM's layout, on loopback, by range requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from affine import Affine

pytest.importorskip("pyarrow", reason="the extra [data] is not installed")
pytest.importorskip("requests", reason="the extra [data] is not installed")

from im2dem.core.errors import NoDataError, RemoteError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.dataset.area import Area
from im2dem.dataset.majortom_grid import CELL_PX, cell_corner, cell_grid, cells_of
from im2dem.dataset.majortom_source import MajorTomSource
from im2dem.dataset.store import Store
from im2dem.io import parquet
from im2dem.io.cog import write_raster
from im2dem.io.ranges import RangeFile
from im2dem.io.retry import MissingError, Patience
from im2dem.pipeline.build import BuildReport
from im2dem.pipeline.build_area import PlanOptions, build_area, estimate, plan_blocks
from im2dem.pipeline.build_sources import SourceOptions, make_scene_source, make_source
from network import majortom_world, stac_world
from network.faulty_server import Fault, FaultyServer
from network.truth import check_truth

PATIENCE = Patience(tries=4, first_wait_s=0.01, most_wait_s=0.05, timeout_s=5.0)
PLAN = PlanOptions(size_px=256, gsd_m=10.0)
DATA = "/Core-S2L2A/part_1.parquet"


@pytest.fixture(scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("majortom")
    with FaultyServer(folder) as server:
        majortom_world.draw(folder, server.url)
        yield server


@pytest.fixture
def server(_served: FaultyServer) -> FaultyServer:
    parquet._footer.cache_clear()
    _served.faults.clear()
    _served.requests.clear()
    _served.bytes_sent = 0
    return _served


@pytest.fixture
def area() -> Area:
    """A box in the cell that touches the first two rows and columns of chips."""
    grid = majortom_world.true_grid()
    corners = [grid.lonlat(row, col) for row, col in ((20, 20), (20, 400), (400, 20), (400, 400))]
    lons, lats = zip(*corners, strict=True)
    return Area((stac_world.box_polygon((min(lons), min(lats), max(lons), max(lats))),), "corner")


@pytest.fixture
def build(server: FaultyServer, area: Area, tmp_path: Path) -> Callable[..., BuildReport]:
    def call(out: str = "set", plan: PlanOptions = PLAN, **fields: Any) -> BuildReport:
        return build_area(MajorTomSource(server.url, patience=PATIENCE, **fields), area, tmp_path / out, plan)

    return call


@pytest.mark.parametrize(
    ("cell", "crs", "left", "top"),
    [
        # Corners that files of Core-S2L2A say, as its authors list them (ESA-PhiLab/Major-TOM, docs/evidence).
        ("110D_457L", "EPSG:32724", 207801.0219440222, 8917004.962866273),
        ("172U_184L", "EPSG:32628", 269252.0378535185, 1719490.1383172674),
        ("589U_1152L", "EPSG:32602", 465112.7834967471, 5872076.23962727),
        ("873D_230L", "EPSG:32713", 547696.877102393, 1304979.2471263688),
        ("695U_606R", "EPSG:32650", 527708.8611989117, 6932001.5507950345),
    ],
)
def test_cells_lie_where_their_authors_put_them_but_on_whole_pixels(cell, crs, left, top):
    transform = cell_grid(cell, crs).transform
    assert transform.c == round(left / 10) * 10
    assert transform.f == round(top / 10) * 10


def test_cells_of_an_area_are_those_that_it_touches():
    lon, lat = cell_corner("451U_946L")
    point = Area((stac_world.box_polygon((lon + 0.01, lat + 0.01, lon + 0.02, lat + 0.02)),), "within")
    assert list(cells_of(point)) == ["451U_946L"]
    around = Area((stac_world.box_polygon((lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01)),), "corner")
    assert set(cells_of(around)) >= {"451U_946L", "451U_947L"}
    assert len(set(cells_of(around))) in (3, 4)  # columns of neighbouring rows do not line up
    equator = Area((stac_world.box_polygon((-0.01, -0.01, 0.01, 0.01)),), "null island")
    assert set(cells_of(equator)) == {"0U_0R", "0U_1L", "1D_0R", "1D_1L"}
    # A triangle whose box touches four cells, and itself three.
    height, width = 180 / 2004, 360 / 4008
    ring = [[0.1 * width, 0.1 * height], [1.5 * width, 0.1 * height], [0.1 * width, 1.5 * height]]
    corner = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    assert set(cells_of(Area((corner,), "triangle"))) == {"0U_0R", "0U_1R", "1U_0R"}
    with pytest.raises(UsageError, match="451U_946L"):
        cell_corner("north")


def test_chips_are_the_pixels_of_the_clearest_picture(server, build, tmp_path):
    report = build()
    assert check_truth(tmp_path / "set", day="2023-01-10") == report.counts["kept"] == 4
    meta, *_, last = Store(tmp_path / "set").metas()
    assert meta["name"] == "mt-513U_77R-20230110-r0022-c0022-256px"
    assert meta["baselines"] == ["05.09"]
    assert 15 < meta["sun_elevation_deg"] < 25  # 10 January, half past eleven by the sun, 46 degrees north
    assert 0 < last["void_share"] < 0.01  # 9 x 9 px, below the limit
    assert "CC-BY-SA-4.0" in meta["licence"]


def test_nothing_but_the_wanted_bands_and_rows_is_downloaded(server, area, tmp_path):
    source = MajorTomSource(server.url, patience=PATIENCE)
    blocks = plan_blocks(source, area, PLAN, 1)
    index = sum(path.stat().st_size for path in server.folder.glob("*/resolve/main/*"))
    # Footers, and one of five groups of rows.
    assert server.bytes_sent < 0.5 * index
    assert estimate(source, blocks, PLAN).download_bytes > 0
    assert server.count("part_") == 0
    server.bytes_sent = 0
    build_area(source, area, tmp_path / "set", PLAN)
    row = majortom_world.picture_row("20230110")
    wanted = sum(len(row[key]) for key in (*stac_world.BANDS, "cloud_mask")) + len(majortom_world.dem_row()["DEM"])
    # The index again, footers, and what lies between two columns and is not worth a request of its own.
    assert wanted < server.bytes_sent < 1.1 * wanted + index


def test_dates_and_clouds_choose_the_picture(server, build, tmp_path):
    from datetime import date

    report = build(days=(date(2023, 2, 1), date(2023, 12, 31)), composite="low-sun")
    # Chips of the first row lie under the cloud; N0207 has no offset, and N9999 is not touched.
    assert report.counts == {"cloud": 2, "kept": 2}
    assert check_truth(tmp_path / "set", day="2023-07-20") == 2
    with pytest.raises(NoDataError):
        build("other", days=(date(2023, 6, 1), date(2023, 6, 30)))


def test_heights_may_come_from_a_file(server, area, tmp_path):
    grid = Grid((400, 400), Affine(30, 0, majortom_world.true_grid().transform.c - 300, 0, -30,
                                   majortom_world.true_grid().transform.f + 300), "EPSG:32632")  # fmt: skip
    x, y = stac_world.pixel_centres(grid.transform, grid.shape)
    write_raster(tmp_path / "dem.tif", Raster(stac_world.height_at(x, y)[None], grid, ("height",), "m", "EGM96"))
    source = MajorTomSource(server.url, str(tmp_path / "dem.tif"), patience=PATIENCE)
    build_area(source, area, tmp_path / "set", PLAN)
    assert check_truth(tmp_path / "set", day="2023-01-10") == 4
    assert {meta["vertical_datum"] for meta in Store(tmp_path / "set").metas()} == {"EGM96"}
    assert server.count("Core-DEM") == 0


@pytest.mark.parametrize(
    "fault",
    [Fault(DATA, "500", 3), Fault(DATA, "truncated", 2), Fault(DATA, "garbage", 2), Fault("metadata", "429", 2),
     Fault("/Core-DEM/part", "truncated", 1)],
    ids=lambda fault: f"{fault.part.split('/')[-1]} {fault.kind}",
)  # fmt: skip
def test_a_passing_fault_is_survived(server, build, tmp_path, fault):
    server.faults.append(replace(fault))
    before = sum(server.injected.values())
    assert build(plan=replace(PLAN, size_px=64, limit=1)).failed == 0
    assert sum(server.injected.values()) > before
    assert check_truth(tmp_path / "set", day="2023-01-10") == 1


def test_missing_files_are_told_and_tried_again_by_the_next_run(server, build, tmp_path):
    server.faults.append(Fault("/Core-DEM/part", "404", 10_000))
    with pytest.raises(RemoteError, match="not one of the 4 chips"):
        build()
    assert list(Store(tmp_path / "set").metas()) == []
    server.faults.clear()
    assert build().counts == {"kept": 4}
    assert check_truth(tmp_path / "set", day="2023-01-10") == 4
    server.faults.append(Fault("metadata", "404", 10_000))
    parquet._footer.cache_clear()
    with pytest.raises(MissingError):
        build("new")


def test_an_index_of_another_version_is_not_believed(server, area, tmp_path):
    source = MajorTomSource(server.url, patience=PATIENCE)
    (block,) = plan_blocks(source, area, PLAN, 1)
    elsewhere = replace(block, picture=replace(block.picture, row=0))
    from im2dem.dataset.sources import Log

    log = Log()
    outcomes = list(source.read(elsewhere, None, log))
    assert {o.state for o in outcomes} == {"failed"}
    assert "different versions" in log.problems[0]
    shifted = replace(
        block, grid=Grid(block.grid.shape, Affine.translation(10, 0) @ block.grid.transform, "EPSG:32632")
    )
    assert {o.state for o in source.read(shifted, None, log)} == {"failed"}
    assert "not where its cell does" in log.problems[1]


def test_what_cannot_be_asked_for(area):
    with pytest.raises(UsageError, match="10 m"):
        plan_blocks(MajorTomSource(), area, PlanOptions(256, 20.0), 1)
    with pytest.raises(UsageError, match=str(CELL_PX)):
        plan_blocks(MajorTomSource(), area, PlanOptions(2048, 10.0), 1)
    with pytest.raises(UsageError, match="aw3d30"):
        MajorTomSource(dem="aw3d30")
    with pytest.raises(UsageError, match="one date"):
        make_source(SourceOptions("majortom", composite="median"))
    with pytest.raises(UsageError, match="Sentinel-2"):
        make_source(SourceOptions("majortom", image="landsat"))
    with pytest.raises(UsageError, match="--source stac"):
        make_scene_source(SourceOptions("majortom"))


def test_a_file_is_read_in_pieces(server, tmp_path):
    content = bytes(range(256)) * 40
    (server.folder / "bytes.bin").write_bytes(content)
    with RangeFile(f"{server.url}/bytes.bin", PATIENCE) as file:
        assert file.size == len(content)
        file.seek(-16, 2)
        assert file.read() == content[-16:]
        assert file.read(1) == b""
        file.seek(300)
        file.seek(10, 1)
        assert file.read(20) == content[310:330]
    (server.folder / "bytes.bin").write_bytes(content[:100])
    with (
        RangeFile(f"{server.url}/bytes.bin", PATIENCE, size=len(content)) as file,
        pytest.raises(RemoteError, match="100"),
    ):
        file.read(10)  # the file has changed since its size was asked
