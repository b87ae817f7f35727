"""Sections on disk, one JSON each, and the page that is put together from them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import ROOT, Bar, Outcome, Setup, Table

from im2dem.core.errors import Im2DemError
from im2dem.runtime.card import find_model, load_card

TITLES = {
    "validation": "Accuracy on the validation split",
    "test": "Accuracy on the test split",
    "flat": "Flat land",
    "anchoring": "Absolute heights from points and coarse models",
    "anchoring-test": "Absolute heights on the test split",
    "building": "Building training sets",
    "poisson": "The Poisson system",
    "speed": "Speed",
    "throughput": "Throughput",
    "release": "Beside the first release",
    "memory": "Memory",
    "exactness": "Exactness",
    "install": "Installing",
    "training": "Training",
    "ablations": "Ablations",
    "export": "Exports",
    "page": "The page",
    "fuzz": "Damaged files",
    "server": "The server",
    "terrain": "Artificial terrain",
    "roundtrip": "There and back",
    "colour": "Pictures of heights",
    "colour-test": "Pictures of heights, test split",
}

INTRO = """\
# Results

<!-- Written by benchmarks/results.py from docs/results/*.json. Do not edit: run the section again. -->

Every section names the commit, the day, the command and the weights it was made with. `DIR` is a folder of pairs as
`im2dem evaluate --data` takes it. Splits are by place: the weights were trained on *train* and chosen on *validation*;
the *test* split is run once per release, whatever comes out. Times are ratios only: they compare two things that were
run in turn on one machine, and say nothing about how fast another machine is.
"""


def provenance(setup: Setup, section: str) -> dict[str, str]:
    """What a section was made with: commit, date, command, model. No path of this machine."""
    card = load_card(find_model(setup.model))
    words = ["python benchmarks/results.py", f"--only {section}"]
    words += ["--data DIR"] if setup.data else []
    words += [f"--model {card.name}"] if setup.model != Setup.model else []
    words += [f"--name {setup.name}"] if setup.name else []
    words += [f"--threads {setup.threads}"] if setup.threads else []
    words += ["--quick"] if setup.quick else []
    words += [f"--baseline {load_card(find_model(name)).name}" for name in setup.baselines]
    return {
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join(words),
        "model": card.name,
        "sha256": card.sha256,
    }


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--", "src", "benchmarks") else ""
        return git("rev-parse", "--short=10", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def save(folder: Path, section: str, made_with: dict[str, str], outcome: Outcome) -> Path:
    """Write a section's fragment in place of the one before."""
    blocks = [{"text": b} if isinstance(b, str) else asdict(b) for b in outcome.blocks]
    content = {
        "section": section,
        "made_with": made_with,
        "bars": [asdict(bar) for bar in outcome.bars],
        "blocks": blocks,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{section}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def assemble(folder: Path, titles: dict[str, str] | None = None) -> str:
    """The page from the fragments of a folder; sections without one say so."""
    found: dict[str, dict[str, Any]] = {}
    for section in titles or TITLES:
        path = folder / f"{section}.json"
        if path.is_file():
            found[section] = json.loads(path.read_text(encoding="utf-8"))
    parts = [INTRO, _bars(found)]
    for section, title in (titles or TITLES).items():
        body = _section(found[section]) if section in found else "Not measured yet."
        parts.append(f"## {title}\n\n{body}\n")
    return "\n".join(part for part in parts if part)


def _bars(found: dict[str, dict[str, Any]]) -> str:
    bars = [(TITLES.get(name, name), Bar(**bar)) for name, content in found.items() for bar in content["bars"]]
    if not bars:
        return ""
    rows = [(title, bar.what, bar.wanted, bar.found, "yes" if bar.met else "**no**") for title, bar in bars]
    return "## Bars\n\n" + _table(("section", "what", "wanted", "found", "met"), rows) + "\n"


def _section(content: dict[str, Any]) -> str:
    made = content["made_with"]
    head = (
        f"*Commit {made['commit']}, {made['date']}, `{made['command']}`, "
        f"model {made['model']} (sha256 {made['sha256'][:12]}).*"
    )
    if not _ships(made):
        head += "\n\n**These figures were made with other weights than those that ship now.**"
    parts = [head]
    for block in content["blocks"]:
        if "text" in block:
            parts.append(block["text"])
        else:
            table = Table(**block)
            parts += [table.caption] if table.caption else []
            parts.append(_table(table.columns, table.rows))
    return "\n\n".join(parts)


def _ships(made: dict[str, str]) -> bool:
    try:
        return load_card(find_model(made["model"])).sha256 == made["sha256"]
    except Im2DemError:
        return False


def _table(columns: Any, rows: Any) -> str:
    widths = [max(len(str(line[i])) for line in (columns, *rows)) for i in range(len(columns))]

    right = [all(str(row[i])[:1] in "0123456789+-" for row in rows) for i in range(len(columns))]

    def line(cells: Any) -> str:
        each = zip(cells, widths, right, strict=True)
        return "| " + " | ".join(str(cell).rjust(w) if r else str(cell).ljust(w) for cell, w, r in each) + " |"

    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    return "\n".join([line(columns), line(rule), *map(line, rows)])
