"""One attempt at one job: the order, what its process tells, its time, and what its end means."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .jobs import Failure, Job, State
from .options import ServeOptions
from .process import JobProcess

log = logging.getLogger("im2dem")

# Share of the whole that each stage takes, measured on scenes of 1 to 100 million pixels.
STAGES = {"check": 0.03, "predict": 0.74, "level": 0.01, "write": 0.12, "page": 0.10}
_MOST_NOTES = 20
_OUTSIDE = {-int(getattr(signal, name)) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)}
_LEAST_FILE_BYTES = 2_000_000_000
_BYTES_PER_PIXEL_OUT = 40


@dataclass(frozen=True)
class Live:
    """How far a running job is.

    Parameters
    ----------
    stage
        One of `STAGES`.
    done, total
        Within the stage: tiles, rows or steps.
    has_preview
        Whether the small picture is there.
    """

    stage: str = "check"
    done: int = 0
    total: int = 1
    has_preview: bool = False

    @property
    def progress(self) -> float:
        """Of the whole job, 0 to 1."""
        names = list(STAGES)
        before = sum(STAGES[name] for name in names[: names.index(self.stage)])
        return round(before + STAGES[self.stage] * min(1.0, self.done / max(1, self.total)), 4)


class Attempt:
    """A job, the process that does it, and how far it is.

    Parameters
    ----------
    job
        Running.
    process
        Started, without an order.
    options
        Limits and threads.
    folder
        Of the job.
    changed
        Called after every change, with the job.
    """

    def __init__(
        self, job: Job, process: JobProcess, options: ServeOptions, folder: Path, changed: Callable[[Job], None]
    ) -> None:
        self.job, self.live = job, Live()
        self._process, self._options, self._folder, self._changed = process, options, folder, changed
        self._result: dict[str, Any] | None = None
        self._failure: Failure | None = None

    async def run(self) -> Job:
        """The job afterwards: done, failed, or queued again because somebody else ended the process."""
        limits = self._options.limits
        try:
            await self._process.order(self._order())
            async with asyncio.timeout(limits.seconds):
                async for message in self._process.messages():
                    self._hear(message)
                status = await self._process.ended()
        except TimeoutError:
            await self._process.kill()
            words = (
                f"took longer than the {limits.seconds:g} seconds that this server gives to a job; send a smaller part"
            )
            return self._failed(Failure("time", f"{self.job.name}: {words}"))
        except OSError:
            status = await self._process.ended()
        finally:
            await self._process.kill()
        return self._after(status)

    async def stop(self) -> None:
        """End it; `run` returns soon after."""
        await self._process.kill()

    def _order(self) -> dict[str, Any]:
        job, limits = self.job, self._options.limits
        most = max(_LEAST_FILE_BYTES, limits.pixels * _BYTES_PER_PIXEL_OUT)
        return {
            "folder": str(self._folder.resolve()),
            "picture": job.picture_name,
            "name": job.name,
            "wishes": dict(job.wishes),
            "pixels": limits.pixels,
            "bytes_per_pixel": limits.bytes_per_pixel,
            "threads": self._options.threads,
            "resume": job.attempts > 1,
            "limits": {
                "memory_bytes": limits.memory_bytes,
                "seconds": limits.seconds,
                "threads": self._options.threads,
                "file_bytes": most,
            },
        }

    def _hear(self, message: dict[str, Any]) -> None:
        stage = message.get("stage")
        if stage in STAGES:
            preview = self.live.has_preview or bool(message.get("preview"))
            self.live = Live(stage, int(message.get("done", 0)), int(message.get("total", 1)), preview)
        if "picture" in message:
            self.job = replace(self.job, picture=message["picture"])
        if "note" in message and len(self.job.notes) < _MOST_NOTES:
            self.job = replace(self.job, notes=(*self.job.notes, str(message["note"])))
        if "result" in message:
            self._result = message["result"]
        if "failure" in message:
            self._failure = Failure(str(message["failure"]["code"]), str(message["failure"]["message"]))
        self._changed(self.job)

    def _after(self, status: int) -> Job:
        if self._failure is not None:
            if self._failure.code == "internal":
                log.error("job %s: %s", self.job.id, self._process.errors)
            return self._failed(self._failure)
        if self._result is not None and status == 0:
            return replace(self.job, result=self._result).ended(time.time())
        if status in _OUTSIDE:
            return replace(self.job, state=State.QUEUED)
        log.error("job %s ended with status %d: %s", self.job.id, status, self._process.errors)
        words = "its process broke off; the file may be damaged in a way that nobody foresaw, or need too much memory"
        return self._failed(Failure("crashed", f"{self.job.name}: {words}"))

    def _failed(self, failure: Failure) -> Job:
        # Nobody will need what was half done, and the tiles of a large scene are larger than the scene.
        for left in self._folder.glob("*.part*"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        return self.job.ended(time.time(), failure)
