"""Damaged files through every door by which files come in, each door in a process with limits.

    python benchmarks/results.py --only fuzz [--quick]
    python benchmarks/fuzz_readers.py --child NAME SEED FIRST COUNT     what the section runs; prints JSON lines

A reader may succeed or say what is wrong (an `Im2demError`). Anything else is a fault: another exception or warning of
a number that overflowed, a crash, more than `LONGEST_S` of the processor's time for one input, or a need for more than
`ROOM_BYTES` of memory beyond what the process had when it began, which shows as one of these. The doors are in
tests/fuzz_kit.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from harness import ROOT, Bar, Outcome, Setup, Table, say
from numpy.typing import NDArray

sys.path.insert(0, str(ROOT / "tests"))
from fuzz_kit import doors
from fuzz_kit.doors import DOORS, damaged_input, draw_inputs, send, whole_inputs_are_read

SEED = 0
INPUTS, QUICK_INPUTS = 7000, 100
# Where an input takes longer than some milliseconds: files are written, pictures drawn, nets built.
FEWER = {
    "priors": 3000,
    "packs unpacked": 4000,
    "data of the prototype": 1000,
    "folders of pairs": 1500,
    "folders of height models": 4000,
    "training sets": 500,
    "snapshots of a run": 1500,
    "recipes": 2000,
    "runs gone on with": 150,
    "mosaics gone on with": 4000,
}
WANTED = 100_000
LONGEST_S = 20.0
# By the clock, for what waits for ever; a busy machine makes a short work long.
PATIENCE_S = 180.0
ROOM_BYTES = 3 * 2**30
# A leak grows in every part of a run. One strange input may make libraries load a table, or the allocator keep a piece
# of what was freed, once: that is the growth in all, which says less.
MOST_CREEP_KB = 2.0
PARTS = 10
TOO_LONG = doors.Outcome("fault", f"more than {LONGEST_S:g} s of the processor")
_SAMPLED_EVERY = 20


@dataclass
class Tally:
    """What came of the inputs of a door."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[int, int]] = field(default_factory=dict)  # place: (first input, how often)
    growth_mb: float = 0.0
    creep_kb: float = 0.0

    def add_fault(self, number: int, where: str) -> None:
        """Count a fault under its place, which stands before the first colon and blank."""
        place = where.split(": ")[0]
        first, often = self.faults.get(place, (number, 0))
        self.faults[place] = first, often + 1
        self.counts["fault"] += 1


def run(setup: Setup) -> Outcome:
    """All doors one after the other."""
    tallies: dict[str, Tally] = {}
    left_out = []
    for name, door in DOORS.items():
        missing = [package for package in door.needs if importlib.util.find_spec(package) is None]
        if missing:
            left_out.append(f"{name} ({', '.join(missing)} not installed)")
            continue
        wanted = QUICK_INPUTS if setup.quick else FEWER.get(name, INPUTS)
        tallies[name] = _through(name, wanted)
        say(f"  {name}: {wanted} inputs, {tallies[name].counts['fault']} faults")
    return describe(tallies, tuple(left_out))


def _through(name: str, wanted: int) -> Tally:
    """Inputs through one door, in a new process after each crash."""
    tally, first = Tally(), 0
    with tempfile.TemporaryDirectory(prefix="im2dem-fuzz-") as folder:
        while first < wanted:
            first = _one_process(name, first, wanted, Path(folder), tally)
    return tally


