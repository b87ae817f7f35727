"""What makes heights absolute: a prior and points, read and laid over a picture before any work is done."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from im2dem.core.anchor_field import LEAST_POINTS
from im2dem.core.errors import InputError, UsageError
from im2dem.core.grid import Grid
from im2dem.io.datum import convert_heights, datum_named
from im2dem.io.elevation_fetch import fetch_elevation
from im2dem.io.points import ControlPoints, PlacedPoints, place_points, read_points
from im2dem.io.prior import Prior, in_datum, load_prior

from .defaults import SAME_DATUM

Mode = Literal["auto", "shift", "scale", "field", "fusion", "poisson"]
MODES = ("auto", "shift", "scale", "field", "fusion", "poisson")
_AUTO = "auto"


@dataclass(frozen=True)
class AnchorOptions:
    """What heights are tied to.

    Parameters
    ----------
    prior
        Path of a coarse height model, "auto" (Copernicus GLO-30 or GLO-90, fetched), or None.
    points
        File of known heights, or None.
    points_crs
        Reference system of the points, see `io.points.read_points`.
    prior_datum
        Vertical datum of the prior, where its file does not say.
    mode
        "shift", "scale" (and shift), "field" (of residuals), "fusion" (of frequencies), "poisson", or "auto": fusion
        with a prior; with points alone a shift (1 or 2), or a field (3 or more).
    prior_sigma_m
        Standard deviation of the prior, metres.
    datum
        Vertical datum of the result: "EGM96", "EGM2008", "ellipsoid", the EPSG code of a vertical system, or
        "same-as-prior", which with points alone is that of the points.

    Raises
    ------
    UsageError
        An unknown mode, or one that needs something else than was given.
    """

    prior: str | None = None
    points: str | None = None
    points_crs: str | None = None
    prior_datum: str | None = None
    mode: Mode = "auto"
    prior_sigma_m: float = 2.0
    datum: str = SAME_DATUM

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"the anchor is one of {', '.join(MODES)}, got {self.mode!r}")
        target = self.target_datum
        if not self.is_given and (target or self.mode != "auto" or self.points_crs or self.prior_datum):
            raise UsageError("an anchor needs something to hold on to: give a prior (--prior) or points (--points)")
        if self.mode == "fusion" and self.prior is None:
            raise UsageError("fusion joins the prediction with a coarse height model: give one (--prior)")
        if not self.prior_sigma_m >= 0:
            raise UsageError(f"the prior's standard deviation must be at least 0 m, got {self.prior_sigma_m}")

    @property
    def is_given(self) -> bool:
        """Whether there is anything to anchor to."""
        return self.prior is not None or self.points is not None

    @property
    def target_datum(self) -> str | None:
        """The datum that was asked for, as `io.datum.datum_named` gives it; None: that of the anchor.

        Raises
        ------
        UsageError
            A name that is not known.
        """
        return None if self.datum == SAME_DATUM else datum_named(self.datum)


class AnchorInMemory(AnchorOptions):
    """Anchors that are no files: what an evaluation tells a net.

    Parameters
    ----------
    prior, points
        On the pixels of the picture that is predicted; either may be None.
    """

    def __init__(self, prior: Prior | None = None, points: PlacedPoints | None = None) -> None:
        names = ["in memory" if given is not None else None for given in (prior, points)]
        super().__init__(prior=names[0], points=names[1], prior_sigma_m=0.0)
        object.__setattr__(self, "_known", (prior, points))

    def over(self, grid: Grid) -> Anchor:
        """The anchor, as `open_anchor` gives it."""
        prior, points = self._known  # type: ignore[attr-defined]
        return Anchor(self, grid, prior, points, prior.vertical_datum if prior else None, "memory")


@dataclass(frozen=True)
class AnchorReport:
    """What anchoring did.

    Attributes
    ----------
    method
        The mode that was used.
    vertical_datum
        Of the heights; None when nobody said.
    expected_error_m
        Root mean square of sigma over the valid pixels, metres.
    prior, points
        What was used, in words; None when there was none.
    scale, shift
        Of the fit to points; 1 and 0 where there was none.
    detail_weight, detail_correlation
        How much of the predicted detail was believed, and its correlation with the prior's one octave above the
        cell; None without fusion.
    messages
        What was wrong with single points, and where something else was done than asked for.
    """

    method: str
    vertical_datum: str | None
    expected_error_m: float
    prior: str | None = None
    points: str | None = None
    scale: float = 1.0
    shift: float = 0.0
    detail_weight: float | None = None
    detail_correlation: float | None = None
    messages: tuple[str, ...] = ()

    def in_words(self) -> str:
        """One line for people: what the heights are, by what, and how far off to expect them."""
        above = f"above {self.vertical_datum}" if self.vertical_datum else "above the anchor's own, unnamed datum"
        by = " and ".join(part for part in (self.prior, self.points) if part)
        return (
            f"metres {above}, anchored by {self.method} to {by}; expected error {self.expected_error_m:.3g} m (1 sigma)"
        )


@dataclass(frozen=True)
class Anchor:
    """Prior and points laid over a picture, read and checked before any work is done."""

    options: AnchorOptions
    grid: Grid
    prior: Prior | None
    points: PlacedPoints | None
    vertical_datum: str | None
    points_name: str = ""
    messages: tuple[str, ...] = ()

    @property
    def mode(self) -> str:
        """The mode, "auto" resolved."""
        if self.options.mode != "auto":
            return self.options.mode
        if self.prior is not None:
            return "fusion"
        count = len(self.points) if self.points is not None else 0
        return "shift" if count < LEAST_POINTS else "field"


def what_anchors(options: AnchorOptions) -> dict[str, Any]:
    """The options and the state of their files, so that a run that is gone on with notices when one has changed."""
    stamps = [os.stat(path).st_mtime_ns for path in (options.prior, options.points) if path and os.path.exists(path)]
    return {**asdict(options), "changed": stamps}


def open_anchor(options: AnchorOptions, grid: Grid) -> Anchor:
    """Read prior and points and lay them over a picture; both on the datum asked for, or the prior's.

    Raises
    ------
    InputError
        One cannot be used; the message says why.
    UsageError
        See `AnchorOptions`, or a mode for which there are too few points.
    RemoteError
        ``prior="auto"`` and no answer from the server.
    """
    if isinstance(options, AnchorInMemory):
        return options.over(grid)
    prior, messages = _open_prior(options, grid)
    datum = prior.vertical_datum if prior else options.target_datum
    points, name = None, ""
    if options.points is not None:
        given = read_points(options.points, options.points_crs)
        points, name = place_points(given, grid), given.name
        messages += points.messages
        if given.vertical_datum != datum and (prior is not None or datum is not None):
            points, message = _points_in_datum(points, given, (datum, options.target_datum is not None))
            messages += message
        datum = datum or given.vertical_datum
    anchor = Anchor(options, grid, prior, points, datum, name, tuple(messages))
    if anchor.mode == "field" and prior is None and (points is None or len(points) < LEAST_POINTS):
        raise UsageError(f"a field of residuals needs at least {LEAST_POINTS} points; choose --anchor scale or shift")
    return anchor


def _open_prior(options: AnchorOptions, grid: Grid) -> tuple[Prior | None, list[str]]:
    """The prior above the datum that was asked for, and what is to be said of it."""
    if options.prior is None:
        return None, []
    messages = []
    sources = fetch_elevation(grid) if options.prior == _AUTO else [options.prior]
    prior = load_prior(sources, grid, options.prior_datum)
    if options.target_datum is not None:
        prior = in_datum(prior, grid, options.target_datum)
    if prior.vertical_datum is None:
        messages.append(f"nobody says above which datum the heights of {prior.names[0]} are: tell --prior-datum")
    if prior.void_share > 0:
        messages.append(
            f"{100 * prior.void_share:.0f} % of the prior's cells have no height: filled, with a wider error"
        )
    if prior.surface.factor == 1:
        messages.append("the prior is as fine as the picture: there is no detail to add")
    return prior, messages


def _points_in_datum(
    points: PlacedPoints, given: ControlPoints, target: tuple[str | None, bool]
) -> tuple[PlacedPoints, list[str]]:
    """Points above a datum, and what is to be said; whether a person asked for it."""
    datum, asked_for = target
    if given.vertical_datum is None and asked_for:
        raise InputError(
            f"{given.name}: nobody says above which datum the heights of its points are, so they cannot be brought to "
            f"{datum}: tell --points-crs, e.g. EPSG:4326+3855 for longitude, latitude and heights above EGM2008"
        )
    if given.vertical_datum is None or datum is None:
        return points, ["prior and points are taken to have one vertical datum, as not both say theirs"]
    z = convert_heights(points.lon, points.lat, points.z, given.vertical_datum, datum)
    return replace(points, z=np.asarray(z, np.float64)), []
