"""Mosaics on processes that may die."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from im2dem.core.errors import RemoteError, UsageError
from im2dem.core.grid import Window
from im2dem.pipeline.mosaic import crew as crew_room
from im2dem.pipeline.mosaic import predict_mosaic
from mosaic_kit import COL0, ROW0, contents, draw_scene, options, write_net

pytest.importorskip("onnx", reason="toy nets are made with onnx")
distributed = pytest.importorskip("distributed", reason="the extra [dask] is not installed")

PATIENCE_S = 120


class Killer(threading.Thread):
    """Kills one worker process while it has begun a block and not finished it; remembers what it saw."""

    def __init__(self, folder: Path, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self.folder, self.pids, self.killed, self.unfinished = folder, pids, 0, ""

    def run(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while not self.unfinished and time.monotonic() < end:
            for part in self.folder.glob("raw/*.tif.part"):
                for pid in self.pids:
                    if self._works_at(pid, part):
                        os.kill(pid, signal.SIGSTOP)  # so that it cannot finish between the look and the kill
                        note = part.with_name(part.name.replace(".tif.part", ".json"))
                        is_late = note.exists()
                        os.kill(pid, signal.SIGCONT if is_late else signal.SIGKILL)
                        if not is_late:
                            self.killed, self.unfinished = pid, note.name
                            return
            time.sleep(0.002)

    @staticmethod
    def _works_at(pid: int, part: Path) -> bool:
        """Whether a process has a file of a block's scratch folder open."""
        try:
            held = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
        except OSError:
            return False
        return any(name.startswith(f"{part}/") for name in held)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="which process works at a block is read from /proc")
def test_a_worker_killed_during_a_block_changes_nothing(tmp_path):
    net = write_net(tmp_path / "toy")
    scene = draw_scene(tmp_path / "a.tif", Window(ROW0, COL0, 440, 520))
    predict_mosaic(scene, tmp_path / "alone", options(net))
    out = tmp_path / "out"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]
        killer = Killer(out, pids)
        killer.start()
        report = predict_mosaic(scene, out, options(net, scheduler=cluster.scheduler_address))
        killer.join(PATIENCE_S)
        assert killer.killed in pids
        again = predict_mosaic(scene, out, options(net, scheduler=cluster.scheduler_address))
    assert (out / "raw" / killer.unfinished).exists()
    assert report.predicted == report.blocks == 20
    assert (again.predicted, again.resumed, again.joined) == (0, 20, 0)
    for room in ("raw", "blocks"):
        assert contents(out, room) == contents(tmp_path / "alone", room)
    assert not list(out.rglob("*.part*"))


def test_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(crew_room, "_ANSWER_S", 1)
    net = write_net(tmp_path / "toy")
    scene = draw_scene(tmp_path / "a.tif", Window(ROW0, COL0, 100, 100))
    with pytest.raises(RemoteError, match="no Dask scheduler answers"):
        predict_mosaic(scene, tmp_path / "out", options(net, scheduler="tcp://127.0.0.1:9"))


@pytest.mark.parametrize(("scheduler", "workers"), [("tcp://127.0.0.1:9", 2), (None, 0)])
def test_workers_that_make_no_sense(scheduler, workers):
    with pytest.raises(UsageError, match="--workers"), crew_room.crew(scheduler, workers):
        pass
