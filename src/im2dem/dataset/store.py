"""A training set on disk.

::

    DIR/
    ├── manifest.json          the request, provenance, licences, split, rules, counts
    ├── index.csv              one row a chip, with its outline as WKT: opens in QGIS; SHA-256 of both rasters
    ├── journal.jsonl          one line a chip that was dealt with, kept or dropped: what a second run goes by
    └── pairs/NAME/            rgb.tif, dem.tif (one grid), meta.json: what `evaluate` and `dataset pack` read

A chip's folder appears by one rename, so it is whole or not there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from im2dem.core.errors import InputError, UsageError
from im2dem.io.atomic import new_file, output_error, write_text

FORMAT = 1
# What a record of the wrong shape raises where it is used.
DAMAGED = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError)
INDEX_COLUMNS = (
    "name",
    "split",
    "cell",
    "crs",
    "gsd_m",
    "height",
    "width",
    "west",
    "south",
    "east",
    "north",
    "dates",
    "observations",
    "sun_azimuth_deg",
    "sun_elevation_deg",
    "cloud_share",
    "water_share",
    "void_share",
    "relief_m",
    "shift_down_px",
    "shift_right_px",
    "shift_peak",
    "vertical_datum",
    "licence",
    "sha256_rgb",
    "sha256_dem",
    "WKT",
)


@dataclass(frozen=True)
class EncodedChip:
    """A finished chip as bytes, ready for any disk.

    Parameters
    ----------
    name
        Of its folder.
    files
        Name and content of each file.
    meta
        What `meta.json` says.
    """

    name: str
    files: Mapping[str, bytes]
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a chip of the plan.

    Parameters
    ----------
    name
        Of the chip.
    state
        "kept", or a key of `rules.REASONS`.
    told
        For the log: why, what it would have needed.
    """

    name: str
    state: str
    told: str = ""


