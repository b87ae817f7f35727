"""Ways to make heights of a scene, each in a process of its own that reports its time, processor time and peak memory.

python benchmarks/ways.py im2dem SCENE OUT      one way, figures as JSON on the last line
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import rasterio
from numpy.typing import NDArray
from peaks import peak_of
from rasterio.windows import Window

from im2dem.pipeline.predict import DEFAULT_MODEL, PredictOptions, predict_file
from im2dem.runtime import session
from im2dem.runtime.card import find_model, load_card, verified_onnx
from im2dem.runtime.providers import Net, available_providers, open_net

HERE = Path(__file__).parent
RIVAL = "IM2DEM_RIVAL_PYTHON"
SEED_TILE = 256
TILE, OVERLAP = 512, 128
WAYS = {
    "bare": "our network, bare: all tiles in memory already, nothing kept",
    "im2dem": "`im2dem predict`: read, level, blend, sigma, COG with overviews",
    "im2dem-openvino": "`im2dem predict --provider openvino`",
    "geoai": "our network in `predict_geotiff` of geoai-py: blended in memory, no levelling, plain GeoTIFF (LZW)",
    "loader": "our network in a PyTorch Dataset and DataLoader of windows: mean of overlaps in memory, plain GeoTIFF",
    "seed": "the seed's pix2pix U-Net (54 M parameters) in a plain PyTorch loop of 256 px, no overlap, plain GeoTIFF",
}
HOLLOW = "im2dem-hollow"
"""`im2dem predict` whose network runs on the first tile only: its answer is repeated."""


def why_not(way: str) -> str | None:
    """Why a way cannot be gone here; None where it can."""
    if way == "im2dem-openvino" and "openvino" not in available_providers():
        return "openvino is not installed"
    if way in ("seed", "loader") and find_spec("torch") is None:
        return "torch is not installed"
    if way != "geoai":
        return None
    python = os.environ.get(RIVAL)
    if not python:
        return f"the variable {RIVAL} names no Python that has geoai-py, torch and onnxruntime"
    try:
        words = [python, "-c", "import geoai.inference, geoai.utils, onnxruntime, torch"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{python} ({RIVAL}) does not run: {error.strerror}"
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def go(way: str, scene: Path, out: Path, model: str, threads: int | None) -> dict[str, Any]:
    """One way in a process of its own: seconds of "wall" and "cpu", "peak_gb", and maybe the "version" of a rival.

    Raises
    ------
    RuntimeError
        It failed; the message has what it said.
    """
    limit = ["--threads", str(threads)] if threads else []
    if way == "geoai":
        command = [
            os.environ[RIVAL],
            str(HERE / "rival_geoai.py"),
            str(weights_of(model)),
            str(scene),
            str(out),
            *limit,
        ]
    else:
        command = [sys.executable, __file__, way, str(scene), str(out), "--model", model, *limit]
    peak_gb, said = peak_of(command)
    return {**json.loads(said.splitlines()[-1]), "peak_gb": peak_gb}


@contextmanager
def _timed(seconds: dict[str, float]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    seconds.update(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def one_way(way: str, scene: Path, out: Path, model: str, threads: int | None) -> dict[str, float]:
    """Do the job in one way, in this process; seconds."""
    seconds: dict[str, float] = {}
    ways: dict[str, Callable[[], None]] = {
        "bare": lambda: _bare(scene, model, threads, seconds),
        "loader": lambda: _loader(scene, out, model, threads, seconds),
        "seed": lambda: _seed(scene, out, threads, seconds),
    }
    if way in ways:
        ways[way]()
        return seconds
    kind = way.partition("-")[2]
    if way == HOLLOW:
        session.open_net = _Echo.of
        kind = ""
    options = PredictOptions(model=model, threads=threads, provider=kind or "cpu", overwrite=True)
    with _timed(seconds):
        predict_file(scene, out, options)
    return seconds


class _Echo:
    """A network that runs once; whoever asks again gets the same answer."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._answer: NDArray[np.float32] | None = None
        self._lock = threading.Lock()
        self.required, self.optional, self.outputs = net.required, net.optional, net.outputs

    @classmethod
    def of(cls, path: Path, threads: int | None = None, provider: str = "cpu", calls: int = 1) -> _Echo:
        """Stands for `runtime.providers.open_net`."""
        return cls(open_net(path, threads, provider, calls))

    def run(self, output: str, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        with self._lock:
            if self._answer is None:
                self._answer = self._net.run(output, inputs)
        return self._answer.copy()


def _bare(scene: Path, model: str, threads: int | None, seconds: dict[str, float]) -> None:
    from speed import tiles_of

    tiles = tiles_of(scene, PredictOptions(model=model, threads=threads))
    with _timed(seconds):
        net = plain_session(weights_of(model), threads)
        for tile in tiles:
            net.run(["relief"], {"image": tile})


def plain_session(path: Path, threads: int | None) -> ort.InferenceSession:
    """ONNX Runtime as it comes: nothing of ours between it and the clock."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads or 0, 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


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
        net = plain_session(weights_of(model), threads)
        with rasterio.open(scene) as file:
            profile, (height, width) = file.profile, file.shape
        total, weight = np.zeros((2, height, width), np.float32), np.zeros((height, width), np.float32)
        for row, col, image in DataLoader(Windows((height, width))):
            here = slice(int(row), int(row) + TILE), slice(int(col), int(col) + TILE)
            total[(slice(None), *here)] += net.run(["relief"], {"image": image.numpy()})[0][0]
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


def weights_of(model: str) -> Path:
    """The ONNX file of a model."""
    card_path = find_model(model)
    return verified_onnx(load_card(card_path), card_path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=[*(way for way in WAYS if way != "geoai"), HOLLOW])
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    print(json.dumps(one_way(options.way, options.scene, options.out, options.model, options.threads)))


if __name__ == "__main__":
    main()