def _one_process(name: str, first: int, wanted: int, folder: Path, tally: Tally) -> int:
    """Run a process until it ends; returns the number of the next input."""
    words = [sys.executable, __file__, "--child", name, str(SEED), str(first), str(wanted - first)]
    environment = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    at, told = first - 1, time.monotonic()
    with (
        (folder / "stderr").open("w+b") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        for line in process.stdout or ():
            message = json.loads(line)
            at = message.get("at", at)
            if message.get("word") == "fault":
                tally.add_fault(at, message["where"])
            elif "word" in message:
                tally.counts[message["word"]] += 1
            tally.growth_mb = max(tally.growth_mb, message.get("growth_mb", 0.0))
            tally.creep_kb = max(tally.creep_kb, message.get("creep_kb", 0.0))
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(f"  {name}: {at} of {wanted}")
        code = process.wait()
        if code == 0:
            return wanted
        errors.seek(0)
        last = errors.read()[-2000:].decode("utf-8", "replace")
    if at < first:
        raise RuntimeError(f"the process for {name!r} did not begin (status {code}): {last}")
    hung = "Timeout (" in last
    tally.add_fault(at, f"more than {PATIENCE_S:g} s by the clock" if hung else f"crash (status {code})")
    say(f"  {name}, input {at}: {'hung' if hung else f'status {code}'}")
    return at + 1


def describe(tallies: dict[str, Tally], left_out: tuple[str, ...]) -> Outcome:
    """The table of doors, the places of faults, and the bars."""
    total = sum(sum(tally.counts.values()) for tally in tallies.values())
    faults = sum(tally.counts["fault"] for tally in tallies.values())
    creep = max((tally.creep_kb for tally in tallies.values()), default=0.0)
    rows = []
    for name, tally in tallies.items():
        told = sum(n for word, n in tally.counts.items() if word not in ("read", "fault"))
        counts = (sum(tally.counts.values()), tally.counts["read"], told, tally.counts["fault"])
        rows.append((name, *(str(n) for n in counts), f"{tally.creep_kb:.2f}", f"{tally.growth_mb:.1f}"))
    columns = ("door", "inputs", "read", "refused in a sentence", "faults", "creep, kB an input", "growth, MB")
    caption = (
        f"Bytes, fields, lengths, words, JSON values and members of archives of whole small files are changed, cut, "
        f"mixed and made huge (seed {SEED}). Every door has its own process; an input may take {LONGEST_S:g} s of the "
        f"processor and {ROOM_BYTES / 2**30:g} GB. A fault is anything but a success or an `Im2demError`. Creep is "
        f"the growth of the process's memory an input, median over {PARTS} parts of the run after its first fifth: "
        f"what a leak would do. Growth is that between the second and the last fifth; one strange input that makes a "
        f"library load a table, or the allocator keep a piece, is seen here alone."
    )
    blocks: list[str | Table] = [Table(caption, columns, tuple(rows))]
    places = [
        (name, place, str(first), str(often))
        for name, tally in tallies.items()
        for place, (first, often) in sorted(tally.faults.items())
    ]
    if places:
        blocks.append(Table("Where:", ("door", "place", "first input", "times"), tuple(places)))
    if left_out:
        blocks.append(f"Left out: {', '.join(left_out)}.")
    bars = (
        Bar("damaged inputs", f">= {WANTED:,}", f"{total:,}", total >= WANTED),
        Bar("faults: foreign errors, crashes, hangs", "0", str(faults), faults == 0),
        Bar(
            "creep of a process's memory",
            f"<= {MOST_CREEP_KB:g} kB an input",
            f"{creep:.2f} kB",
            creep <= MOST_CREEP_KB,
        ),
    )
    return Outcome(tuple(blocks), bars)


def child(name: str, seed: int, first: int, count: int) -> None:
    """Send inputs through a door, one JSON line before and one after each."""
    logging.disable(logging.CRITICAL)
    # Libraries print to the standard output, which is for messages alone.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**message: object) -> None:
        print(json.dumps(message), file=messages, flush=True)

    door, folder = DOORS[name], Path(tempfile.mkdtemp())
    inputs = draw_inputs(door, folder / "drawn")
    broken = [o for o in whole_inputs_are_read(door, inputs, folder / "input") if o.word != "read"]
    if broken:
        raise AssertionError(f"an input that nobody damaged: {broken}")
    room = _status_bytes("VmSize") + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    samples = []
    for number in range(first, first + count):
        tell(at=number)
        files = damaged_input(name, number, seed, inputs)
        began = time.process_time()
        faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
        outcome = send(door, files, folder / "input")
        faulthandler.cancel_dump_traceback_later()
        if time.process_time() - began > LONGEST_S:
            outcome = TOO_LONG
        tell(word=outcome.word, where=outcome.where)
        if number % _SAMPLED_EVERY == 0:
            samples.append(_status_bytes("VmRSS"))
    if len(samples) >= 2 * PARTS:
        tell(**growth_of(np.array(samples), _SAMPLED_EVERY))


def growth_of(samples: NDArray[np.int64], inputs_a_sample: int) -> dict[str, float]:
    """What a process's memory did: `growth_mb` in all, and `creep_kb` an input in the median part of the run.

    Parameters
    ----------
    samples
        Bytes after every so many inputs, shape (sample,), at least 20.
    inputs_a_sample
        How many.
    """
    fifth = len(samples) // 5
    growth_mb = (np.median(samples[-fifth:]) - np.median(samples[fifth : 2 * fifth])) / 1e6
    ends = np.linspace(fifth, len(samples) - 1, PARTS + 1).astype(int)
    creep_kb = np.median(np.diff(samples[ends]) / np.diff(ends)) / inputs_a_sample / 1e3
    return {"growth_mb": float(growth_mb), "creep_kb": float(creep_kb)}


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    if sys.argv[1:2] != ["--child"]:
        raise SystemExit(__doc__)
    child(sys.argv[2], *(int(word) for word in sys.argv[3:6]))
