"""A server from its address to its end."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

from im2dem.core.errors import UsageError

from .app import Application
from .options import ServeOptions
from .process import COMMAND

_GRACE_S = 5
_KEEP_ALIVE_S = 15
# Connections, those that listen to events included; the next are told to come back.
_MOST_CONNECTIONS = 500
_BACKLOG = 128
_LONGEST_HEAD = 32 * 1024


def serve(options: ServeOptions, ready: Callable[[str], None], command: Sequence[str] = COMMAND) -> None:
    """Serve until somebody ends it (Ctrl-C, SIGTERM); jobs that run then go on with the next start.

    Parameters
    ----------
    options
        See `ServeOptions`.
    ready
        Called with the server's address once it listens.
    command
        Program that does a job; tests give others.

    Raises
    ------
    MissingDependencyError
        The extra "serve" is not installed.
    UsageError
        The address is taken or not this machine's, or another server has the folder.
    OutputError
        The folder cannot be used.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line for each bad form fills a disk
    application = Application(options, command)
    listener = listen(options.host, options.port)
    server = make_server(application)
    ready(address(options.host, listener.getsockname()[1]))
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()


def make_server(application: Application) -> Any:
    """The web server around an application; a signal lets listeners go, so that it can end."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            # Not uvicorn's own, which raises the signal again afterwards: being ended is how a server ends well.
            del frame
            application.runner.hang_up()
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    config = uvicorn.Config(
        application.asgi,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises
    ------
    UsageError
        It is taken, needs rights, or is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        bound = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # on Windows it would let two servers share the port
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
            bound.listen(_BACKLOG)  # from here on clients wait instead of being refused
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host}, port {port} ({error.strerror or error}); choose another with --port or --host"
        ) from error
    return bound


def address(host: str, port: int) -> str:
    """Where a browser on this machine finds the server.

    >>> address("0.0.0.0", 8000), address("::1", 80)
    ('http://localhost:8000/', 'http://[::1]:80/')
    """
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"
