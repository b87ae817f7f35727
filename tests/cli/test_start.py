"""The command and the package start without what only the work itself needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import typer

import im2dem
from im2dem.cli.app import app, run
from im2dem.cli.rooms import ROOMS

HEAVY = ("numpy", "scipy", "numba", "onnxruntime", "rasterio", "pyproj", "torch", "dask", "requests", "PIL")
COMMANDS = typer.main.get_command(app).commands


def imported(code):
    """Which of `HEAVY` a fresh interpreter has imported after some code."""
    told = f"{code}\nimport sys\nprint('after:', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "80"}
    )
    return done.stdout.rpartition("after:")[2].split(), done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import im2dem; im2dem.__version__; im2dem.InputError; dir(im2dem)",
        "from im2dem.cli import app; from im2dem.cli.app import run; assert run(['--help']) == 0",
        "from im2dem.cli.app import run; assert run(['--version']) == 0",
        "from im2dem.cli.app import run; assert run(['predcit']) == 2",
    ],
)
def test_starting_imports_nothing_heavy(code):
    assert imported(code)[0] == []


def test_what_is_heavy_is_seen_where_it_is_needed():
    assert {"numpy", "rasterio", "onnxruntime"} <= set(imported("import im2dem; im2dem.predict_dem")[0])


@pytest.mark.parametrize(
    ("command", "without"), [("predict", HEAVY), ("train", ("torch", "onnxruntime")), ("colour", ("onnxruntime",))]
)
def test_help_of_a_command_imports_only_its_room(command, without):
    heavy, said = imported(f"from im2dem.cli.app import run; assert run(['{command}', '--help']) == 0")
    assert f"im2dem {command}" in said
    assert not set(heavy) & {*without, "torch", "dask", "numba"}


@pytest.mark.parametrize("name", ROOMS)
def test_the_list_says_what_the_command_says_of_itself(name):
    assert COMMANDS[name].get_short_help_str(1000) == typer.core.TyperCommand(
        name, help=ROOMS[name][1]
    ).get_short_help_str(1000)


def test_a_command_that_there_is_not(capsys):
    with pytest.raises(KeyError):
        COMMANDS["predcit"]
    assert run(["predcit"]) == 2
    assert "Did you mean 'predict'?" in capsys.readouterr().err


def test_names_of_the_package_are_found_when_asked_for():
    assert set(im2dem.__all__) <= set(dir(im2dem))
    assert im2dem.Grid is im2dem.core.grid.Grid
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        im2dem.predict  # noqa: B018
    with pytest.raises(ImportError):
        from im2dem import predict  # noqa: F401
