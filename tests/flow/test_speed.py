"""Measuring providers, choosing one, remembering it, and the command that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from im2dem.cli.app import run
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.pipeline import speed
from im2dem.pipeline.predict import predict_dem
from im2dem.pipeline.speed import Choice, Speed, choose_provider, measure_choices, pick
from im2dem.runtime.providers import available_providers

MODEL = "relief-free"


def found(**mpix_s: float) -> list[Speed]:
    return [Speed(Choice(name, 1, 64), value) for name, value in mpix_s.items()]


def test_another_provider_must_be_clearly_faster() -> None:
    assert pick(found(cpu=1.0, openvino=1.05)) == "cpu"
    assert pick(found(cpu=1.0, openvino=1.3)) == "openvino"
    assert pick(found(cpu=1.0, openvino=1.3, cuda=9.0)) == "cuda"
    assert pick(found(openvino=0.1)) == "openvino"
    assert pick([]) == "cpu"


def test_every_choice_is_measured_and_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Net:
        def __init__(self, *_: object, threads: int, calls_at_once: int, **__: object) -> None:
            self.threads, self.calls_at_once = threads, calls_at_once

        def __call__(self, tiles: np.ndarray) -> None:
            calls.append((self.threads, tiles.shape))

    monkeypatch.setattr(speed, "OnnxModel", Net)
    clock = iter(range(1000))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: float(next(clock)))
    choices = [Choice("cpu", 1, 64, 2), Choice("cpu", 2, 128)]
    speeds = measure_choices(MODEL, choices, rounds=2)
    # two threads have a call each
    assert calls == [(1, (2, 3, 64, 64)), *[(2, (1, 3, 128, 128))] * 2] * 3
    assert [s.choice for s in speeds] == choices
    # All calls of a turn take one second of the drawn clock.
    assert [s.mpix_s for s in speeds] == pytest.approx([2 * 64**2 / 1e6, 2 * 128**2 / 1e6])
    with pytest.raises(UsageError, match="round"):
        measure_choices(MODEL, choices, rounds=0)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[Choice]]:
    asked: list[list[Choice]] = []

    def measure(model: str, choices: list[Choice], rounds: int = 3) -> list[Speed]:
        asked.append(choices)
        return [Speed(choice, 2.0 if choice.provider == "openvino" else 1.0) for choice in choices]

    monkeypatch.setattr(speed, "measure_choices", measure)
    monkeypatch.setattr(speed, "available_providers", lambda: ("cpu", "openvino"))
    return asked


def test_auto_measures_once_and_remembers(
    tmp_path: Path, measured: list[list[Choice]], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "new folder" / "providers.json"
    assert choose_provider(MODEL, 1, memory) == "openvino"
    assert choose_provider(MODEL, 1, memory) == "openvino"
    assert [[c.provider for c in choices] for choices in measured] == [["cpu", "openvino"]]
    assert list(json.loads(memory.read_text()).values()) == ["openvino"]
    choose_provider(MODEL, 2, memory)
    assert len(measured) == 2  # other threads, another answer
    for name, value in (("_version", lambda package: "99"), ("_processor", lambda: "another")):
        with monkeypatch.context() as patch:
            patch.setattr(speed, name, value)
            choose_provider(MODEL, 1, memory)
    assert len(measured) == 4
    assert len(json.loads(memory.read_text())) == 4
    monkeypatch.setattr(speed, "available_providers", lambda: ("cpu",))
    assert choose_provider(MODEL, 1, memory) == "cpu"
    assert len(measured) == 4  # nothing to choose from, nothing to measure


@pytest.mark.parametrize("content", ["", "[1]", "{broken", '{"key": 3}'])
def test_a_damaged_memory_is_measured_again(tmp_path: Path, measured: list[list[Choice]], content: str) -> None:
    memory = tmp_path / "providers.json"
    memory.write_text(content)
    assert choose_provider(MODEL, 1, memory) == "openvino"
    assert choose_provider(MODEL, 1, memory) == "openvino"
    assert len(measured) == 1


def test_a_memory_that_cannot_be_written_is_done_without(tmp_path: Path, measured: list[list[Choice]]) -> None:
    (tmp_path / "file").write_text("")
    assert choose_provider(MODEL, 1, tmp_path / "file" / "providers.json") == "openvino"


def test_auto_reaches_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = np.random.default_rng(0).integers(0, 255, (3, 70, 64)).astype(np.float32)
    picture = Raster(data, Grid.local((70, 64), 30.0), ("red", "green", "blue"), "DN")
    plain = predict_dem(picture, threads=1, tile_px=64, overlap_px=16)
    monkeypatch.setattr(speed, "measure_choices", lambda model, choices: found(cpu=1.0, openvino=2.0))
    auto = predict_dem(picture, threads=1, tile_px=64, overlap_px=16, provider="auto")
    # Roundings of two runtimes; exactly equal where only ONNX Runtime is installed.
    np.testing.assert_allclose(auto.data, plain.data, atol=1e-3 * float(np.std(plain.data[0])))
    assert (tmp_path / "im2dem" / "providers.json").is_file() == ("openvino" in available_providers())
    with pytest.raises(UsageError, match="known are: auto, cpu"):
        predict_dem(picture, provider="abacus")


def test_the_command_prints_every_provider(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--size", "64", "--rounds", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {s["provider"] for s in told["speeds"]} == set(available_providers())
    assert all(s["mpix_s"] > 0 and s["tile_px"] == 64 for s in told["speeds"])
    assert told["fastest"] in available_providers()
    assert run(["bench", "--size", "64", "--rounds", "1"]) == 0
    assert "fastest  --provider" in capsys.readouterr().out
    assert run(["bench", "--size", "100"]) == 2
    assert "multiple of 32" in capsys.readouterr().err
