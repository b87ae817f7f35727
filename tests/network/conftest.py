"""A STAC API (rustac, not ours) and its rasters on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from network import stac_world
from network.faulty_server import NUMBERS, FaultyServer, wait_for


def rustac_program() -> str | None:
    """The server that the package `rustac` brings."""
    beside = Path(sys.executable).parent / "rustac"
    return str(beside) if beside.exists() else shutil.which("rustac")


@contextmanager
def serving(folder: Path, side: int = stac_world.SIDE) -> Iterator[FaultyServer]:
    """A FaultyServer of the drawn world with a STAC API behind it."""
    program = rustac_program()
    if program is None:
        pytest.skip("rustac, a STAC server, is not installed (pip install rustac)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with FaultyServer(folder, f"http://127.0.0.1:{port}") as server:
        catalog = folder / "items.json"
        stac_world.write_catalog(catalog, server.url, side)
        process = subprocess.Popen(
            [program, "serve", str(catalog), "--create-collections", "--bind", f"127.0.0.1:{port}",
             "--addr", server.url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/"))
            yield server
        finally:
            process.terminate()
            process.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def drawn_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    stac_world.draw_world(folder)
    return folder


@pytest.fixture(scope="session")
def _world(drawn_world: Path) -> Iterator[FaultyServer]:
    pytest.importorskip("odc.stac", reason="the extra [data] is not installed")
    with serving(drawn_world) as server:
        yield server


@pytest.fixture
def world(_world: FaultyServer) -> FaultyServer:
    """The server without faults and with an empty log."""
    _world.faults.clear()
    _world.requests.clear()
    _world.injected.clear()
    _world.tokens.clear()
    _world.needs_token, _world.token_life_s, _world.latency_s, _world.bytes_sent = False, 3600.0, 0.0, 0
    return _world


@pytest.fixture
def catalog(world: FaultyServer) -> Any:
    """The world as a catalogue; a token address of its own, so that no test reads what another has left in GDAL."""
    from im2dem.io.stac_catalogs import PLANETARY_COMPUTER

    return replace(PLANETARY_COMPUTER, url=world.url, token_url=f"{world.url}/token/{next(NUMBERS)}-{{collection}}")
