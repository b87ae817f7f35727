"""A job's process seen from the server: started early, given one order, listened to, and ended for certain."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .sandbox import job_environment

log = logging.getLogger("im2dem")

COMMAND = (sys.executable, "-P", "-m", "im2dem.web.serve.worker")
_LONGEST_LINE = 1 << 18
_TAIL = 4000


class JobProcess:
    """One process for one order.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Where it starts; nothing is read there.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command, self._folder = tuple(command), folder
        self._process: asyncio.subprocess.Process | None = None
        self._errors: asyncio.Task[None] | None = None
        self._tail = ""

    async def start(self) -> None:
        """Start it; it waits for its order."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._folder,
            env=job_environment(),
            limit=_LONGEST_LINE,
            # A group of its own: Ctrl-C at the server does not reach it, and whatever it starts ends with it.
            start_new_session=os.name == "posix",
        )
        self._errors = asyncio.create_task(self._listen_to_errors(self._process))

    @property
    def is_waiting(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._started.pid

    @property
    def errors(self) -> str:
        """The end of what it said on standard error."""
        return self._tail

    async def order(self, message: dict[str, Any]) -> None:
        """Give it its order; standard input stays open.

        Raises
        ------
        OSError
            It has ended before.
        """
        stdin = self._started.stdin
        if stdin is None:
            raise BrokenPipeError("the process has no standard input")
        stdin.write((json.dumps(message) + "\n").encode())
        await stdin.drain()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What it tells, until it ends; a line that is none is left out."""
        stdout = self._started.stdout
        while stdout is not None:
            try:
                line = await stdout.readline()
            except ValueError:  # longer than any message: skipped, what follows counts again
                continue
            if not line:
                return
            with suppress(json.JSONDecodeError):
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message

    async def ended(self) -> int:
        """Wait for its end; the exit status, negative after a signal."""
        status = await self._started.wait()
        if self._errors is not None:
            await asyncio.wait([self._errors], timeout=1)
        return status

    async def kill(self) -> None:
        """End it and all that it started, now; returns when it is gone."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform != "win32":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        await self._process.wait()
        if self._errors is not None:
            self._errors.cancel()

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ProcessLookupError("the process was not started")
        return self._process

    async def _listen_to_errors(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        while text := await process.stderr.read(4096):
            self._tail = (self._tail + text.decode("utf-8", "replace"))[-_TAIL:]
