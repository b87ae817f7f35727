"""Fetching tiles of the Copernicus DEM from a server of our own, whole, missing, broken and cut off."""

import http.server
import threading

import numpy as np
import pytest
from affine import Affine

import drawing
from im2dem.core.errors import RemoteError
from im2dem.core.grid import Grid
from im2dem.io.elevation_fetch import Server, fetch_elevation, tile_name, tiles_over
from im2dem.io.geotiff import read_raster

GRID = Grid((20, 20), Affine(0.0002, 0, 8.999, 0, -0.0002, 47.5), "EPSG:4326")  # over two tiles


@pytest.fixture
def served(tmp_path):
    """A server that gives `answers` (status, bytes, bytes it promises) in turn, the last one for ever."""
    answers, asked = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body, promised = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield Server(url, tmp_path / "cache", 5.0, (0.0, 0.0)), answers, asked
        server.shutdown()
        thread.join()


def tile(folder):
    path = drawing.draw_dem(folder / "t.tif", crs="EPSG:4326", transform=Affine(1 / 70, 0, 8, 0, -1 / 60, 48))
    return path.read_bytes()


def test_tiles_and_names():
    assert tiles_over(GRID) == [(47, 8), (47, 9)]
    assert tile_name(90, -3, -70) == "Copernicus_DSM_COG_30_S03_00_W070_00_DEM"


def test_whole_tiles_are_kept_and_not_asked_for_again(served, tmp_path):
    server, answers, asked = served
    body = tile(tmp_path)
    answers.append((200, body, len(body)))
    paths = fetch_elevation(GRID, server)
    assert [p.read_bytes() for p in paths] == [body, body]
    name = tile_name(30, 47, 8)
    assert asked[0] == f"/{name}/{name}.tif"
    fetch_elevation(GRID, server)
    assert len(asked) == 2


def test_a_tile_that_is_not_there_is_sea(served):
    server, answers, _ = served
    answers.append((404, b"", 0))
    sea = read_raster(fetch_elevation(GRID, server)[0])
    assert (np.unique(sea.data).tolist(), sea.vertical_datum) == ([0.0], "EGM2008")


def test_an_error_of_the_server_is_tried_again(served, tmp_path):
    server, answers, asked = served
    body = tile(tmp_path)
    answers += [(500, b"", 0), (200, body[:100], len(body)), (200, body, len(body))]
    assert fetch_elevation(GRID, server)[0].read_bytes() == body
    assert len(asked) == 4


@pytest.mark.parametrize("broken", [(500, b"", 0), (200, b"II", 999), (200, b"<html>", 6)], ids=str)
def test_what_stays_broken_is_an_error_and_leaves_nothing(served, broken):
    server, answers, _ = served
    answers.append(broken)
    with pytest.raises(RemoteError, match="--prior") as caught:
        fetch_elevation(GRID, server)
    assert caught.value.exit_code == 5
    assert list(server.cache.iterdir()) == []


def test_no_network(tmp_path):
    with pytest.raises(RemoteError, match="with a network"):
        fetch_elevation(GRID, Server("http://127.0.0.1:9", tmp_path, 1.0, ()))
