"""Rendered pairs: how fast, how like real pictures, and the sheets of docs/rendered-pairs.md.

python benchmarks/rendering.py --dem DATA/dem                        # chips a second and core
python benchmarks/rendering.py --dem DATA/dem --before REVISION      # beside an older revision, in turns
python benchmarks/rendering.py --dem DATA/dem --data DATA --page     # statistics, sheets, and the page's tables
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from im2dem.dataset.chips import save_chips
from im2dem.dataset.pairs import find_dem_sources, find_pairs
from im2dem.dataset.synth import DemSource, SynthOptions, fill_voids, make_chips, render_chip
from im2dem.io.geotiff import open_dem, open_reader

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "rendered-pairs.md"
SIZE_PX = 256
SHEET_TILE_PX = 176
SHEET_COLUMNS = 6
# Landsat pictures are in the public domain (USGS): the only real ones that may be shown.
SHOWN = ("kanto-north-31m-2021", "kanto-west-south-31m-2021", "kanto-plain-31m-2021", "pennsylvania", "sanfrancisco")
STATISTICS = ("red", "green", "blue", "contrast", "r-g", "g-b", "spectrum", "sun")

# Run in its own process, so that another revision's code can be timed by the same lines.
TIMED = """
import sys, time, pickle, numpy as np
from im2dem.dataset.synth import DemSource, SynthOptions, render_chip
sources = [DemSource(*s) for s in pickle.load(open(sys.argv[1], "rb"))]
options = SynthOptions()
def chip(i):
    render_chip(sources, options, np.random.default_rng([9, i]))
for i in range(40):
    chip(i)
print("ready", flush=True)
for line in sys.stdin:
    count = int(line)
    start = time.thread_time()
    for i in range(count):
        chip(1000 + i)
    print((time.thread_time() - start) / count, flush=True)
