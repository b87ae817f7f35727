"""The `im2dem` command."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from im2dem._version import __version__
from im2dem.core.errors import Im2DemError

from . import console
from .rooms import LazyGroup

INTERRUPTED = 130
# Newer versions of typer carry a copy of click and raise that copy's errors; typer exports one of them, and their
# base is found from it whichever click it is.
_CliError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="im2dem",
    cls=LazyGroup,
    help="A digital elevation model from one RGB satellite image, with its uncertainty and a 3D page.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        console.say(f"im2dem {__version__}")
        raise typer.Exit


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell more on stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A digital elevation model from one RGB satellite image, with its uncertainty and a 3D page."""
    console.start_logging(verbose)


def main(args: list[str] | None = None) -> int:
    """Run the command line and exit: 0 done, 2 usage, 3 input, 4 missing extra, 5 remote, 130 interrupted, 1 else."""
    code = run(args)
    if args is None:
        sys.exit(code)
    return code


def run(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        result = app(args=args, prog_name="im2dem", standalone_mode=False)
    except Im2DemError as error:
        console.tell_error(f"im2dem: {error}")
        return error.exit_code
    except _CliError as error:
        error.show(file=sys.stderr)
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    if result == INTERRUPTED:  # newer versions of typer return it
        console.tell_error(
            "im2dem: interrupted; nothing half-written is left; predict goes on with --resume, builds and runs as such"
        )
    return result if isinstance(result, int) else 0
