"""Scores of tiles made into a table: means, intervals, groups, and the table as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from im2dem.core.metrics_tile import coverage_key
from im2dem.core.metrics_uncertainty import CURVE_LEVELS, bootstrap_means, calibration_gap, percentile_interval

if TYPE_CHECKING:
    from .evaluation_gallery import Gallery

Row = dict[str, Any]

RELIEF_CLASSES_M = (5.0, 20.0, 100.0, 300.0)

# What the text table shows; JSON and CSV have every figure.
HEADLINE = {
    "mae_unit": "MAE unit",
    "mae": "MAE m",
    "rmse": "RMSE m",
    "nmad": "NMAD m",
    "skill": "skill",
    "inverted": "inverted",
    "pearson_r": "r",
    "spearman_rho": "rho",
    "ordering": "order",
    "gradcos_0": "cos 0",
    "gradcos_4": "cos 4",
    "slope_mae_deg": "slope deg",
    "hillshade_ssim_315": "SSIM 315",
    "coverage_90": "cover 90",
    "ece_pooled": "ECE",
    "sigma_rho": "sigma rho",
    "seam_ratio": "seam",
    "delta_mae_unit": "model less row",
    "model_better": "model better",
}
# Figures whose difference to the main model is taken tile by tile.
PAIRED = ("mae_unit", "pearson_r", "gradcos_4", "hillshade_ssim_315")
SHARES = ("inverted", "model_better")
INTERVALS = ("mae_unit", "delta_mae_unit")
_CURVE = tuple(coverage_key(level) for level in CURVE_LEVELS)
_KEYS = ("method", "alignment", "group", "tiles", "regions")


@dataclass(frozen=True)
class TileScore:
    """The figures of one tile under one alignment.

    Parameters
    ----------
    method
        "model", "prediction" or the name of a trivial row.
    alignment
        "A0" to "A4(k)".
    scene, region
        Pair that the tile is from; place that it shares with other pairs.
    row_off, col_off
        Corner of the tile in the scene, pixels.
    relief_std_m
        Standard deviation of the true heights, metres.
    scores
        Figures by name; NaN where not defined.
    """

    method: str
    alignment: str
    scene: str
    region: str
    row_off: int
    col_off: int
    relief_std_m: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Parameters
    ----------
    rows
        One dictionary for each method, alignment and group ("all", a class of relief, a region): `method`,
        `alignment`, `group`, `tiles`, `regions`, and for every figure its mean over tiles, `*_lo` and `*_hi`
        (95 % bootstrap interval). Metres, degrees or no unit, see `core.metrics`.
    notes
        What a reader of the numbers has to know: units of the bootstrap, tiles left out, files warped.
    tiles
        The scores behind the rows.
    gallery
        The best and worst tiles, where some were asked for.
    models
        What is known about the models besides their scores: name, parameters, size ...
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    tiles: tuple[TileScore, ...] = field(default=(), repr=False)
    gallery: Gallery | None = field(default=None, repr=False)
    models: tuple[dict[str, Any], ...] = ()

    def to_table(self, groups: Sequence[str] = ("all",), alignments: Sequence[str] | None = None) -> str:
        """A markdown table, aligned for reading as plain text, with the notes below it.

        Parameters
        ----------
        groups
            Groups to show; empty: every one.
        alignments
            Alignments to show; None: every one.

        Returns
        -------
        Text that ends with a line break. Figures that no row has are left out.
        """
        rows = [
            row
            for row in self.rows
            if (not groups or row["group"] in groups) and (alignments is None or row["alignment"] in alignments)
        ]
        return table_text(rows, self.notes)

    def to_json(self) -> str:
        """Rows, notes and models as JSON, without the single tiles; a figure that is not defined is null."""
        rows = [{key: _jsonable(value) for key, value in row.items()} for row in self.rows]
        content = {"rows": rows, "notes": list(self.notes), "models": list(self.models)}
        return json.dumps(content, indent=1, ensure_ascii=False)

    def to_csv(self) -> str:
        """Every row and figure as CSV with a header; a figure that is not defined is empty."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
        writer.writeheader()
        for row in self.rows:
            values = {key: _jsonable(value) for key, value in row.items()}
            writer.writerow({key: "" if value is None else value for key, value in values.items()})
        return text.getvalue()


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def relief_class(std_m: float) -> str:
    """Name of the class of relief of a tile whose heights have this standard deviation, metres.

    >>> relief_class(3.0), relief_class(20.0), relief_class(1e4)
    ('std < 5 m', 'std 20-100 m', 'std > 300 m')
    """
    position = int(np.searchsorted(RELIEF_CLASSES_M, std_m, side="right"))
    return _CLASS_NAMES[position]


_CLASS_NAMES = (
    f"std < {RELIEF_CLASSES_M[0]:.0f} m",
    *(f"std {low:.0f}-{high:.0f} m" for low, high in pairwise(RELIEF_CLASSES_M)),
    f"std > {RELIEF_CLASSES_M[-1]:.0f} m",
)


