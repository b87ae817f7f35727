"""A server that ends, gently or not, loses no job and leaves no process."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager

import pytest

from serve_kit import FAKE, PATIENCE_S, Client, gone, is_alive, needs_serve

needs_serve()

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def run_server(data, said):
    """A server's own process."""
    from im2dem.web.serve.options import ServeOptions
    from im2dem.web.serve.run import serve

    serve(ServeOptions(data, port=0), said.send, FAKE)


@pytest.fixture(scope="module")
def processes():
    """Makes processes from one that has the libraries loaded: a server then starts in no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["im2dem.web.serve.api", "im2dem.web.serve.run", "fastapi", "uvicorn"])
    return context


@contextmanager
def server(processes, data):
    """(process, client) of a server in a process of its own."""
    hear, say = processes.Pipe(duplex=False)
    process = processes.Process(target=run_server, args=(data, say))
    process.start()
    say.close()
    try:
        assert hear.poll(PATIENCE_S)
        client = Client(int(hear.recv().rstrip("/").rpartition(":")[2]))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                if client.get("/healthz").status == 200:
                    break
            except ConnectionError:
                time.sleep(0.02)
        yield process, client
    finally:
        process.kill()
        process.join(PATIENCE_S)
        process.close()
        hear.close()


def until_it_sleeps(client, data, job_id):
    """The number of a job's process, once the job does nothing but wait for its end."""
    client.until(job_id, lambda job: job["stage"] == "predict" and (data / "jobs" / job_id / "seen").exists())
    return int((data / "jobs" / job_id / "pid").read_text())


def test_a_gentle_end_keeps_jobs_and_what_nobody_knows_is_tidied_away(processes, tmp_path):
    with server(processes, tmp_path) as (process, client):
        running, waiting, lost = (client.send(name).json["id"] for name in ("slow-first.png", "a.png", "b.png"))
        worker = until_it_sleeps(client, tmp_path, running)
        os.kill(process.pid, signal.SIGTERM)
        process.join(PATIENCE_S)
        assert process.exitcode == 0
        assert gone(worker)
    for stray in (tmp_path / "jobs" / "stray", tmp_path / "incoming" / "half"):
        stray.mkdir()
        (stray / "picture.part").write_bytes(b"x")
    (tmp_path / "jobs" / lost / "picture.png").unlink()
    with server(processes, tmp_path) as (_, client):
        jobs = [client.until(job_id) for job_id in (running, waiting)]
        # The attempt that the server itself broke off does not count.
        assert [(job["state"], job["attempts"]) for job in jobs] == [("done", 1), ("done", 1)]
        assert client.job(lost)["failure"]["code"] == "interrupted"
        assert {path.name for path in (tmp_path / "jobs").iterdir()} == {running, waiting, lost}
        assert list((tmp_path / "incoming").iterdir()) == []


def test_a_sudden_end_takes_the_workers_along_and_jobs_go_on_but_not_for_ever(processes, tmp_path):
    with server(processes, tmp_path) as (process, client):
        first, always = (client.send(name).json["id"] for name in ("slow-first.png", "slow.png"))
        worker = until_it_sleeps(client, tmp_path, first)
        assert is_alive(worker)
        process.kill()
        assert gone(worker)
    for _ in range(2):
        with server(processes, tmp_path) as (process, client):
            job = client.until(first)
            assert (job["state"], job["attempts"]) == ("done", 2)
            worker = until_it_sleeps(client, tmp_path, always)
            process.kill()
            assert gone(worker)
    orders = (tmp_path / "jobs" / first / "order.json").read_text().splitlines()
    assert [json.loads(order)["resume"] for order in orders] == [False, True]
    with server(processes, tmp_path) as (_, client):
        job = client.until(always)
        assert (job["state"], job["failure"]["code"], job["attempts"]) == ("failed", "interrupted", 2)
