"""Commands whose modules are imported when they are called: the list of all of them needs none."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# Name of a command: its module, and what the list of commands says of it. A test holds the words to the command's own.
ROOMS = {
    "predict": (
        "predict",
        "Predict heights from a picture: a GeoTIFF with the bands height and sigma on the picture's own grid.",
    ),
    "view": ("view", "Make a 3D page of a DEM: one HTML file that opens from disk, without a network."),
    "export": (
        "export",
        "Write a DEM for other programs: 3D models, prints, game engines, map tiles, contours, text.",
    ),
    "animate": (
        "animate",
        "Make a turntable of a DEM, or a film of a training run; needs no display and no browser.",
    ),
    "terrain": ("terrain", "Make artificial terrain: im2dem terrain --recipe alps --seed 7 --size 1025 -o dem.tif."),
    "colour": (
        "colour",
        "Colour heights as a satellite might see them: im2dem colour dem.tif -o rgb.tif --climate arid --sun 150,35.",
    ),
    "evaluate": (
        "evaluate",
        "Score heights against the truth: files (PRED TRUTH), or a model over pairs (--model, --data).",
    ),
    "train": ("training", "Train a model."),
    "serve": (
        "serve",
        "Serve a page on this machine where pictures are dropped and heights come out, and the same over HTTP.",
    ),
    "bench": (
        "bench",
        "Measure how fast this machine runs a model: megapixels a second by provider, threads, tile and batch.",
    ),
    "demo": (
        "system",
        "Run the main job on the scene that ships: a DEM and a 3D page, no network needed.",
    ),
    "doctor": ("system", "Check this installation: versions, formats, models, extras, and a tiny run."),
    "models": ("models", "The models: those that ship, and your own."),
    "dataset": ("dataset", "Training and evaluation pairs."),
}


class LazyGroup(TyperGroup):
    """The group of all commands; each is imported when it is looked up."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands, in order."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands from `ROOMS`, cut to the width as typer cuts them."""
        limit = formatter.width - 6 - max(map(len, ROOMS))
        rows = [(name, TyperCommand(name, help=says).get_short_help_str(limit)) for name, (_, says) in ROOMS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class _Commands(MutableMapping[str, Any]):
    """Commands by name, made when they are asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command(name)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*ROOMS, *self._made)))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _command(name: str) -> Any:
    """The command as typer makes it; KeyError for a name that there is not."""
    room = import_module(f"im2dem.cli.{ROOMS[name][0]}")
    holder = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    holder.callback()(_nothing)  # with a callback typer makes a group of one command, too
    if hasattr(room, "add_to"):
        room.add_to(holder)
    else:
        holder.add_typer(room.app, name=name)
    group: Any = typer.main.get_command(holder)
    return group.commands[name]


def _nothing() -> None:
    """Typer wants a function."""
