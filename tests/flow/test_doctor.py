"""The report on an installation names what the project's own files ask for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from im2dem.pipeline.doctor import CORE, EXTRAS, examine

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
FOR_DEVELOPERS = {"test", "dev"}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads(PROJECT.read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!\[ ]", line, maxsplit=1)[0].lower() for line in requirements}


def test_every_dependency_and_extra_is_looked_for(project: dict) -> None:
    assert set(CORE) == names(project["dependencies"])
    assert set(EXTRAS) == set(project["optional-dependencies"]) - FOR_DEVELOPERS


def test_an_extra_is_said_to_be_there_only_with_all_its_packages(
    project: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    for extra, modules in EXTRAS.items():
        assert len(modules) >= len(names(project["optional-dependencies"][extra])) - 1, extra
    monkeypatch.setitem(EXTRAS, "video", ("json", "no_such_package"))
    found = {finding.subject: finding for finding in examine()}
    assert found["[video]"].ok is None
    assert "no_such_package" in found["[video]"].text
    assert "json" not in found["[video]"].text
    assert found["im2dem"].ok
