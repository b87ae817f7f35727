"""An HTTP server of files with range requests, on loopback, that fails when told to."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NUMBERS = itertools.count()
API = ("/search", "/collections", "/conformance", "/api")


@dataclass
class Fault:
    """Answer wrongly to paths that contain `part`, `times` times.

    `kind`: a status as text ("429", "500", "404", "403"), "slow", "truncated" (the announced length is not sent) or
    "garbage" (200 with a page of HTML).
    """

    part: str
    kind: str
    times: int = 1
    only_ranges_beyond: int = -1


@dataclass
class FaultyServer:
    """Serves a folder; what a STAC API answers to is passed on to one; `/token/NAME` hands out tokens."""

    folder: Path
    behind: str | None = None
    faults: list[Fault] = field(default_factory=list)
    needs_token: bool = False
    token_life_s: float = 3600.0
    slow_s: float = 3.0
    latency_s: float = 0.0
    requests: list[tuple[str, int]] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    tokens: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer.answer(self)

            do_POST = do_GET  # noqa: N815
            do_HEAD = do_GET  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> FaultyServer:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def new_token(self) -> tuple[str, float]:
        with self.lock:
            # Never the same twice in a process: GDAL remembers what it has read from an address.
            name = f"sig=t{next(NUMBERS)}"
            self.tokens[name] = time.time() + self.token_life_s
            return name, self.tokens[name]

    def fault_for(self, path: str, start: int) -> str | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.part in path and start > fault.only_ranges_beyond:
                    fault.times -= 1
                    self.injected[fault.kind] += 1
                    return fault.kind
        return None

    def count(self, part: str, least_status: int = 200) -> int:
        """Requests whose path contains `part`."""
        return sum(1 for path, status in self.requests if part in path and status >= least_status)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        span = handler.headers.get("Range", "")
        start = int(span.removeprefix("bytes=").split("-")[0]) if span else 0
        kind = self.fault_for(parts.path, start)
        if self.latency_s:
            time.sleep(self.latency_s)
        status, headers, content = self.content(handler, parts.path, parts.query, body)
        if kind == "slow":
            time.sleep(self.slow_s)
        elif kind == "garbage":
            status, headers, content = 200, {}, b"<html><body>Busy, come back later</body></html>"
        elif kind is not None and kind.isdigit():
            status, headers, content = int(kind), {"Retry-After": "0"}, b"no"
        with self.lock:
            self.requests.append((parts.path, status))
        with contextlib.suppress(OSError):  # the client gave up
            self.send(handler, status, headers, content, span, kind == "truncated")

    def content(
        self, handler: BaseHTTPRequestHandler, path: str, query: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/token/"):
            token, ends = self.new_token()
            when = datetime.fromtimestamp(ends, UTC) + timedelta(0)
            text = f'{{"token": "{token}", "msft:expiry": "{when.isoformat().replace("+00:00", "Z")}"}}'
            return 200, {"Content-Type": "application/json"}, text.encode()
        if self.behind and (path == "/" or path.startswith(API)):
            return self.pass_on(handler, body)
        if self.needs_token and self.tokens.get(query.split("&")[0], 0.0) < time.time():
            return 403, {}, b"token expired"
        file = self.folder / path.lstrip("/")
        if not file.is_file():
            return 404, {}, b"not here"
        return 200, {"Content-Type": "application/octet-stream"}, file.read_bytes()

    def pass_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        target = f"{self.behind}{handler.path}"
        request = urllib.request.Request(target, body or None, method=handler.command)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, {"Content-Type": answer.headers["Content-Type"]}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {}, error.read()

    def send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        content: bytes,
        span: str,
        cut: bool,
    ) -> None:
        total = len(content)
        if span and status == 200 and headers.get("Content-Type") == "application/octet-stream":
            first, _, last = span.removeprefix("bytes=").partition("-")
            low, high = int(first), min(int(last) if last else total - 1, total - 1)
            if low >= total:
                status, content = 416, b""
            else:
                status, content = 206, content[low : high + 1]
                headers = headers | {"Content-Range": f"bytes {low}-{high}/{total}"}
        handler.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content)), "Accept-Ranges": "bytes"}.items():
            handler.send_header(key, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        sent = content[: len(content) // 2] if cut else content
        handler.wfile.write(sent)
        with self.lock:
            self.bytes_sent += len(sent)
        if cut:
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)


def wait_for(ready: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return when `ready`, or fail."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"not ready after {seconds} s")
        time.sleep(0.05)
