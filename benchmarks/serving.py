"""The server: small pictures beside the same work without one, many clients with faults, strange requests."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soak
from harness import Bar, Outcome, Setup, Table, number, say

from im2dem.pipeline.predict import PredictOptions, predict_file

JOBS, CLIENTS, RESTARTS, WORKERS = 200, 20, 3, 2
QUICK_JOBS, QUICK_CLIENTS, QUICK_RESTARTS = 30, 6, 1
REQUESTS, QUICK_REQUESTS = 100_000, 2000
SMALL, QUICK_SMALL = 40, 8
SMALL_CLIENTS = 4
# What the allocator of a process that answered hundreds of requests may keep.
MOST_GROWTH_MB = 40.0
LEFT_OVER = ("lost", "folders_without_job", "jobs_without_folder", "half_uploads", "processes_that_outlived")
EXPLAIN = (
    "A real `im2dem serve` in a process of its own. *Small pictures*: {small} of {side} px, sent by {clients} clients "
    "to {workers} workers and followed to their end, beside `predict_file` on the same pictures one after the other in "
    "one warm process: every job of the server starts a process of its own, with limits, and that is what it costs."
)


def run(setup: Setup) -> Outcome:
    """Throughput, then the soak, then requests that nobody should send."""
    import fuzz_server  # needs the extra "serve", which no other section does

    small = QUICK_SMALL if setup.quick else SMALL
    ratio = _small_pictures(small)
    say(f"  small pictures: {ratio}")
    jobs, clients, restarts = (QUICK_JOBS, QUICK_CLIENTS, QUICK_RESTARTS) if setup.quick else (JOBS, CLIENTS, RESTARTS)
    found = soak.soak(jobs, clients, restarts, WORKERS)
    say(f"  soak: {found}")
    answers = fuzz_server.requests(QUICK_REQUESTS if setup.quick else REQUESTS, seed=0)
    return describe(ratio, (jobs, clients), found, answers, small)


def _small_pictures(count: int) -> float:
    """Time of the server over that of one warm process, for the same drawn pictures."""
    rng = np.random.default_rng(0)
    pictures = [soak.picture(rng) for _ in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, data in enumerate(pictures):
            (folder / f"{i}.png").write_bytes(data)
        predict_file(folder / "0.png", folder / "warm.tif", PredictOptions())
        began = time.perf_counter()
        for i in range(count):
            predict_file(folder / f"{i}.png", folder / f"{i}.tif", PredictOptions())
        alone = time.perf_counter() - began
        server = soak.Server(folder / "server", WORKERS)
        try:
            began = time.perf_counter()
            with ThreadPoolExecutor(SMALL_CLIENTS) as clients:
                list(clients.map(partial(_send, server), pictures))
            served = time.perf_counter() - began
        finally:
            server.process.terminate()
            server.process.wait(30)
    return served / alone


def _send(server: soak.Server, data: bytes) -> None:
    """Send a picture and wait for its heights."""
    status, job, _ = server.ask("POST", "/api/jobs?name=small.png", data)
    if status != 201 or job is None:
        raise RuntimeError(f"the server answered {status}: {job}")
    while job["state"] not in ("done", "failed"):
        time.sleep(0.05)
        _, job, _ = server.ask("GET", f"/api/jobs/{job['id']}")
    if job["state"] != "done":
        raise RuntimeError(f"a small picture failed: {job['failure']}")


def describe(ratio: float, size: tuple[int, int], found: dict[str, Any], answers: Counter[str], small: int) -> Outcome:
    """Tables and bars of what was seen."""
    left_over = sum(len(found[name]) for name in LEFT_OVER)
    growth = found["after"]["memory_mb"] - found["before"]["memory_mb"]
    sent = sum(answers.values())
    wrong = sum(n for status, n in answers.items() if status.startswith("refused 5"))
    counts = Table(
        "**Many clients, with faults**", ("what", "times"), tuple((k, str(v)) for k, v in found["counts"].items())
    )
    requests = Table("**Requests**", ("answer", "times"), tuple((k, str(v)) for k, v in sorted(answers.items())))
    text = EXPLAIN.format(small=small, side=soak.SIDE_PX, clients=SMALL_CLIENTS, workers=WORKERS)
    return Outcome(
        (text, f"The server took {number(ratio, 1)} times as long.", counts, requests),
        (
            Bar(
                f"{size[0]} jobs by {size[1]} clients with faults: lost or left over",
                "none",
                str(left_over),
                not left_over,
            ),
            Bar(
                "the server's memory after them",
                f"at most {MOST_GROWTH_MB:g} MB more",
                f"{growth:+.0f} MB",
                growth <= MOST_GROWTH_MB,
            ),
            Bar(f"strange requests answered with an error of the server, of {sent}", "none", str(wrong), not wrong),
        ),
    )
