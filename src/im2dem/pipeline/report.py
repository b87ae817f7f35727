"""One HTML file that shows an evaluation: verdict, tables, charts, best and worst tiles. It needs no network."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from importlib.metadata import version
from itertools import pairwise
from string import Template
from typing import Any

from im2dem._version import __version__
from im2dem.core.errors import UsageError
from im2dem.core.metrics_structure import BLUR_SIGMAS_PX, OCTAVES_PX
from im2dem.core.metrics_tile import coverage_key
from im2dem.core.metrics_uncertainty import CURVE_LEVELS

from .evaluation_causes import CAUSES, by_cause
from .evaluation_gallery import Exhibit
from .evaluation_table import Evaluation, Row
from .report_charts import Axes, Bar, Curve, bars, curves
from .report_tables import (
    FIGURES,
    SHORT,
    best_rival,
    cell,
    cost_table,
    facts_table,
    groups_table,
    inverted_list,
    is_told,
    rows_table,
)
from .report_tiles import exhibits

_PACKAGES = ("numpy", "scipy", "rasterio", "onnxruntime")
_HEADLINE = ("mae_unit", "pearson_r", "inverted", "gradcos_4", "hillshade_ssim_315", "ece_pooled")
_SMALLER_IS_BETTER = ("mae_unit", "inverted", "ece_pooled")
_SIGMA_ALIGNMENTS = ("A1", "A0", "A2", "A3")
_MAX_CURVES = 6


@dataclass(frozen=True)
class ReportFacts:
    """What a report says besides its figures.

    Parameters
    ----------
    title
        Heading.
    method
        Name of the rows that the report is about.
    command
        The command that made it; without paths of the machine where these do not matter.
    cards
        For each model what is to be known about it: name and value; a list gives lines.
    notes
        Sentences below the table, beside those of the evaluation.
    """

    title: str
    method: str
    command: str
    cards: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = field(default=())


def build_report(evaluation: Evaluation, facts: ReportFacts) -> str:
    """The page of an evaluation.

    Parameters
    ----------
    evaluation
        With rows of the method; tiles are shown where a gallery was kept (`EvaluateOptions.gallery_tiles`).
    facts
        Title, method, command, model cards.

    Returns
    -------
    HTML. Equal input gives equal text: no date, no path.

    Raises
    ------
    UsageError
        The evaluation has no row of that method.
    """
    own = [row for row in evaluation.rows if row["method"] == facts.method]
    if not own:
        raise UsageError(f"the evaluation has no row {facts.method!r}; a report needs a prediction or a model")
    alignments = list(dict.fromkeys(str(row["alignment"]) for row in own))
    main = "A2" if "A2" in alignments else alignments[0]
    judged = _sigma_rows(evaluation, facts.method)
    sigma = [row for row in judged if row["group"] == "all"]
    every = _with_sigma([row for row in evaluation.rows if row["alignment"] == main], judged)
    rows = [row for row in every if row["group"] == "all"]
    template = Template(resources.files("im2dem.pipeline").joinpath("report.html").read_text(encoding="utf-8"))
    tiles = [t for t in evaluation.tiles if t.method == facts.method and t.alignment == main]
    return template.substitute(
        title=escape(facts.title),
        lead=_lead(rows, facts.method, main, evaluation),
        headline=_headline(rows, sigma, facts.method),
        table=rows_table(rows, facts.method, SHORT),
        notes="".join(f"<li>{escape(note)}</li>" for note in (*facts.notes, *evaluation.notes)),
        bars=_bars(rows, facts.method),
        curves=_curves(rows, facts.method) + _calibration(sigma),
        relief=groups_table(every, facts.method, "std"),
        regions=groups_table(every, facts.method, "region") or "<p>All tiles are from one region.</p>",
        tiles=_gallery(evaluation),
        inverted=inverted_list(tiles),
        everything=_everything(evaluation, alignments),
        cards="".join([*map(cost_table, evaluation.models), *map(facts_table, facts.cards)]),
        made=facts_table(_made(facts)),
    )


def _lead(rows: Sequence[Row], method: str, alignment: str, evaluation: Evaluation) -> str:
    """What was measured, and whether the method is worth anything, in two sentences."""
    own = next(row for row in rows if row["method"] == method)
    scenes = len({tile.scene for tile in evaluation.tiles})
    counts = ((own["tiles"], "tile"), (scenes, "scene"), (own["regions"], "region"))
    tiles, places, regions = (f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
    text = f"{tiles} from {places} in {regions}, alignment {alignment}. "
    rival = best_rival(rows, method)
    if rival is None or not math.isfinite(own.get("mae_unit", math.nan)):
        return text
    name, low, high = (rival[key] for key in ("method", "delta_mae_unit_lo", "delta_mae_unit_hi"))
    word = "beats" if high < 0 else "loses to" if low > 0 else "cannot be told apart from"
    share = cell(rival, "model_better")
    return (
        f"{text}<b>{escape(method)}</b> {word} the best row that is told nothing, <b>{escape(name)}</b>: unit MAE "
        f"{own['mae_unit']:.3f} against {rival['mae_unit']:.3f} (difference {low:+.3f} to {high:+.3f}), "
        f"better on {share} of the tiles."
    )


def _headline(rows: Sequence[Row], sigma: Sequence[Row], method: str) -> str:
    """The six figures that matter, each with the best simple row's."""
    parts = []
    for key in _HEADLINE:
        pool = sigma if key == "ece_pooled" else rows
        own = next((row for row in pool if row["method"] == method), {})
        value = own.get(key, math.nan)
        if not math.isfinite(value):
            continue
        low, high = own.get(f"{key}_lo", math.nan), own.get(f"{key}_hi", math.nan)
        span = f"{100 * low:.0f} to {100 * high:.0f} %" if key == "inverted" else f"{low:.3f} to {high:.3f}"
        sign = -1 if key in _SMALLER_IS_BETTER else 1
        others = [
            (r.get(key, math.nan), r["method"]) for r in pool if r["method"] != method and not is_told(r["method"])
        ]
        best = max((pair for pair in others if math.isfinite(pair[0])), key=lambda pair: sign * pair[0], default=None)
        beside = "" if best is None else f"best other: {cell({key: best[0]}, key, False)} ({escape(best[1])})"
        parts.append(
            f'<div class="card"><small>{escape(FIGURES[key][0])}</small><b>{cell(own, key, False)}</b>'
            f"<small>{span}</small><small>{beside}</small></div>"
        )
    return "".join(parts)


