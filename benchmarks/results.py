"""Measure what docs/results.md reports, section by section, and put the page together.

    python benchmarks/results.py --data DIR                    all sections but the test split
    python benchmarks/results.py --data DIR --only validation flat
    python benchmarks/results.py --data DIR --only test        once per release
    python benchmarks/results.py --data DIR --only validation --baseline RUN-OF-THE-SEED
    python benchmarks/results.py --assemble                    only the page, from what was measured

Each section leaves docs/results/<section>.json, in place of the one before; the page has the newest of each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import accuracy
import anchoring
import building
import colouring
import exactness
import exporting
import flatland
import fuzz_readers
import install
import memory
import page
import poisson
import releases
import report
import roundtrip
import serving
import speed
import terrain
import throughput
import training
from harness import ROOT, Outcome, Setup, say

from im2dem.core.errors import Im2DemError


def test_split(setup: Setup) -> Outcome:
    """Accuracy and flat land of the split that is run once per release."""
    figures, flat = accuracy.release(setup), flatland.of_splits(setup, "test")
    return Outcome((*figures.blocks, "**Flat land**", *flat.blocks))


SECTIONS: dict[str, Callable[[Setup], Outcome]] = {
    "validation": accuracy.validation,
    "test": test_split,
    "flat": flatland.run,
    "anchoring": anchoring.run,
    "anchoring-test": anchoring.release,
    "poisson": poisson.run,
    "building": building.run,
    "speed": speed.run,
    "memory": memory.run,
    "exactness": exactness.run,
    "install": install.run,
    "training": training.run,
    "export": exporting.run,
    "page": page.run,
    "fuzz": fuzz_readers.run,
    "terrain": terrain.run,
    "roundtrip": roundtrip.run,
    "throughput": throughput.run,
    "release": releases.run,
    "server": serving.run,
    "colour": colouring.run,
    "colour-test": colouring.release,
}
# Left out unless asked for: the test split is run once per release.
ON_DEMAND = ("test", "anchoring-test", "colour-test")
NEED_DATA = ("validation", "test", "flat", "anchoring", "anchoring-test", "colour", "colour-test")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    setup = Setup(
        options.data,
        options.model,
        options.name,
        options.threads,
        options.quick,
        tuple(options.baseline),
    )
    chosen = [] if options.assemble else options.only or [name for name in SECTIONS if name not in ON_DEMAND]
    without = [name for name in chosen if name in NEED_DATA and setup.data is None]
    if without:
        say(f"{', '.join(without)}: give --data DIR, or choose other sections with --only")
        return 2
    folder = options.out.with_suffix("")
    for name in chosen:
        say(name)
        try:
            outcome = SECTIONS[name](setup)
            report.save(folder, name, report.provenance(setup, name), outcome)
        except Im2DemError as error:
            say(f"{name}: {error}")
            return error.exit_code
        _write(options.out, folder)
    _write(options.out, folder)
    print(options.out)
    return 0


def _write(page: Path, folder: Path) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(report.assemble(folder), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, help="folder of pairs: validation, test, flat and anchoring need it")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="NAME", help=", ".join(SECTIONS))
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results.md", help="the page; fragments lie beside it")
    parser.add_argument("--model", default=Setup.model, help="name or path of the model")
    parser.add_argument("--name", help="only pairs whose name contains this")
    parser.add_argument("--threads", type=int, help="threads of the network")
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes, repeat less")
    parser.add_argument("--baseline", action="append", default=[], help="model beside it, may be repeated")
    parser.add_argument("--assemble", action="store_true", help="measure nothing, only write the page")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
