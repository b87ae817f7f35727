"""Rendered pictures obey the sun, the relief and the seed."""

import numpy as np
import pytest

from im2dem.synth.appearance import Appearance, cast_shadow, draw_appearance, light, render, with_sun

GSD_M = 30.0


def cone(size: int = 96, height_m: float = 600.0) -> np.ndarray:
    """A cone of 31 degrees in the middle of a plain."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.maximum(height_m - 18.0 * np.hypot(x, y), 0).astype(np.float32)


@pytest.mark.parametrize("azimuth_deg", [0, 90, 135, 180, 270])
def test_the_flank_towards_the_sun_is_bright(azimuth_deg: float) -> None:
    shade = light(cone(), GSD_M, with_sun(Appearance(), azimuth_deg, 40.0))
    middle, reach = 48, 15
    towards = np.array([-np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))]) * reach
    lit = shade[round(middle + towards[0]), round(middle + towards[1])]
    dark = shade[round(middle - towards[0]), round(middle - towards[1])]
    assert lit > 1.1 > 0.7 > dark


def test_shadow_is_as_long_as_geometry_says() -> None:
    # A wall 300 m high under a sun 45 degrees high in the south throws 300 m of shadow northwards: 10 pixels.
    dem = np.zeros((64, 64), dtype=np.float32)
    dem[40, :] = 300.0
    lit = cast_shadow(dem, GSD_M, 180.0, 45.0)
    shaded_rows = np.flatnonzero(lit[:, 32] < 0.5)
    assert shaded_rows.min() == pytest.approx(31, abs=1)
    assert shaded_rows.max() == 39
    assert lit[45:, 32].min() == 1.0


def test_flat_land_has_no_shadow() -> None:
    assert cast_shadow(np.full((20, 30), 7.0, np.float32), GSD_M, 200.0, 20.0).min() == 1.0


def test_the_same_seed_gives_the_same_bytes() -> None:
    pictures = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        pictures.append(render(cone(), GSD_M, draw_appearance(rng), rng))
    assert pictures[0].tobytes() == pictures[1].tobytes()
    rng = np.random.default_rng(6)
    assert render(cone(), GSD_M, draw_appearance(rng), rng).tobytes() != pictures[0].tobytes()


def test_pictures_use_the_8_bit_range_and_follow_the_light() -> None:
    bare = Appearance(country="bare", texture=0.0, valley_share=0.0, water_share=0.0, noise=0.0, haze=0.0)
    picture = render(cone(), GSD_M, bare, np.random.default_rng(0)).astype(float).mean(axis=0)
    shade = light(cone(), GSD_M, bare)
    slopes = cone() > 0
    assert np.corrcoef(picture[slopes], shade[slopes])[0, 1] > 0.6
    assert picture.max() > 200
    assert picture.min() < 40


def test_every_drawn_appearance_can_be_rendered() -> None:
    for seed in range(25):
        rng = np.random.default_rng(seed)
        picture = render(cone(48), GSD_M, draw_appearance(rng), rng)
        assert picture.shape == (3, 48, 48)
        assert picture.std() > 1
