"""The queue: takes jobs in, runs them one after the other, tells whoever listens, and forgets them in time."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from im2dem.core.errors import OutputError

from .attempt import Attempt, Live
from .jobs import Failure, Job, JobStore, State
from .metrics import Metrics
from .options import ServeOptions
from .process import COMMAND, JobProcess

log = logging.getLogger("im2dem")

MOST_ATTEMPTS = 2
_TIDY_EVERY_S = 30.0
_FIRST_GUESS_S = 30.0
_LEAST_WAIT_S = 5
_RESPAWN_S = 1.0


class Runner:
    """Jobs of one folder, at most `options.workers` at a time.

    All methods belong to the event loop's thread.

    Parameters
    ----------
    options
        Folder, workers, limits.
    metrics
        What is counted.
    command
        Program that does a job; tests give others.

    Raises
    ------
    UsageError
        Another server has the folder.
    OutputError
        The folder cannot be made or written.
    """

    def __init__(self, options: ServeOptions, metrics: Metrics, command: Sequence[str] = COMMAND) -> None:
        self.options, self.metrics, self._command = options, metrics, tuple(command)
        self.jobs_folder, self.incoming = options.data / "jobs", options.data / "incoming"
        try:
            for folder in (self.jobs_folder, self.incoming):
                folder.mkdir(parents=True, exist_ok=True)
            options.data.chmod(0o700)
        except OSError as error:
            raise OutputError(f"{options.data}: cannot be used ({error.strerror}); give another with --data") from error
        self._store = JobStore(options.data / "jobs.sqlite")
        self._jobs: dict[str, Job] = {}
        self._queue: deque[str] = deque()
        self._more = asyncio.Semaphore(0)
        self._attempts: dict[str, Attempt] = {}
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._uploads = 0
        self._typical_s = _FIRST_GUESS_S
        self._closing = False

    async def start(self) -> None:
        """Take up what an earlier server left, and begin to work."""
        await asyncio.to_thread(_empty, self.incoming)
        for job in self._store.all():
            self._take_up(job)
        for folder in self.jobs_folder.iterdir():
            if folder.name not in self._jobs:
                await asyncio.to_thread(shutil.rmtree, folder, True)
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self.options.workers)]
        self._tasks.append(asyncio.create_task(self._tidy()))

    async def stop(self) -> None:
        """End all processes; jobs that were running wait for the next start."""
        self.hang_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._store.close()

    def hang_up(self) -> None:
        """Let every listener go: the server is about to stop."""
        self._closing = True
        for job_id in list(self._listeners):
            self._wake(job_id)

    @property
    def is_well(self) -> bool:
        """Whether every task that should run does."""
        return bool(self._tasks) and not self._closing and not any(task.done() for task in self._tasks)

    # What clients ask for

    def jobs(self) -> list[Job]:
        """All jobs, newest first."""
        return sorted(self._jobs.values(), key=lambda job: (-job.created, job.id))

    def find(self, job_id: str) -> Job | None:
        """A job, or None: never there, deleted, or expired."""
        return self._jobs.get(job_id)

    def live(self, job_id: str) -> Live | None:
        """How far a running job is."""
        attempt = self._attempts.get(job_id)
        return attempt.live if attempt else None

    def position(self, job_id: str) -> int | None:
        """1 for the job that runs next; None when it does not wait."""
        return self._queue.index(job_id) + 1 if job_id in self._queue else None

    def expires(self, job: Job) -> float | None:
        """When results go, seconds since 1970."""
        return None if job.finished is None else job.finished + self.options.limits.keep_s

    def folder(self, job_id: str) -> Path:
        """Where a job's files are."""
        return self.jobs_folder / job_id

    def retry_after_s(self) -> int:
        """When a place in the queue should be free, from the time that jobs have taken lately."""
        return max(_LEAST_WAIT_S, math.ceil(self._typical_s / self.options.workers))

    @contextmanager
    def place(self) -> Iterator[bool]:
        """A place in the queue, held while a picture comes in; False when none is free."""
        free = len(self._queue) + self._uploads < self.options.limits.queue and not self._closing
        self._uploads += free
        try:
            yield free
        finally:
            self._uploads -= free

    def submit(self, job: Job, folder: Path) -> None:
        """Take a job in whose picture lies in a folder of `incoming`; the folder becomes the job's.

        Raises
        ------
        OutputError
            The disk does not take it.
        """
        try:
            os.replace(folder, self.folder(job.id))
        except OSError as error:
            raise OutputError(f"the picture cannot be kept ({error.strerror}); try again later") from error
        try:
            self._keep(job)
        except OutputError:
            shutil.rmtree(self.folder(job.id), ignore_errors=True)
            raise
        self._enqueue(job)
        self.metrics.accepted(job)

    async def remove(self, job_id: str) -> bool:
        """Stop a job if it runs, and forget it with all its files; False when there is none."""
        job = self._jobs.pop(job_id, None)
        if job is None:
            return False
        self._store.forget(job_id)
        with suppress(ValueError):
            self._queue.remove(job_id)
        attempt = self._attempts.get(job_id)
        if attempt is not None:
            await attempt.stop()
        await asyncio.to_thread(shutil.rmtree, self.folder(job_id), True)
        if not job.state.is_final:
            self.metrics.ended("deleted", job)
        self._wake(job_id)
        return True

    async def changes(self, job_id: str, pause_s: float) -> AsyncIterator[Job | None]:
        """The job now and after every change; None when `pause_s` passed without one; ends when nothing can follow."""
        event = asyncio.Event()
        self._listeners.setdefault(job_id, set()).add(event)
        try:
            while (job := self._jobs.get(job_id)) is not None:
                event.clear()
                yield job
                if job.state.is_final:
                    return
                while not event.is_set():
                    if self._closing:
                        return
                    try:
                        await asyncio.wait_for(event.wait(), pause_s)
                    except TimeoutError:
                        yield None
        finally:
            listeners = self._listeners.get(job_id, set())
            listeners.discard(event)
            if not listeners:
                self._listeners.pop(job_id, None)

    # The work itself

    def _take_up(self, job: Job) -> None:
        folder = self.folder(job.id)
        if not job.state.is_final and not (folder / job.picture_name).is_file():
            job = job.ended(time.time(), Failure("interrupted", "the picture is gone from this server; send it again"))
        elif job.state is State.RUNNING and job.attempts >= MOST_ATTEMPTS:
            words = f"the server ended {job.attempts} times while it worked on this picture; send a smaller one"
            job = job.ended(time.time(), Failure("interrupted", words))
        elif job.state is State.RUNNING:
            job = replace(job, state=State.QUEUED, started=None)
        self._keep(job)
        if job.state is State.QUEUED:
            self._enqueue(job)

    def _keep(self, job: Job) -> None:
        self._store.put(job)
        self._jobs[job.id] = job
        self._wake(job.id)

    def _enqueue(self, job: Job) -> None:
        self._queue.append(job.id)
        self._more.release()

    def _wake(self, job_id: str) -> None:
        for event in self._listeners.get(job_id, ()):
            event.set()

    async def _work(self) -> None:
        """One worker: the process of the next job is started before there is one."""
        spare: JobProcess | None = None
        try:
            while True:
                try:
                    spare = await self._ready(spare)
                    await self._more.acquire()
                    spare = await self._ready(spare)
                except OSError as error:
                    log.error("no process can be started: %s", error)
                    await asyncio.sleep(_RESPAWN_S)
                    continue
                job = self._jobs.get(self._queue.popleft()) if self._queue else None
                if job is not None:
                    process, spare = spare, None
                    await self._attempt_whatever_happens(job, process)
        finally:
            if spare is not None:
                await spare.kill()

    async def _ready(self, spare: JobProcess | None) -> JobProcess:
        if spare is not None and spare.is_waiting:
            return spare
        fresh = JobProcess(self._command, self.options.data)
        await fresh.start()
        return fresh

    async def _attempt_whatever_happens(self, job: Job, process: JobProcess) -> None:
        """One job that cannot be brought to its end (the table's disk is full) must not end the worker."""
        try:
            await self._attempt(job, process)
        except Exception:
            log.exception("job %s", job.id)
            await process.kill()
            self._changed(
                job.ended(time.time(), Failure("output", "the server cannot write to its disk; try again later"))
            )
            await asyncio.sleep(_RESPAWN_S)

    async def _attempt(self, job: Job, process: JobProcess) -> None:
        job = replace(job, state=State.RUNNING, started=time.time(), attempts=job.attempts + 1, notes=())
        attempt = Attempt(job, process, self.options, self.folder(job.id), self._changed)
        self._attempts[job.id] = attempt
        self._keep(job)
        try:
            job = await attempt.run()
        except asyncio.CancelledError:
            await process.kill()
            if job.id in self._jobs:  # the server stops: the next one goes on, and this attempt does not count
                self._store.put(replace(attempt.job, state=State.QUEUED, attempts=attempt.job.attempts - 1))
            raise
        except Exception:
            log.exception("job %s", job.id)
            await process.kill()
            job = attempt.job.ended(time.time(), Failure("internal", "something went wrong inside this server"))
        finally:
            self._attempts.pop(job.id, None)
        if job.id not in self._jobs:  # deleted meanwhile
            return
        if job.state is State.QUEUED and job.attempts < MOST_ATTEMPTS:
            self._keep(job)
            self._enqueue(job)
            return
        self._finish(job)

    def _finish(self, job: Job) -> None:
        if job.state is State.QUEUED:
            words = "the job's process was ended from outside, twice; the machine may be short of memory"
            job = job.ended(time.time(), Failure("crashed", words))
        seconds = (job.finished or time.time()) - (job.started or job.created)
        if job.state is State.DONE:
            self._typical_s += 0.2 * (seconds - self._typical_s)
        self._keep(job)
        self.metrics.ended(job.failure.code if job.failure else "done", job, seconds)
        if job.failure:
            log.info("job %s failed: %s", job.id, job.failure.message)

    def _changed(self, job: Job) -> None:
        """What a running job tells about itself."""
        if job.id in self._jobs:
            self._jobs[job.id] = job
            self._wake(job.id)

    async def _tidy(self) -> None:
        while True:
            try:
                for job in list(self._jobs.values()):
                    due = self.expires(job)
                    if due is not None and due <= time.time():
                        await self.remove(job.id)
                        self.metrics.expired()
            except Exception:  # a file that cannot be removed now may be in half a minute
                log.exception("tidying up")
            await asyncio.sleep(min(_TIDY_EVERY_S, self.options.limits.keep_s / 2))


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True)
