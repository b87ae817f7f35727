"""A finished prediction made absolute, strip by strip."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from im2dem.core.anchor_field import LEAST_POINTS, FieldOptions, ResidualField, fit_field
from im2dem.core.anchor_fit import LineFit, fit_line
from im2dem.core.anchor_fusion import Fusion, trust_detail
from im2dem.core.anchor_poisson import Anchors, solve_poisson
from im2dem.core.anchor_surface import CellSurface, fill_cells
from im2dem.core.errors import InputError, NoDataError
from im2dem.core.grid import Window
from im2dem.core.protocols import RasterWriter
from im2dem.io.points import PlacedPoints
from im2dem.io.prior import Prior
from im2dem.runtime.shelf import Shelf

from .anchoring import Anchor, AnchorReport

log = logging.getLogger("im2dem")

POISSON_MOST_PIXELS = 2048 * 2048
"""Larger scenes are not solved at once; points are then joined as a field."""

_STRIP_PX = 128
_STRIPS_LOOKED_AT = 30
_NODES = 160  # of a residual field, along the longer side
_LEAST_TO_BEND = 10  # points that may bend a prior
_MANY = 30  # points that need no guess of the scale
_MUST_GAIN = 0.9  # error at left-out points that a field must reach, over that without it
SCALE_DOUBT = 0.5  # standard deviation of the amplitude that the model guesses, as a factor

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Known:
    """Known heights on valid pixels: place in pixels, metres, standard deviation, number in the file or 0."""

    row: Float
    col: Float
    z: Float
    sigma: Float
    number: NDArray[np.int64]

    @property
    def xy(self) -> Float:
        return np.column_stack([self.col, self.row])


class Anchored:
    """A scene being anchored: a base (fusion, line, or the prediction itself), then what points add to it.

    Parameters
    ----------
    anchor
        From `open_anchor`.
    shelf
        Predicted heights and sigma, relative, on the anchor's grid.
    test
        The same of a net that was told a coarser prior than the anchor's: how far its detail is believed is measured
        on this. Default: the net was told none, and its own heights are.

    Raises
    ------
    NoDataError
        No point and no cell of the prior lies on valid pixels.
    InputError
        Points fix no scale where one is needed.
    """

    def __init__(self, anchor: Anchor, shelf: Shelf, test: Shelf | None = None) -> None:
        self._test = test or shelf
        self.anchor, self.shelf, self.shape = anchor, shelf, shelf.shape
        self.messages = list(anchor.messages)
        self.mode = anchor.mode
        self.fusion: Fusion | None = None
        self.line: LineFit | None = None
        self.field: tuple[CellSurface, Float, Float] | None = None
        if self.mode == "poisson" and self.shape[0] * self.shape[1] > POISSON_MOST_PIXELS:
            self.messages.append(
                f"the scene has more than {POISSON_MOST_PIXELS:,} pixels, too many for one Poisson system: fusion and "
                "a field of residuals were used instead"
            )
            self.mode = "fusion" if anchor.prior is not None else "field"
        self.scale, self.shift = 1.0, 0.0
        prior = anchor.prior
        if prior is not None and self.mode in ("fusion", "poisson"):
            self._fuse(prior)
        elif prior is not None:
            self._fit_cells(prior)
        if anchor.points is not None:
            self._use_points(anchor.points)
        self._solved = self._poisson() if self.mode == "poisson" and anchor.points is not None else None
        self.report = self._report(self._expected_error())

    def write(self, writer: RasterWriter, progress: Callable[[str, int, int], None]) -> None:
        """Absolute heights and their sigma, metres, from top to bottom; memory is a strip and the prior's cells."""
        for start, strip in self._strips():
            height, sigma = self._rows(strip, start)
            if self._solved is not None:
                height = self._solved[start : start + strip.shape[1]]
            rows = np.stack([height, sigma]).astype(np.float32)
            writer.write(Window(start, 0, rows.shape[1], rows.shape[2]), rows)
            progress("anchor", start + rows.shape[1], self.shape[0])

    def _expected_error(self) -> float:
        """Root mean square of sigma over at most some thirty strips, metres."""
        total, count = 0.0, 0
        every = max(1, self.shape[0] // (_STRIP_PX * _STRIPS_LOOKED_AT))
        for k, (start, strip) in enumerate(self._strips()):
            if k % every == 0:
                sigma = self._rows(strip, start)[1]
                sigma = sigma[np.isfinite(sigma)]
                total, count = total + float(sigma @ sigma), count + sigma.size
        return math.sqrt(total / count) if count else math.nan

    def _strips(self, shelf: Shelf | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for start in range(0, self.shape[0], _STRIP_PX):
            yield start, (shelf or self.shelf).rows(start, min(start + _STRIP_PX, self.shape[0]))

    def _means(self, surface: CellSurface, shelf: Shelf | None = None) -> tuple[Float, Float]:
        """Means of predicted heights and sigma over cells; NaN where there is no pixel."""
        totals, counts = np.zeros((2, 2, *surface.cells))
        for start, strip in self._strips(shelf):
            for k in (0, 1):
                total, count = surface.sums(strip[k], start)
                totals[k] += total
                counts[k] += count
        means = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
        return means[0], means[1]

    def _fuse(self, prior: Prior) -> None:
        means, _ = self._means(prior.surface)
        sigma_m = self.anchor.options.prior_sigma_m
        told = self._test is not self.shelf
        tested = self._means(prior.surface, self._test)[0] if told else means
        trust = trust_detail(prior.heights, tested, prior.surface.factor, sigma_m, told=told)
        self.fusion = Fusion(prior.surface, prior.heights, means, trust, sigma_m)
        for start, strip in self._strips():
            self.fusion.add_detail(strip[0], start)

    def _fit_cells(self, prior: Prior) -> None:
        """The cells as points, for modes that want some."""
        pred, sigma = self._means(prior.surface)
        row, col = np.nonzero(np.isfinite(pred) & np.isfinite(prior.heights))
        if row.size == 0:
            raise NoDataError("no cell of the prior lies on valid pixels of the picture")
        f, (row0, col0) = prior.surface.factor, prior.surface.offset
        own = np.full(row.size, max(self.anchor.options.prior_sigma_m, 1e-3))
        place = np.asarray((row + 0.5) * f - row0), np.asarray((col + 0.5) * f - col0)
        known = _Known(*place, np.asarray(prior.heights[row, col]), own, np.zeros(row.size, np.int64))
        self._fit(known, np.asarray(pred[row, col]), np.hypot(np.maximum(sigma[row, col], 1e-3), own))

    def _use_points(self, points: PlacedPoints) -> None:
        base, sigma = self._base_at(points.row, points.col)
        good = np.isfinite(base)
        for number in points.number[~good]:
            self.messages.append(f"point {number} lies where the picture has no data: left out")
        if not good.any():
            raise NoDataError("none of the points lies on valid pixels; heights stay relative without any")
        known = _Known(points.row[good], points.col[good], points.z[good], points.sigma[good], points.number[good])
        own = np.hypot(np.maximum(sigma[good], 1e-3), known.sigma)
        if self.anchor.prior is not None:
            weights = self._correct(known, known.z - base[good], own)
        else:
            weights = self._fit(known, base[good], own)
        for number, weight in zip(known.number, weights, strict=True):
            if weight < 0.2:
                self.messages.append(f"point {number} contradicts the others: it hardly counts (weight {weight:.2f})")

    def _correct(self, known: _Known, gap: Float, sigma: Float) -> Float:
        """What points say against a prior; nothing is changed by what foretells left-out points no better."""
        if len(gap) >= _LEAST_TO_BEND:
            fit = fit_field(known.xy, np.zeros(len(gap)), gap, sigma, self._field_options())
            if fit.left_out_rmse < _MUST_GAIN * float(np.sqrt(np.mean(gap**2))):
                self.shift = fit.shift
                self._spread_field(fit, known)
                return self._without_outliers(fit, known)
        line = fit_line(np.zeros(len(gap)), gap, sigma, scale_prior=(1.0, 0.0))
        # A datum may be off by a constant; few points may not bend a prior any further.
        if abs(line.shift) > 2 * math.sqrt(line.variances[0]):
            self.shift = line.shift
        return line.weights

    def _fit(self, known: _Known, pred: Float, sigma: Float) -> Float:
        """The line or the field of the mode; weights of the points."""
        in_px = self.anchor.grid.gsd_m is None
        if in_px and (self.mode == "shift" or len(pred) < 2):
            raise InputError(
                "heights in pixel sizes need at least 2 points and a scale, or the metres per pixel (--gsd)"
            )
        if self.mode == "field" or (self.mode == "poisson" and len(pred) >= LEAST_POINTS):
            fit = fit_field(known.xy, pred, known.z, known.sigma, self._field_options())
            if self.fusion is None:
                self.scale = fit.scale
            self.shift = fit.shift
            self._spread_field(fit, known)
            return self._without_outliers(fit, known)
        doubt = 0.0 if self.mode == "shift" else SCALE_DOUBT
        few = len(pred) < _MANY and not in_px
        prior = (1.0, doubt) if self.mode == "shift" or few else None
        self.line = fit_line(pred, known.z, sigma, scale_prior=prior)
        self.scale, self.shift = self.line.scale, self.line.shift
        return self.line.weights

    def _field_options(self) -> FieldOptions:
        """With what the net itself says of its heights: sigma over spread, of a sample of rows."""
        count, moments = 0, np.zeros(3)
        for start in range(0, self.shape[0], _STRIP_PX):
            height, sigma = self.shelf.rows(start, start + 1)[:, 0].astype(np.float64)
            height, sigma = height[np.isfinite(height)], sigma[np.isfinite(height)]
            count += height.size
            moments += (height.sum(), height @ height, sigma @ sigma)
        mean, square, variance = moments / max(count, 1)
        spread = square - mean**2
        doubt = math.sqrt(variance / spread) if spread > 0 else None
        return FieldOptions(float(max(self.shape)), self.anchor.grid.gsd_m is not None, doubt)

    def _without_outliers(self, fit: ResidualField, known: _Known) -> Float:
        for k in fit.outliers:
            if known.number[k] > 0:
                self.messages.append(f"point {known.number[k]} contradicts its neighbours: left out")
        return np.ones(len(known.z))

    def _spread_field(self, fit: ResidualField, known: _Known) -> None:
        """The field at the nodes of a lattice; between them it is taken to be linear."""
        step = max(1, -(-max(self.shape) // _NODES))
        nodes = CellSurface(self.shape, step)
        rows, cols = nodes.cells
        pred = fill_cells(self._means(nodes)[0]) if self.fusion is None else np.zeros(nodes.cells)
        row, col = np.mgrid[0:rows, 0:cols]
        xy = np.column_stack([(col.ravel() + 0.5) * step, (row.ravel() + 0.5) * step])
        field, sigma = fit.at(xy, pred.ravel())
        sigma = np.hypot(sigma, float(np.median(known.sigma)))  # nothing is known better than the points are
        self.field = nodes, field.reshape(rows, cols), sigma.reshape(rows, cols)

    def _base_at(self, row: Float, col: Float) -> tuple[Float, Float]:
        """Height and sigma of the base at points, linear between pixels; NaN off the valid pixels."""
        height, sigma = np.full((2, len(row)), np.nan)
        for k, (r, c) in enumerate(zip(row - 0.5, col - 0.5, strict=True)):
            top, left = (
                int(min(max(math.floor(v), 0), n - 2 if n > 1 else 0)) for v, n in zip((r, c), self.shape, strict=True)
            )
            strip = self.shelf.rows(top, min(top + 2, self.shape[0]))
            h, s = self._rows(strip, top)
            u, v = min(max(r - top, 0.0), 1.0), min(max(c - left, 0.0), 1.0)
            weight = np.outer([1 - u, u][: h.shape[0]], [1 - v, v][: h.shape[1]])
            part = np.s_[:, left : left + weight.shape[1]]
            valid = np.isfinite(h[part])
            if (weight * valid).sum() > 0.25:
                weight = weight * valid / (weight * valid).sum()
                height[k], sigma[k] = ((np.where(valid, x[part], 0) * weight).sum() for x in (h, s))
        return height, sigma

    def _rows(self, strip: NDArray[np.float32], start: int) -> tuple[Float, Float]:
        """Height and sigma of some rows with everything that is known so far."""
        stop = start + strip.shape[1]
        if self.fusion is not None:
            fused, spread = self.fusion.rows(strip[0], start)
            height, sigma = fused.astype(np.float64) + self.shift, spread.astype(np.float64)
        elif self.line is not None:
            height, sigma = self.line.apply(strip[0]), self.line.sigma(strip[0], strip[1])
        else:
            height, sigma = self.scale * strip[0].astype(np.float64) + self.shift, strip[1].astype(np.float64)
        if self.field is not None:
            nodes, field, spread_of_field = self.field
            height = height + nodes.linear_rows(field, start, stop)
            sigma = np.where(np.isfinite(height), nodes.linear_rows(spread_of_field, start, stop), np.nan)
        return height, sigma

    def _poisson(self) -> Float:
        """The whole scene with the slopes of the base, through the points, near the prior between them."""
        base = np.concatenate([self._rows(strip, start)[0] for start, strip in self._strips()])
        points = self.anchor.points
        if points is None:
            return base
        prior = self.anchor.prior
        reach = prior.surface.factor if prior is not None else 0
        return solve_poisson(
            base,
            Anchors(
                prior=base if reach else None,
                prior_weight=1.0 / max(4 * reach, 1) ** 2 if reach else 0.0,
                rows=np.floor(points.row).astype(np.int64),
                cols=np.floor(points.col).astype(np.int64),
                heights=points.z,
                weights=1.0 / np.maximum(points.sigma, 0.1) ** 2,
            ),
        )

    def _report(self, error_m: float) -> AnchorReport:
        anchor, prior, points = self.anchor, self.anchor.prior, self.anchor.points
        for message in self.messages:
            log.warning("%s", message)
        trust = self.fusion.trust if self.fusion is not None else None
        return AnchorReport(
            method=self.mode,
            vertical_datum=anchor.vertical_datum,
            expected_error_m=error_m,
            prior=_prior_in_words(prior) if prior else None,
            points=_points_in_words(points, anchor.points_name) if points else None,
            scale=self.scale,
            shift=self.shift,
            detail_weight=trust.overall if trust else None,
            detail_correlation=trust.correlation if trust and math.isfinite(trust.correlation) else None,
            messages=tuple(self.messages),
        )


def _prior_in_words(prior: Prior) -> str:
    name = prior.names[0] if len(prior.names) == 1 else f"{len(prior.names)} tiles"
    return f"{name} ({prior.cell_m:.0f} m cells)"


def _points_in_words(points: PlacedPoints, name: str) -> str:
    return f"{len(points)} point{'s' if len(points) > 1 else ''} of {name}"
