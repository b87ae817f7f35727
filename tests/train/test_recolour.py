"""Other cover on the same relief: the light stays, the colour goes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.dataset.chips import VOID, Chips  # noqa: E402
from im2dem.train.batches import Sampler  # noqa: E402
from im2dem.train.recolour import recolour  # noqa: E402
from im2dem.train.resident import ResidentSampler  # noqa: E402

pytestmark = pytest.mark.train


def scene(n: int = 24, size: int = 128) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hills lit from the east, green above and brown below: picture, relief, validity."""
    rng = np.random.default_rng(7)
    waves = np.fft.rfft2(rng.normal(0, 1, (n, size, size)))
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    relief = np.fft.irfft2(waves * (np.maximum(f, 1 / size) ** -2.2), s=(size, size))
    relief /= relief.std(axis=(1, 2), keepdims=True)
    light = 1 + 4 * np.gradient(relief, axis=2)
    green = np.clip(0.5 + 0.25 * relief, 0, 1)
    rgb = np.stack([0.5 - 0.2 * green, 0.3 + 0.2 * green, np.full_like(green, 0.3)], axis=1)
    image = torch.from_numpy(np.clip(rgb * np.clip(light, 0.2, 1.8)[:, None], 0, 1).astype(np.float32))
    heights = torch.from_numpy(relief.astype(np.float32))[:, None]
    return image, heights, torch.ones_like(heights)


def correlation(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Of each chip."""
    return np.array([np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a.numpy(), b.numpy(), strict=True)])


def test_light_and_shade_stay_and_the_colour_of_heights_goes() -> None:
    image, relief, valid = scene()
    other = recolour(image, relief, valid, np.random.default_rng(0))
    assert other.shape == image.shape
    assert float(other.min()) >= 0
    assert float(other.max()) <= 1
    # light and shade are in the short waves
    detail = [
        (x.mean(1) - torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 9, 1, 4)[:, 0]) for x in (image, other)
    ]
    kept = correlation(detail[0], detail[1])
    assert np.median(kept) > 0.8
    assert kept.min() > 0.3
    # greenness follows the height in every chip before, in hardly any afterwards
    greenness = [x[:, 1] - x[:, 0] for x in (image, other)]
    before, after = (correlation(g, relief[:, 0]) for g in greenness)
    assert before.min() > 0.8
    assert np.median(after) < 0.6
    assert (after < 0.2).sum() >= 4


def test_brightness_follows_the_height_either_way() -> None:
    image, relief, valid = scene()
    flat_light = torch.full_like(image, 0.4)
    by_height = correlation(recolour(flat_light, relief, valid, np.random.default_rng(1)).mean(1), relief[:, 0])
    assert (by_height > 0.1).sum() >= 4
    assert (by_height < -0.1).sum() >= 4


def test_the_same_chance_gives_the_same_cover_and_one_chip_does_not_change_another() -> None:
    image, relief, valid = scene(4)
    first, again = (recolour(image, relief, valid, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, again)
    dark = image.clone()
    dark[0] *= 0.1
    assert torch.equal(recolour(dark, relief, valid, np.random.default_rng(3))[1:], first[1:])
    assert not torch.equal(recolour(image, relief, valid, np.random.default_rng(4)), first)


def test_black_and_flat_pictures_and_chips_of_few_heights_stay_finite() -> None:
    image, relief, valid = torch.zeros(3, 3, 64, 64), torch.zeros(3, 1, 64, 64), torch.zeros(3, 1, 64, 64)
    image[1] = 1.0
    assert torch.isfinite(recolour(image, relief, valid, np.random.default_rng(0))).all()


@pytest.mark.parametrize("kind", ["host", "device"])
def test_a_recipe_without_it_draws_what_it_drew_before_and_one_with_it_keeps_the_heights(
    chips: Chips, recipe: Callable, kind: str
) -> None:
    voids = chips.dem.copy()
    voids[:, :9] = VOID
    pack = replace(chips, dem=voids)

    def sampler(share: float) -> Sampler | ResidentSampler:
        drawn = recipe(augment={"recolour": share, "noise": 0.0, "blur": 0.0, "grey": 0.0, "haze": 0.0})
        return Sampler([], [pack], drawn) if kind == "host" else ResidentSampler([], [pack], drawn, torch.device("cpu"))

    without, never, always = (sampler(share).batch(0) for share in (0.0, 1e-9, 1.0))
    assert torch.equal(without.relief[:1], always.relief[:1])
    assert torch.equal(without.relief[:1], never.relief[:1])
    assert not torch.allclose(without.image[:1], always.image[:1], atol=0.05)
    assert float(always.image.min()) >= 0
    assert float(always.image.max()) <= 1


@pytest.mark.parametrize("kind", ["host", "device"])
def test_coarse_pixels_keep_their_cover_where_the_recipe_says_so(chips: Chips, recipe: Callable, kind: str) -> None:
    def picture(below_m: float, share: float = 1.0) -> torch.Tensor:
        drawn = recipe(augment={"recolour": share, "recolour_below_m": below_m, "noise": 0.0, "blur": 0.0, "grey": 0.0})
        sampler = (
            Sampler([], [chips], drawn) if kind == "host" else ResidentSampler([], [chips], drawn, torch.device("cpu"))
        )
        return sampler.batch(0).image[:1]

    own, finest = picture(1e9, share=1e-9), float(chips.gsd_m.min())
    assert torch.equal(picture(finest / 10), own)
    assert not torch.allclose(picture(1e9), own, atol=0.05)