class Store:
    """The folder of a training set, for writing and for reading.

    Parameters
    ----------
    root
        The folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.pairs = self.root / "pairs"

    @property
    def manifest_file(self) -> Path:
        """manifest.json."""
        return self.root / "manifest.json"

    @property
    def index_file(self) -> Path:
        """index.csv."""
        return self.root / "index.csv"

    @property
    def journal_file(self) -> Path:
        """journal.jsonl."""
        return self.root / "journal.jsonl"

    @property
    def parts(self) -> Path:
        """Where unfinished chips and what was downloaded for them lie; gone when a run is through."""
        return self.root / ".part"

    def begin(self, manifest: Mapping[str, Any], overwrite: bool = False) -> None:
        """Make the folder, or take up the one that is there.

        Parameters
        ----------
        manifest
            Its "request" must be that of the folder that is there.
        overwrite
            Throw away a set made by another request.

        Raises
        ------
        UsageError
            The folder holds a set made by another request, or other files.
        OutputError
            It cannot be made.
        """
        if self.manifest_file.exists():
            there = self.manifest()
            if there.get("request") == json.loads(json.dumps(manifest["request"])):
                return
            if not overwrite:
                raise UsageError(
                    f"{self.root} holds a training set made by another request ({_difference(there, manifest)}); "
                    "give another folder, or --overwrite to throw it away"
                )
            self.discard()
        elif self.root.is_dir() and any(self.root.iterdir()):
            raise UsageError(f"{self.root} holds files that are no training set; give an empty or a new folder")
        try:
            self.pairs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(self.root, error) from error
        self.write_manifest(manifest)

    def discard(self) -> None:
        """Remove the set, and nothing else that may lie in the folder."""
        for folder in (self.pairs, self.parts):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.journal_file, self.index_file, self.manifest_file):
            file.unlink(missing_ok=True)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write manifest.json whole or not at all."""
        write_text(self.manifest_file, json.dumps(manifest, indent=1, allow_nan=False) + "\n", overwrite=True)

    def manifest(self) -> dict[str, Any]:
        """Content of manifest.json.

        Raises
        ------
        InputError
            Missing or not JSON: not a training set, or a damaged one.
        """
        try:
            told = dict(json.loads(self.manifest_file.read_text(encoding="utf-8")))
            if not isinstance(told.get("request", {}), dict):
                raise TypeError("its request is no object")
            return told
        except FileNotFoundError as error:
            raise InputError(
                f"{self.root} is not a training set: it has no manifest.json; make one with `im2dem dataset build`"
            ) from error
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise InputError(
                f"{self.manifest_file}: damaged ({error}); build the set again into a new folder"
            ) from error

    def done(self) -> dict[str, str]:
        """State of each chip that a former run dealt with; failed ones are left out, so that they are tried again."""
        states: dict[str, str] = {}
        for record in self._journal():
            states[record["name"]] = record["state"]
        return {
            name: state
            for name, state in states.items()
            if state != "failed" and (state != "kept" or (self.pairs / name / "meta.json").is_file())
        }

    def put(self, chip: EncodedChip) -> None:
        """Store a chip: all of its files, or none.

        Raises
        ------
        OutputError
            The disk is full or not writable.
        """
        part = self.parts / "chips" / chip.name
        target = self.pairs / chip.name
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            for name, content in chip.files.items():
                (part / name).write_bytes(content)  # not forced to the disk: after a power cut, `verify` finds it
            if target.exists():
                shutil.rmtree(target)
            os.replace(part, target)
        except OSError as error:
            raise output_error(target, error) from error

    def note(self, outcome: Outcome) -> None:
        """Add a line to the journal. A line cut short by a crash is skipped when it is read."""
        line = json.dumps({"name": outcome.name, "state": outcome.state, "told": outcome.told}) + "\n"
        try:
            with open(self.journal_file, "a+b") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        line = "\n" + line
                file.write(line.encode())
        except OSError as error:
            raise output_error(self.journal_file, error) from error

    def counts(self) -> dict[str, int]:
        """How many chips were kept, and how many dropped for which reason."""
        states = {record["name"]: record["state"] for record in self._journal()}
        return dict(sorted(Counter(states.values()).items()))

    def metas(self) -> Iterator[dict[str, Any]]:
        """What each chip's meta.json says, sorted by name; damaged ones are left out."""
        for folder in sorted(self.pairs.iterdir()) if self.pairs.is_dir() else ():
            try:
                meta = dict(json.loads((folder / "meta.json").read_text(encoding="utf-8")))
                index_row(meta)
            except (OSError, *DAMAGED):
                continue
            yield meta

    def write_index(self) -> int:
        """Write index.csv from the chips that are there; returns their number."""
        count = 0
        with new_file(self.index_file, overwrite=True) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            writer = csv.DictWriter(text, INDEX_COLUMNS)
            writer.writeheader()
            for meta in self.metas():
                writer.writerow(index_row(meta))
                count += 1
            text.detach()  # flushes; the file itself is closed where it was opened
        return count

    def index(self) -> list[dict[str, str]]:
        """Rows of index.csv.

        Raises
        ------
        InputError
            It is missing or has other columns.
        """
        try:
            text = self.index_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.index_file}: cannot be read ({error}); run the build again, it writes it"
            ) from error
        reader = csv.DictReader(io.StringIO(text))
        try:
            missing = set(INDEX_COLUMNS) - set(reader.fieldnames or ())
            rows = list(reader)
        except csv.Error as error:
            raise InputError(f"{self.index_file}: damaged ({error}); run the build again, it writes it") from error
        if missing:
            raise InputError(f"{self.index_file}: without the columns {', '.join(sorted(missing))}; build again")
        short = next((i for i, row in enumerate(rows, 2) if None in row.values()), None)
        if short is not None:
            raise InputError(f"{self.index_file}, line {short}: fewer values than columns; build again")
        return rows

    def _journal(self) -> Iterator[dict[str, str]]:
        try:
            with open(self.journal_file, encoding="utf-8", errors="replace") as file:
                for line in file:
                    try:
                        record = json.loads(line)
                        yield {"name": str(record["name"]), "state": str(record["state"])}
                    except DAMAGED:
                        continue
        except FileNotFoundError:
            return


def index_row(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The row of index.csv for a chip's meta.json."""
    row = {key: meta.get(key) for key in INDEX_COLUMNS}
    row["height"], row["width"] = meta["size"]
    west, south, east, north = (round(float(v), 7) for v in meta["box"])
    row |= {"west": west, "south": south, "east": east, "north": north}
    row["dates"] = " ".join(meta.get("dates", ()))
    shift = meta.get("shift") or {}
    row |= {f"shift_{key}": shift.get(key) for key in ("down_px", "right_px", "peak")}
    row["WKT"] = f"POLYGON (({west} {south},{east} {south},{east} {north},{west} {north},{west} {south}))"
    return row


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _difference(there: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    old, new = there.get("request") or {}, json.loads(json.dumps(manifest["request"]))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{key}: {old.get(key)!r:.60} there, {new.get(key)!r:.60} now" for key in keys[:3])
