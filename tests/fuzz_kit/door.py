"""What a door is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Drawn = Sequence[dict[str, bytes]]


@dataclass(frozen=True)
class Door:
    """One way in.

    Parameters
    ----------
    seeds
        Draws inputs below an empty folder; each is a mapping of names to bytes.
    read
        Reads the input that lies in a folder as the commands do: returns, or raises an `Im2demError`. May write below
        `out` there.
    needs
        Packages that are not always installed.
    """

    seeds: Callable[[Path], Drawn]
    read: Callable[[Path], object]
    needs: tuple[str, ...] = ()


def gathered(*folders: Path) -> Drawn:
    """The files of folders, each folder an input."""
    return [{p.relative_to(f).as_posix(): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()} for f in folders]


def beside(root: Path) -> Drawn:
    """Every file in a folder an input of its own, but a side-car goes with the file whose name it begins with."""
    files = sorted(p for p in root.iterdir() if p.is_file())
    stems = {p.name.split(".")[0]: None for p in files}
    return [{p.name: p.read_bytes() for p in files if p.name.split(".")[0] == stem} for stem in stems]


def only(folder: Path, *endings: str) -> Path:
    """The first file of an input, in the order of some endings."""
    names = sorted(p for p in folder.iterdir() if p.is_file())
    return next(p for ending in endings for p in names if p.name.endswith(ending))
