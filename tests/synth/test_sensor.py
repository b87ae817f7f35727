"""From radiance to digital numbers: against the formula in double precision."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed: pip install 'im2dem[synth]'")

from im2dem.synth.appearance.sensor import digitise

SHAPE = (37, 53)


def digitised(radiance, low, per, bend, grain, strength, corner=(0, 0)):
    out = np.zeros(radiance.shape, np.uint8)
    curve = np.float32(low), np.float32(per), np.float32(bend)
    digitise(radiance, curve, (grain, *corner), np.float32(strength), out)
    return out


@pytest.mark.parametrize("gamma", [0.6, 1.0, 1.8])
def test_numbers_are_those_of_the_formula_but_for_half_a_step(gamma):
    rng = np.random.default_rng(3)
    radiance = rng.uniform(-0.2, 1.4, SHAPE).astype(np.float32)
    grain = rng.normal(size=(64, 64)).astype(np.float32)
    low, per, bend, strength, (row, col) = 0.05, 1.1, 2**gamma - 2 if gamma != 1 else 0.0, 3.0, (5, 9)
    out = digitised(radiance, low, per, bend, grain, strength, (row, col))
    x = np.clip((radiance.astype(np.float64) - low) * per, 0, 1)
    noise = strength * grain[row : row + SHAPE[0], col : col + SHAPE[1]].astype(np.float64)
    wanted = np.clip(255 * x / (bend * (1 - x) + 1) + noise, 0, 255)
    # half a step of rounding; float32 holds numbers up to 255 to 1.5e-5, a few operations of it
    assert np.abs(out - wanted).max() <= 0.5 + 1e-3
    assert 0 in out
    assert 255 in out


def test_brighter_ground_never_gets_a_smaller_number():
    radiance = np.linspace(-0.1, 1.1, 4001, dtype=np.float32)[None]
    out = digitised(radiance, 0.0, 1.0, 0.7, np.zeros((1, 4001), np.float32), 0.0)
    assert (np.diff(out[0].astype(int)) >= 0).all()
    assert set(out[0]) == set(range(256))
