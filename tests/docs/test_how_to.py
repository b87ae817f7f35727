"""The how-to pages do what they say: their blocks run in order, each page in a folder of its own.

```bash    every line is an `im2dem` command, run in this process; it must exit 0
```sh      `im2dem` commands that take too long for a test: parsed, not run
```python  executed; the blocks of a page share their names
```text    not executed, and neither is any other language

A page that begins with `<!-- needs: MODULE -->` is skipped where that module is not installed.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import rasterio
import typer

from im2dem.cli.app import app, run

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
PAGES = sorted(HOW_TO.glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"<!-- needs: ([\w, ]+) -->")


@dataclass(frozen=True)
class Block:
    language: str
    line: int
    text: str


def blocks(text: str) -> list[Block]:
    return [Block(m[1], text.count("\n", 0, m.start()) + 2, m[2]) for m in BLOCK.finditer(text)]


def run_page(page: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Run every block of a page in the current folder; returns how many ran."""
    names: dict[str, Any] = {"__name__": "page"}
    done = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{page.name}:{block.line}"
        if block.language == "python":
            # The right number of line breaks first, so that a traceback names the line of the page.
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
        elif block.language in ("bash", "sh"):
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    assert words[0] == "im2dem", f"{where}: only im2dem runs in these pages, got {line!r}"
                    if block.language == "sh":
                        parse(words[1:])
                    else:
                        assert run(words[1:]) == 0, f"{where}: {line!r} failed: {capsys.readouterr().err}"
        else:
            continue
        done += 1
    return done


def parse(words: list[str]) -> None:
    """Parse a command line as `im2dem` would, without running it."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    command.make_context(command.name, words)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page, empty_folder, capsys):
    needs = NEEDS.search(page.read_text(encoding="utf-8"))
    for module in re.split(r",\s*", needs[1]) if needs else ():
        if find_spec(module) is None:
            pytest.skip(f"{page.name} needs {module}, which is not installed (make test-all)")
    assert run_page(page, capsys) > 0
    assert list(empty_folder.rglob("*.part*")) == []


def test_there_are_pages():
    assert {page.stem for page in PAGES} == {
        "absolute-heights",
        "artificial-terrain",
        "colour",
        "evaluate",
        "export",
        "mosaics",
        "predict-georeferenced",
        "predict-photo",
        "python",
        "qgis",
        "sentinel-2",
        "serve",
        "speed",
        "tell-the-sun",
        "train-your-own",
        "training-sets",
        "view-in-3d",
    }


def test_a_failing_block_fails(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("```bash\nim2dem predict nothing.tif -o x.tif\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:2"):
        run_page(page, capsys)
    page.write_text("```bash\nrm -r x\n```\n")
    with pytest.raises(AssertionError, match="only im2dem"):
        run_page(page, capsys)
    page.write_text("```sh\nim2dem predict x.tif -o y.tif --sunn 1,2\n```\n")
    with pytest.raises(typer.BadParameter.__mro__[1], match="sunn"):  # UsageError, which typer does not export
        run_page(page, capsys)
    page.write_text("```python\na = 1\n```\nThen\n```python\nassert a == 2\n```\n")
    with pytest.raises(AssertionError):
        run_page(page, capsys)


def table_keys(page: str, heading: str) -> set[str]:
    """First column of the table below a heading."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def test_the_page_explains_every_tag_and_every_key(empty_folder, capsys):
    page = HOW_TO / "predict-georeferenced.md"
    run_page(page, capsys)
    text = page.read_text(encoding="utf-8")
    with rasterio.open("dem.tif") as dem:
        tags = {name for name in dem.tags() if name.startswith(("IM2DEM_", "TIFFTAG_"))}
    assert table_keys(text, "What the tags say") == tags
    assert table_keys(text, "What the side-car says") == set(json.loads(Path("dem.tif.json").read_text()))
