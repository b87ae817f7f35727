"""Many clients at one server, with faults: python benchmarks/soak.py [--quick].

A real `im2dem serve` in a process of its own, real jobs. Clients send pictures and follow them to their end; on the way
pictures are broken, connections cut, jobs deleted, workers killed, and the server itself is killed and started again.
Afterwards: every job that was accepted is done, told failed for a reason that was given to it, or deleted by its own
client; no process, file or open descriptor is left over; memory is flat.

Needs the extra "serve", and /proc (Linux) for memory and processes.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PROGRAM = "import typer; from im2dem.cli import serve; app = typer.Typer(); serve.add_to(app); app()"
SIDE_PX = 96
# One picture in so many is of several tiles, and its heights have overviews.
LARGE_PX, LARGE_EVERY = 600, 12
PATIENCE_S = 600.0
QUEUE = 12
# What a client does with its next job, and how often.
DEEDS = {"send": 60, "broken": 10, "hang up": 8, "delete": 12, "stop listening": 10}
SETTLE_S = 3.0


@dataclass
class Tally:
    """What all clients and the trouble-maker saw, under one lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)

    def add(self, what: str) -> None:
        """Count something."""
        with self.lock:
            self.counts[what] += 1


class Server:
    """The server, in whichever process it is at the moment."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.port = folder, 0
        self._words = ["--data", str(folder), "--queue", str(QUEUE), "--workers", str(workers), "--max-seconds", "120"]
        self.start()

    def start(self) -> None:
        """Start it at the port it had, or at any."""
        command = [sys.executable, "-c", PROGRAM, "--port", str(self.port), *self._words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = (self.process.stdout or io.StringIO()).readline()
        self.port = int(line.split()[1].rstrip("/").rpartition(":")[2])

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, http.client.HTTPMessage]:
        """One request; (status, JSON or None, headers)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "image/png"} if body else {})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else None, answer.headers
        finally:
            connection.close()

    def children(self) -> list[int]:
        """Numbers of the processes that it started."""
        return [int(n) for n in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def memory_mb(self) -> float:
        """Resident memory of the server's own process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000

    def descriptors(self) -> int:
        """Files and connections that it holds open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def picture(rng: np.random.Generator, side: int = SIDE_PX) -> bytes:
    """A drawn picture as PNG."""
    rows, cols = np.mgrid[0:side, 0:side]
    relief = np.sin(rows / rng.uniform(5, 15)) + np.cos(cols / rng.uniform(5, 15))
    rgb = np.clip(120 + 40 * relief[..., None] + rng.normal(0, 6, (side, side, 3)), 1, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


class ClientThread(threading.Thread):
    """One client: takes a number of jobs from those that are left, one after the other."""

    def __init__(self, server: Server, tally: Tally, left: list[int], seed: int) -> None:
        super().__init__(daemon=True)
        self.server, self.tally, self.left = server, tally, left
        self.dice, self.rng = random.Random(seed), np.random.default_rng(seed)

    def run(self) -> None:
        """Work until nothing is left."""
        while True:
            with self.tally.lock:
                if not self.left:
                    return
                number = self.left.pop()
            self.one(number)

    def one(self, number: int) -> None:
        """One picture, and what this client does with it."""
        deed = self.dice.choices(list(DEEDS), list(DEEDS.values()))[0]
        body = picture(self.rng, SIDE_PX if number % LARGE_EVERY else LARGE_PX)
        if deed == "hang up":
            self.hang_up(body)
            self.tally.add("hung up while sending")
            return
        if deed == "broken":
            body = body[: self.dice.randrange(60, len(body) * 3 // 4)]
        job_id = self.send(body, number)
        if deed == "stop listening":
            self.listen_a_little(job_id)
        if deed == "delete":
            time.sleep(self.dice.uniform(0, 4))
            status = self.patiently("DELETE", f"/api/jobs/{job_id}")[0]
            # A server that was killed after it deleted and before it answered is asked again: 404 is right, too.
            self.tally.add("deleted" if status in (204, 404) else f"delete gave {status}")
            return
        self.tally.add(self.follow(job_id, deed))

    def send(self, body: bytes, number: int) -> str:
        """Send until the server takes it; its id."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            status, job, headers = self.patiently("POST", f"/api/jobs?name={number}.png&gsd=10", body)
            if status == 201:
                self.tally.add("accepted")
                return str(job["id"])
            self.tally.add(f"answered {status}")
            time.sleep(min(5.0, float(headers.get("retry-after", 1))) * self.dice.uniform(0.3, 1))
        raise TimeoutError("the server took nothing")

    def follow(self, job_id: str, deed: str) -> str:
        """The end of a job, in words; anything unexpected counts as lost."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            status, job, _ = self.patiently("GET", f"/api/jobs/{job_id}")
            if status != 200:
                break
            if job["state"] == "done" and deed != "broken":
                heights = self.patiently("HEAD", job["links"]["dem"])
                if heights[0] == 200 and int(heights[2]["content-length"]) > 1000:
                    return "done"
                break
            if job["state"] == "failed":
                code = job["failure"]["code"]
                # A good picture may fail only because its process or its server was killed again and again.
                if code in (("input",) if deed == "broken" else ("crashed", "interrupted")):
                    return f"told failed: {code}"
                break
            time.sleep(self.dice.uniform(0.1, 0.5))
        with self.tally.lock:
            self.tally.lost.append(f"{deed} {job_id}: {status} {job}")
        return "LOST"

    def patiently(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, http.client.HTTPMessage]:
        """Ask again while the server is away."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.server.ask(method, path, body)
            except (OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
                self.tally.add("asked again: no answer")
                time.sleep(0.2)

    def hang_up(self, body: bytes) -> None:
        """Break off in the middle of a picture."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            connection.putrequest("POST", "/api/jobs")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            connection.send(body[: len(body) // 2])
            connection.close()
        except OSError:
            pass

    def listen_a_little(self, job_id: str) -> None:
        """Open the events, read one, go away."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            connection.request("GET", f"/api/jobs/{job_id}/events")
            connection.getresponse().readline()
            connection.close()
        except (OSError, http.client.HTTPException):
            pass


def trouble(server: Server, tally: Tally, done: threading.Event, restarts: int) -> None:
    """Kill workers now and then, and the server a few times."""
    dice = random.Random(99)
    due = [(i + 1) / (restarts + 1) for i in range(restarts)]
    accepted_before = 0
    total = tally.counts["jobs in all"]
    while not done.wait(dice.uniform(3, 6)):
        tally.memory.append((tally.counts["accepted"], server.memory_mb()))
        if due and tally.counts["accepted"] >= due[0] * total * 0.8:
            due.pop(0)
            children = server.children()
            server.process.kill()
            server.process.wait()
            tally.add("server killed")
            end = time.monotonic() + 5
            while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < end:
                time.sleep(0.05)
            if any(Path(f"/proc/{pid}").exists() for pid in children):
                tally.lost.append(f"workers outlived their server: {children}")
            server.start()
        elif tally.counts["accepted"] > accepted_before + 8:
            accepted_before = tally.counts["accepted"]
            for pid in server.children()[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    tally.add("worker killed")
                except ProcessLookupError:
                    pass


def soak(jobs: int, clients: int, restarts: int, workers: int) -> dict[str, Any]:
    """Run it; figures and what was lost."""
    tally = Tally()
    tally.counts["jobs in all"] = jobs
    with tempfile.TemporaryDirectory(prefix="im2dem-soak-") as name:
        server = Server(Path(name), workers)
        try:
            time.sleep(SETTLE_S)
            before = {"memory_mb": server.memory_mb(), "descriptors": server.descriptors()}
            left, done = list(range(jobs)), threading.Event()
            threads = [ClientThread(server, tally, left, seed) for seed in range(clients)]
            maker = threading.Thread(target=trouble, args=(server, tally, done, restarts), daemon=True)
            for thread in (*threads, maker):
                thread.start()
            for thread in threads:
                thread.join()
            done.set()
            maker.join()
            time.sleep(SETTLE_S)
            after = {"memory_mb": server.memory_mb(), "descriptors": server.descriptors()}
            known = {job["id"] for job in server.ask("GET", "/api/jobs")[1]["jobs"]}
            folders = {path.name for path in (Path(name) / "jobs").iterdir()}
            halves = [path.name for path in (Path(name) / "incoming").iterdir()]
            children = server.children()
        finally:
            server.process.terminate()
            server.process.wait(30)
        outlived = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    return {
        "counts": dict(sorted(tally.counts.items())),
        "lost": tally.lost,
        "before": before,
        "after": after,
        "memory_mb_by_accepted": tally.memory,
        "folders_without_job": sorted(folders - known),
        "jobs_without_folder": sorted(known - folders),
        "half_uploads": halves,
        "processes_at_the_end": len(children),
        "processes_that_outlived": outlived,
        "exit_code": server.process.returncode,
    }


def main() -> int:
    """Run and print; 1 when something was lost or left over."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="30 jobs by 6 clients, one restart")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    jobs, clients, restarts = (30, 6, 1) if chosen.quick else (chosen.jobs, chosen.clients, chosen.restarts)
    began = time.monotonic()
    found = soak(jobs, clients, restarts, chosen.workers)
    found["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(found, indent=1))
    names = ("lost", "folders_without_job", "jobs_without_folder", "half_uploads", "processes_that_outlived")
    return 1 if any(found[name] for name in names) else 0


if __name__ == "__main__":
    sys.exit(main())
