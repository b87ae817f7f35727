"""The tiled prediction of geoai-py with our network, for `throughput.py`.

    PYTHON benchmarks/rival_geoai.py MODEL.onnx SCENE OUT [--threads N]

PYTHON is one that has geoai-py, torch, rasterio and onnxruntime; this one need not have im2dem. Prints one line of
JSON: seconds of "wall" and of "cpu", loaded libraries not counted, loading the weights is; and the version.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version

import geoai.utils  # noqa: F401  (predict_geotiff loads it when called; that is not what is measured)
import numpy as np
import onnxruntime as ort
import torch
from geoai.inference import predict_geotiff


class Net(torch.nn.Module):
    """The ONNX file as geoai-py wants a network."""

    def __init__(self, path: str, threads: int) -> None:
        super().__init__()
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Relief and its log scale, (n, 2, row, col)."""
        return torch.from_numpy(self.session.run(["relief"], {"image": image.numpy()})[0])


def stretched(tile: np.ndarray) -> np.ndarray:
    """Model input from the digital numbers of the drawn scene."""
    return np.clip((tile - np.float32(1200)) / np.float32(1600), 0, 1)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("scene")
    parser.add_argument("out")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--overlap", type=int, default=128)
    given = parser.parse_args()
    wall, cpu = time.perf_counter(), time.process_time()
    predict_geotiff(
        Net(given.model, given.threads),
        given.scene,
        given.out,
        tile_size=given.tile,
        overlap=given.overlap,
        batch_size=1,
        num_classes=2,
        blend_mode="cosine",
        preprocess_fn=stretched,
        device="cpu",
        verbose=False,
    )
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**found, "version": version("geoai-py")}))


if __name__ == "__main__":
    main()
