"""Tables of the report, as HTML; everything that comes from files is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .evaluation_table import INTERVALS, SHARES, Row, TileScore
from .report_tiles import where

# Rows that are told true heights beyond their mean, or the mean itself: bounds, not methods.
TOLD = ("flat at", "best plane", "bicubic coarse")

FIGURES = {
    "mae_unit": ("MAE unit", 3),
    "mae": ("MAE m", 1),
    "rmse": ("RMSE m", 1),
    "bias": ("bias m", 1),
    "nmad": ("NMAD m", 1),
    "le90": ("LE90 m", 1),
    "skill": ("skill", 2),
    "pearson_r": ("r", 2),
    "spearman_rho": ("rho", 2),
    "inverted": ("inverted", 0),
    "ordering": ("order", 2),
    "slope_mae_deg": ("slope \N{DEGREE SIGN}", 1),
    **{f"gradcos_{blur}": (f"cos {blur}", 2) for blur in (0, 1, 2, 4, 8, 16)},
    "hillshade_ssim_315": ("SSIM 315", 2),
    "hillshade_ssim_45": ("SSIM 45", 2),
    "seam_ratio": ("seam", 2),
    **{f"coverage_{level}": (f"cover {level}", 2) for level in (50, 68, 90, 95)},
    "ece_pooled": ("ECE", 3),
    "ece": ("ECE, tile", 3),
    "sigma_rho": ("sigma rho", 2),
    "delta_mae_unit": ("model less row", 3),
    "model_better": ("model better on", 0),
}
SHORT = (
    "mae_unit", "mae", "pearson_r", "inverted", "gradcos_4", "slope_mae_deg",
    "hillshade_ssim_315", "ece_pooled", "seam_ratio", "delta_mae_unit", "model_better",
)  # fmt: skip
GROUPED = (
    "mae_unit", "mae", "pearson_r", "inverted", "gradcos_4", "slope_mae_deg", "hillshade_ssim_315", "ece_pooled"
)  # fmt: skip


def is_told(method: str) -> bool:
    """Whether a row is told true heights."""
    return method.startswith(TOLD)


def cell(row: Row, key: str, with_interval: bool = True) -> str:
    """One figure of a row as HTML, a dash where it is not defined.

    Parameters
    ----------
    row
        As in `Evaluation`.
    key
        Figure.
    with_interval
        Add the 95 % interval to figures that have one in the tables.
    """
    value = row.get(key, math.nan)
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "-"
    if key in SHARES:
        return f"{100 * value:.0f} %"
    digits = FIGURES[key][1]
    sign = "+" if key.startswith("delta") else ""
    text = f"{value:{sign}.{digits}f}"
    if with_interval and key in INTERVALS:
        low, high = row.get(f"{key}_lo", math.nan), row.get(f"{key}_hi", math.nan)
        text += f"<small>{low:{sign}.{digits}f} to {high:{sign}.{digits}f}</small>"
    return text


def rows_table(rows: Sequence[Row], main: str, keys: Sequence[str] = tuple(FIGURES)) -> str:
    """Rows of one alignment and group: one line a method.

    Parameters
    ----------
    rows
        As in `Evaluation`.
    main
        Method that is set off.
    keys
        Figures; those that no row has are left out.
    """
    shown = [key for key in keys if any(_is_known(row, key) for row in rows)]
    head = "".join(f"<th>{escape(FIGURES[key][0])}</th>" for key in shown)
    lines = []
    for row in rows:
        method = str(row["method"])
        style = "main" if method == main else "told" if is_told(method) else ""
        mark = '<sup title="told true heights: a bound, no method">\N{DAGGER}</sup>' if style == "told" else ""
        cells = "".join(f"<td>{cell(row, key)}</td>" for key in shown)
        lines.append(f'<tr class="{style}"><th>{escape(method)}{mark}</th><td>{row["tiles"]}</td>{cells}</tr>')
    return _table(f"<th>row</th><th>tiles</th>{head}", lines)


def groups_table(rows: Sequence[Row], main: str, prefix: str) -> str:
    """The main method by group, each beside the best row that is told nothing.

    Parameters
    ----------
    rows
        Of one alignment, all groups and methods.
    main
        The method.
    prefix
        Of the groups: "std" (classes of relief) or "region".

    Returns
    -------
    HTML, empty without such groups.
    """
    own = [row for row in rows if row["method"] == main and str(row["group"]).startswith(prefix)]
    shown = [key for key in GROUPED if any(_is_known(row, key) for row in own)]
    lines = []
    for row in own:
        rival = best_rival([r for r in rows if r["group"] == row["group"]], main)
        beside = "-" if rival is None else f"{cell(rival, 'mae_unit', False)} <small>{escape(rival['method'])}</small>"
        won = "" if rival is None else cell(rival, "model_better")
        cells = "".join(f"<td>{cell(row, key)}</td>" for key in shown)
        name = escape(str(row["group"]).removeprefix("region "))
        lines.append(f"<tr><th>{name}</th><td>{row['tiles']}</td>{cells}<td>{beside}</td><td>{won}</td></tr>")
    head = "".join(f"<th>{escape(FIGURES[key][0])}</th>" for key in shown)
    columns = f"<th>group</th><th>tiles</th>{head}<th>best other row, MAE unit</th><th>model better on</th>"
    return _table(columns, lines) if lines else ""


def best_rival(rows: Sequence[Row], main: str) -> Row | None:
    """The row with the least unit MAE among those that are told nothing and are not the model."""
    rivals = [r for r in rows if r["method"] != main and not is_told(str(r["method"])) and _is_known(r, "mae_unit")]
    return min(rivals, key=lambda row: float(row["mae_unit"]), default=None)


def inverted_list(tiles: Sequence[TileScore], limit: int = 200) -> str:
    """The tiles whose relief came out upside down, the steepest first, and the share of them in each scene.

    Parameters
    ----------
    tiles
        Of the main method under one alignment.
    limit
        Longest list.

    Returns
    -------
    HTML; a sentence where there is none.
    """
    known = [tile for tile in tiles if math.isfinite(tile.scores.get("inverted", math.nan))]
    wrong = sorted((t for t in known if t.scores["inverted"] == 1), key=lambda tile: -tile.relief_std_m)
    if not wrong:
        return f"<p>None of {len(known)} tiles is inverted.</p>"
    shares = []
    for scene in dict.fromkeys(tile.scene for tile in known):
        own = [tile for tile in known if tile.scene == scene]
        count = sum(tile.scores["inverted"] == 1 for tile in own)
        share = f"{100 * count / len(own):.0f} %"
        shares.append(f"<tr><th>{escape(scene)}</th><td>{count}</td><td>{len(own)}</td><td>{share}</td></tr>")
    lines = [
        f"<tr><th>{escape(t.scene)}</th><td>{where(t)}</td><td>{t.relief_std_m:.0f} m</td>"
        f"<td>{t.scores.get('pearson_r', math.nan):.2f}</td></tr>"
        for t in wrong[:limit]
    ]
    more = f"<p>The first {limit} of {len(wrong)}.</p>" if len(wrong) > limit else ""
    return (
        _table("<th>scene</th><th>inverted</th><th>tiles</th><th>share</th>", shares)
        + f"<details><summary>All {len(wrong)} inverted tiles, most relief first</summary>"
        + _table("<th>scene</th><th>place</th><th>relief</th><th>r</th>", lines)
        + f"{more}</details>"
    )


def facts_table(facts: Mapping[str, Any]) -> str:
    """Names and values, lists as lines."""
    lines = []
    for key, value in facts.items():
        items = value if isinstance(value, list | tuple) else [value]
        text = "<br>".join(escape(str(item)) for item in items)
        lines.append(f"<tr><th>{escape(str(key))}</th><td>{text}</td></tr>")
    return f'<table class="facts"><tbody>{"".join(lines)}</tbody></table>'


def cost_table(facts: Mapping[str, Any]) -> str:
    """The size of a model (`Evaluation.models`) in words."""
    shown: dict[str, Any] = {}
    for key, value in facts.items():
        if key == "parameters":
            shown["parameters"] = f"{value:,}"
        elif key == "gmac":
            shown[f"GMAC for a tile of {facts.get('side_px', 256)} px"] = f"{value:.2f}"
        elif key == "onnx_mb":
            shown["ONNX file"] = f"{value:.1f} MB"
        elif key != "side_px":
            shown[key] = value
    return facts_table(shown)


def _is_known(row: Row, key: str) -> bool:
    value = row.get(key, math.nan)
    return isinstance(value, int | float) and math.isfinite(value)


def _table(head: str, lines: Sequence[str]) -> str:
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
