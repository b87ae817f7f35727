"""Short runs that differ in one thing each, from scratch with the same number of chips, scored on the validation packs.

    python benchmarks/ablations.py --packs PACKS [--runs runs/ablations] [--only NAME ...] [--steps 300]

Each run is a folder below --runs and goes on where it was stopped; docs/results/ablations.json has those that are
finished. The numbers rank ideas at a small budget; they are far below those of the weights that ship.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import report
from harness import ROOT, Outcome, Setup, Table, number, say

BASE = "relief"
ROWS: dict[str, tuple[str, ...]] = {
    BASE: (),
    "real pairs only": ("real_share=[1.0,1.0]",),
    "rendered pairs only": ("real_share=[0.0,0.0]",),
    "sun never told": ("augment.hide_sun_real=1.0", "augment.hide_sun_rendered=1.0"),
    "all eight turns": ("augment.sun_sector_deg=[0.0,360.0]",),
    "no gradient term": ("loss.gradient=0.0",),
    "no normal, slope terms": ("loss.normal=0.0", "loss.slope=0.0"),
    "with a PatchGAN": ("loss.adversarial=0.2",),
    "with a guide": ("network.guide=true",),
    "ridge lines too": ("network.ridges=true",),
    "pyramid: half size first": ("network.pyramid=true",),
    "slopes summed up": ("network.integral=true",),
    "other cover on the relief": ("augment.recolour=0.4",),
    "half the width": ("network.widths=[12,24,48,80]",),
    "ImageNet encoder": ("network.encoder='lite0'", "network.widths=[24,32,48,64,96]"),
    "both encoders": ("network.encoder='joint'", "network.frozen=3"),
    "both, the larger Lite2": ("network.encoder='joint'", "network.frozen=3", "network.lite=2"),
}
FOLDER = str.maketrans({" ": "-", ",": None, ":": None})
EXPLAIN = (
    "One change each to the recipe `relief`, trained from scratch over the same {chips} chips of {crop} px, seed 0. r: "
    "mean correlation with the truth over validation tiles of 256 px with relief over 20 m, sun hidden; *told*: all "
    "places, sun told where known; *inverted*: share of tiles with r at or below 0, sun hidden. *speed*: chips a "
    "second relative to the first row; runs were made one after the other on one machine that also did other work."
)


def main() -> int:
    """Run what is missing and write the section."""
    options = _parser().parse_args()
    for name in options.only or ROWS:
        say(name)
        _train(name, options)
    outcome = outcome_of(options.runs, options.steps, options.batch, options.crop)
    made_with = report.provenance(Setup(), "ablations")
    made_with["command"] = f"python benchmarks/ablations.py --packs PACKS --steps {options.steps}"
    print(report.save(ROOT / "docs/results", "ablations", made_with, outcome))
    return 0


def _train(name: str, options: argparse.Namespace) -> None:
    from im2dem.dataset.training_data import find_training_data
    from im2dem.train.loop import train
    from im2dem.train.recipe import load_recipe

    budget = {
        "steps": str(options.steps),
        "batch": str(options.batch),
        "crop_px": str(options.crop),
        "warmup_steps": str(options.steps // 10),
        "validate_every": str(options.steps),
    }
    settings = dict(text.split("=", 1) for text in ROWS[name])
    recipe = load_recipe(ROOT / "recipes/relief.toml", budget | settings)
    train(recipe, find_training_data([options.packs]), options.runs / name.translate(FOLDER))


def outcome_of(runs: Path, steps: int, batch: int, crop: int) -> Outcome:
    """The table of the runs that are finished."""
    found = {}
    for name in ROWS:
        folder = runs / name.translate(FOLDER)
        validation, log = _last_row(folder / "validation.csv"), _last_row(folder / "log.csv")
        if validation and int(validation["step"]) == steps:
            found[name] = (validation, float(log["chips_per_s"]) if log else float("nan"))
    places = [key for key in next(iter(found.values()))[0] if key.startswith("r ")] if found else []
    speed = found[BASE][1] if BASE in found else float("nan")
    columns = ("run", *(key.removeprefix("r ") for key in places), "all, hidden", "all, told", "inverted", "speed")
    rows = [
        (
            name,
            *(number(float(row[place]), 2) for place in places),
            number(float(row["r_sun_hidden"]), 3),
            number(float(row["r_sun_told"]), 3),
            f"{100 * float(row['inverted_hidden']):.0f} %",
            number(rate / speed, 2),
        )
        for name, (row, rate) in found.items()
    ]
    return Outcome((EXPLAIN.format(chips=steps * batch, crop=crop), Table("", columns, tuple(rows))))


def _last_row(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return rows[-1] if rows else {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, required=True, help="folder of packs; val-* are the validation")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"), help="where the runs are kept")
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help="only these rows")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--crop", type=int, default=128, help="side of a chip in pixels")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
