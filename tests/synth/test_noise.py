"""Noise: the same place has the same value, whoever computes it and in whatever array."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core.errors import UsageError
from im2dem.synth.noise import Lattice, NoiseOptions, noise, noise_at, sum_in_numpy, warped

KINDS = [(basis, shape) for basis in ("perlin", "simplex") for shape in ("fbm", "ridged", "billow")]


@pytest.mark.parametrize(("basis", "shape"), KINDS)
def test_compiled_and_numpy_give_the_same_bytes(basis: str, shape: str) -> None:
    lattice = Lattice((37, 41), 7.3, -123456, 98765)
    options = NoiseOptions(333.0, 9, 0.55, 2.1, shape, basis)
    plain = sum_in_numpy(*lattice.points(), 42, options)
    assert np.array_equal(noise(lattice, 42, options, np.float64), plain)
    assert np.array_equal(noise_at(*lattice.points(), 42, options, np.float64), plain)
    assert np.array_equal(noise(lattice, 42, options), plain.astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(
    row=st.integers(-(10**6), 10**6),
    col=st.integers(-(10**6), 10**6),
    seed=st.integers(-(2**70), 2**70),
    kind=st.sampled_from(KINDS),
)
def test_a_tile_is_a_part_of_the_world(row: int, col: int, seed: int, kind: tuple[str, str]) -> None:
    options = NoiseOptions(90.0, 4, basis=kind[0], shape=kind[1])
    whole = noise(Lattice((24, 24), 10.0, row, col), seed, options)
    part = noise(Lattice((9, 11), 10.0, row + 7, col + 5), seed, options)
    assert np.array_equal(whole[7:16, 5:16], part)


@pytest.mark.parametrize("basis", ["perlin", "simplex"])
def test_lattice_noise_is_continuous_centred_and_within_bounds(basis: str) -> None:
    field = noise(Lattice((400, 400), 0.1), 3, NoiseOptions(1.0, 1, basis=basis), np.float64)
    assert 0.6 < np.abs(field).max() <= 1.0
    assert abs(field.mean()) < 0.03
    # A continuous function changes by a tenth on a tenth of the way; one with jumps at cell borders does not.
    fine = noise(Lattice((400, 400), 0.01), 3, NoiseOptions(1.0, 1, basis=basis), np.float64)
    assert np.abs(np.diff(fine, axis=0)).max() < 0.12


def test_perlin_is_zero_at_lattice_points() -> None:
    assert not noise(Lattice((5, 5), 1.0, shift=0.0), 9, NoiseOptions(1.0, 1), np.float64).any()


def test_seeds_and_octaves_differ() -> None:
    lattice = Lattice((64, 64), 10.0)
    one, two = (noise(lattice, seed, NoiseOptions(100.0, 1)) for seed in (1, 2))
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.3
    assert np.array_equal(one, noise(lattice, 1, NoiseOptions(100.0, 1)))


def test_the_bytes_of_a_seed_are_pinned() -> None:
    # A change of any bit would move every world that somebody keeps as a seed.
    field = noise(Lattice((16, 16), 10.0, -3, 5), 7, NoiseOptions(80.0, 5), np.float64)
    assert hashlib.sha256(field.astype("<f8").tobytes()).hexdigest()[:16] == "12b46f4c0063bef4"


def test_warped_noise_tiles_too() -> None:
    whole = warped(Lattice((20, 20), 5.0), 4, NoiseOptions(60.0, 3), 40.0)
    part = warped(Lattice((6, 6), 5.0, 9, 9), 4, NoiseOptions(60.0, 3), 40.0)
    assert np.array_equal(whole[9:15, 9:15], part)
    assert not np.array_equal(whole, noise(Lattice((20, 20), 5.0), 4, NoiseOptions(60.0, 3)))


@pytest.mark.parametrize("bad", [{"octaves": 0}, {"wavelength_m": 0.0}, {"shape": "spiky"}, {"basis": "value"}])
def test_bad_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        NoiseOptions(**bad)


def test_other_types_are_refused() -> None:
    with pytest.raises(UsageError, match="float32 or float64"):
        noise(Lattice((4, 4)), 1, dtype=np.int16)
