import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from im2dem.core.blend import Blender
from im2dem.core.grid import Window
from im2dem.core.levelling import (
    LevelOptions,
    OverlapCollector,
    OverlapStats,
    overlap_stats,
    solve_levels,
)
from im2dem.core.tiles import Overlap, TilePlan

PLAN = TilePlan((5 * 80 + 16, 7 * 80 + 16), 96, 16)  # 5 x 7 = 35 tiles


def relief(shape=PLAN.shape, seed=0, size=12.0, spread=120.0):
    """Smooth random heights, metres."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), size, mode="wrap")
    return spread * field / field.std()


def tiles_of(plan, truth, *, seed=1, offset=80.0, log_gain=0.0, noise=0.0):
    """Each tile's own version of the truth: gain * (truth + smooth and white noise) + offset."""
    rng = np.random.default_rng(seed)
    out = []
    for tile in plan:
        part = truth[tile.window.slices()]
        wrong = noise * (rng.normal(size=part.shape) + 2 * gaussian_filter(rng.normal(size=part.shape), 2))
        gain = np.exp(log_gain * rng.normal())
        out.append((gain * (part + wrong) + offset * rng.normal()).astype(np.float32))
    return out


def pairs_of(plan, tiles):
    collector = OverlapCollector(plan)
    return [pair for tile, data in zip(plan, tiles, strict=True) for pair in collector.feed(tile, data)]


def joined(plan, tiles, levels=None):
    blender, out = Blender(plan, 1), np.zeros(plan.shape)
    done = 0
    for tile, data in zip(plan, tiles, strict=True):
        if levels is not None:
            data = data * levels.gain[tile.index] + levels.offset[tile.index]
        blender.feed(tile, data[None].astype(np.float32))
        stop = blender.rows_done()
        if stop > done:
            out[done:stop] = blender.result(Window(done, 0, stop - done, plan.shape[1]))[0]
            done = stop
    return out


def nmad(dh):
    return 1.4826 * np.median(np.abs(dh - np.median(dh)))


def test_every_pair_is_compared_once():
    pairs = pairs_of(PLAN, tiles_of(PLAN, relief()))
    assert len({(p.first, p.second) for p in pairs}) == len(pairs) == 4 * 7 + 5 * 6 + 2 * 4 * 6


def test_thirty_five_tiles_with_random_offsets_come_back_to_one_level():
    truth = relief()
    tiles = tiles_of(PLAN, truth, offset=80, noise=2.0)
    levels = solve_levels(35, pairs_of(PLAN, tiles))
    before = nmad(joined(PLAN, tiles) - truth)
    after = nmad(joined(PLAN, tiles, levels) - truth)
    assert before > 40
    # The noise alone is 2.3 m in the middle of a tile, where nothing is averaged.
    assert after < 3.0
    assert levels.components == 1


def test_random_gains_as_well():
    truth = relief()
    tiles = tiles_of(PLAN, truth, offset=80, log_gain=0.4, noise=2.0)
    levels = solve_levels(35, pairs_of(PLAN, tiles))

    def error(levels):
        out = joined(PLAN, tiles, levels)
        slope, level = np.polyfit(out.ravel(), truth.ravel(), 1)  # the scene's own gain and offset are free
        return nmad(slope * out + level - truth)

    offsets_only = solve_levels(35, pairs_of(PLAN, tiles), options=LevelOptions(gain=False))
    assert error(None) > 40
    assert error(offsets_only) > 20
    assert error(levels) < 4


def test_tiles_that_agree_are_left_alone():
    levels = solve_levels(35, pairs_of(PLAN, tiles_of(PLAN, relief(), offset=0)))
    np.testing.assert_allclose(levels.gain, 1, atol=1e-6)
    np.testing.assert_allclose(levels.offset, 0, atol=1e-4)  # float32 heights of 300 m round to 3e-5 m


def test_exact_gains_and_offsets_are_found_exactly():
    truth = relief()
    tiles = tiles_of(PLAN, truth, offset=80, log_gain=0.3)
    levels = solve_levels(35, pairs_of(PLAN, tiles))
    out = joined(PLAN, tiles, levels)
    slope, level = np.polyfit(out.ravel(), truth.ravel(), 1)
    # The prior pulls gains to 1 with a millionth of the weight of an exact overlap.
    assert np.abs(slope * out + level - truth).max() < 0.05
    assert np.exp(np.mean(np.log(levels.gain))) == pytest.approx(1, abs=1e-9)


def test_a_tenth_of_wild_pixels_does_no_harm():
    truth, rng = relief(), np.random.default_rng(5)
    tiles = tiles_of(PLAN, truth, offset=80, log_gain=0.3, noise=1.0)
    for tile in tiles:
        wild = rng.random(tile.shape) < 0.1
        tile[wild] += rng.normal(0, 2000, int(wild.sum())).astype(np.float32)
    clean = solve_levels(35, pairs_of(PLAN, tiles))
    good = tiles_of(PLAN, truth, offset=80, log_gain=0.3, noise=1.0)
    out = joined(PLAN, good, clean)
    slope, level = np.polyfit(out.ravel(), truth.ravel(), 1)
    assert nmad(slope * out + level - truth) < 4


def test_a_few_wrong_overlaps_are_outvoted():
    tiles = tiles_of(PLAN, relief(), offset=80, noise=0.5)
    pairs = pairs_of(PLAN, tiles)
    right = solve_levels(35, pairs)
    wrong = [
        OverlapStats(p.first, p.second, p.extent, p.mean_first + 300, p.mean_second, *rest(p)) if i % 15 == 0 else p
        for i, p in enumerate(pairs)
    ]
    shifted = solve_levels(35, wrong).offset - right.offset
    # Plain least squares is off by tens of metres here.
    assert np.abs(shifted).max() < 5


