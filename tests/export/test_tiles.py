"""Colours of heights, PMTiles and quantized mesh, each read back by somebody else's reader."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pyproj import Transformer

from im2dem.core import mesh
from im2dem.core.errors import NoDataError, UsageError
from im2dem.export.pmtiles import tile_number, write_pmtiles
from im2dem.export.quantized_mesh import TileExtent, earth_fixed, oct_encode, write_quantized_mesh
from im2dem.export.terrain_rgb import decode_heights, encode_heights, tile_png
from node_kit import maplibre_heights

HEIGHTS = hnp.arrays(np.float32, (4, 5), elements=st.floats(-9_000, 9_000, width=32))


@given(HEIGHTS, st.sampled_from([("terrarium", 1 / 256), ("mapbox", 0.1)]))
def test_heights_come_back_within_half_a_step(heights, rule):
    encoding, step = rule
    back = decode_heights(encode_heights(heights, encoding), encoding)
    assert np.abs(back - heights).max() <= step * (0.5 + 1e-6)


def test_the_published_formulas():
    heights = np.array([0.0, 1.06, 8848.86, -413.2])
    red, green, blue = np.moveaxis(encode_heights(heights, "mapbox").astype(float), -1, 0)
    # docs.mapbox.com: height = -10000 + ((R * 256 * 256 + G * 256 + B) * 0.1)
    np.testing.assert_allclose(-10000 + (red * 256 * 256 + green * 256 + blue) * 0.1, heights, atol=0.05 + 1e-9)
    red, green, blue = np.moveaxis(encode_heights(heights, "terrarium").astype(float), -1, 0)
    # Mapzen: (red * 256 + green + blue / 256) - 32768
    np.testing.assert_allclose(red * 256 + green + blue / 256 - 32768, heights, atol=1 / 512 + 1e-9)


def test_no_data_gets_the_height_that_was_asked_for():
    rgb = encode_heights(np.array([np.nan, 5.0]), "terrarium", nodata_m=-12.0)
    np.testing.assert_array_equal(decode_heights(rgb, "terrarium"), [-12, 5])
    with pytest.raises(UsageError, match="terrarium, mapbox"):
        encode_heights(np.zeros(1), "grey")


def test_a_tile_is_a_png_that_pillow_reads():
    z = np.add.outer(np.arange(256.0), np.arange(256.0) / 7)
    picture = np.asarray(Image.open(io.BytesIO(tile_png(z, "mapbox"))))
    assert np.abs(decode_heights(picture, "mapbox") - z).max() <= 0.0500001


@pytest.mark.parametrize(("encoding", "step"), [("terrarium", 1 / 256), ("mapbox", 0.1)])
def test_maplibre_reads_the_heights_of_a_tile(encoding, step):
    z = np.random.default_rng(5).uniform(-9_000, 9_000, (256, 256))
    z[0, :3] = -9_999.9, 0, 8_848.86
    colours = np.asarray(Image.open(io.BytesIO(tile_png(z, encoding))))
    # Half a step of the encoding, and the reader's float32: 1/2048 m at 9,000 m.
    assert np.abs(maplibre_heights(colours, encoding) - z).max() <= step / 2 + 1 / 1024


# ---- PMTiles ----


def test_tile_numbers_are_those_of_the_reference():
    pmtiles = pytest.importorskip("pmtiles.tile", reason="pmtiles (extra test) is the reference")
    rng = np.random.default_rng(2)
    for zoom in range(15):
        for x, y in rng.integers(0, 2**zoom, (20, 2)):
            assert tile_number(zoom, int(x), int(y)) == pmtiles.zxy_to_tileid(zoom, int(x), int(y))
    with pytest.raises(UsageError, match="no map tile"):
        tile_number(2, 4, 0)


@pytest.mark.parametrize("side", [1, 3, 90])
def test_archive_read_back_by_pmtiles(side, monkeypatch):
    reader = pytest.importorskip("pmtiles.reader", reason="pmtiles (extra test) reads the archive back")
    zoom = 8
    rng = np.random.default_rng(side)
    # A root of 4 kB instead of 16, so that 8,100 tiles need leaf directories; every ninth tile is the same.
    monkeypatch.setattr("im2dem.export.pmtiles._ROOT_BYTES", 4096)
    tiles = {
        (zoom, x, y): b"same" if (x + y) % 9 == 0 else rng.bytes(int(rng.integers(5, 60)))
        for x in range(side)
        for y in range(side)
    }
    order = list(tiles)
    rng.shuffle(order)
    sink = io.BytesIO()
    shuffled = ((*(int(v) for v in key), tiles[tuple(int(v) for v in key)]) for key in order)
    assert write_pmtiles(sink, shuffled, {"encoding": "mapbox"}, (7.5, 46, 8, 47)) == side * side
    archive = reader.Reader(reader.MemorySource(sink.getvalue()))
    # The reader parses a directory anew for each tile, so some of them must do.
    for z, x, y in list(tiles)[:: max(1, len(tiles) // 12)]:
        assert archive.get(z, x, y) == tiles[z, x, y]
    assert archive.get(zoom, 200, 200) is None
    header = archive.header()
    assert archive.metadata()["encoding"] == "mapbox"
    assert (header["min_zoom"], header["max_zoom"], header["clustered"]) == (zoom, zoom, True)
    assert (header["min_lon_e7"], header["max_lat_e7"]) == (75_000_000, 470_000_000)
    assert header["addressed_tiles_count"] == side * side
    assert (header["leaf_directory_length"] > 0) == (side == 90)


def test_an_archive_without_tiles_is_an_error():
    with pytest.raises(NoDataError, match="not one"):
        write_pmtiles(io.BytesIO(), [], {}, (0, 0, 1, 1))


# ---- quantized mesh ----

EXTENT = TileExtent(138.69140625, 35.9912109375, 138.779296875, 36.0791015625)


def quantized(z):
    made = mesh.bounded_mesh(z, 3.0)
    sink = io.BytesIO()
    write_quantized_mesh(sink, made, EXTENT)
    return made, sink.getvalue()


def hill():
    row, col = np.mgrid[0:65, 0:65]
    return (900 + 400 * np.sin(row / 9) * np.cos(col / 11)).astype(np.float32)


def test_tile_read_back_by_quantized_mesh_tile():
    terrain = pytest.importorskip("quantized_mesh_tile.terrain", reason="quantized-mesh-tile reads the tile back")
    made, content = quantized(hill())
    tile = terrain.TerrainTile(west=EXTENT.west, south=EXTENT.south, east=EXTENT.east, north=EXTENT.north)
    tile.fromBytesIO(io.BytesIO(content), hasLighting=True)
    assert len(tile.indices) == made.triangles.size
    assert len(tile.u) == len(made.height)
    got = np.array(tile.getVerticesCoordinates())
    lon = EXTENT.west + (EXTENT.east - EXTENT.west) * made.col / 64
    lat = EXTENT.north - (EXTENT.north - EXTENT.south) * made.row / 64
    order = np.lexsort((got[:, 0].round(6), got[:, 1].round(6)))
    wanted = np.stack([lon, lat, made.height], axis=1)
    wanted = wanted[np.lexsort((wanted[:, 0].round(6), wanted[:, 1].round(6)))]
    # Heights in 32767 steps of some 800 m, places in 32767 steps of 0.09 degrees.
    np.testing.assert_allclose(got[order][:, 2], wanted[:, 2], atol=0.03)
    np.testing.assert_allclose(got[order][:, :2], wanted[:, :2], atol=3e-6)
    for edge, axis, value in ((tile.westI, tile.u, 0), (tile.southI, tile.v, 0), (tile.eastI, tile.u, 32767)):
        assert sorted(edge) == sorted(np.flatnonzero(np.array(axis) == value).tolist())


def test_header_holds_every_point():
    made, content = quantized(hill())
    numbers = np.frombuffer(content[:88], np.dtype("<f8,<f8,<f8,<f4,<f4,<f8,<f8,<f8,<f8,<f8,<f8,<f8"))[0]
    low, high, middle, radius = numbers[3], numbers[4], np.array([*numbers][5:8]), numbers[8]
    assert (low, high) == (made.height.min(), made.height.max())
    lon = EXTENT.west + (EXTENT.east - EXTENT.west) * made.col / 64
    lat = EXTENT.north - (EXTENT.north - EXTENT.south) * made.row / 64
    points = earth_fixed(lon, lat, made.height)
    assert np.linalg.norm(points - middle, axis=1).max() <= radius * (1 + 1e-12)
    # Seen from where the horizon hides the horizon point, no corner of the tile may be visible: the tangent cone from
    # each corner must lie inside that of the point, which in
    # scaled space is 1 / (cos of the angle between) >= |corner|.
    axes = np.array([6378137.0, 6378137.0, 6356752.314245179])
    horizon = np.array([*numbers][9:12])
    scaled = points / axes
    angle = np.arccos(np.clip(scaled @ horizon / np.linalg.norm(scaled, axis=1) / np.linalg.norm(horizon), -1, 1))
    reach_point = np.arccos(1 / np.linalg.norm(horizon))
    reach_corner = np.arccos(1 / np.maximum(np.linalg.norm(scaled, axis=1), 1)) + angle
    assert (reach_corner <= reach_point + 1e-7).all()


def test_earth_fixed_is_that_of_proj():
    lon, lat, height = np.array([138.7, -70.2, 0.0]), np.array([36.0, -33.3, 89.9]), np.array([3776.0, -50.0, 0.0])
    expected = np.stack(
        Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(lon, lat, height), axis=1
    )
    np.testing.assert_allclose(earth_fixed(lon, lat, height), expected, atol=1e-6)


def test_normals_survive_two_bytes():
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    flat = oct_encode(normals).astype(float) / 255 * 2 - 1
    z = 1 - np.abs(flat).sum(axis=1)
    xy = np.where(z[:, None] < 0, (1 - np.abs(flat[:, ::-1])) * np.where(flat >= 0, 1, -1), flat)
    back = np.column_stack([xy, z])
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    # 8 bits a coordinate: the paper's table gives a mean error of 0.3 and a largest of 0.9 degrees for oct16.
    assert np.degrees(np.arccos(np.clip((back * normals).sum(axis=1), -1, 1))).max() < 1.0
