"""What the core install without extras takes: packages, files, megabytes, and time beside its largest parts alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import ROOT, Outcome, Setup, Table, say

PEER = ("numpy", "scipy", "rasterio", "onnxruntime")
# Runs in the new environment: every installed package with its files and bytes, compiled modules included.
LISTING = """
import importlib.metadata as m
for d in m.distributions():
    sizes = [p.stat().st_size for f in d.files or () if (p := d.locate_file(f)).is_file()]
    print(d.metadata["Name"], len(sizes), sum(sizes))
"""


@dataclass(frozen=True)
class Package:
    """An installed package: its files and bytes."""

    files: int
    size: int


def run(setup: Setup) -> Outcome:
    """Both installs in fresh environments, in turn, from the same wheels at hand, without the network."""
    repeats = 1 if setup.quick else 3
    ratios = []
    with tempfile.TemporaryDirectory(prefix="im2dem-install-") as name:
        folder = Path(name)
        say("  wheels")
        _call([sys.executable, "-m", "venv", str(folder / "build")])
        _pip(folder / "build", "wheel", "--wheel-dir", str(folder / "wheels"), str(ROOT))
        packages: dict[str, Package] = {}
        for turn in range(repeats):
            say(f"  round {turn + 1} of {repeats}")
            own, packages = _install(folder, f"own-{turn}", "im2dem")
            peer, _ = _install(folder, f"peer-{turn}", *PEER)
            ratios.append(own / peer)
        python = _bin(folder / f"own-{repeats - 1}") / "im2dem"
        _call([str(python), "--version"])
    return describe(packages, ratios)


def _install(folder: Path, name: str, *wanted: str) -> tuple[float, dict[str, Package]]:
    """Seconds, and what is there afterwards without pip itself."""
    place = folder / name
    _call([sys.executable, "-m", "venv", str(place)])
    began = time.perf_counter()
    _pip(place, "install", "--no-index", "--find-links", str(folder / "wheels"), *wanted)
    seconds = time.perf_counter() - began
    lines = (line.split() for line in _call([str(_bin(place) / "python"), "-c", LISTING]).splitlines())
    found = {package: Package(int(files), int(size)) for package, files, size in lines}
    return seconds, {key: value for key, value in found.items() if key not in ("pip", "setuptools")}


def _pip(place: Path, *words: str) -> None:
    _call([str(_bin(place) / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", *words])


def _bin(place: Path) -> Path:
    return place / ("Scripts" if os.name == "nt" else "bin")


def _call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def describe(packages: Mapping[str, Package], ratios: list[float], top: int = 8) -> Outcome:
    """The largest packages, the rest together, all together; and the time."""
    ordered = sorted(packages.items(), key=lambda item: -item[1].size)
    rest = [package for _, package in ordered[top:]]
    everything = list(packages.values())
    rows = [(name, *_cells([package])) for name, package in ordered[:top]]
    if "im2dem" not in dict(ordered[:top]) and "im2dem" in packages:
        rows.append(("im2dem (among the rest)", *_cells([packages["im2dem"]])))
    rows.append((f"the other {len(rest)}", *_cells(rest)))
    rows.append((f"**all {len(everything)} packages**", *_cells(everything)))
    text = (
        "`pip install .` without extras in a fresh environment, pip itself not counted, compiled modules counted. "
        f"Installing takes {np.median(ratios):.2f} times as long as `pip install {' '.join(PEER)}` alone (median of "
        f"{len(ratios)} rounds in turn, both from wheels at hand, without the network)."
    )
    return Outcome((text, Table("", ("package", "files", "MB"), tuple(rows))))


def _cells(packages: list[Package]) -> tuple[str, str]:
    return f"{sum(p.files for p in packages):,}", f"{sum(p.size for p in packages) / 1e6:.1f}"