def rest(pair):
    return pair.spread_first, pair.spread_second, pair.correlation


def test_noise_does_not_bias_gains_along_a_chain():
    plan = TilePlan((96, 40 * 80 + 16), 96, 16)
    truth = relief(plan.shape, seed=3)
    drift = []
    for seed in range(4):
        tiles = tiles_of(plan, truth, seed=seed, offset=0, noise=20.0)  # a sixth of the relief
        log_gain = np.log(solve_levels(40, pairs_of(plan, tiles)).gain)
        drift.append(log_gain[-10:].mean() - log_gain[:10].mean())
    # A regression slope would lose 2 to 3 % a step: over 30 steps more than half (0.7).
    assert abs(np.mean(drift)) < 0.25


def test_tiles_without_relief_keep_their_gain():
    truth = relief()
    truth[:, 230:330] = 0.0  # a lake, one tile and more wide
    tiles = tiles_of(PLAN, truth, offset=30, log_gain=0.3, noise=0.0)
    rng = np.random.default_rng(0)
    tiles = [t + rng.normal(0, 0.01, t.shape).astype(np.float32) for t in tiles]
    levels = solve_levels(35, pairs_of(PLAN, tiles))
    assert np.isfinite(levels.gain).all()
    assert levels.gain.max() < 3
    assert levels.gain.min() > 1 / 3


def test_gains_are_bounded():
    pairs = [OverlapStats(0, 1, 0.2, 0.0, 0.0, 100.0, 1.0, 1.0)]
    levels = solve_levels(2, pairs)
    np.testing.assert_allclose(levels.gain, [0.25, 4])
    np.testing.assert_allclose(solve_levels(2, pairs, options=LevelOptions(max_gain=2)).gain, [0.5, 2])


def test_separate_groups_keep_their_own_mean_height():
    pairs = [
        OverlapStats(0, 1, 0.2, 10.0, 20.0, 5.0, 5.0, 0.9),
        OverlapStats(2, 3, 0.2, -7.0, 3.0, 5.0, 5.0, 0.9),
    ]
    mean = np.array([100.0, 110.0, 500.0, 520.0, 7.0])
    mass = np.array([1.0, 3.0, 1.0, 1.0, 2.0])
    levels = solve_levels(5, pairs, mean=mean, mass=mass)
    assert levels.components == 3
    after = levels.gain * mean + levels.offset
    for group in ([0, 1], [2, 3], [4]):
        assert np.average(after[group], weights=mass[group]) == pytest.approx(
            np.average(mean[group], weights=mass[group])
        )
    assert levels.offset[0] - levels.offset[1] == pytest.approx(10)
    assert levels.offset[4] == 0
    assert levels.gain[4] == 1


def test_nothing_to_compare_changes_nothing():
    levels = solve_levels(3, [])
    np.testing.assert_array_equal(levels.offset, 0)
    np.testing.assert_array_equal(levels.gain, 1)


def test_invalid_pixels_do_not_count():
    rng = np.random.default_rng(0)
    a = rng.normal(size=400)
    b = 2 * a + 5
    b[::2] = 1e6
    a[::2] = np.nan
    stats = overlap_stats(Overlap(0, 1, Window(0, 0, 20, 20)), a, b, extent=0.1)
    assert stats.extent == pytest.approx(0.05)
    assert stats.mean_second == pytest.approx(2 * stats.mean_first + 5)
    assert stats.spread_second / stats.spread_first == pytest.approx(2)
    assert stats.correlation == pytest.approx(1)
    a[:-10] = np.nan
    assert overlap_stats(Overlap(0, 1, Window(0, 0, 20, 20)), a, b, extent=0.1) is None


def test_flat_sides_say_nothing_about_gain():
    flat, rough = np.full(100, 800.0), np.random.default_rng(0).normal(size=100)
    for a, b in ((flat, rough), (rough, flat), (flat, flat)):
        assert overlap_stats(Overlap(0, 1, Window(0, 0, 10, 10)), a, b, extent=0.1).correlation == 0


def test_collector_keeps_little():
    plan = TilePlan((5000, 1100), 512, 64)
    collector = OverlapCollector(plan)
    data = np.zeros(plan.tile_shape, np.float32)
    most = 0
    for tile in plan:
        collector.feed(tile, data)
        kept = [points for waiting in collector._waiting.values() for _, points in waiting]
        assert all(points.size <= 512 and points.base is None for points in kept)
        most = max(most, len(kept))
    assert most <= 4 * (len(plan.col_starts) + 1)
    assert not collector._waiting


def test_absurd_overlaps_never_break_the_solver():
    """Flat, tiny, huge and contradicting overlaps in graphs of any shape: finite, bounded, and no warning."""
    rng = np.random.default_rng(0)

    def spread():
        return float(rng.choice([0.0, 1e-9, 1e-3, 1.0, 1e5]) * rng.random())

    for _ in range(300):
        n, pairs = int(rng.integers(1, 12)), []
        for first in range(n):
            for second in range(first + 1, n):
                if rng.random() < 0.3:
                    a, b = spread(), spread()
                    correlation = float(rng.choice([0, 0.2, 0.5, 0.99, 1])) if min(a, b) > 0 else 0.0
                    means = rng.choice([0, 1, 1e5], 2) * rng.normal(size=2)
                    pairs.append(OverlapStats(first, second, rng.random() * 0.3, *means, a, b, correlation))
        mass = rng.choice([0, 1e-6, 1, 1e5], n)
        levels = solve_levels(n, pairs, mean=rng.normal(size=n) * 100, mass=mass)
        assert np.isfinite(levels.offset).all()
        assert (np.abs(np.log(levels.gain)) <= np.log(4) + 1e-9).all()
