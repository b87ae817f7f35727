"""Absolute heights: what anchors add to interpolating the same points or the same coarse heights."""

from __future__ import annotations

from harness import Bar, Outcome, Setup, Table, number, say

from im2dem.pipeline.evaluation_anchor import AnchorEvaluation, AnchorProtocol, AnchorRow, evaluate_anchors
from im2dem.pipeline.evaluation_guided import guided_by
from im2dem.pipeline.predict import PredictOptions, predictor

LESS = 0.8  # of the error of the bicubic interpolation, at x8 and x16
WORST = 1.02
ECE = 0.06
EXPLAIN = (
    "*A5(f)*: the true means of blocks of f x f pixels are given, as a coarse height model is; *fusion* is "
    "`im2dem predict --prior`, *bicubic* interpolates the same means. *A4(k)*: k true heights at random pixels of a "
    "tile are given; *field* is what `im2dem predict --points` makes of them. Errors in metres and degrees, nothing "
    "aligned, means over tiles of 256 px. *ratio*, *slope ratio*: errors over those of bicubic (A5) or inverse "
    "distances (A4), means over tiles; *worst*: the largest ratio of a tile; *ECE*: calibration error of sigma under "
    "Laplace errors, where there is a sigma."
)


def run(setup: Setup) -> Outcome:
    """The validation split."""
    return of_splits(setup, "val")


def release(setup: Setup) -> Outcome:
    """The test split, run once per release."""
    return of_splits(setup, "test")


def of_splits(setup: Setup, *splits: str) -> Outcome:
    """Anchors on the pairs of some splits."""
    protocol = AnchorProtocol(most_tiles=4) if setup.quick else AnchorProtocol()
    pairs = setup.pairs(*splits)
    options = PredictOptions(model=setup.model, threads=setup.threads)

    def tick(done: int, total: int) -> None:
        say(f"  {done} of {total} pairs")

    return describe(evaluate_anchors(predictor(options), pairs, protocol, tick, guided_by(options)))


def describe(result: AnchorEvaluation) -> Outcome:
    """Tables of A5 and A4, the worst pairs, and the bars."""
    columns = ("protocol", "method", "tiles", "RMSE m", "slope MAE deg", "ratio", "slope ratio", "worst", "ECE")
    blocks: list[str | Table] = [EXPLAIN]
    for kind, caption in (("A5", "Coarse heights known"), ("A4", "Points known")):
        lines = tuple(_cells(row) for row in result.rows if row.protocol.startswith(kind))
        if lines:
            blocks.append(Table(caption, columns, lines))
    pairs = sorted({tile.pair for tile in result.tiles})
    fused = [tile for tile in result.tiles if tile.method == "fusion"]
    by_pair: list[tuple[str, ...]] = []
    for pair in pairs:
        for protocol in dict.fromkeys(tile.protocol for tile in fused):
            own = [tile for tile in fused if (tile.pair, tile.protocol) == (pair, protocol)]
            if own:
                ratios = [tile.ratio for tile in own]
                mean = sum(ratios) / len(ratios)
                by_pair.append((pair, protocol, str(len(own)), number(mean), number(max(ratios))))
    blocks.append(Table("Fusion by pair", ("pair", "protocol", "tiles", "ratio", "worst"), tuple(by_pair)))
    return Outcome(tuple(blocks), _bars(result.rows))


def _cells(row: AnchorRow) -> tuple[str, ...]:
    figures = (number(row.rmse_m, 2), number(row.slope_mae_deg, 2), number(row.ratio), number(row.slope_ratio))
    return (row.protocol, row.method, str(row.tiles), *figures, number(row.worst), number(row.ece))


def _bars(rows: tuple[AnchorRow, ...]) -> tuple[Bar, ...]:
    fused = {row.protocol: row for row in rows if row.method == "fusion"}
    bars = []
    for name in ("A5(8)", "A5(16)"):
        if name in fused:
            row = fused[name]
            for what, found in (("RMSE", row.ratio), ("slope error", row.slope_ratio)):
                bars.append(Bar(f"{name}: {what} over that of bicubic", f"<= {LESS}", number(found), found <= LESS))
    if fused:
        worst = max(row.worst for row in fused.values())
        bars.append(Bar("A5: worst tile, RMSE over that of bicubic", f"<= {WORST}", number(worst), worst <= WORST))
        ece = max(row.ece for row in fused.values())
        bars.append(Bar("A5: ECE of sigma, worst factor", f"<= {ECE}", number(ece), ece <= ECE))
    return (*bars, *_bars_of_points(rows))


def _bars_of_points(rows: tuple[AnchorRow, ...]) -> list[Bar]:
    """Points and a picture must not be worse than points alone, whoever interpolates them."""
    field = {row.protocol: row for row in rows if row.method == "field"}
    bars = []
    for row in rows:
        if row.protocol in field and row.method in ("inverse distance", "thin plate"):
            share = field[row.protocol].rmse_m / row.rmse_m
            bars.append(Bar(f"{row.protocol}: mean RMSE over that of {row.method}", "<= 1", number(share), share <= 1))
    if field:
        ece = max(row.ece for row in field.values())
        bars.append(Bar("A4: ECE of sigma, worst number", f"<= {ECE}", number(ece), ece <= ECE))
    return bars
