"""What training sets of the drawn Earth are held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from scipy import ndimage

from im2dem.dataset.store import Store
from im2dem.dataset.verify import verify
from network import stac_world

# A pixel of 10 m between heights 30 m apart, bilinear: 0.6 m at the curvature of this relief (measured 0.54).
DEM_TOLERANCE_M = 0.8
# Half of a digital number of Sentinel-2, and rounding in float32.
REFLECTANCE_TOLERANCE = 0.6e-4


def check_truth(
    root: Path, heights_m: float = DEM_TOLERANCE_M, reflectance: float = REFLECTANCE_TOLERANCE, day: str | None = None
) -> int:
    """Every pixel of every chip is what the drawn Earth has there (on `day`); returns the number of chips."""
    assert verify(root) == []
    count = 0
    for meta in Store(root).metas():
        with rasterio.open(root / "pairs" / meta["name"] / "dem.tif") as file:
            x, y = stac_world.pixel_centres(file.transform, file.shape)
            dem = file.read(1)
            assert file.tags()["VERTICAL_DATUM"] == meta["vertical_datum"]
        # Beside a hole the mean of fewer heights stands for more than its place.
        known = ~ndimage.binary_dilation(dem == -9999, iterations=3)
        assert np.abs(dem - stac_world.height_at(x, y))[known].max() < heights_m
        with rasterio.open(root / "pairs" / meta["name"] / "rgb.tif") as file:
            scale = meta["picture"]["scale"]
            got = file.read() * scale + meta["picture"]["offset"]
        (said,) = meta["dates"]
        assert day in (None, said)
        for band, values in zip(stac_world.BANDS, got, strict=True):
            # Brighter than the white of the 8 bits there is nothing; else half a step of them.
            true = np.minimum(stac_world.reflectance_at(x, y, said.replace("-", ""), band), 254 * scale)
            assert np.abs(values - true).max() < 0.5 * scale + reflectance
        count += 1
    return count
