"""Pictures made of heights beside the true ones: our engines, the prototype, and rows to beat.

Tiles of the places that no model learned from; a row of the network where its weights are installed. Needs the extra
"train": the distances are taken in the features of an ImageNet network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from accuracy import place_of
from harness import Bar, Outcome, Setup, Table, number, open_pair, say
from numpy.typing import NDArray

from im2dem.core.errors import ModelNotFoundError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.core.terrain import hillshade
from im2dem.pipeline.colour import DEFAULT_MODEL, DEFAULT_SUN, colour_dem
from im2dem.pipeline.evaluate import Pair
from im2dem.runtime.card import find_model

Float = NDArray[np.float32]
Land = tuple[Float, Float, float, tuple[float, float]]
Painter = Callable[[Float, float, tuple[float, float]], Float]

SIDE_PX = 256
MOST_TILES = 24
LEAST_RELIEF_M = 20.0
NETWORK, PHYSICAL = "network", "physical"
EXPLAIN = (
    f"Tiles of {SIDE_PX} px with relief over {LEAST_RELIEF_M:.0f} m, at most {MOST_TILES} a place, evenly spread; "
    "nothing but heights, pixel size and the sun was told, so no row can know the land cover or the season. "
    "*features*: distance in the features of EfficientNet-Lite0, 0 for alike (like LPIPS, but not comparable with "
    "published values); *KID*: distance of the two sets of pictures in its last layer, in thousandths of the mean "
    "picture's row; *colours*: how far the values must be moved, of 255; *light*: correlation of brightness with the "
    "hillshade under the picture's sun, to be compared with the truth's. *mean picture* is one colour, the true mean "
    "of the place; *grey light* the hillshade itself."
)


def run(setup: Setup) -> Outcome:
    """The places for choosing."""
    return of_splits(setup, "val")


def release(setup: Setup) -> Outcome:
    """The places that are scored once a release."""
    return of_splits(setup, "test")


def of_splits(setup: Setup, *splits: str) -> Outcome:
    """A table for each place of some splits."""
    from im2dem.train.colour.metrics import Features, score_pictures

    places: dict[str, list[Pair]] = {}
    for pair in setup.pairs(*splits):
        places.setdefault(place_of(pair.name), []).append(pair)
    features, rows, beaten = Features(), [], []
    for place, pairs in places.items():
        land = _spread([tile for pair in pairs for tile in tiles_of(pair)], 6 if setup.quick else MOST_TILES)
        if len(land) < 2:
            say(f"  {place}: no two hilly tiles with a picture of 8 bits")
            continue
        scores = {}
        for name, painter in _painters(land, setup.baselines).items():
            say(f"  {place}: {name}")
            scores[name] = score_pictures(painter, land, features)
        unit = scores["mean picture"].kid
        for name, s in scores.items():
            cells = (number(s.perceptual), number(1000 * s.kid / unit, 0), number(255 * s.histogram, 0))
            rows.append((place, name, *cells, f"{number(s.light, 2)} of {number(s.light_of_truth, 2)}"))
        ours = scores.get(NETWORK, scores[PHYSICAL])
        beaten.append(all(ours.perceptual < scores[Path(b).name].perceptual for b in setup.baselines))
    columns = ("place", "pictures by", "features", "KID", "colours", "light")
    bars = ()
    if setup.baselines:
        found = f"at {sum(beaten)} of {len(beaten)}"
        bars = (Bar("Nearer in features than the prototype", "at every place", found, all(beaten)),)
    return Outcome((EXPLAIN, Table("", columns, tuple(rows))), bars)


def tiles_of(pair: Pair) -> list[Land]:
    """Hilly tiles without voids of a pair whose picture has 8 bits: picture from 0 to 1, heights, pixel size, sun."""
    scene = open_pair(pair)
    if scene is None or not np.nanmax(scene.image) <= 255 or scene.known["gsd_m"] is None:
        return []
    azimuth, elevation = (scene.known.get(f"sun_{key}_deg") for key in ("azimuth", "elevation"))
    sun = DEFAULT_SUN if azimuth is None or elevation is None else (float(azimuth), float(elevation))
    found = []
    for row in range(0, scene.truth.shape[0] - SIDE_PX + 1, SIDE_PX):
        for col in range(0, scene.truth.shape[1] - SIDE_PX + 1, SIDE_PX):
            cut = np.s_[..., row : row + SIDE_PX, col : col + SIDE_PX]
            dem, image = scene.truth[cut], scene.image[cut] / 255
            if np.isfinite(dem).all() and dem.std(dtype=np.float64) > LEAST_RELIEF_M:
                found.append((image, dem, float(scene.known["gsd_m"]), sun))
    return found


def _spread(land: list[Land], most: int) -> list[Land]:
    return [land[i] for i in np.unique(np.linspace(0, len(land) - 1, most).round().astype(int))] if land else []


def _painters(land: Sequence[Land], baselines: Sequence[str]) -> dict[str, Painter]:
    mean = np.mean([picture.mean(axis=(1, 2)) for picture, *_ in land], axis=0, dtype=np.float64).astype(np.float32)
    level = float(np.mean([dem.mean(dtype=np.float64) for _, dem, *_ in land]))

    def flat(dem: Float, gsd_m: float, sun: tuple[float, float]) -> Float:
        return np.broadcast_to(mean[:, None, None], (3, *dem.shape)).copy()

    def grey(dem: Float, gsd_m: float, sun: tuple[float, float]) -> Float:
        light = np.nan_to_num(hillshade(dem, (gsd_m, gsd_m), *sun), nan=0.5)
        return np.clip(np.broadcast_to(light, (3, *dem.shape)), 0, 1).astype(np.float32)

    painters: dict[str, Painter] = {"mean picture": flat, "grey light": grey}
    for engine in (NETWORK, PHYSICAL) if _has_weights() else (PHYSICAL,):
        painters[engine] = _engine(engine)
    for path in baselines:
        painters[Path(path).name] = _prototype(Path(path), level)
    return painters


def _has_weights() -> bool:
    try:
        find_model(DEFAULT_MODEL)
    except ModelNotFoundError:
        return False
    return True


def _engine(engine: str) -> Painter:
    def paint(dem: Float, gsd_m: float, sun: tuple[float, float]) -> Float:
        raster = Raster(dem[None], Grid.local((dem.shape[0], dem.shape[1]), gsd_m), ("height",), "m")
        return np.asarray(colour_dem(raster, engine=engine, sun=sun).data / 255, dtype=np.float32)  # type: ignore[arg-type]

    return paint


def _prototype(folder: Path, level_m: float) -> Painter:
    """The prototype's net, exported: it takes metres above the scene's mean and knows neither sun nor pixel size."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])

    def paint(dem: Float, gsd_m: float, sun: tuple[float, float]) -> Float:
        return np.asarray(session.run(None, {"dem": (dem - level_m)[None, None].astype(np.float32)})[0][0])

    return paint
