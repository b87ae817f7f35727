"""Write docs/cli-reference.md from the command line itself: python docs/generate_cli_reference.py [--check]."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from im2dem.cli.app import app

TARGET = Path(__file__).with_name("cli-reference.md")

EXAMPLES = {
    "serve": "im2dem serve --open",
    "bench": "im2dem bench --size 512 --json",
    "predict": "im2dem predict scene.tif -o dem.tif --sun 150,35",
    "view": "im2dem view dem.tif --image scene.tif -o scene.html --open",
    "evaluate": "im2dem evaluate dem.tif truth.tif --csv scores.csv",
    "models list": "im2dem models list --json",
    "models info": "im2dem models info relief-free",
    "models average": "im2dem models average runs/one runs/two -o runs/mean",
    "models export": "im2dem models export runs/relief -o models/relief",
    "dataset synth": "im2dem dataset synth --dem heights/ -o packs/train-rendered.npz --count 2000",
    "dataset pack": "im2dem dataset pack data/ -o packs --split val",
    "dataset unpack": "im2dem dataset unpack packs/val-alps.npz -o alps --split val",
    "train": "im2dem train recipes/relief.toml --data packs -o runs/relief --set steps=3000",
    "dataset build": "im2dem dataset build --aoi area.geojson --out alps --dates 2023-05/2023-09 --dry-run",
    "dataset rgb": "im2dem dataset rgb dem.tif -o rgb.tif --bands B04,B03,B02",
    "dataset from-pairs": "im2dem dataset from-pairs --image picture.tif --dem heights.tif --out mine",
    "dataset info": "im2dem dataset info mine",
    "dataset verify": "im2dem dataset verify mine",
    "dataset split": "im2dem dataset split mine --shares 0.1,0.1",
    "export": "im2dem export dem.tif --to glb --image picture.tif -o dem.glb",
    "animate": "im2dem animate dem.tif --image picture.tif -o turn.gif",
    "colour": "im2dem colour dem.tif -o rgb.tif --climate arid --season summer --sun 150,35 --variety 7",
    "terrain": "im2dem terrain --recipe alps --seed 7 --size 1025 -o alps.tif",
    "demo": "im2dem demo --out demo-output --open",
    "doctor": "im2dem doctor --json",
}

HEAD = """# Command line

Made by `python docs/generate_cli_reference.py` from the commands themselves; edit their help, not this page.

Data or one JSON summary goes to stdout; messages and progress go to stderr, progress only on a terminal. An output
that is there already is replaced only with `--overwrite` (by `demo` always).

| exit code | meaning |
|---:|---|
| 0 | done |
| 1 | anything else: the output cannot be written, or a fault in im2dem (then with a traceback) |
| 2 | the call is wrong: an option, a value, an output that exists |
| 3 | the input cannot be used: no picture, damaged, no valid pixel, no such model |
| 4 | an extra is not installed; the message names it |
| 5 | somebody else's server failed |
| 130 | interrupted (Ctrl-C) |
"""


def commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name as typed, command) of every command that does something, depth first."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def reference() -> str:
    """The whole page."""
    parts = [HEAD, "## Contents\n", "\n".join(f"- [im2dem {name}](#im2dem-{_anchor(name)})" for name, _ in commands())]
    parts += ["", "## Every command\n", _options(typer.main.get_command(app))]
    for name, command in commands():
        parts += [_section(name, command)]
    return "\n".join(parts).rstrip() + "\n"


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    words = [p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments]
    usage = " ".join(["im2dem", name, *words, "[OPTIONS]"])
    lines = [f"## im2dem {name}\n", " ".join(command.help.split()), "", f"```text\n{usage}\n\n{EXAMPLES[name]}\n```\n"]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{p.name.upper()}` | {_cell(p.help)} |" for p in arguments] + [""]
    return "\n".join([*lines, _options(command)])


def _options(command: Any) -> str:
    options = [p for p in command.params if p.param_type_name == "option"]
    rows = [f"| {_names(p)} | {_default(p)} | {_cell(p.help)} |" for p in options]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows, ""]) if rows else ""


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    return names + "".join(f", `{name}`" for name in option.secondary_opts)


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.default is None or option.default == []:
        return ""
    if option.is_flag:
        return f"`{option.opts[-1]}`" if option.default else ""
    return f"`{option.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it: 1 when it is stale."""
    page = reference()
    if arguments == ["--check"]:
        if TARGET.exists() and TARGET.read_text(encoding="utf-8") == page:
            return 0
        sys.stderr.write(f"{TARGET.name} is stale; run: python docs/{Path(__file__).name}\n")
        return 1
    if arguments:
        sys.stderr.write(f"{Path(__file__).name} takes nothing or --check, got {' '.join(arguments)}\n")
        return 2
    TARGET.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
