"""Charts of the report: bars as HTML, curves as inline SVG. Colours come from the page's style, light or dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

_WIDTH, _HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 24, 14, 44


@dataclass(frozen=True)
class Bar:
    """One bar: its label, value and interval (NaN = none), and its colour class (`s1` is the model)."""

    label: str
    value: float
    low: float
    high: float
    style: str


@dataclass(frozen=True)
class Curve:
    """One curve: its label, (x, y) points (NaN are left out), and its colour class."""

    label: str
    points: tuple[tuple[float, float], ...]
    style: str


@dataclass(frozen=True)
class Axes:
    """What a chart of curves is drawn on.

    Parameters
    ----------
    x, y
        Labels.
    x_ticks, y_ticks
        (value, label); the first and last are the ends of the axis.
    rule
        Value of y with a dashed line, or None.
    diagonal
        Draw the line from corner to corner: what is right in a calibration plot.
    """

    x: str
    y: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    rule: float | None = None
    diagonal: bool = False


def bars(title: str, rows: Sequence[Bar], percent: bool = False) -> str:
    """Horizontal bars with their intervals.

    Parameters
    ----------
    title
        Above the bars.
    rows
        From the top; values that are not finite have no bar.
    percent
        Write values as percent.

    Returns
    -------
    An HTML figure.
    """
    numbers = [x for bar in rows for x in (bar.value, bar.low, bar.high) if math.isfinite(x)]
    low, high = min([0.0, *numbers]), max([0.05, *numbers])

    def at(value: float) -> float:
        return 100 * (value - low) / (high - low)

    lines = []
    for bar in rows:
        if not math.isfinite(bar.value):
            continue
        start, end = sorted((at(0.0), at(bar.value)))
        text = f"{100 * bar.value:.0f} %" if percent else f"{bar.value:.2f}"
        whisker = ""
        if math.isfinite(bar.low) and math.isfinite(bar.high):
            whisker = f'<i class="ci" style="left:{at(bar.low):.2f}%;width:{at(bar.high) - at(bar.low):.2f}%"></i>'
        fill = f'<i class="fill" style="left:{start:.2f}%;width:{end - start:.2f}%"></i>'
        lines.append(
            f'<div class="bar {bar.style}"><span class="name">{escape(bar.label)}</span>'
            f'<span class="track">{fill}{whisker}</span>'
            f'<span class="value">{text}</span></div>'
        )
    return f'<figure class="bars"><figcaption>{escape(title)}</figcaption>{"".join(lines)}</figure>'


def curves(title: str, lines: Sequence[Curve], axes: Axes) -> str:
    """Curves over common axes, with their legend.

    Parameters
    ----------
    title
        Above the chart.
    lines
        In the order of the legend; the first is drawn on top.
    axes
        Labels, ticks, guides.

    Returns
    -------
    An HTML figure with inline SVG. Points outside the axes are left out.
    """
    x0, x1 = axes.x_ticks[0][0], axes.x_ticks[-1][0]
    y0, y1 = axes.y_ticks[0][0], axes.y_ticks[-1][0]

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    parts = [*_grid(axes, place(x0, y0), place(x1, y1), place)]
    for line in reversed(lines):
        points = [place(x, y) for x, y in line.points if y0 <= y <= y1]
        if points:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points)
            parts.append(f'<g class="curve {line.style}"><polyline points="{path}"/>{dots}</g>')
    legend = "".join(f'<li class="{line.style}">{escape(line.label)}</li>' for line in lines)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f'<ul class="legend">{legend}</ul></figure>'
    )


def _grid(axes: Axes, low: Point, high: Point, place: Callable[[float, float], Point]) -> list[str]:
    """Lines and labels of the axes; `low` and `high` are the corners."""
    parts = []
    for value, label in axes.x_ticks:
        x = place(value, axes.y_ticks[0][0])[0]
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{low[1]:.1f}" y2="{high[1]:.1f}"/>')
        parts.append(f'<text x="{x:.1f}" y="{low[1] + 16:.1f}" text-anchor="middle">{escape(label)}</text>')
    for value, label in axes.y_ticks:
        y = place(axes.x_ticks[0][0], value)[1]
        parts.append(f'<line class="grid" x1="{low[0]:.1f}" x2="{high[0]:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{low[0] - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    if axes.rule is not None:
        y = place(axes.x_ticks[0][0], axes.rule)[1]
        parts.append(f'<line class="rule" x1="{low[0]:.1f}" x2="{high[0]:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    if axes.diagonal:
        parts.append(f'<line class="rule" x1="{low[0]:.1f}" y1="{low[1]:.1f}" x2="{high[0]:.1f}" y2="{high[1]:.1f}"/>')
    middle = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
    parts.append(
        f'<text class="axis" x="{middle[0]:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(axes.x)}</text>'
    )
    parts.append(
        f'<text class="axis" transform="translate(12 {middle[1]:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(axes.y)}</text>"
    )
    return parts
