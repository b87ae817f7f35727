"""How fast the providers of this machine run a model, and which one `auto` takes: measured once, then remembered."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import Im2DemError, ModelError, UsageError
from im2dem.io.atomic import write_text
from im2dem.runtime.card import find_model, load_card
from im2dem.runtime.providers import MOST_CALLS, PROVIDERS, available_providers, best_calls
from im2dem.runtime.session import Condition, OnnxModel

log = logging.getLogger("im2dem")

AUTO = "auto"
DEFAULT_PROVIDER = "cpu"
# Another provider is taken only when it is faster by more than what two runs of the same one differ by.
_LEAST_GAIN = 1.1
_ROUNDS = 3


@dataclass(frozen=True)
class Choice:
    """One way to run a model.

    Parameters
    ----------
    provider
        One of those of `runtime.providers`.
    threads
        Threads of the network; None: all cores.
    tile_px, batch
        Side of a tile, pixels, and tiles in a call.
    """

    provider: str
    threads: int | None
    tile_px: int
    batch: int = 1


@dataclass(frozen=True)
class Speed:
    """What a choice did: megapixels a second of the network alone with many tiles, the median of several rounds."""

    choice: Choice
    mpix_s: float


def measure_choices(model: str, choices: list[Choice], rounds: int = _ROUNDS) -> list[Speed]:
    """Run drawn tiles through a model in every way, one after the other in each round.

    Parameters
    ----------
    model
        Name or path, see `runtime.card.find_model`.
    choices
        What to compare. A provider that fails to run the model is left out, with a warning.
    rounds
        Turns of all choices after a first one that warms up.

    Raises
    ------
    UsageError
        Fewer than one round, or a provider nobody knows.
    MissingDependencyError
        A provider is not installed.
    """
    if rounds < 1:
        raise UsageError(f"at least one round must be measured, got {rounds}")
    card_path = find_model(model)
    bands = len(load_card(card_path).bands)
    seconds: dict[Choice, list[float]] = {choice: [] for choice in choices}
    nets: dict[tuple[str, int | None], OnnxModel] = {}
    for turn, choice in product(range(rounds + 1), choices):
        if choice not in seconds:
            continue
        key = choice.provider, choice.threads
        if key not in nets:
            nets[key] = OnnxModel(
                card_path,
                condition=Condition(150.0, 40.0, 30.0, 45.0),
                threads=choice.threads,
                provider=choice.provider,
                calls_at_once=best_calls(choice.provider, choice.threads, MOST_CALLS),
            )
        try:
            spent = _seconds(nets[key], _drawn(choice, bands))
        except ModelError as error:
            log.warning("%s is left out: %s", choice.provider, error)
            del seconds[choice]
            continue
        if turn:
            seconds[choice].append(spent)
    return [Speed(c, c.batch * c.tile_px**2 / 1e6 / max(median(found), 1e-9)) for c, found in seconds.items()]


def _seconds(net: OnnxModel, tiles: NDArray[np.float32]) -> float:
    """Seconds a call, with as many calls at once as the net is made for."""
    calls = net.calls_at_once
    with ThreadPoolExecutor(calls) as pool:
        began = time.perf_counter()
        for _ in pool.map(net, [tiles] * calls):
            pass
        return (time.perf_counter() - began) / calls


def choose_provider(model: str, threads: int | None = None, memory: Path | None = None) -> str:
    """The fastest provider for a model on this machine: measured the first time, remembered after that.

    Parameters
    ----------
    model
        Name or path, see `runtime.card.find_model`.
    threads
        Threads of the network; None: all cores.
    memory
        File of what is known; default: `memory_file`. One that cannot be read or written is done without.

    Returns
    -------
    "cpu" unless another one is faster by a tenth.
    """
    found = available_providers()
    if found == (DEFAULT_PROVIDER,):
        return DEFAULT_PROVIDER
    path = memory or memory_file()
    card = load_card(find_model(model))
    key, known = _key(card.sha256, threads, found), _remembered(path)
    if known.get(key) in found:
        return known[key]
    log.info("measuring the providers %s once", ", ".join(found))
    speeds = measure_choices(model, [Choice(name, threads, card.tile_px) for name in found])
    fastest = pick(speeds)
    with suppress(OSError, Im2DemError):  # it will be measured again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({**known, key: fastest}, indent=1) + "\n", overwrite=True)
    return fastest


def resolve_provider(provider: str, model: str, threads: int | None) -> str:
    """A provider by name; "auto" stands for what `choose_provider` says.

    Raises
    ------
    UsageError
        Unknown provider.
    """
    if provider == AUTO:
        return choose_provider(model, threads)
    if provider not in PROVIDERS:
        raise UsageError(f"there is no provider {provider!r}; known are: {AUTO}, {', '.join(PROVIDERS)}")
    return provider


def pick(speeds: list[Speed]) -> str:
    """The provider of the fastest, or "cpu" where that is about as fast or nothing was measured."""
    best = max(speeds, key=lambda speed: speed.mpix_s, default=None)
    if best is None:
        return DEFAULT_PROVIDER
    own = max((s.mpix_s for s in speeds if s.choice.provider == DEFAULT_PROVIDER), default=0.0)
    return best.choice.provider if best.mpix_s > _LEAST_GAIN * own else DEFAULT_PROVIDER


def memory_file() -> Path:
    """Where `choose_provider` keeps what it found: in the user's cache folder, of XDG or of Windows."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or str(Path.home() / ".cache")
    return Path(base) / "im2dem" / "providers.json"


def _key(sha256: str, threads: int | None, found: tuple[str, ...]) -> str:
    """Everything that may change the answer."""
    machine = [platform.machine(), _processor(), os.cpu_count(), threads]
    return json.dumps([sha256, _version("onnxruntime"), _version("openvino"), *found, *machine])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Name of the processor; Linux has it in a file, elsewhere Python knows it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _remembered(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}


def _drawn(choice: Choice, bands: int) -> NDArray[np.float32]:
    shape = choice.batch, bands, choice.tile_px, choice.tile_px
    return np.random.default_rng(0).random(shape, np.float32)