def aggregate(tiles: Sequence[TileScore], seed: int = 0, draws: int = 1000) -> tuple[Row, ...]:
    """Mean over tiles with a bootstrap interval over regions, for each method, alignment and group.

    A group with tiles of one region only is bootstrapped over its tiles, which makes the interval too narrow.

    Parameters
    ----------
    tiles
        Scores of single tiles.
    seed
        Seeds the bootstrap, anew for each row, so that a row does not depend on the others.
    draws
        Bootstrap samples.

    Returns
    -------
    Rows as in `Evaluation`, in the order of the first tiles, groups from "all" over level to steep, then by region.
    """
    rows: list[Row] = []
    for method, alignment in dict.fromkeys((tile.method, tile.alignment) for tile in tiles):
        own = [tile for tile in tiles if (tile.method, tile.alignment) == (method, alignment)]
        for group, members in _groups(own):
            head = {"method": method, "alignment": alignment, "group": group}
            rows.append(head | _summary(members, seed, draws))
    return tuple(rows)


def _groups(tiles: Sequence[TileScore]) -> Iterator[tuple[str, list[TileScore]]]:
    """All tiles, those of each class of relief, and, where there are several, those of each region."""
    yield "all", list(tiles)
    for name in _CLASS_NAMES:
        members = [tile for tile in tiles if relief_class(tile.relief_std_m) == name]
        if members:
            yield name, members
    regions = sorted({tile.region for tile in tiles})
    for region in regions if len(regions) > 1 else ():
        yield f"region {region}", [tile for tile in tiles if tile.region == region]


def _summary(tiles: Sequence[TileScore], seed: int, draws: int) -> Row:
    names = list(dict.fromkeys(name for tile in tiles for name in tile.scores))
    values = np.array([[tile.scores.get(name, math.nan) for name in names] for tile in tiles])
    regions, number = np.unique([tile.region for tile in tiles], return_inverse=True)
    units = number if len(regions) > 1 else np.arange(len(tiles))
    mean, samples = bootstrap_means(values, units, np.random.default_rng(seed), draws)
    if set(_CURVE) <= set(names):
        # Calibration is a property of many tiles: the gap of their mean curve, not the mean of their gaps.
        curve = [names.index(key) for key in _CURVE]
        names.append("ece_pooled")
        mean = np.append(mean, calibration_gap(mean[curve]))
        samples = np.column_stack([samples, calibration_gap(samples[:, curve])])
    low, high = percentile_interval(samples)
    row: Row = {"tiles": len(tiles), "regions": len(regions)}
    for name, centre, lower, upper in zip(names, mean.tolist(), low.tolist(), high.tolist(), strict=True):
        row |= {name: centre, f"{name}_lo": lower, f"{name}_hi": upper}
    return row


def paired(tiles: Sequence[TileScore], method: str) -> list[TileScore]:
    """The scores with what every other row lacks against one method, tile by tile, so that luck of the tile cancels.

    Parameters
    ----------
    tiles
        Scores of single tiles.
    method
        The main model; its own scores stay as they are.

    Returns
    -------
    In the other rows `model_better` (1 where the model's mean absolute error is smaller, 0.5 where equal) and
    `delta_*` (the model's figure less the row's) for the figures in `PAIRED`, where the model has the tile too.
    """
    own = {_place(tile): tile.scores for tile in tiles if tile.method == method}
    return [
        tile
        if tile.method == method or _place(tile) not in own
        else replace(tile, scores=tile.scores | _against(own[_place(tile)], tile.scores))
        for tile in tiles
    ]


def _place(tile: TileScore) -> tuple[str, str, int, int]:
    return tile.alignment, tile.scene, tile.row_off, tile.col_off


def _against(model: dict[str, float], row: dict[str, float]) -> dict[str, float]:
    nan = math.nan
    difference = model.get("mae", nan) - row.get("mae", nan)
    better = (1 - math.copysign(1, difference)) / 2 if difference else 0.5
    return {
        "model_better": better if math.isfinite(difference) else nan,
        **{f"delta_{name}": model.get(name, nan) - row.get(name, nan) for name in PAIRED if name in row},
    }


def table_text(rows: Iterable[Row], notes: Sequence[str] = ()) -> str:
    """A markdown table of the headline figures whose columns are padded, and the notes below it.

    Parameters
    ----------
    rows
        As in `Evaluation`.
    notes
        One line each.

    Returns
    -------
    Text that ends with a line break. The unit MAE and its difference to the model come with their intervals.
    """
    rows = list(rows)
    shown = [name for name in HEADLINE if any(math.isfinite(row.get(name, math.nan)) for row in rows)]
    table = [[*_KEYS, *(HEADLINE[name] for name in shown)]]
    table += [[*(str(row[key]) for key in _KEYS), *(_cell(row, name) for name in shown)] for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    text_columns = 3

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * w if column < text_columns else "-" * (w - 1) + ":" for column, w in enumerate(widths)]
    lines = [line(table[0]), line(rule), *map(line, table[1:])]
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def _cell(row: Row, name: str) -> str:
    value = row.get(name, math.nan)
    if not math.isfinite(value):
        return "-"
    if name in SHARES:
        return f"{100 * value:.0f} %"
    if name in INTERVALS:
        sign = "+" if name.startswith("delta") else ""
        return f"{value:{sign}.3f} [{row[name + '_lo']:{sign}.3f}, {row[name + '_hi']:{sign}.3f}]"
    return f"{value:.1f}" if HEADLINE[name].endswith(" m") else f"{value:.3f}"
