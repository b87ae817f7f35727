"""The variety that pictures of each climate have in the middle: what the net paints when nobody asks for another."""

from __future__ import annotations

import torch

from im2dem.runtime.colouring_condition import CLIMATES, PHOTOGRAPHS, SEASONS, VARIETY_SIZE, usual_key

from .data import Pool
from .nets import Encoder

AT_MOST, AT_ONCE = 1024, 32
LEAST = 16
FIRST_CLIMATE = 6  # where climates begin in a condition, and seasons behind them
FIRST_SEASON = FIRST_CLIMATE + len(CLIMATES)


def usual_varieties(encoder: Encoder, photographs: Pool, rendered: Pool, side: int) -> dict[str, list[list[float]]]:
    """Mean and standard deviation of the encoder's variety by climate, and of all photographs.

    Parameters
    ----------
    encoder
        Of the run, on the pools' device.
    photographs, rendered
        What the net learned from; either may be empty.
    side
        Of a crop, pixels.

    Returns
    -------
    By climate, and by climate and season, two lists of 8 numbers; from photographs where there are 16 crops of them,
    else from all. What has fewer than 16 is left out. `PHOTOGRAPHS` stands for all photographs of whatever climate.
    """
    codes, conditions = _codes(encoder, photographs, side)
    rendered_codes, rendered_conditions = _codes(encoder, rendered, side)
    found = {PHOTOGRAPHS: codes}
    for i, climate in enumerate(CLIMATES):
        for k, season in enumerate((None, *SEASONS)):
            told = [FIRST_CLIMATE + i] + ([FIRST_SEASON + k - 1] if season else [])
            some = codes[(conditions[:, told] > 0).all(dim=1)]
            if len(some) < LEAST:
                some = torch.cat([some, rendered_codes[(rendered_conditions[:, told] > 0).all(dim=1)]])
            found[usual_key(climate, season)] = some
    return {
        name: [some.mean(dim=0).tolist(), some.std(dim=0).tolist()]
        for name, some in found.items()
        if len(some) >= LEAST
    }


@torch.no_grad()
def _codes(encoder: Encoder, pool: Pool, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Varieties and conditions of crops that are spread evenly over the pool, on the processor."""
    if not len(pool):
        return torch.zeros(0, VARIETY_SIZE), torch.zeros(0, FIRST_SEASON + len(SEASONS))
    which = torch.linspace(0, len(pool) - 1, min(len(pool), AT_MOST), device=pool.device).round().long()
    batches = [pool.crops(some, side) for some in which.split(AT_ONCE)]
    codes = [encoder(batch.rgb * batch.valid)[0] for batch in batches]
    return torch.cat(codes).cpu(), torch.cat([batch.condition for batch in batches]).cpu()
