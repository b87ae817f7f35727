"""Who works on the blocks: this process, a few of this machine, or a Dask cluster."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

from im2dem.core.errors import MissingDependencyError, RemoteError, UsageError

from .block import Job

Work = TypeVar("Work")
Result = TypeVar("Result")

_AHEAD = 2  # blocks a worker that are handed out, so that none waits for the next
_RETRIES = 2
_ANSWER_S = 10


class Crew(Protocol):
    """Works on items, in any order."""

    def map(self, do: Callable[[Job, Work], Result], job: Job, items: Iterable[Work], name: str) -> Iterator[Result]:
        """Results as they come; items are taken when there is somebody to work on them."""
        ...


class Alone:
    """This process, one item after the other."""

    def map(self, do: Callable[[Job, Work], Result], job: Job, items: Iterable[Work], name: str) -> Iterator[Result]:
        """See `Crew`."""
        del name
        return (do(job, item) for item in items)


class Cluster:
    """Workers of a Dask scheduler. A worker that dies loses its block, which another one takes over."""

    def __init__(self, dask: Any, client: Any) -> None:
        self._dask, self._client = dask, client

    def map(self, do: Callable[[Job, Work], Result], job: Job, items: Iterable[Work], name: str) -> Iterator[Result]:
        """See `Crew`."""
        waiting = iter(items)

        def submit(count: int) -> list[Any]:
            # A key of its own for each: the scheduler must not take a finished one of another run for it.
            return [
                self._client.submit(do, job, item, key=f"{name}-{uuid.uuid4().hex}", retries=_RETRIES, pure=False)
                for item in islice(waiting, count)
            ]

        queue = self._dask.as_completed(
            submit(_AHEAD * max(2, len(self._client.scheduler_info(n_workers=-1)["workers"])))
        )
        for future in queue:
            try:
                result = future.result()
            except self._dask.KilledWorker as error:
                raise RemoteError(
                    f"several workers died at the same block ({error}); have they enough memory? "
                    "the same command goes on where this one stopped"
                ) from error
            future.release()
            for more in submit(1):
                queue.add(more)
            yield result


@contextmanager
def crew(scheduler: str | None, workers: int | None) -> Iterator[Crew]:
    """Workers for the time of a with block.

    Parameters
    ----------
    scheduler
        Address of a Dask scheduler.
    workers
        Processes of this machine; with 1 and without a scheduler this process does all by itself.

    Raises
    ------
    UsageError
        Both, or fewer than one worker.
    MissingDependencyError
        The extra [dask] is not installed.
    RemoteError
        No scheduler answers.
    """
    if scheduler is not None and workers is not None:
        raise UsageError("--scheduler has its own workers; give --scheduler or --workers, not both")
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"--workers must be from 1 to 1024, got {workers}")
    if scheduler is None and workers in (None, 1):
        yield Alone()
        return
    try:
        import distributed
    except ImportError as error:
        raise MissingDependencyError(
            "a cluster needs packages that are not installed (distributed); run: pip install 'im2dem[dask]'"
        ) from error
    dask: Any = distributed
    with ExitStack() as stack:
        if scheduler is None:
            local = dask.LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None)
            scheduler = stack.enter_context(local).scheduler_address
        try:
            client = dask.Client(scheduler, timeout=_ANSWER_S)
        except (OSError, ValueError) as error:
            raise RemoteError(f"no Dask scheduler answers at {scheduler} ({error}); check the address") from error
        yield Cluster(dask, stack.enter_context(client))


def threads_of(workers: int | None) -> int | None:
    """Threads for the network of one worker on this machine; None: all cores."""
    return None if workers in (None, 1) else max(1, (os.cpu_count() or 1) // int(workers or 1))
