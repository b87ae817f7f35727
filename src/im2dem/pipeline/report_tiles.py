"""Tiles of the report: picture, true and predicted hillshade and the error, side by side."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from im2dem.core.alignment import align
from im2dem.core.terrain import hillshade, slope_deg

from .evaluation_gallery import Exhibit
from .evaluation_table import TileScore

_SIDE_PX = 256
_QUALITY = 80
_NO_DATA = (128, 128, 128)
_LIGHT_DEG = (315.0, 45.0)
_VISIBLE_SLOPE = 0.3
# Blue (too low) over near white to red (too high), readable with any colour vision.
_ERROR_STOPS = np.array([(33, 76, 158), (120, 166, 214), (246, 246, 244), (226, 146, 104), (158, 32, 36)], float)
_FIGURES = (("pearson_r", "r", 2), ("mae_unit", "MAE unit", 3), ("mae", "MAE m", 1), ("gradcos_4", "cos 4", 2))


def exhibits(found: Sequence[Exhibit]) -> str:
    """Cards with four pictures and the figures of each tile.

    Parameters
    ----------
    found
        Tiles in the order to be shown.

    Returns
    -------
    HTML; pictures are embedded.
    """
    return "".join(_card(exhibit) for exhibit in found)


def _card(exhibit: Exhibit) -> str:
    score = exhibit.score
    pictures = four_pictures(exhibit)
    figures = "".join(
        f"<span><b>{_number(score.scores.get(key, math.nan), digits)}</b> {label}</span>"
        for key, label, digits in _FIGURES
    )
    inverted = '<span class="badge">inverted</span>' if score.scores.get("inverted") == 1 else ""
    shown = "".join(
        f'<div><img src="{uri(picture)}" alt="{label}" width="{picture.shape[1]}" height="{picture.shape[0]}">'
        f"<small>{label}</small></div>"
        for label, picture in pictures
    )
    return (
        f'<article class="tile"><header><b>{escape(score.scene)}</b>{inverted}<small>{escape(where(score))}'
        f'{_place(exhibit)}, relief {score.relief_std_m:.0f} m</small></header><div class="four">{shown}</div>'
        f"<footer>{figures}</footer></article>"
    )


def where(score: TileScore) -> str:
    """Corner of a tile in words."""
    return f"row {score.row_off}, column {score.col_off}"


def _place(exhibit: Exhibit) -> str:
    if exhibit.lonlat is None:
        return ""
    lon, lat = exhibit.lonlat
    sides = (lat, "N" if lat >= 0 else "S"), (lon, "E" if lon >= 0 else "W")
    return ", " + " ".join(f"{abs(value):.2f}\N{DEGREE SIGN} {side}" for value, side in sides)


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def four_pictures(exhibit: Exhibit) -> list[tuple[str, NDArray[np.uint8]]]:
    """Label and picture, uint8 (row, col, 3), of: the image, both hillshades, the error.

    The prediction is shaded with the truth's spread and its own sign, so that relief upside down is seen as such;
    the error is that after A2, which makes such relief flat.
    """
    dem, pred = exhibit.dem, exhibit.pred
    aligned = align(pred, dem, "A2")
    ratio = aligned.spread_ratio if math.isfinite(aligned.spread_ratio) else 1.0
    dh = aligned.pred - aligned.truth
    factor = _exaggeration(dem, exhibit.pixel_size_m)
    times = "" if factor == 1 else f" \N{MULTIPLICATION SIGN}{factor:.0f}"
    limit = max(2 * float(np.nanstd(aligned.truth)), 1.0)
    pictures = [] if exhibit.image is None else [("image", eye(exhibit.image))]
    return [
        *pictures,
        (f"truth{times}", _grey(hillshade(dem, exhibit.pixel_size_m, *_LIGHT_DEG, factor))),
        (f"predicted{times}", _grey(hillshade(ratio * pred, exhibit.pixel_size_m, *_LIGHT_DEG, factor))),
        (f"error \N{PLUS-MINUS SIGN}{limit:.0f} m", error_colours(dh, limit)),
    ]


def _exaggeration(dem: NDArray[np.floating], pixel_size_m: tuple[float, float]) -> float:
    """A whole factor on heights that makes the middle slope of a gentle tile visible, 1 to 10."""
    slopes = np.tan(np.radians(slope_deg(dem, pixel_size_m)))
    middle = float(np.nanmedian(slopes)) if np.isfinite(slopes).any() else 0.0
    return float(np.clip(np.floor(_VISIBLE_SLOPE / max(middle, 1e-6)), 1, 10))


def eye(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture for the eye, (row, col, 3): all bands stretched alike between 1st and 99th percentile.

    Parameters
    ----------
    image
        (band, row, col), any unit, NaN = no data; the first three bands, or the first as grey.
    """
    bands = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    finite = np.isfinite(bands)
    if not finite.any():
        return np.full((*image.shape[1:], 3), _NO_DATA, np.uint8)
    low, high = (float(v) for v in np.percentile(bands[finite], [1, 99]))
    grey = (bands - low) * (255 / max(high - low, 1e-6))
    return np.moveaxis(_eight_bits(np.where(finite, grey, _NO_DATA[0])), 0, -1)


def _grey(shade: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Hillshade 0..1 as grey, no data mid-grey."""
    grey = _eight_bits(np.where(np.isfinite(shade), 255 * shade, _NO_DATA[0]))
    return np.repeat(grey[..., None], 3, axis=-1)


def error_colours(dh: NDArray[np.floating], limit_m: float) -> NDArray[np.uint8]:
    """Blue where too low, near white where right, red where too high, grey without data: (row, col, 3).

    Parameters
    ----------
    dh
        Predicted minus true height, (row, col), metres.
    limit_m
        Difference with the full colour, metres, > 0.
    """
    step = np.clip((np.nan_to_num(dh) / limit_m + 1) / 2, 0, 1) * (len(_ERROR_STOPS) - 1)
    rgb = np.stack([np.interp(step, np.arange(len(_ERROR_STOPS)), stop) for stop in _ERROR_STOPS.T], axis=-1)
    return _eight_bits(np.where(np.isfinite(dh)[..., None], rgb, _NO_DATA))


def _eight_bits(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def uri(picture: NDArray[np.uint8]) -> str:
    """A picture (row, col, 3) as a data URI, at most 256 px a side."""
    image = Image.fromarray(picture)
    image.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
