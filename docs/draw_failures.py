"""The worst tiles of validation by cause: python docs/draw_failures.py DATA [--model NAME].

Writes the tables between the markers of docs/failures.md, docs/img/failures.jpg with the worst tiles and
docs/img/failures-free.jpg with the worst of those whose pictures may be shown here. DATA is a folder of pairs as
`im2dem evaluate --data` takes it.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from im2dem.pipeline.defaults import DEFAULT_MODEL
from im2dem.pipeline.evaluate import EvaluateOptions, evaluate_model, find_pairs
from im2dem.pipeline.evaluation_causes import CAUSES, causes_of
from im2dem.pipeline.evaluation_gallery import Exhibit
from im2dem.pipeline.predict import PredictOptions, predictor
from im2dem.pipeline.report_tiles import four_pictures

PAGE = Path(__file__).parent / "failures.md"
IMAGES = Path(__file__).parent / "img"
MARKS = "<!-- table -->", "<!-- end of table -->"
WORST, WORST_FREE = 24, 12
ALL = 10_000
LEAST_RELIEF_M, SPIKE_M = 20.0, 800.0
NOT_FREE = "s2cloudless"
SIDE, LINE, COLUMNS = 112, 14, 2


def main() -> None:
    """Score, count and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    chosen = parser.parse_args()
    options = EvaluateOptions(
        alignments=("A2",), trivial=False, min_relief_m=LEAST_RELIEF_M, spike_m=SPIKE_M, gallery_tiles=ALL
    )
    found = evaluate_model(
        predictor(PredictOptions(model=chosen.model)),
        find_pairs(chosen.data, "val"),
        options,
    )
    if found.gallery is None:
        raise SystemExit("no tile was kept")
    tiles = found.gallery.worst
    free = tuple(tile for tile in tiles if not tile.score.scene.startswith(NOT_FREE))
    made_by = f"Model `{chosen.model}`, {date.today().isoformat()}."
    table = "\n\n".join(
        [
            "## Counts by place",
            made_by,
            by_place(tiles),
            f"## The {WORST} worst",
            "Truth, prediction and error of each; their pictures are of a licence that forbids to show them here.",
            "![The worst tiles](img/failures.jpg)",
            by_rank(tiles[:WORST]),
            f"## The {WORST_FREE} worst whose pictures are free",
            "Picture, truth, prediction and error.",
            "![The worst free tiles](img/failures-free.jpg)",
            by_rank(free[:WORST_FREE]),
        ]
    )
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(f"(?s){MARKS[0]}.*{MARKS[1]}", f"{MARKS[0]}\n{table}\n{MARKS[1]}", page), encoding="utf-8")
    draw(tiles[:WORST], IMAGES / "failures.jpg", 3)
    draw(free[:WORST_FREE], IMAGES / "failures-free.jpg", 4)


def place_of(tile: Exhibit) -> str:
    """The place, without pixel size and date."""
    return re.sub(r"-\d+m.*", "", tile.score.scene.removeprefix("s2cloudless-200m-"))


def by_place(tiles: tuple[Exhibit, ...]) -> str:
    """All tiles: how many at each place fall to each cause, with their mean r, and how many are inverted."""
    places = sorted({place_of(tile) for tile in tiles})
    lines = [
        "| first cause | " + " | ".join(f"{p} | r | inverted" for p in places) + " |",
        "|---|" + "---|" * (3 * len(places)),
    ]
    first = {id(tile): causes_of(tile)[0] for tile in tiles}
    for cause in (*CAUSES, "all tiles"):
        cells = []
        for place in places:
            r = [
                tile.score.scores["pearson_r"]
                for tile in tiles
                if place_of(tile) == place and cause in (first[id(tile)], "all tiles")
            ]
            cells.append(f"{len(r)} | {np.mean(r):.2f} | {sum(v <= 0 for v in r)}" if r else "- | |")
        if any(cell != "- | |" for cell in cells):
            lines.append(f"| {cause} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_rank(tiles: tuple[Exhibit, ...]) -> str:
    """The worst tiles: all causes of each, and the count of the first ones."""
    count = Counter(causes_of(tile)[0] for tile in tiles)
    lines = [
        "By first cause: " + ", ".join(f"{c} {n}" for c, n in count.most_common()) + ".",
        "",
        "| | scene | row, column | relief m | r | causes |",
        "|---|---|---|---|---|---|",
    ]
    for i, tile in enumerate(tiles, 1):
        s = tile.score
        lines.append(
            f"| {i} | {s.scene} | {s.row_off}, {s.col_off} | {s.relief_std_m:.0f} | {s.scores['pearson_r']:.2f} | "
            f"{', '.join(causes_of(tile))} |"
        )
    return "\n".join(lines)


def draw(tiles: tuple[Exhibit, ...], path: Path, columns: int) -> None:
    """A sheet with the number of each tile: the image if there are four columns, truth, prediction and error."""
    rows = -(-len(tiles) // COLUMNS)
    width = columns * SIDE + LINE
    whole = Image.new("RGB", (COLUMNS * width - LINE, rows * (SIDE + LINE)), "white")
    pen = ImageDraw.Draw(whole)
    for i, tile in enumerate(tiles):
        x, y = (i // rows) * width, (i % rows) * (SIDE + LINE)
        pen.text((x, y), f"{i + 1}  {tile.score.scene}  r {tile.score.scores['pearson_r']:.2f}", fill="black")
        for k, (_, picture) in enumerate(four_pictures(tile)[-columns:]):
            small = Image.fromarray(picture).resize((SIDE - 2, SIDE - 2), Image.Resampling.LANCZOS)
            whole.paste(small, (x + k * SIDE, y + LINE))
    whole.save(path, quality=82)


if __name__ == "__main__":
    main()
