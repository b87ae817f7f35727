"""How fast the main job is beside other ways to do it, how its cost grows, and what a server makes of small pictures.

    python benchmarks/throughput.py --way im2dem SCENE OUT     one way in a process of its own, figures as JSON

The ways that need torch are left out where it is not installed; the last table needs the extra "serve".
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
from drawn_scene import draw_scene
from harness import Bar, Outcome, Setup, Table, say
from memory import LAUNCHER
from rasterio.windows import Window

from im2dem.pipeline.predict import DEFAULT_MODEL, PredictOptions, predict_dem, predict_file
from im2dem.runtime.card import find_model
from im2dem.runtime.providers import available_providers, open_net

SIDE, QUICK_SIDE = 4096, 2048
GROWTH, QUICK_GROWTH = (1000, 2000, 5000, 10_000, 20_000), (1000, 2000, 5000)
SEED_TILE = 256
TILE, OVERLAP = 512, 128
JOBS, QUICK_JOBS = 40, 4
MOST = 0.10
WAYS = {
    "bare": "our network, bare: all tiles in memory already, nothing kept",
    "im2dem": "`im2dem predict`: read, level, blend, sigma, COG with overviews",
    "im2dem-openvino": "`im2dem predict --provider openvino`",
    "loader": "our network in a PyTorch Dataset and DataLoader of windows, as torchgeo and geoai-py do it: mean of "
    "overlaps in memory, plain GeoTIFF without overviews",
    "seed": "the seed's pix2pix U-Net (54 M parameters) in a plain PyTorch loop of 256 px, no overlap, plain GeoTIFF",
}


def run(setup: Setup) -> Outcome:
    """All ways in turn, several rounds; growth; threads; the server."""
    rounds = 2 if setup.quick else 5
    side = QUICK_SIDE if setup.quick else SIDE
    with tempfile.TemporaryDirectory(prefix="im2dem-throughput-") as name:
        folder = Path(name)
        beside = _side_by_side(folder, side, rounds, setup)
        threads = _by_threads(folder, 1 if setup.quick else rounds, setup)
        growth = _growth(folder, QUICK_GROWTH if setup.quick else GROWTH, setup)
    served = _served(QUICK_JOBS if setup.quick else JOBS, rounds) if find_spec("fastapi") else None
    return describe(side, rounds, beside, threads, growth, served)


def describe(
    side: int,
    rounds: int,
    beside: dict[str, list[dict[str, float]]],
    threads: dict[str, list[float]],
    growth: dict[int, float],
    served: dict[int, float] | None,
) -> Outcome:
    """Tables of ratios, and the bars."""
    rows = []
    for way, turns in beside.items():
        ratios = [(t["wall"] / b["wall"], t["cpu"] / b["cpu"]) for t, b in zip(turns, beside["bare"], strict=False)]
        wall, cpu = np.median(ratios, axis=0)
        extremes = f"{min(r[0] for r in ratios):.2f} to {max(r[0] for r in ratios):.2f}"
        peak = np.median([t["peak_gb"] for t in turns])
        rows.append(
            (WAYS[way], str(len(turns)), f"{1 / wall:.2f}", f"{wall:.3f}", extremes, f"{cpu:.3f}", f"{peak:.2f}")
        )
    overhead = float(np.median([t["wall"] / b["wall"] for t, b in zip(beside["im2dem"], beside["bare"], strict=True)]))
    work = float(np.median([t["cpu"] / b["cpu"] for t, b in zip(beside["im2dem"], beside["bare"], strict=True)]))
    first = Table(
        f"{side} x {side} px, uint16, three bands; 1 = the bare network. {rounds} rounds, all ways in turn, each in a "
        "process of its own, started Python and loaded libraries not counted; loading the weights is.",
        ("way", "rounds", "MPix/s, ratio", "time, ratio", "extremes", "processor time, ratio", "peak GB"),
        tuple(rows),
    )
    base = threads["bare 1"]
    second = Table(
        "Threads: time over that of the bare network with one thread, medians.",
        ("what", "ratio"),
        tuple((k, f"{np.median(np.divide(v, base)):.2f}") for k, v in threads.items()),
    )
    mpix = {s: s * s / 1e6 for s in growth}
    slope = float(np.polyfit(np.log(list(mpix.values())), np.log(list(growth.values())), 1)[0])
    smallest = min(growth)
    third = Table(
        f"Cost of a scene, `predict` in all, over that of {mpix[smallest]:.0f} MPix; slope of the line through the "
        f"logarithms: {slope:.2f}.",
        ("MPix", "cost", "cost a pixel"),
        tuple(
            (f"{mpix[s]:.0f}", f"{t / growth[smallest]:.1f}", f"{t / growth[smallest] / mpix[s] * mpix[smallest]:.2f}")
            for s, t in growth.items()
        ),
    )
    blocks: list[str | Table] = [first, second, third]
    if served is not None:
        blocks.append(
            Table(
                "Small pictures (96 x 96) through the server: jobs a second, sent to downloadable, over calls of "
                "`predict_dem` in a plain loop in one process. A job has a process of its own, by design.",
                ("workers", "ratio"),
                tuple((str(n), f"{ratio:.3f}") for n, ratio in served.items()),
            )
        )
    bars = (
        Bar(
            "`predict` over the bare network, time",
            f"at most {MOST:.0%}",
            f"{overhead - 1:+.1%}",
            overhead - 1 <= MOST,
        ),
        Bar("the same, processor time", f"at most {MOST:.0%}", f"{work - 1:+.1%}", work - 1 <= MOST),
        Bar("cost from the smallest to the largest scene", "slope at most 1.05", f"{slope:.2f}", slope <= 1.05),
    )
    return Outcome(tuple(blocks), bars)


def _side_by_side(folder: Path, side: int, rounds: int, setup: Setup) -> dict[str, list[dict[str, float]]]:
    scene = draw_scene(folder / "scene.tif", side)
    ways = [way for way in WAYS if _can(way)]
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways:
            if way == "seed" and turn and setup.quick:
                continue  # once is enough for a factor of ten
            found[way].append(_child(way, scene, folder / f"{way}.tif", setup.model, setup.threads))
            say(f"  {way}, {turn + 1} of {rounds}: {found[way][-1]}")
    return found


def _can(way: str) -> bool:
    if way == "im2dem-openvino":
        return "openvino" in available_providers()
    return way not in ("seed", "loader") or find_spec("torch") is not None


def _by_threads(folder: Path, rounds: int, setup: Setup) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way in ("bare", "im2dem"):
            for threads in (1, 2):
                took = _child(way, folder / "scene.tif", folder / "threads.tif", setup.model, threads)["wall"]
                found.setdefault(f"{way} {threads}", []).append(took)
    return found


def _growth(folder: Path, sides: Sequence[int], setup: Setup) -> dict[int, float]:
    found = {}
    for side in sides:
        scene = draw_scene(folder / f"scene-{side}.tif", side)
        found[side] = _child("im2dem", scene, folder / "growth.tif", setup.model, setup.threads)["wall"]
        say(f"  {side} x {side}")
        scene.unlink()
    return found


def _child(way: str, scene: Path, out: Path, model: str, threads: int | None) -> dict[str, float]:
    """One way in a process of its own: seconds of "wall" and "cpu", and "peak_gb"."""
    command = [sys.executable, __file__, "--way", way, str(scene), str(out), "--model", model]
    command += ["--threads", str(threads)] if threads else []
    launcher = LAUNCHER.replace("stdout=subprocess.DEVNULL", "stdout=sys.stderr")
    done = subprocess.run([sys.executable, "-c", launcher, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed:\n{done.stderr}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {**json.loads(done.stderr.splitlines()[-1]), "peak_gb": int(done.stdout) * unit / 1e9}


@contextmanager
def _timed(seconds: dict[str, float]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    seconds.update(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def one_way(way: str, scene: Path, out: Path, model: str, threads: int | None) -> dict[str, float]:
    """Do the job in one way; seconds."""
    seconds: dict[str, float] = {}
    ways: dict[str, Callable[[], None]] = {
        "bare": lambda: _bare(scene, model, threads, seconds),
        "loader": lambda: _loader(scene, out, model, threads, seconds),
        "seed": lambda: _seed(scene, out, threads, seconds),
    }
    if way in ways:
        ways[way]()
        return seconds
    provider = way.partition("-")[2] or "cpu"
    with _timed(seconds):
        predict_file(scene, out, PredictOptions(model=model, threads=threads, provider=provider, overwrite=True))
    return seconds


def _bare(scene: Path, model: str, threads: int | None, seconds: dict[str, float]) -> None:
    from speed import _tiles

    tiles, _ = _tiles(scene, PredictOptions(model=model, threads=threads))
    with _timed(seconds):
        net = open_net(_weights(model), threads)
        for tile in tiles:
            net.run("relief", {"image": tile})


def _loader(scene: Path, out: Path, model: str, threads: int | None, seconds: dict[str, float]) -> None:
    from torch.utils.data import DataLoader, Dataset

    from im2dem.core.tiles import TilePlan

    class Windows(Dataset[tuple[int, int, np.ndarray]]):
        def __init__(self, shape: tuple[int, int]) -> None:
            self.places = [(t.window.row_off, t.window.col_off) for t in TilePlan(shape, TILE, OVERLAP)]

        def __len__(self) -> int:
            return len(self.places)

        def __getitem__(self, index: int) -> tuple[int, int, np.ndarray]:
            row, col = self.places[index]
            with rasterio.open(scene) as file:
                pixels = file.read(window=Window(col, row, TILE, TILE)).astype(np.float32)
            return row, col, np.clip((pixels - 1200) / 1600, 0, 1)

    with _timed(seconds):
        net = open_net(_weights(model), threads)
        with rasterio.open(scene) as file:
            profile, (height, width) = file.profile, file.shape
        total, weight = np.zeros((2, height, width), np.float32), np.zeros((height, width), np.float32)
        for row, col, image in DataLoader(Windows((height, width))):
            here = slice(int(row), int(row) + TILE), slice(int(col), int(col) + TILE)
            total[(slice(None), *here)] += net.run("relief", {"image": image.numpy()})[0]
            weight[here] += 1
        with rasterio.open(out, "w", **{**profile, "count": 2, "dtype": "float32", "predictor": 3}) as file:
            file.write(total / weight)


def _seed(scene: Path, out: Path, threads: int | None, seconds: dict[str, float]) -> None:
    import torch

    from im2dem.train.pix2pix.generator import Generator

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    with _timed(seconds), torch.inference_mode(), rasterio.open(scene) as file:
        net = Generator(3, 1).eval()
        profile = {**file.profile, "count": 1, "dtype": "float32", "predictor": 3}
        with rasterio.open(out, "w", **profile) as written:
            for row in range(0, file.height, SEED_TILE):
                for col in range(0, file.width, SEED_TILE):
                    window = Window(col, row, SEED_TILE, SEED_TILE)
                    pixels = file.read(window=window, boundless=True).astype(np.float32)
                    height = net(torch.from_numpy(pixels)[None] / 1500 - 1)[0].numpy()
                    rows, cols = min(SEED_TILE, file.height - row), min(SEED_TILE, file.width - col)
                    written.write(height[:, :rows, :cols], window=Window(col, row, cols, rows))


def _weights(model: str) -> Path:
    from im2dem.runtime.card import load_card, verified_onnx

    card_path = find_model(model)
    return verified_onnx(load_card(card_path), card_path)


def _served(jobs: int, rounds: int) -> dict[int, float]:
    """Jobs a second by number of workers, over calls in a plain loop."""
    import soak

    with tempfile.TemporaryDirectory(prefix="im2dem-served-") as name:
        small, body = Path(name) / "small.png", soak.picture(np.random.default_rng(0))
        small.write_bytes(body)
        loop, served = [], {1: [], 2: []}
        for _ in range(rounds):
            loop.append(_loop(small, jobs))
            for workers, found in served.items():
                server = soak.Server(Path(name) / f"jobs-{workers}", workers)
                try:
                    found.append(_send(server, body, jobs))
                finally:
                    server.process.terminate()
                    server.process.wait()
            say(f"  {jobs} jobs")
    return {n: float(np.median(np.divide(loop, found))) for n, found in served.items()}


def _loop(picture: Path, jobs: int) -> float:
    began = time.perf_counter()
    for _ in range(jobs):
        predict_dem(picture, gsd_m=10.0)
    return time.perf_counter() - began


def _send(server: object, body: bytes, jobs: int) -> float:
    """Four clients, each with one job at a time."""
    left = list(range(jobs))
    errors: list[BaseException] = []

    def client() -> None:
        try:
            while left:
                left.pop()
                status, job, _ = server.ask("POST", "/api/jobs?name=small.png&gsd=10", body)  # type: ignore[attr-defined]
                if status != 201:
                    raise RuntimeError(f"the server said {status} {job}")
                while job["state"] not in ("done", "failed"):
                    time.sleep(0.02)
                    job = server.ask("GET", f"/api/jobs/{job['id']}")[1]  # type: ignore[attr-defined]
                if job["state"] == "failed":
                    raise RuntimeError(f"a job failed: {job}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=client) for _ in range(4)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    found = one_way(options.way, options.scene, options.out, options.model, options.threads)
    print(json.dumps(found))