"""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def start(folder: Path, pickled: Path) -> subprocess.Popen[str]:
    """A process that times chips of the code in a folder."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", TIMED, str(pickled)]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def ask(process: subprocess.Popen[str], count: int) -> float:
    """Seconds of processor time a chip, mean of `count` chips."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def speed(sources: Sequence[DemSource], before: str | None, rounds: int) -> list[str]:
    """Lines on chips a second and core, and the ratio to another revision timed in turns."""
    import pickle

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pickled = folder / "sources.pkl"
        pickled.write_bytes(pickle.dumps([(s.name, s.licence, s.dem, s.gsd_m, s.latitude_deg) for s in sources]))
        now = [start(ROOT / "src", pickled)]
        if before:
            archive = subprocess.run(["git", "archive", before, "src"], cwd=ROOT, capture_output=True, check=True)
            subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
            now.append(start(folder / "src", pickled))
        times = np.array([[ask(p, 100) for p in now] for _ in range(rounds)])
        for process in now:
            process.communicate()
    seconds = times.mean(axis=0)
    lines = [
        f"{1 / seconds[0]:.0f} chips of {SIZE_PX} px a second and core, window of a height model to picture (mean of "
        f"{rounds} rounds of 100; best round {1 / times[:, 0].min():.0f}, worst {1 / times[:, 0].max():.0f}; "
        "processor time of one thread)"
    ]
    if before:
        ratios = times[:, 1] / times[:, 0]
        lines.append(
            f"{1 / seconds[1]:.0f} with revision {before}, in turns in the same run: {seconds[1] / seconds[0]:.1f} "
            f"times faster (rounds {ratios.min():.1f} to {ratios.max():.1f})"
        )
    with tempfile.TemporaryDirectory() as temporary:
        make_chips(sources, SynthOptions(40))
        begin = time.process_time()
        save_chips(Path(temporary) / "pack.npz", make_chips(sources, SynthOptions(600)))
        lines.append(
            f"{600 / (time.process_time() - begin):.0f} a second and core when saved as a pack, a thread a core"
        )
    return lines


def describe(rgb: NDArray[np.uint8], sun_correlation: float) -> list[float]:
    """The statistics of a chip, in the order of `STATISTICS`."""
    bands = rgb.reshape(3, -1).astype(np.float64)
    grey = bands.mean(axis=0).reshape(rgb.shape[1:])
    with np.errstate(invalid="ignore"):
        correlation = np.corrcoef(bands)
    return [
        *bands.mean(axis=1),
        grey.std(),
        correlation[0, 1],
        correlation[1, 2],
        spectrum_slope(grey),
        sun_correlation,
    ]


def spectrum_slope(grey: NDArray[np.float64]) -> float:
    """Exponent of power against frequency between waves of 64 and 2.2 pixels; natural pictures have about -2."""
    size = grey.shape[0]
    taper = np.hanning(size)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * taper[:, None] * taper)) ** 2
    f = np.fft.fftfreq(size)
    ring = np.digitize(np.hypot(f[:, None], f).ravel(), edges := np.geomspace(1 / 64, 0.45, 10))
    means = [power.ravel()[ring == i].mean() for i in range(1, 10)]
    return float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(np.array(means) + 1e-9), 1)[0])


def follows_sun(rgb: NDArray[np.uint8], dem: NDArray[np.float32], gsd_m: float, sun: tuple[float, float]) -> float:
    """Correlation of brightness with the cosine of the angle between the sun and the ground; NaN where undefined."""
    if not np.isfinite(sun).all() or not np.isfinite(dem).all() or dem.std() < 20:
        return float("nan")
    dy, dx = (np.asarray(g, dtype=np.float64) for g in np.gradient(dem.astype(np.float64), gsd_m))
    azimuth, elevation = np.radians(sun)
    up = np.sin(elevation)
    cosine = ((dy * np.cos(azimuth) - dx * np.sin(azimuth)) * np.cos(elevation) + up) / np.sqrt(1 + dx**2 + dy**2)
    return float(np.corrcoef(cosine.ravel(), rgb.mean(axis=0).ravel())[0, 1])


def real_chips(data: Path, each: int) -> Iterable[tuple[str, NDArray[np.uint8], float]]:
    """Chips of the training pairs and of the pool of pictures: name, picture, correlation with the sun."""
    rng = np.random.default_rng(1)
    places: list[tuple[str, Path, Path | None, dict[str, Any]]] = [
        (pair.name, pair.image, pair.dem, pair.meta) for pair in find_pairs(data, "train") if pair.image
    ]
    pool = data / "rgb" / "index.json"
    if pool.exists():
        places += [(r["name"], data / "rgb" / f"{r['name']}.tif", None, {}) for r in json.loads(pool.read_text())]
    for name, image, dem_path, meta in places:
        with open_reader(image) as reader:
            picture = np.nan_to_num(reader.read(reader.grid.window)).astype(np.uint8)[:3]
        dem = None
        if dem_path:
            with open_dem(dem_path) as heights:
                dem = heights.read(heights.grid.window)[0]
        found = 0
        for _ in range(40 * each):
            row, col = (int(rng.integers(n - SIZE_PX + 1)) for n in picture.shape[1:])
            window = (slice(row, row + SIZE_PX), slice(col, col + SIZE_PX))
            rgb = picture[:, *window]
            if (rgb.max(axis=0) < 3).mean() > 0.01:
                continue
            sun = tuple(float(meta.get(key) or "nan") for key in ("sun_azimuth_deg", "sun_elevation_deg"))
            known = (
                float("nan") if dem is None else follows_sun(rgb, dem[window], float(meta["gsd_m"]), (sun[0], sun[1]))
            )
            yield name, rgb, known
            found += 1
            if found == each:
                break


def kind_of(name: str) -> str:
    """The row of the table to which a real picture belongs."""
    for word, kind in (
        ("s2cloudless", "real: yearly composites"),
        ("ortho", "real: aerial"),
        ("-s2-", "real: Sentinel-2"),
    ):
        if word in name:
            return kind
    return "real: Landsat"


def table(rows: dict[str, list[list[float]]]) -> list[str]:
    """A Markdown table: median and the range from the 10th to the 90th percentile."""
    lines = ["| chips | " + " | ".join(STATISTICS) + " |", "|---" * (len(STATISTICS) + 1) + "|"]
    for name, values in rows.items():
        cells = []
        for i, column in enumerate(np.array(values).T):
            known = column[np.isfinite(column)]
            digits = 0 if i < 4 else 2
            low, middle, high = np.quantile(known, [0.1, 0.5, 0.9]) if known.size else [np.nan] * 3
            cells.append(f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})" if known.size else "-")
        lines.append(f"| {name} ({len(values)}) | " + " | ".join(cells) + " |")
    return lines


def sheet(chips: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """A contact sheet as JPEG."""
    cell = SHEET_TILE_PX + 4
    rows = -(-len(chips) // SHEET_COLUMNS)
    paper = Image.new("RGB", (SHEET_COLUMNS * cell - 4, rows * cell - 4), "white")
    for i, chip in enumerate(chips):
        small = Image.fromarray(np.ascontiguousarray(chip.transpose(1, 2, 0))).resize((SHEET_TILE_PX, SHEET_TILE_PX))
        paper.paste(small, (i % SHEET_COLUMNS * cell, i // SHEET_COLUMNS * cell))
    paper.save(path, quality=80, optimize=True, progressive=True)


def statistics(sources: Sequence[DemSource], data: Path) -> list[str]:
    """The table of statistics; writes both sheets."""
    rows: dict[str, list[list[float]]] = {}
    shown: dict[str, list[NDArray[np.uint8]]] = {}
    for name, rgb, known in real_chips(data, 8):
        for row in (kind_of(name), "real: all"):
            rows.setdefault(row, []).append(describe(rgb, known))
        if name.startswith(SHOWN) and "-s2-" not in name:
            shown.setdefault(name, []).append(rgb)
    turns = [pictures[i] for i in range(8) for pictures in shown.values() if i < len(pictures)]
    sheet(turns[:24], ROOT / "docs" / "img" / "rendered-beside-real.jpg")
    drawn = []
    for i in range(400):
        chip, _, look = render_chip(sources, SynthOptions(), np.random.default_rng([2026, i]))
        known = follows_sun(chip.rgb, fill_voids(chip.dem), chip.gsd_m, chip[3:5])
        kind = {"satellite": "satellite", "aerial": "aerial", "composite": "yearly composites"}[look.kind]
        for row in (f"rendered: {kind}", "rendered: all"):
            rows.setdefault(row, []).append(describe(chip.rgb, known))
        if i < 24:
            drawn.append(chip.rgb)
    sheet(drawn, ROOT / "docs" / "img" / "rendered-chips.jpg")
    return table(dict(sorted(rows.items())))


def put(name: str, lines: Sequence[str]) -> None:
    """Replace what is between the page's marks of that name."""
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{PAGE} has no marks <!-- {name} --> and <!-- /{name} -->")
    PAGE.write_text(pattern.sub(lambda m: m[1] + "\n".join(lines) + "\n" + m[2], text), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dem", type=Path, required=True, help="height models: a GeoTIFF or a folder")
    parser.add_argument("--data", type=Path, help="folder of pairs, for the statistics of real pictures")
    parser.add_argument("--before", help="git revision to time in turns")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--page", action="store_true", help="write the tables into docs/rendered-pairs.md")
    options = parser.parse_args()
    sources = list(find_dem_sources(options.dem))
    found = {"speed": [f"- {line}" for line in speed(sources, options.before, options.rounds)]}
    if options.data:
        found["statistics"] = statistics(sources, options.data)
    for name, lines in found.items():
        print("\n".join(lines))
        if options.page:
            put(name, lines)


if __name__ == "__main__":
    main()
