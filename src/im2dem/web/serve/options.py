"""What may be chosen for a server, and what it will not do however it is asked."""

from __future__ import annotations

import ipaddress
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from im2dem.core.errors import UsageError

LEAST_TOKEN = 16
_LOCAL_NAMES = ("localhost", "localhost.localdomain")


@dataclass(frozen=True)
class Limits:
    """How much one job, and all of them, may take.

    Parameters
    ----------
    upload_bytes
        Size of one picture's file.
    pixels
        Width times height of one picture; the default lets a whole Sentinel-2 scene through. All its bands together
        may hold `bytes_per_pixel` for each of them.
    seconds
        Time of one job, from its start to its page.
    memory_bytes
        What one job may allocate, where the system can hold a process to it (Linux); 0: no limit.
    queue
        Jobs that may wait; more are refused until one is done.
    keep_s
        How long results stay, seconds after the job has ended.

    Raises
    ------
    UsageError
        A number out of its range.
    """

    upload_bytes: int = 1_000_000_000
    pixels: int = 150_000_000
    seconds: float = 1800.0
    memory_bytes: int = 4_000_000_000
    queue: int = 20
    keep_s: float = 86_400.0

    bytes_per_pixel = 32

    def __post_init__(self) -> None:
        for name in ("upload_bytes", "pixels", "seconds", "queue", "keep_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError(f"the limit {name} must be above 0, got {value}")
        if self.memory_bytes < 0:
            raise UsageError(f"the limit of memory must be at least 0 (0: none), got {self.memory_bytes}")


@dataclass(frozen=True)
class ServeOptions:
    """Where a server listens, whom it lets in, and where it keeps jobs.

    Parameters
    ----------
    data
        Folder of the jobs; made when it is not there. One server at a time.
    host, port
        Address to listen at; port 0: any that is free.
    token
        Word that every request must bring; None: nobody is asked.
    open_to_all
        Said explicitly: no token although others can reach the server.
    names
        Further host names under which browsers may ask for this server, e.g. behind a proxy.
    workers
        Jobs at a time.
    limits
        See `Limits`.

    Raises
    ------
    UsageError
        Others could reach the server and nobody decided about a token; a token that can be guessed; no worker.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    open_to_all: bool = False
    names: tuple[str, ...] = ()
    workers: int = 1
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"a port is a number from 0 to 65535, got {self.port}")
        if self.workers < 1:
            raise UsageError(f"a server needs at least 1 worker, got {self.workers}")
        if self.token is not None and self.open_to_all:
            raise UsageError("--token and --no-token exclude each other; give one of them")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise UsageError("the token may hold letters, digits and marks, without spaces or other characters")
        if self.token is not None and len(self.token) < LEAST_TOKEN:
            raise UsageError(
                f"the token has {len(self.token)} characters and could be guessed; give {LEAST_TOKEN} or more, e.g. "
                "from: python -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        if not is_loopback(self.host) and self.token is None and not self.open_to_all:
            raise UsageError(
                f"at {self.host} other machines can reach this server; give --token (or IM2DEM_SERVE_TOKEN), or say "
                "--no-token when whoever reaches it may use it"
            )

    @property
    def threads(self) -> int:
        """Threads of one job's network: the cores, shared among the workers."""
        return max(1, (os.cpu_count() or 1) // self.workers)

    def allows_host(self, host: str) -> bool:
        """Whether a request may name this host (without its port) as the one it asks.

        A page of a stranger can make a browser ask a *name* that it controls for anything in this network (DNS
        rebinding), never an address: addresses and the names of this machine are let through, other names only when
        they were told.
        """
        name = host.lower().rstrip(".")
        return name in _LOCAL_NAMES or name in (own.lower() for own in self.names) or _is_address(name)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
