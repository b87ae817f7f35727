"""One HTML file of pairs, a real picture and one made from the same heights, in random order: which is real?

    python benchmarks/blind_page.py --data DIR -o blind.html                     12 pairs
    python benchmarks/blind_page.py --data DIR -o blind.html --engine physical --count 6 --seed 3

The page needs no network. The answers are in it, not to be read by chance; the score is told after the last pair.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from harness import Scene, Setup, open_pair, say
from numpy.typing import NDArray
from PIL import Image

from im2dem.core.errors import Im2DemError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.io.atomic import write_text
from im2dem.pipeline.colour import ColourOptions, colour_dem

SIDE_PX, LEAST_RELIEF_M = 256, 15.0
DEFAULT_SUN = (150.0, 40.0)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Which is real?</title>
<meta name="viewport" content="width=device-width"><style>
body{font:16px system-ui;margin:2rem auto;max-width:60rem;text-align:center}
.pair{display:flex;gap:1rem;justify-content:center}
button{padding:4px;border:3px solid transparent;background:none;cursor:pointer;border-radius:8px}
button:hover,button:focus-visible{border-color:#36c}img{width:min(44vw,26rem);image-rendering:auto}
td,th{padding:.2rem .8rem;text-align:left}table{margin:1rem auto}
</style><h1>Which is real?</h1><p id="where" aria-live="polite"></p>
<div class="pair" id="pair"></div><div id="end"></div>
<script>const pairs=@DATA@,key=JSON.parse(atob("@KEY@"));let at=0,answers=[];
const $=id=>document.getElementById(id);
function show(){$("pair").replaceChildren();if(at===pairs.length)return finish();
$("where").textContent=`Pair ${at+1} of ${pairs.length}: choose the photograph.`;
pairs[at].forEach((src,k)=>{const b=document.createElement("button"),i=new Image();i.src=src;
i.alt=k?"right picture":"left picture";b.append(i);b.onclick=()=>{answers.push(k);at++;show()};$("pair").append(b)})}
function finish(){const right=answers.map((a,k)=>a===key[k].real),n=right.filter(Boolean).length;
$("where").textContent=`You knew ${n} of ${pairs.length}; guessing gives ${pairs.length/2}.`;
const t=document.createElement("table");t.innerHTML="<tr><th>pair</th><th>real was</th><th>you</th></tr>";
key.forEach((e,k)=>{const r=t.insertRow();[e.name,e.real?"right":"left",right[k]?"knew":"did not know"]
.forEach(x=>r.insertCell().textContent=x)});$("end").append(t)}
show()</script></html>
"""


def make_page(scenes: Iterable[tuple[str, Scene]], count: int, seed: int, options: ColourOptions) -> str:
    """The page, as text; scenes are taken one by one until there are `count` pairs.

    Raises
    ------
    UsageError
        The scenes have not one piece with relief and without gaps.
    """
    rng = np.random.default_rng(seed)
    pairs: list[list[str]] = []
    key: list[dict[str, object]] = []
    for name, scene in scenes:
        piece = _piece(scene, rng)
        if piece is None:
            continue
        say(f"  {name}")
        real, made = piece[0], _made(piece[1], scene, options)
        place = int(rng.integers(2))
        both = [_encoded(_matched(made, real)), _encoded(real)]
        pairs.append(both if place == 1 else both[::-1])
        key.append({"name": name, "real": place})
        if len(pairs) == count:
            break
    if not pairs:
        raise UsageError("no scene has a piece with relief and without gaps; choose another data folder")
    hidden = base64.b64encode(json.dumps(key).encode()).decode()
    # Marks that no base64 holds: three plain letters do turn up in pictures.
    return PAGE.replace("@DATA@", json.dumps(pairs)).replace("@KEY@", hidden)


def scenes_of(data: Path, seed: int, rounds: int = 5) -> Iterator[tuple[str, Scene]]:
    """The scenes of a folder of pairs in random order, some times over: each has many pieces.

    Raises
    ------
    UsageError
        No pairs in the folder.
    """
    found = Setup(data).pairs("train", "val", "test")
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        for k in rng.permutation(len(found)):
            scene = open_pair(found[k])
            if scene is not None and scene.known["gsd_m"] is not None:
                yield found[k].name, scene


def _piece(scene: Scene, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """A square of a scene, (3, side, side) and (side, side); None where it has gaps or no relief."""
    height, width = scene.truth.shape
    side = min(SIDE_PX, height, width)
    row, col = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    window = (slice(row, row + side), slice(col, col + side))
    image, truth = scene.image[(slice(None), *window)], scene.truth[window]
    if not np.isfinite(truth).all() or not np.isfinite(image).all() or truth.std() < LEAST_RELIEF_M:
        return None
    return image, truth


def _made(truth: NDArray[np.float32], scene: Scene, options: ColourOptions) -> NDArray[np.float32]:
    azimuth, elevation = (scene.known.get(f"sun_{what}_deg") for what in ("azimuth", "elevation"))
    sun = DEFAULT_SUN if azimuth is None or elevation is None else (float(azimuth), float(elevation))
    dem = Raster(truth[None], Grid.local(truth.shape, float(scene.known["gsd_m"])), ("height",), "m")
    return colour_dem(dem, options, sun=sun).data


def _stretched(image: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(image, (1, 99))
    return np.clip((image - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)


def _matched(made: NDArray[np.float32], real: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and spread of each band as the real one has them: the sensor's balance must not give the answer away."""
    axes = (1, 2)
    wanted, have = _stretched(real), _stretched(made)
    scale = wanted.std(axis=axes, keepdims=True) / np.maximum(have.std(axis=axes, keepdims=True), 1e-6)
    shifted = (have - have.mean(axis=axes, keepdims=True)) * scale + wanted.mean(axis=axes, keepdims=True)
    return np.clip(shifted, 0, 1).astype(np.float32)


def _encoded(image: NDArray[np.float32]) -> str:
    """A JPEG as a data address; both of a pair go through the same stretch and the same quality."""
    buffer = io.BytesIO()
    picture = (255 * np.moveaxis(_stretched(image), 0, -1)).round().astype(np.uint8)
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of pairs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="page to write")
    parser.add_argument("--count", type=int, default=12, help="pairs on the page")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the pieces")
    parser.add_argument("--engine", default="auto", help="auto, network or physical")
    parser.add_argument("--climate", help="of what is made; left out: not said")
    parser.add_argument("--overwrite", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        options = ColourOptions(engine=asked.engine, climate=asked.climate)
        page = make_page(scenes_of(asked.data, asked.seed), asked.count, asked.seed, options)
        write_text(asked.output, page, overwrite=asked.overwrite)
    except Im2DemError as error:
        say(str(error))
        return error.exit_code
    print(asked.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
