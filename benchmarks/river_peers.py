"""Erosion by rivers beside Fastscapelib: the same start, uplift, step and law, from noise to equilibrium."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import Bar, Table, number
from numpy.typing import NDArray

from im2dem.synth.hydrology import drainage, flow_accumulation
from im2dem.synth.noise import Lattice, NoiseOptions, noise
from im2dem.synth.stream_power import Rivers, evolve_step

F64 = NDArray[np.float64]
SIDE_PX, GSD_M, STEPS, STEP = 384, 30.0, 60, 0.4
UPLIFT_M = 150.0
# The law alone: no failing slopes, no creep, no hillsides without rivers.
LAW = Rivers(UPLIFT_M, 89.9, 1e6, 0.0, step=STEP)
LEAST_AREA_M2 = 5e4


def compare(quick: bool = False) -> tuple[Table, tuple[Bar, ...]]:
    """A row for each, and what must hold: the exponent that theory gives, -m/n = -1/2."""
    side = 128 if quick else SIDE_PX
    start = noise(Lattice((side, side), GSD_M), 1, NoiseOptions(2000.0, 6), np.float64) * 20
    ours, seconds = _run(_ours, start)
    exponent = slope_area_exponent(ours)
    rows = [("im2dem", "1.0", number(exponent, 3), number(ours.std(), 0))]
    try:
        peer, peer_seconds = _run(_fastscapelib, start)
        peer_cells = (number(peer_seconds / seconds, 1), number(slope_area_exponent(peer), 3), number(peer.std(), 0))
    except ImportError:
        peer_cells = ("not installed", "-", "-")
    rows.append(("Fastscapelib", *peer_cells))
    met = abs(exponent + 0.5) < 0.02
    columns = (f"rivers, {side} x {side} pixels, {STEPS} steps", "time", "slope-area exponent", "std of heights, m")
    bar = Bar("slope-area exponent of rivers in equilibrium (theory: -0.5)", "within 0.02", number(exponent, 3), met)
    return Table("", columns, tuple(rows)), (bar,)


def slope_area_exponent(dem: F64) -> float:
    """Of the median slope of pixels by their drained area, from `LEAST_AREA_M2` on; `dem` is (row, col), metres."""
    way = drainage(dem)
    area, z = flow_accumulation(way).ravel() * GSD_M**2, way.filled.ravel()
    at = np.flatnonzero((way.receiver != np.arange(z.size)) & (area > LEAST_AREA_M2))
    to, width = way.receiver[at], dem.shape[1]
    length = np.hypot(at // width - to // width, at % width - to % width) * GSD_M
    slope, log_area = (z[at] - z[to]) / length, np.log(area[at])
    edges = np.linspace(log_area.min(), log_area.max(), 12)
    bins = np.digitize(log_area, edges)
    full = [k for k in range(1, edges.size) if (bins == k).sum() > 20]
    middle = [log_area[bins == k].mean() for k in full]
    return float(np.polyfit(middle, [np.log(np.median(slope[bins == k])) for k in full], 1)[0])


def _run(evolve: Callable[[F64, int], F64], start: F64) -> tuple[F64, float]:
    """What comes out, and seconds: the least of three, since other work on the machine only ever adds."""
    evolve(start, 1)
    seconds = []
    for _ in range(3):
        before = time.perf_counter()
        end = evolve(start, STEPS)
        seconds.append(time.perf_counter() - before)
    return end, min(seconds)


def _ours(start: F64, steps: int) -> F64:
    z, lift = start, np.full(start.shape, UPLIFT_M)
    for _ in range(steps):
        z = evolve_step(z, lift, GSD_M, LAW, None)
    return z


def _fastscapelib(start: F64, steps: int) -> F64:
    package: Any = importlib.import_module("fastscapelib")
    grid = package.RasterGrid(list(start.shape), [GSD_M, GSD_M], package.NodeStatus.FIXED_VALUE)
    graph = package.FlowGraph(grid, [package.SingleFlowRouter(), package.MSTSinkResolver()])
    eroder = package.SPLEroder(graph, 1.0, 0.5, 1.0, 1e-5)
    rise = np.full(start.shape, UPLIFT_M * STEP)
    rise[[0, -1]], rise[:, [0, -1]] = 0.0, 0.0
    z = start.copy()
    for _ in range(steps):
        lifted = z + rise
        graph.update_routes(lifted)
        z = lifted - eroder.erode(lifted, graph.accumulate(1.0), STEP)
    return np.asarray(z)
