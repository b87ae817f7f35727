"""Erosion moves material; it neither makes nor loses any, and it reaches no farther than it says."""

import numpy as np
import pytest

from im2dem.core.errors import UsageError
from im2dem.synth.erosion import REACH_PX, Hydraulic, hydraulic, thermal
from im2dem.synth.noise import Lattice, NoiseOptions, noise


def hills(size: int = 40) -> np.ndarray:
    """Rough hills, metres, of 10 m pixels."""
    return noise(Lattice((size, size), 10.0), 5, NoiseOptions(160.0, 4), np.float64) * 80


def test_hydraulic_mass_balance() -> None:
    before = hills()
    after = hydraulic(before, 10.0, Hydraulic(30))
    # Sums of some thousand float64 numbers: rounding is far below a micrometre.
    assert after.dem.sum() + after.lost_m == pytest.approx(before.sum(), abs=1e-6)
    assert after.rained_m == pytest.approx(after.water.sum() + after.water_lost_m + after.dried_m, abs=1e-6)
    assert after.deposit.min() < -0.01 < 0.01 < after.deposit.max()
    assert after.water.min() >= 0


def test_thermal_keeps_mass_and_finds_its_angle() -> None:
    before = np.zeros((31, 31))
    before[12:19, 12:19] = 100.0
    after = thermal(before, 10.0, 35.0, 400)
    assert after.sum() == pytest.approx(before.sum(), rel=1e-12)
    steepest = max(np.abs(np.diff(after, axis=0)).max(), np.abs(np.diff(after, axis=1)).max()) / 10.0
    # Slopes come to the angle of rest from above and never quite reach it.
    assert np.degrees(np.arctan(steepest)) < 37.0


def test_influence_ends_at_the_margin() -> None:
    passes = 4
    margin = REACH_PX * 2 * passes
    one = hills(2 * margin + 9)
    other = one.copy()
    other[0, 0] += 50.0
    changed = [thermal(hydraulic(dem, 10.0, Hydraulic(passes)).dem, 10.0, 20.0, passes) for dem in (one, other)]
    core = slice(margin, -margin)
    assert not np.array_equal(*changed)
    assert np.array_equal(changed[0][core, core], changed[1][core, core])


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(UsageError):
        Hydraulic(settle=1.5)
    with pytest.raises(UsageError):
        thermal(hills(), 10.0, 90.0)
