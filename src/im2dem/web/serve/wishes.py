"""What a client may tell about a picture, read from the words of a form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from im2dem.core.errors import UsageError
from im2dem.pipeline.predict import DEFAULT_MODEL, PredictOptions
from im2dem.runtime.card import list_models

FIELDS = ("gsd", "sun", "date", "bands", "model")
_MOST_LETTERS = 200


@dataclass(frozen=True)
class Wishes:
    """What is known about a picture.

    Parameters
    ----------
    gsd_m
        Metres per pixel, for a picture without georeference.
    sun
        (azimuth, elevation), degrees.
    date
        When the picture was taken, ISO 8601, UTC.
    bands
        Red, green, blue from 1, or one for grey.
    model
        Name of a model that ships; a path is none.
    """

    gsd_m: float | None = None
    sun: tuple[float, float] | None = None
    date: str | None = None
    bands: tuple[int, ...] | None = None
    model: str = DEFAULT_MODEL

    def as_json(self) -> dict[str, Any]:
        """Plain values without those that nobody told."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Wishes:
        """Undoes `as_json`."""
        lists = {name: tuple(values[name]) for name in ("sun", "bands") if name in values}
        return Wishes(**{**values, **lists})

    def options(self, threads: int, resume: bool) -> PredictOptions:
        """The same for `predict_file`; results of an earlier attempt are replaced."""
        return PredictOptions(
            model=self.model,
            bands=self.bands,
            gsd_m=self.gsd_m,
            sun=self.sun,
            date=_moment(self.date) if self.date else None,
            threads=threads,
            resume=resume,
            overwrite=True,
        )


def read_wishes(fields: Mapping[str, str]) -> Wishes:
    """Wishes from a form or a query; an empty field counts as not given.

    Parameters
    ----------
    fields
        Some of `FIELDS`, as text.

    Raises
    ------
    UsageError
        An unknown field, or a value that is none.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise UsageError(f"there is no field {unknown[0][:40]!r}; known are {', '.join(FIELDS)}")
    told = {name: text.strip() for name, text in fields.items() if text.strip()}
    for name, text in told.items():
        if len(text) > _MOST_LETTERS:
            raise UsageError(f"{name} has {len(text)} letters; at most {_MOST_LETTERS} make sense")
    wishes = Wishes(
        gsd_m=_gsd(told["gsd"]) if "gsd" in told else None,
        sun=_sun(told["sun"]) if "sun" in told else None,
        date=_moment(told["date"]).isoformat() if "date" in told else None,
        bands=_bands(told["bands"]) if "bands" in told else None,
        model=_model(told["model"]) if "model" in told else DEFAULT_MODEL,
    )
    wishes.options(1, False)  # says what is wrong with a sun below the horizon
    return wishes


def _gsd(text: str) -> float:
    value = _number(text)
    if value is None or not 0.01 <= value <= 100_000:
        raise UsageError(f"gsd is the size of a pixel in metres, 0.01 to 100000, e.g. 10; got {text!r}")
    return value


def _sun(text: str) -> tuple[float, float]:
    parts = [_number(part) for part in text.split(",")]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        raise UsageError(f"sun is azimuth,elevation in degrees, e.g. 150,35; got {text!r}")
    return parts[0], parts[1]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _moment(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"date is a date and time, e.g. 2021-11-17T01:20; got {text!r}") from error


def _bands(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3) or not all(p.isascii() and p.isdigit() and 1 <= int(p) <= 9999 for p in parts):
        raise UsageError(f"bands are red,green,blue counted from 1, e.g. 4,3,2, or one for grey; got {text!r}")
    return tuple(int(part) for part in parts)


def _model(text: str) -> str:
    known = list_models()
    if text not in known:
        raise UsageError(f"there is no model {text[:60]!r}; known are {', '.join(known)}")
    return text
