"""The command line explains itself, and its page says what it says."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load_generator() -> ModuleType:
    """The script docs/generate_cli_reference.py as a module: docs/ is not a package."""
    spec = importlib.util.spec_from_file_location("generate_cli_reference", ROOT / "docs/generate_cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load_generator()
COMMANDS = dict(generator.commands())


def test_the_page_is_current(capsys):
    assert generator.main(["--check"]) == 0, capsys.readouterr().err


def test_check_notices_a_stale_page(tmp_path, monkeypatch, capsys):
    page = tmp_path / "cli-reference.md"
    monkeypatch.setattr(generator, "TARGET", page)
    assert generator.main(["--check"]) == 1  # not there
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    page.write_text(page.read_text().replace("--resume", "--continue"))
    assert generator.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().err
    assert generator.main(["--chekc"]) == 2


def test_every_command_is_there():
    assert set(COMMANDS) == {
        "predict",
        "bench",
        "colour",
        "serve",
        "view",
        "evaluate",
        "train",
        "demo",
        "doctor",
        "models list",
        "models info",
        "models export",
        "models average",
        "dataset synth",
        "dataset pack",
        "dataset unpack",
        "dataset build",
        "dataset rgb",
        "dataset from-pairs",
        "dataset info",
        "dataset verify",
        "dataset split",
        "export",
        "animate",
        "terrain",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name):
    command = COMMANDS[name]
    assert len(command.help.split()) >= 4
    # "--help" itself is added when the command is parsed, so it is not among these.
    without = [p.name for p in command.params if len((p.help or "").split()) < 2]
    assert without == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_parses(name):
    program, *words = shlex.split(generator.EXAMPLES[name])
    assert program == "im2dem"
    assert words[: len(name.split())] == name.split()
    context = COMMANDS[name].make_context(name, words[len(name.split()) :])
    assert context.params
