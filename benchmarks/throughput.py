"""How fast training goes and what the loader costs, from the record that `im2dem train` leaves."""

from __future__ import annotations

import json
from typing import Any

from harness import Bar, Outcome, Setup, Table, number

from im2dem.core.errors import InputError, UsageError

LOADER_BAR = 0.05
EXPLAIN = (
    "*Loader*: share of a step's time in which the network waits for its batch. *Chips*: pairs of picture and heights "
    "that a step learns from, over those of the first line (a ratio: nothing is said of other machines)."
)


def run(setup: Setup) -> Outcome:
    """The runs of a record: JSON, one object or a list of them, each with `recipe`, `device`, `batch`,
    `crop_px`, `chips_per_s` and `loader_share`.

    Raises
    ------
    UsageError
        No record was given.
    InputError
        It cannot be read, or a run lacks one of these.
    """
    if setup.training is None:
        raise UsageError("the section training is made of a record of `im2dem train`: give --training FILE")
    runs = _read(setup)
    first = float(runs[0]["chips_per_s"])
    rows = tuple(
        (str(r["recipe"]), str(r["device"]), str(r["batch"]), str(r["crop_px"]),
         number(float(r["chips_per_s"]) / first, 2), f"{100 * float(r['loader_share']):.1f} %")
        for r in runs
    )  # fmt: skip
    bars = [
        Bar(
            f"loader, {r['recipe']} on {r['device']}",
            f"at most {100 * LOADER_BAR:.0f} %",
            f"{100 * float(r['loader_share']):.1f} %",
            float(r["loader_share"]) <= LOADER_BAR,
        )
        for r in runs
    ]
    return Outcome((Table(EXPLAIN, ("recipe", "on", "batch", "crop px", "chips, ratio", "loader"), rows),), tuple(bars))


def _read(setup: Setup) -> list[dict[str, Any]]:
    try:
        content = json.loads(setup.training.read_text(encoding="utf-8")) if setup.training else []
    except (OSError, ValueError) as error:
        raise InputError(f"{setup.training}: no record of training ({error})") from error
    runs = content if isinstance(content, list) else [content]
    wanted = ("recipe", "device", "batch", "crop_px", "chips_per_s", "loader_share")
    if not runs or any(not isinstance(r, dict) or any(key not in r for key in wanted) for r in runs):
        raise InputError(f"{setup.training}: each run of a record of training needs {', '.join(wanted)}")
    return runs
