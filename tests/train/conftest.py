"""Training tests need torch; without it they skip with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'im2dem[train]' (make test-all)")

if TYPE_CHECKING:
    from im2dem.dataset.chips import Chips


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Sums in one order: results are the same bits in every run."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


@pytest.fixture(scope="session")
def chips() -> Chips:
    """Six rendered chips of drawn hills, kind "rendered"."""
    from im2dem.dataset.synth import DemSource, SynthOptions, make_chips

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:240, :240] / 30.0
    dem = 150 * sum(rng.normal() * np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 2, (8, 3)))
    source = DemSource("drawn", "public domain", dem.astype(np.float32), 30.0, 40.0)
    return make_chips([source], SynthOptions(count=6, size_px=96, seed=1))


@pytest.fixture
def recipe() -> Callable[..., object]:
    """A recipe so small that a step takes milliseconds."""
    from im2dem.train.recipe import recipe_from_dict

    def make(**changes: object) -> object:
        small = {
            "steps": 4,
            "batch": 4,
            "crop_px": 64,
            "warmup_steps": 1,
            "validate_every": 2,
            "bf16": False,
            "network": {"widths": [4, 6, 8], "embedding": 8},
        }
        return recipe_from_dict(small | changes)

    return make
