"""``python -m im2dem.train.colour RECIPE PACKS... --out RUN [--minutes 8]``: train where typer is not at hand."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from im2dem.train.recipe import read_table

from .loop import train_colour
from .recipe import colour_recipe


class Lines:
    """Logged rows as lines on stderr."""

    def row(self, row: dict[str, Any]) -> None:
        """Write it."""
        sys.stderr.write("  ".join(f"{k} {v:.4g}" for k, v in row.items()) + "\n")
        sys.stderr.flush()

    def step(self, done: int, total: int) -> None:
        """Nothing."""


def main() -> None:
    """Parse, train."""
    parser = argparse.ArgumentParser(prog="im2dem.train.colour", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("packs", type=Path, nargs="+", help="packs, or folders of them; those named val-* are held out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="wall-clock limit, over the recipe's")
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    given = parser.parse_args()
    recipe = colour_recipe(read_table(given.recipe, dict(text.split("=", 1) for text in given.set)))
    if given.minutes is not None:
        recipe = replace(recipe, minutes=given.minutes)
    packs = [file for path in given.packs for file in ([path] if path.is_file() else sorted(path.glob("*.npz")))]
    train_colour(recipe, packs, given.out, Lines())


if __name__ == "__main__":
    main()
