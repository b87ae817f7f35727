"""What a scene costs from 1 to 400 megapixels: time, processor time and peak memory of `im2dem predict`.

Larger scenes are a drawn one of 16 MPix, repeated by a VRT. Beyond 64 MPix the network would take an hour, so there
(and at 16 MPix, to compare) it runs on the first tile only and its answer is repeated: time is then that of everything
but the network, memory is that of the whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from drawn_scene import draw_scene
from harness import Bar, Outcome, Setup, Table, say
from peaks import peak_of
from ways import HOLLOW, go

DRAWN = 4000
FULL, QUICK_FULL = (1000, 2000, 4000, 8000), (1000, 2000)
REPEATED, QUICK_REPEATED = (4000, 10_980, 20_000), (4000,)
BAR_SIDES = 10_980  # a scene of Sentinel-2
MOST_GB, STEEPEST = 1.5, 1.05

Turn = Mapping[str, float]


def run(setup: Setup) -> Outcome:
    """Squares of several sizes; the largest needs about 14 GB in the folder for temporary files."""
    ways = {
        "im2dem": QUICK_FULL if setup.quick else FULL,
        HOLLOW: QUICK_REPEATED if setup.quick else REPEATED,
    }
    found: dict[str, dict[int, Turn]] = {}
    with tempfile.TemporaryDirectory(prefix="im2dem-memory-") as name:
        folder = Path(name)
        drawn = draw_scene(folder / "drawn.tif", DRAWN)
        for way, sides in ways.items():
            for side in sides:
                scene = repeat_scene(drawn, folder / f"scene-{side}.vrt", side)
                found.setdefault(way, {})[side] = go(way, scene, folder / "dem.tif", setup.model, setup.threads)
                say(f"  {way}, {side} x {side}: {found[way][side]}")
    return describe(found["im2dem"], found[HOLLOW])


def repeat_scene(drawn: Path, vrt: Path, side: int) -> Path:
    """A square scene of `side` pixels made of a drawn one again and again, from its upper left corner."""
    with rasterio.open(drawn) as file:
        own, crs, transform, bands = file.width, file.crs.to_wkt(), file.transform.to_gdal(), file.count
    starts = range(0, side, own)
    lines = [f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>{escape(crs)}</SRS>']
    lines.append(f"<GeoTransform>{', '.join(map(repr, transform))}</GeoTransform>")
    for band in range(1, bands + 1):
        lines.append(f'<VRTRasterBand dataType="UInt16" band="{band}">')
        for top in starts:
            for left in starts:
                size = f'xSize="{min(own, side - left)}" ySize="{min(own, side - top)}"'
                lines.append(
                    f'<SimpleSource><SourceFilename relativeToVRT="1">{escape(drawn.name)}</SourceFilename>'
                    f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" {size}/>'
                    f'<DstRect xOff="{left}" yOff="{top}" {size}/></SimpleSource>'
                )
        lines.append("</VRTRasterBand>")
    vrt.write_text("\n".join([*lines, "</VRTDataset>"]), encoding="utf-8")
    return vrt


def describe(full: Mapping[int, Turn], repeated: Mapping[int, Turn]) -> Outcome:
    """Tables of cost and memory by size, slopes, and the bars."""
    slope = _slope(full)
    caption = (
        f"{{}}, over that of {_mpix(min(full)):.0f} MPix with the network. Slope of the line through the logarithms of "
        "pixels and processor time: {:.2f}."
    )
    base = full[min(full)]
    tables = [_table(caption.format("The whole of `predict`", slope), full, base)]
    if len(repeated) > 1:
        words = "The same with the answer for the first tile repeated: all but the network"
        tables.append(_table(caption.format(words, _slope(repeated)), repeated, base))
        low, high = min(repeated), max(repeated)
        growth = (repeated[high]["peak_gb"] - repeated[low]["peak_gb"]) * 1e3
        text = (
            f"From {_mpix(low):.0f} to {_mpix(high):.0f} MPix the peak grows by {growth / (high - low) * 1e3:.0f} MB "
            f"for each 1,000 pixels of width, {growth / (_mpix(high) - _mpix(low)):.2f} MB a megapixel: one row of "
            "tiles is in memory, however high the scene."
        )
    else:
        tables.append(_table("The same with the answer for the first tile repeated", repeated, base))
        text = ""
    peaks = {**repeated, **full}
    bars = tuple(
        Bar(f"peak at {s:,} x {s:,}", f"at most {MOST_GB} GB", f"{turn['peak_gb']:.2f} GB", turn["peak_gb"] <= MOST_GB)
        for s, turn in sorted(peaks.items())
        if s <= BAR_SIDES
    )
    steep = Bar("processor time against pixels", f"slope at most {STEEPEST}", f"{slope:.2f}", slope <= STEEPEST)
    about = "uint16, three bands, DEFLATE; peak resident memory of the whole process, Python and libraries included."
    return Outcome((about, *tables, *([text] if text else [])), (*bars, steep))


def _mpix(side: int) -> float:
    return side * side / 1e6


def _slope(turns: Mapping[int, Turn]) -> float:
    if len(turns) < 2:
        return float("nan")
    sides = np.log([_mpix(side) for side in turns])
    return float(np.polyfit(sides, np.log([turn["cpu"] for turn in turns.values()]), 1)[0])


def _table(caption: str, turns: Mapping[int, Turn], base: Turn) -> Table:
    first = min(turns)
    rows = []
    for side, turn in turns.items():
        each = turn["cpu"] / turns[first]["cpu"] / (_mpix(side) / _mpix(first))
        costs = (f"{turn[figure] / base[figure]:.2f}" for figure in ("wall", "cpu"))
        rows.append((f"{_mpix(side):.0f}", *costs, f"{each:.2f}", f"{turn['peak_gb']:.2f}"))
    columns = ("MPix", "time", "processor time", f"a pixel, {_mpix(first):.0f} MPix = 1", "peak GB")
    return Table(caption, columns, tuple(rows))


def peak_gb(command: Sequence[str]) -> float:
    """Peak resident memory of a command, GB (10^9 bytes).

    Raises
    ------
    RuntimeError
        The command failed; the message has what it said.
    """
    return peak_of(command)[0]
