"""Batches drawn ahead of the net, with the time that the net waits for them."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from .batches import Batch, Sampler
from .resident import ResidentSampler


class Feed:
    """Batches drawn by threads of the host: those of the steps from `first` to `last`, in order.

    Parameters
    ----------
    sampler
        Draws the batch of a number.
    first, last
        Steps, the last one excluded.
    device
        Where the net is.
    share
        This process and how many there are: each draws other batches.
    """

    def __init__(
        self, sampler: Sampler, first: int, last: int, device: torch.device, share: tuple[int, int] = (0, 1)
    ) -> None:
        self.sampler, self.first, self.last, self.device, self.share = sampler, first, last, device, share
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[Batch]:
        rank, world = self.share
        workers = max(1, min(8, (os.cpu_count() or 2) - 1)) if self.device.type == "cuda" else 1
        ahead: deque[Future[Batch]] = deque()
        # one thread for each worker: a second pool of OpenMP threads beside the net's would fight over the cores
        pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for step in range(self.first, self.last):
                while len(ahead) <= 2 * workers and step + len(ahead) < self.last:
                    ahead.append(pool.submit(self.sampler.batch, (step + len(ahead)) * world + rank))
                began = time.perf_counter()
                batch = ahead.popleft().result().to(self.device)
                self.waited_s += time.perf_counter() - began
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class ResidentFeed:
    """Batches drawn on the device itself, one ahead of the net; parameters as of `Feed`."""

    def __init__(self, sampler: ResidentSampler, first: int, last: int, share: tuple[int, int] = (0, 1)) -> None:
        self.sampler, self.first, self.last, self.share = sampler, first, last, share
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[Batch]:
        rank, world = self.share
        ahead: Batch | None = None
        for step in range(self.first, self.last):
            began = time.perf_counter()
            batch = self.sampler.batch(step * world + rank) if ahead is None else ahead
            # the device draws this one while it still has the step before to finish
            ahead = self.sampler.batch((step + 1) * world + rank) if step + 1 < self.last else None
            self.waited_s += time.perf_counter() - began
            yield batch


def make_feed(
    sampler: Sampler | ResidentSampler, first: int, last: int, device: torch.device, share: tuple[int, int]
) -> Feed | ResidentFeed:
    """The feed that fits a sampler."""
    if isinstance(sampler, ResidentSampler):
        return ResidentFeed(sampler, first, last, share)
    return Feed(sampler, first, last, device, share)
