"""How near made pictures are to true ones: in features, as a set, in colour, and in their light.

No single one is enough: a blurred picture has a small distance of pixels, a wrong one of the right texture a small
distance of sets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from im2dem.core.errors import GridMismatchError, UsageError
from im2dem.core.terrain import hillshade
from im2dem.train.lite0 import LiteEncoder

# As the ImageNet weights of Lite0 were trained: (value - 127) / 128.
INPUT_MEAN, INPUT_STD = 127.0 / 255.0, 128.0 / 255.0
LEAST_PX = 64
AT_ONCE = 8
# Below: one colour, but for the rounding of float32.
LEAST_SPREAD = 1e-5

Float = NDArray[np.float32]
Painter = Callable[[Float, float, tuple[float, float]], Float]


@dataclass(frozen=True)
class PictureScores:
    """Means over pairs of a made and a true picture of the same land.

    Parameters
    ----------
    perceptual
        Distance in Lite0's features, see `perceptual_distance`; 0: alike.
    kid
        Squared distance of the two sets of pictures, see `kernel_distance`; about 0: not told apart.
    histogram
        Distance of colour distributions, see `histogram_distance`, 0 to 1.
    light
        Correlation of brightness with the hillshade, see `light_agreement`.
    light_of_truth
        The same of the true pictures: what is to be reached, not 1.
    pictures
        How many pairs.
    """

    perceptual: float
    kid: float
    histogram: float
    light: float
    light_of_truth: float
    pictures: int


class Features:
    """Lite0's view of pictures.

    Parameters
    ----------
    net
        Encoder; default: with its ImageNet weights.
    """

    def __init__(self, net: LiteEncoder | None = None) -> None:
        self.net = (net or LiteEncoder()).eval().requires_grad_(False)

    @torch.no_grad()
    def layers(self, pictures: Float) -> list[Tensor]:
        """Five layers of features of pictures (n, 3, h, w) from 0 to 1, sides multiples of 32.

        Raises
        ------
        UsageError
            Pictures of another shape, or fewer than 64 px a side.
        """
        if pictures.ndim != 4 or pictures.shape[1] != 3 or min(pictures.shape[2:]) < LEAST_PX:
            raise UsageError(
                f"pictures of shape {pictures.shape} have no features; wanted is (n, 3, h, w), 64 px or more a side"
            )
        parts = [
            self.net((torch.from_numpy(pictures[i : i + AT_ONCE]) - INPUT_MEAN) / INPUT_STD)
            for i in range(0, len(pictures), AT_ONCE)
        ]
        return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def perceptual_distance(made: list[Tensor], true: list[Tensor]) -> Tensor:
    """Distance of pictures in features, shape (n,): 0 for alike, at most 2 a layer, summed over the layers.

    Every pixel's features are scaled to length 1; squared differences are summed over channels and averaged over
    pixels.

    Source
    ------
    Zhang et al. (2018), LPIPS, arXiv:1801.03924, equation 1, all weights 1, on another net: values do not compare
    with published ones.
    """
    terms = []
    for one, other in zip(made, true, strict=True):
        difference = F.normalize(one, dim=1) - F.normalize(other, dim=1)
        terms.append(difference.square().sum(dim=1).mean(dim=(1, 2)))
    return torch.stack(terms).sum(dim=0)


def kernel_distance(made: Tensor, true: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of two sets of vectors (n, d) and (m, d), kernel (x y / d + 1)^3.

    May be a little below 0 where the sets are alike.

    Raises
    ------
    UsageError
        Fewer than two vectors in a set.

    Source
    ------
    Binkowski et al. (2018), arXiv:1801.01401, section 4 and equation 4; on Lite0's features instead of Inception's.
    """
    n, m = len(made), len(true)
    if min(n, m) < 2:
        raise UsageError(f"sets of {n} and {m} pictures have no distance; two or more each are wanted")
    made, true = made.double(), true.double()
    own, others, between = ((a @ b.T / a.shape[1] + 1) ** 3 for a, b in ((made, made), (true, true), (made, true)))
    inner = (own.sum() - own.trace()) / (n * (n - 1)) + (others.sum() - others.trace()) / (m * (m - 1))
    return float(inner - 2 * between.mean())


def histogram_distance(made: Float, true: Float) -> float:
    """Mean over the bands of the earth mover's distance of two pictures' values.

    Parameters
    ----------
    made, true
        Shape (3, row, col), 0 to 1, the same number of pixels.

    Returns
    -------
    0 to 1: how far values must be moved on average.

    Raises
    ------
    GridMismatchError
        Of different shapes.
    """
    if made.shape != true.shape:
        raise GridMismatchError(f"pictures of shape {made.shape} and {true.shape} cannot be compared")
    one, other = (np.sort(p.reshape(p.shape[0], -1), axis=1) for p in (made, true))
    return float(np.abs(one - other).mean())


def light_agreement(picture: Float, dem: Float, gsd_m: float, sun_deg: tuple[float, float]) -> float:
    """Pearson correlation of a picture's brightness with the hillshade under its sun, -1 to 1; 0 where one is flat.

    Parameters
    ----------
    picture, dem
        Shape (3, row, col) and (row, col), metres.
    gsd_m, sun_deg
        Metres a pixel; azimuth and elevation.
    """
    shade = hillshade(dem, (gsd_m, gsd_m), *sun_deg).ravel()
    brightness = picture.mean(axis=0).ravel()
    known = np.isfinite(shade)
    if not known.any() or shade[known].std() < LEAST_SPREAD or brightness[known].std() < LEAST_SPREAD:
        return 0.0
    return float(np.corrcoef(shade[known], brightness[known])[0, 1])


def score_pictures(
    painter: Painter,
    land: list[tuple[Float, Float, float, tuple[float, float]]],
    features: Features | None = None,
) -> PictureScores:
    """Scores of whatever makes pictures of heights.

    Parameters
    ----------
    painter
        From heights (row, col) in metres, metres a pixel and the sun (azimuth, elevation) to a picture (3, row, col),
        0 to 1.
    land
        True picture (3, row, col) from 0 to 1, heights without voids, metres a pixel, sun; all of one size.
    features
        Default: Lite0 with its ImageNet weights.

    Raises
    ------
    UsageError
        Fewer than two pieces of land.
    """
    features = features or Features()
    made = np.stack([painter(dem, gsd_m, sun) for _, dem, gsd_m, sun in land]).astype(np.float32)
    true = np.stack([picture for picture, *_ in land]).astype(np.float32)
    made_layers, true_layers = features.layers(made), features.layers(true)
    pooled = [layers[-1].mean(dim=(2, 3)) for layers in (made_layers, true_layers)]
    lights = [
        [light_agreement(p, dem, gsd_m, sun) for p, (_, dem, gsd_m, sun) in zip(pictures, land, strict=True)]
        for pictures in (made, true)
    ]
    return PictureScores(
        perceptual=float(perceptual_distance(made_layers, true_layers).mean()),
        kid=kernel_distance(*pooled),
        histogram=float(np.mean([histogram_distance(a, b) for a, b in zip(made, true, strict=True)])),
        light=float(np.mean(lights[0])),
        light_of_truth=float(np.mean(lights[1])),
        pictures=len(land),
    )
