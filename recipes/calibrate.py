"""Set a model's two factors, on its heights and on its sigma, from the validation pairs.

    python recipes/calibrate.py MODEL --data DIR

MODEL is a folder of `im2dem models export`; its card is written again. Places count alike, and the tiles of a place.
The amplitude is the median over tiles of 256 px with 20 m of relief of true over predicted spread; sigma is then fitted
to the heights as they are published, shifted only, so that the worst place is as good as can be
(`im2dem.core.calibration`). The gap of every place with the factor of the others is printed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from im2dem.core.calibration import fit_calibration, held_out_gaps
from im2dem.core.grid import Grid
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.pipeline.evaluate import EvaluateOptions, find_pairs
from im2dem.pipeline.evaluation_pairs import Regions
from im2dem.pipeline.evaluation_scene import tile_windows
from im2dem.pipeline.predict import PredictOptions, predictor
from im2dem.runtime.card import CARD_NAME, load_card, save_card

LEAST_RELIEF_M = 20.0
PIXELS_A_TILE = 4096


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder with model.onnx and card.json")
    parser.add_argument("--data", type=Path, required=True, help="folder of pairs; those of the split val are used")
    options = parser.parse_args()
    path = options.model / CARD_NAME
    card = replace(load_card(path), amplitude_scale=1.0, sigma_scale=1.0)
    save_card(card, path)
    tiles = _tiles(options.model, options.data)
    amplitude = float(
        np.median([np.median([_ratio(*tile[:2]) for tile in own if _has_relief(tile)]) for own in tiles.values()])
    )
    samples = {}
    for region, own in tiles.items():
        dh = [amplitude * p - z for p, z, _ in own]
        shifted = np.concatenate([_thinned(d - np.median(d)) for d in dh])
        samples[region] = (shifted, np.concatenate([_thinned(amplitude * s) for _, _, s in own]))
    fit = fit_calibration(samples)
    save_card(replace(card, amplitude_scale=round(amplitude, 4), sigma_scale=round(amplitude * fit.factor, 4)), path)
    gaps = held_out_gaps(samples) if len(samples) > 1 else {}
    print(f"amplitude_scale {amplitude:.3f}  sigma_scale {amplitude * fit.factor:.3f}  misfit {fit.misfit():.2f}")
    for region, (before, after) in gaps.items():
        print(f"{region}: gap {before:.3f} with amplitude alone, {after:.3f} with the factor of the other places")
    return 0


def _tiles(model: Path, data: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """For each place the predicted, true and sigma values of its tiles."""
    predict, regions = predictor(PredictOptions(model=str(model))), Regions()
    found: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for pair in find_pairs(data, "val"):
        if pair.image is None:
            continue
        print(pair.name, file=sys.stderr)
        with open_dem(pair.dem) as dem:
            grid: Grid = dem.grid
            truth = dem.read(grid.window)[0]
        with open_reader(pair.image) as reader:
            image = reader.read(grid.window)
        gsd_m = grid.gsd_m if grid.gsd_m is not None else pair.meta.get("gsd_m")
        heights, sigma = predict(image, {**pair.meta, "grid": grid, "gsd_m": gsd_m})
        valid = np.isfinite(truth) & np.isfinite(heights) & np.isfinite(image).all(axis=0)
        for window in tile_windows(grid, EvaluateOptions()):
            at = window.slices()
            if valid[at].mean() >= 0.5:
                keep = valid[at]
                found.setdefault(regions.of(pair, grid), []).append(
                    (heights[at][keep], truth[at][keep], sigma[at][keep])
                )
    return found


def _thinned(values: np.ndarray) -> np.ndarray:
    """So many values of each tile, however much of it is there."""
    return values[np.linspace(0, len(values) - 1, PIXELS_A_TILE).astype(int)]


def _has_relief(tile: tuple[np.ndarray, np.ndarray, np.ndarray]) -> bool:
    return float(tile[1].std(dtype=np.float64)) > LEAST_RELIEF_M


def _ratio(predicted: np.ndarray, truth: np.ndarray) -> float:
    return float(truth.std(dtype=np.float64) / max(predicted.std(dtype=np.float64), 1e-6))


if __name__ == "__main__":
    raise SystemExit(main())
