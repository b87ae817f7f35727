"""What Prometheus may ask: jobs by their end, times, sizes, requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .jobs import Job, State

_JOB_BUCKETS_S = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600)
_PIXEL_BUCKETS = (1e5, 1e6, 4e6, 1.6e7, 6.4e7, 1.28e8, 5e8)


class Metrics:
    """Counters in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self._registry = registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=registry)
        self._jobs = Gauge("im2dem_jobs", "Jobs now, by state.", ["state"], registry=registry)
        self._accepted = Counter("im2dem_jobs_accepted", "Jobs taken in.", registry=registry)
        self._upload = Counter("im2dem_upload_bytes", "Bytes of the pictures taken in.", registry=registry)
        self._ended = Counter(
            "im2dem_jobs_ended",
            "Jobs that ended: done, deleted, or why they failed.",
            ["how"],
            registry=registry,
        )
        self._expired = Counter("im2dem_jobs_expired", "Jobs whose time was over.", registry=registry)
        self._seconds = Histogram(
            "im2dem_job_seconds", "Time from start to end.", buckets=_JOB_BUCKETS_S, registry=registry
        )
        self._pixels = Histogram(
            "im2dem_job_pixels", "Size of pictures that gave heights.", buckets=_PIXEL_BUCKETS, registry=registry
        )
        self._requests = Counter(
            "im2dem_http_requests", "Answers, by method and status.", ["method", "status"], registry=registry
        )

    def accepted(self, job: Job) -> None:
        """A job came in."""
        self._accepted.inc()
        self._upload.inc(job.size_bytes)

    def ended(self, how: str, job: Job, seconds: float | None = None) -> None:
        """A job ended: "done", "deleted", or the code of its failure."""
        self._ended.labels(how).inc()
        if seconds is not None:
            self._seconds.observe(seconds)
        if how == "done" and job.picture:
            self._pixels.observe(job.picture["width"] * job.picture["height"])

    def expired(self) -> None:
        """A job was forgotten because its time was over."""
        self._expired.inc()

    def answered(self, method: str, status: int) -> None:
        """A request was answered; methods that nobody knows count as one."""
        known = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH")
        self._requests.labels(method if method in known else "other", str(status)).inc()

    def watch(self, count: Callable[[State], float]) -> None:
        """Where the number of jobs in a state is asked for."""
        for state in State:
            self._jobs.labels(state.value).set_function(partial(count, state))

    def text(self) -> tuple[bytes, str]:
        """All of it and its media type, for a scraper."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        body: Any = generate_latest(self._registry)
        return bytes(body), CONTENT_TYPE_LATEST
