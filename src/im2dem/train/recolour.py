"""Other land on the same relief: cover that has nothing to do with the place, so that a net learns light, not colour.

Where the training pairs lie, forest is on the mountains and fields are on the plains; elsewhere it is the other way
round, or rock lies in layers of every colour. A picture multiplied by patches and layers of its own chance still has
the light and the shade of its relief, as both are factors of the radiance. The idea is that of domain randomisation.

Source
------
Tobin et al. (2017), Domain randomization, arXiv:1703.06907, section III.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

# Cells along the side of the chip: patches from a third of it down to a twenty-fourth.
CELLS = (3, 6, 12, 24)
TINT = 0.6
BRIGHTEST = 0.99


def recolour(image: Tensor, relief: Tensor, valid: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures with other cover, as bright in the mean as before.

    Parameters
    ----------
    image
        (n, 3, s, s) in [0, 1].
    relief
        (n, 1, s, s), any unit: layers follow it.
    valid
        (n, 1, s, s), 1 where there is truth.
    rng
        All chance; so many numbers are drawn for n pictures, whatever is in them.

    Returns
    -------
    (n, 3, s, s) in [0, 1].
    """
    n, size = len(image), image.shape[-1]
    exponent = rng.uniform(0.3, 1.5, (n, 1, 1, 1))
    patches = image.new_zeros(n, 4, size, size)
    for cells in CELLS:
        grid = rng.normal(0, 1, (n, 4, cells, cells)) * (CELLS[0] / cells) ** exponent
        patches += F.interpolate(_tensor(grid, image), size=(size, size), mode="bilinear", align_corners=False)
    pattern, tint = patches[:, :1], patches[:, 1:]
    amount = valid.sum((2, 3), keepdim=True).clamp_min(1)
    height = relief - (relief * valid).sum((2, 3), keepdim=True) / amount
    spread = ((height**2 * valid).sum((2, 3), keepdim=True) / amount).sqrt().clamp_min(1e-6)
    waves = _tensor(np.exp(rng.uniform(np.log(0.7), np.log(8.0), (n, 1, 1, 1))), image)
    layers = torch.sin(waves * height / spread + _tensor(rng.uniform(0, 2 * np.pi, (n, 1, 1, 1)), image))
    by_height = _tensor(rng.uniform(0, 1, (n, 1, 1, 1)) ** 2, image)
    edge = _tensor(np.exp(rng.uniform(np.log(0.5), np.log(6.0), (n, 1, 1, 1))), image)
    pattern = torch.tanh(edge * (by_height * 1.4 * layers + (1 - by_height) * pattern)) / torch.tanh(edge)
    strength = _tensor(rng.uniform(0.1, 0.8, (n, 1, 1, 1)), image)
    other = _exchange(image, rng) * torch.exp(strength * (pattern + TINT * tint))
    other = other * (image.mean((1, 2, 3), keepdim=True) / other.mean((1, 2, 3), keepdim=True).clamp_min(1e-3))
    # nobody burns out a fifth of a picture
    thin = other[:, :, ::4, ::4].flatten(1)
    top = torch.quantile(thin, BRIGHTEST, dim=1).view(n, 1, 1, 1).clamp_min(1.0)
    return (other / top).clamp(0, 1)


def _exchange(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Bands mixed with those of another order: every weight is positive, so that light stays light."""
    orders = torch.from_numpy(np.stack([rng.permutation(3) for _ in range(len(image))])).to(image.device)
    mixed = torch.gather(image, 1, orders[:, :, None, None].expand_as(image))
    return torch.lerp(image, mixed, _tensor(rng.uniform(0, 1, (len(image), 1, 1, 1)), image))


def _tensor(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(like.device, non_blocking=True)