def _sigma_rows(evaluation: Evaluation, method: str) -> list[Row]:
    """The rows in which sigma is judged: of heights as published, right up to a shift (A1), where they are there."""
    for alignment in _SIGMA_ALIGNMENTS:
        rows = [row for row in evaluation.rows if row["alignment"] == alignment]
        if any(row["method"] == method and "ece_pooled" in row for row in rows):
            return rows
    return []


def _with_sigma(rows: Sequence[Row], sigma: Sequence[Row]) -> list[Row]:
    """Rows with the figures of sigma from those in which it is judged."""
    found = {
        (row["method"], row["group"]): {k: v for k, v in row.items() if k.startswith(("ece", "coverage"))}
        for row in sigma
    }
    return [row | found.get((row["method"], row["group"]), {}) for row in rows]


def _styles(rows: Sequence[Row], method: str) -> dict[str, str]:
    """Colour classes: the model first, other models and methods after it, bounds grey."""
    ordered = sorted((str(row["method"]) for row in rows), key=lambda name: (name != method, is_told(name)))
    colours = iter(range(1, 100))
    return {name: "s0" if is_told(name) else f"s{(next(colours) - 1) % 7 + 1}" for name in ordered}


def _bars(rows: Sequence[Row], method: str) -> str:
    styles = _styles(rows, method)
    charts = []
    for key, title in (
        ("pearson_r", "Correlation with the truth, r (higher is better)"),
        ("inverted", "Inverted tiles (lower is better)"),
        ("gradcos_4", "Gradient cosine after a blur of 4 px (higher is better)"),
        ("hillshade_ssim_315", "Likeness of hillshades, SSIM (higher is better)"),
    ):
        found = [
            Bar(
                str(row["method"]),
                row.get(key, math.nan),
                row.get(f"{key}_lo", math.nan),
                row.get(f"{key}_hi", math.nan),
                styles[str(row["method"])],
            )
            for row in rows
            if not (key == "inverted" and str(row["method"]).startswith("flat"))
        ]
        if any(math.isfinite(bar.value) for bar in found):
            charts.append(bars(title, found, percent=key == "inverted"))
    return "".join(charts)


