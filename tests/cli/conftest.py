"""A picture in an empty folder, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import drawing
from im2dem.cli.app import run


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as strict JSON: NaN and Infinity, which Python reads and others do not, are refused."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        return json.loads(self.out, parse_constant=refuse)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def picture(folder: Path) -> Path:
    """scene.tif: 60 x 70 px of 10 m."""
    drawing.draw(folder / "scene.tif", drawing.colours())
    return Path("scene.tif")


@pytest.fixture
def dem(folder: Path) -> Path:
    """truth.tif: the heights of the same place."""
    drawing.draw_dem(folder / "truth.tif")
    return Path("truth.tif")


@pytest.fixture
def im2dem(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `im2dem` with these words; what was printed before does not count."""

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call
