"""A server in a thread, a client that speaks plain HTTP, and a job's process that does what its picture is called."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FAKE = (sys.executable, str(Path(__file__).with_name("serve") / "fake_worker.py"))
# The first bytes of a PNG: enough for the door, and for a fake worker that never looks inside.
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
PATIENCE_S = 30.0


def needs_serve() -> None:
    """Skip where the packages of the extra are not installed."""
    for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        pytest.importorskip(name, reason="the extra [serve] is not installed (make test-all)")


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks one server; every request on a connection of its own."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self.port, self.headers = port, headers or {}

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body, {**self.headers, **(headers or {})}, encode_chunked=chunked)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def send(self, name: str, body: bytes = PNG, **fields: str) -> Answer:
        """A picture in a form."""
        data, kind = form(body, name, fields)
        return self.ask("POST", "/api/jobs", data, {"Content-Type": kind})

    def job(self, job_id: str) -> Any:
        return self.get(f"/api/jobs/{job_id}").json

    def until(self, job_id: str, wanted: Callable[[Any], bool] | None = None) -> Any:
        """The job once it has ended, or once `wanted` holds for it."""
        wanted = wanted or (lambda job: job["state"] in ("done", "failed"))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            job = self.job(job_id)
            if wanted(job):
                return job
            time.sleep(0.02)
        raise AssertionError(f"waited in vain: {job}")


def form(body: bytes, name: str, fields: dict[str, str] | None = None) -> tuple[bytes, str]:
    """A multipart form with a picture, and its content type."""
    border = "----border-of-a-test"
    parts = [
        f'--{border}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in (fields or {}).items()
    ]
    escaped = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{escaped}"\r\n'
    parts.append(head.encode() + b"Content-Type: image/png\r\n\r\n" + body + b"\r\n")
    return b"".join([*parts, f"--{border}--\r\n".encode()]), f"multipart/form-data; boundary={border}"


@contextmanager
def serving(options: Any, command: tuple[str, ...] = FAKE, **headers: str) -> Iterator[Client]:
    """A server in a thread of its own, at any free port; skips without the extra."""
    needs_serve()
    from im2dem.web.serve.app import Application
    from im2dem.web.serve.run import listen, make_server

    listener = listen(options.host, 0)
    failure: list[BaseException] = []
    server: Any = None
    ready = threading.Event()

    def run() -> None:
        nonlocal server
        try:
            application = Application(options, command)
            server = make_server(application)
            ready.set()
            asyncio.run(server.serve(sockets=[listener]))
        except BaseException as error:
            failure.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(PATIENCE_S)
    end = time.monotonic() + PATIENCE_S
    while not failure and not server.started and time.monotonic() < end:
        time.sleep(0.01)
    try:
        if failure:
            raise failure[0]
        yield Client(listener.getsockname()[1], headers)
    finally:
        if server is not None:
            server.handle_exit(2, None)
        thread.join(PATIENCE_S)
        listener.close()
    assert not thread.is_alive(), "the server did not stop"
    if failure:
        raise failure[0]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def gone(pid: int) -> bool:
    """Whether a process ends within a few seconds."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False