def _curves(rows: Sequence[Row], method: str) -> str:
    """Error by scale: directions of slopes after blurs, and power by wavelength."""
    styles = _styles(rows, method)
    shown = sorted(rows, key=lambda row: (styles[str(row["method"])] == "s0", str(row["method"]) != method))
    shown = [row for row in shown if not str(row["method"]).startswith("flat")][:_MAX_CURVES]
    blurs = [(float(i), f"{blur:g}") for i, blur in enumerate(BLUR_SIGMAS_PX)]
    cosines = [
        Curve(
            str(row["method"]),
            tuple((float(i), row.get(f"gradcos_{blur}", math.nan)) for i, blur in enumerate(BLUR_SIGMAS_PX)),
            styles[str(row["method"])],
        )
        for row in shown
    ]
    octaves = list(pairwise(OCTAVES_PX))
    power = [
        Curve(
            str(row["method"]),
            tuple((float(i), row.get(f"psd_{low}_{high}", math.nan)) for i, (low, high) in enumerate(octaves)),
            styles[str(row["method"])],
        )
        for row in shown
    ]
    return curves(
        "Gradient cosine by scale: do slopes face the right way?",
        cosines,
        Axes("blur, px", "gradient cosine", tuple(blurs), _ticks(_floor(cosines, 0.2), 1.0, 0.2), rule=0.0),
    ) + curves(
        "Power by wavelength, predicted over true: 0 is right, below is too smooth",
        power,
        Axes(
            "wavelength, px",
            "log10 power ratio",
            tuple((float(i), f"{low:g}-{high:g}") for i, (low, high) in enumerate(octaves)),
            _ticks(-3.0, 1.0, 1.0),
            rule=0.0,
        ),
    )


def _floor(lines: Sequence[Curve], step: float) -> float:
    """The multiple of a step at or below the lowest point, at most 0."""
    lowest = min((y for line in lines for _, y in line.points if math.isfinite(y)), default=0.0)
    return min(math.floor(lowest / step) * step, 0.0)


def _calibration(rows: Sequence[Row]) -> str:
    """Nominal against observed coverage of sigma."""
    known = [row for row in rows if "ece_pooled" in row]
    if not known:
        return ""
    lines = [
        Curve(
            f"{row['method']} (ECE {row['ece_pooled']:.3f}, {row['alignment']})",
            ((0.0, 0.0), *((level, row[coverage_key(level)]) for level in CURVE_LEVELS), (1.0, 1.0)),
            f"s{number % 7 + 1}",
        )
        for number, row in enumerate(known)
    ]
    ticks = _ticks(0.0, 1.0, 0.25)
    axes = Axes("nominal share inside the interval", "observed share", ticks, ticks, diagonal=True)
    return curves("Does sigma mean what it says? Above the line: too cautious", lines, axes)


def _ticks(low: float, high: float, step: float) -> tuple[tuple[float, str], ...]:
    values = (low + i * step for i in range(round((high - low) / step) + 1))
    return tuple((value, f"{round(value, 6) + 0.0:g}") for value in values)


def _gallery(evaluation: Evaluation) -> str:
    if evaluation.gallery is None:
        return "<p>No tiles were kept.</p>"
    worst, best = evaluation.gallery.worst, evaluation.gallery.best
    return (
        f'<h3>The {len(best)} best</h3><div class="tiles">{exhibits(best)}</div>'
        f"<h3>The {len(worst)} worst, by what may have spoilt them</h3>{_failures(worst)}"
    )


def _failures(worst: Sequence[Exhibit]) -> str:
    """The worst tiles under their first cause, each cause explained."""
    return "".join(
        f"<h4>{escape(cause)}: {len(found)}</h4><p>{escape(CAUSES[cause])}</p>"
        f'<div class="tiles">{exhibits(found)}</div>'
        for cause, found in by_cause(worst).items()
    )


def _everything(evaluation: Evaluation, alignments: Sequence[str]) -> str:
    """Every figure of every row, by alignment."""
    parts = []
    for alignment in alignments:
        rows = [row for row in evaluation.rows if row["alignment"] == alignment and row["group"] == "all"]
        table = rows_table(rows, "", tuple(FIGURES))
        parts.append(f"<details><summary>All figures, alignment {escape(alignment)}</summary>{table}</details>")
    return "".join(parts)


def _made(facts: ReportFacts) -> dict[str, Any]:
    versions = [f"{name} {version(name)}" for name in _PACKAGES]
    return {"command": facts.command, "im2dem": __version__, "with": [f"Python {platform.python_version()}", *versions]}
