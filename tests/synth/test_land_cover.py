"""Land cover follows relief and latitude; kernels agree with plain NumPy and SciPy."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("numba", reason="numba is not installed; pip install 'im2dem[synth]'")

from im2dem.core.errors import UsageError
from im2dem.synth.appearance import (
    COUNTRIES,
    REFLECTANCE,
    Appearance,
    cast_shadow,
    draw_appearance,
    geometry,
    light,
    picture,
    render,
    treeline_m,
    with_sun,
)
from im2dem.synth.appearance.texture import BANK_PX, bank, noise, place

GSD_M = 30.0
CLEAN = Appearance(texture=0.0, noise=0.0, haze=0.0, blur_px=0.0, valley_share=0.0, water_share=0.0, river_from_px=0.0)


def hills(rows: int = 96, cols: int = 96, seed: int = 0) -> np.ndarray:
    """Rough relief of some 300 m."""
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.standard_normal((rows, cols)), 8) * 900
    return (rough + ndimage.gaussian_filter(rng.standard_normal((rows, cols)), 2) * 20 + 400).astype(np.float32)


def slope_up(low_m: float, high_m: float, size: int = 128) -> np.ndarray:
    """An even slope that rises northwards."""
    return np.repeat(np.linspace(high_m, low_m, size, dtype=np.float32)[:, None], size, axis=1)


# ---- kernels ----


@pytest.mark.parametrize("radius", [1, 7, 40])
def test_box_mean_is_the_mean_of_the_pixels_that_are_there(radius: int) -> None:
    dem = hills(50, 61)
    out = np.empty_like(dem)
    geometry.box_mean(dem, radius, out)
    for r, c in [(0, 0), (3, 60), (25, 30), (49, 10)]:
        part = dem[max(r - radius, 0) : r + radius + 1, max(c - radius, 0) : c + radius + 1]
        # float32 running sums of heights of some hundred metres
        assert out[r, c] == pytest.approx(part.mean(dtype=np.float64), abs=0.02)


def test_slope_is_that_of_numpy() -> None:
    dem = hills(40, 50)
    slope, south, east = (np.empty_like(dem) for _ in range(3))
    geometry.slope_and_north(dem, np.float32(1 / GSD_M), slope, south, east)
    dy, dx = np.gradient(dem, GSD_M)
    np.testing.assert_allclose(south, dy, atol=1e-4)
    np.testing.assert_allclose(east, dx, atol=1e-4)
    np.testing.assert_allclose(slope, np.hypot(dx, dy), atol=1e-4)


@pytest.mark.parametrize("radius", [2, 5])
def test_hollows_are_like_those_of_a_full_mean(radius: int) -> None:
    dem = hills(96, 120)
    out = np.empty_like(dem)
    geometry.hollows(dem, radius, out)
    depth = ndimage.uniform_filter(dem.astype(np.float64), 8 * radius + 4) - dem
    inner = np.s_[24:-24, 24:-24]
    # the mean has a quarter of the resolution and lies half a pixel beside SciPy's, whose box is even
    assert np.corrcoef(out[inner].ravel(), depth[inner].ravel())[0, 1] > 0.98
    # the deviation is counted on a sixteenth of the pixels, and 0.3 m are added to it
    assert out.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("shape", [(64, 64), (65, 47), (7, 30)])
def test_transpose_moments_and_thinning_are_those_of_numpy(shape: tuple[int, int]) -> None:
    field = (hills(*shape) + 3000).astype(np.float32)
    out = np.empty(shape[::-1], np.float32)
    geometry.transpose(field, out)
    np.testing.assert_array_equal(out, field.T)
    assert geometry.moments(field) == pytest.approx((field.mean(dtype=np.float64), field.std(dtype=np.float64)))
    small = np.empty((-(-shape[0] // 4), -(-shape[1] // 4)), np.float32)
    geometry.thin(field, small, 4)
    np.testing.assert_array_equal(small, field[::4, ::4])


def test_every_cell_passes_on_what_it_gathered() -> None:
    # five cells: 0 -> 1 -> 3 <- 2, 3 -> 4
    area = np.array([4, 4, 8, 4, 4], np.float32)
    geometry.gather(np.array([1, 3, 3, 4, -1], np.int32), area)
    assert area.tolist() == [4, 8, 8, 20, 24]


def test_logarithm_is_close() -> None:
    x = np.geomspace(1, 1e6, 4001).astype(np.float32)
    out = x.copy()
    geometry.logarithm(out, out.view(np.int32))
    assert np.abs(out - np.log2(x)).max() < 0.01


@pytest.mark.parametrize("shape", [(64, 64), (65, 47)])
def test_enlarging_keeps_an_even_slope(shape: tuple[int, int]) -> None:
    coarse = np.add.outer(3.0 * np.arange(shape[0] // 2), 5.0 * np.arange(shape[1] // 2)).astype(np.float32)
    out = np.empty(shape, np.float32)
    geometry.enlarge(coarse, out)
    inner = out[2:-3, 2:-3]
    np.testing.assert_allclose(np.diff(inner, axis=0), 1.5, atol=1e-3)
    np.testing.assert_allclose(np.diff(inner, axis=1), 2.5, atol=1e-3)


def test_a_valley_gathers_all_that_falls_into_it() -> None:
    # A gutter that falls southwards along column 32; both flanks lean towards it.
    rows, cols = np.mgrid[:64, :64].astype(np.float32)
    dem = 10 * np.abs(cols - 32) + 1.0 * (64 - rows)
    half, scratch = np.empty((32, 32), np.float32), np.empty((32, 32), np.float32)
    geometry.drainage(np.ascontiguousarray(dem), np.zeros((32, 32), np.float32), scratch, half)
    area = 2.0**half
    assert area.argmax() // 32 >= 30
    assert abs(int(area.argmax() % 32) - 16) <= 1
    # nearly every pixel of the window passes the outlet (the cells of the edge do not flow)
    assert area.max() > 0.85 * dem.size


def test_water_is_neither_lost_nor_made() -> None:
    half, scratch = np.empty((48, 48), np.float32), np.empty((48, 48), np.float32)
    geometry.drainage(hills(), np.zeros((48, 48), np.float32), scratch, half)
    assert (2.0**half).min() == pytest.approx(4.0, rel=1e-5)
    assert (2.0**half).max() <= hills().size * (1 + 1e-5)


@pytest.mark.parametrize("azimuth_deg", [10.0, 80.0, 135.0, 200.0, 260.0, 315.0])
def test_shadow_of_a_round_hill_lies_away_from_the_sun(azimuth_deg: float) -> None:
    y, x = np.mgrid[:128, :128] - 63.5
    dem = (900 * np.exp(-(x**2 + y**2) / (2 * 6.0**2))).astype(np.float32)
    dark = 1 - cast_shadow(dem, GSD_M, azimuth_deg, 25.0)
    centre = np.array([(dark * y).sum(), (dark * x).sum()]) / dark.sum()
    away = np.array([math.cos(math.radians(azimuth_deg)), -math.sin(math.radians(azimuth_deg))])
    assert centre @ away > 0.97 * np.hypot(*centre) > 5


def test_light_of_an_open_plane_is_lamberts() -> None:
    rise = 0.3
    dem = slope_up(0, rise * GSD_M * 127)
    look = replace(with_sun(CLEAN, 180.0, 40.0), diffuse=0.0)
    inner = light(dem, GSD_M, look)[8:-8, 8:-8]
    # rising northwards faces south: cosine of the angle to the sun, relative to level ground
    expected = (rise * math.cos(math.radians(40)) + math.sin(math.radians(40))) / math.hypot(1, rise)
    np.testing.assert_allclose(inner, expected / math.sin(math.radians(40)), rtol=2e-3)


def test_noise_has_unit_variance_and_repeats() -> None:
    for name in ("white", "grain", "patch", "smooth"):
        assert bank(name).std() == pytest.approx(1, abs=0.05)
        assert abs(float(bank(name).mean())) < 0.02
    one, two = (noise("patch", (64, 80), 2.0, np.random.default_rng(3)).copy() for _ in range(2))
    assert one.shape == (32, 40)
    np.testing.assert_array_equal(one, two)
    tile, row, col = place("white", (700, 300), np.random.default_rng(0))
    assert tile.shape[0] >= row + 700
    assert tile.shape[1] >= col + 300
    assert tile.shape[0] % BANK_PX == 0


# ---- what lies where ----


def colours(look: Appearance, dem: np.ndarray, seed: int) -> np.ndarray:
    return render(dem, GSD_M, look, np.random.default_rng(seed)).astype(float)


@pytest.mark.parametrize("latitude_deg", [5.0, 36.0, -46.0, 60.0])
def test_no_green_above_the_treeline_and_snow_above_its_line(latitude_deg: float) -> None:
    trees = treeline_m(latitude_deg)
    # slopes of 17 degrees: neither walls nor plains
    dem = slope_up(trees - 700, trees + 1600, 256)
    look = replace(
        CLEAN, country="alpine", latitude_deg=latitude_deg, treeline_m=trees, snowline_m=trees + 1000,
        forest_share=0.9, bands="infrared", sun_elevation_deg=60.0, gain=0.0,
    )  # fmt: skip
    for seed in range(4):
        near_infrared, red, _ = colours(look, dem, seed)
        high, low = dem > trees + 1350, dem < trees - 350
        # snow is bright and has no more infrared than red; forest the other way round
        assert red[high].mean() > 2.5 * red[low].mean()
        assert near_infrared[low].mean() > 1.2 * red[low].mean()
        assert near_infrared[high].mean() < 1.2 * red[high].mean()


def test_treeline_falls_with_latitude() -> None:
    heights = [treeline_m(latitude) for latitude in (0, 20, 36, 46, 60, 75)]
    assert heights == sorted(heights, reverse=True)
    # Körner 1998: Alps about 2,000 m, Japan's Alps about 2,700 m
    assert treeline_m(46) == pytest.approx(2000, abs=150)
    assert treeline_m(36) == pytest.approx(2650, abs=150)
    assert treeline_m(-46) == treeline_m(46)


def test_the_sea_is_dark_and_level_and_only_at_height_zero() -> None:
    dem = np.maximum(slope_up(-800, 800), 0)
    look = replace(CLEAN, gain=0.0)
    picture = colours(look, dem, 1).mean(axis=0)
    sea = dem == 0
    assert picture[sea].mean() < 0.5 * picture[~sea].mean()
    land = colours(look, dem + 300, 1).mean(axis=0)
    assert land[sea].mean() > 2 * picture[sea].mean()


def test_fields_lie_on_the_valley_floor() -> None:
    rows, cols = np.mgrid[:128, :128].astype(np.float32)
    dem = np.ascontiguousarray(12 * np.maximum(np.abs(cols - 64) - 20, 0) + 300 + 0.01 * rows)
    plain = replace(CLEAN, forest_share=1.0, gain=4.0, cover_by_relief=1.0)
    changed = np.zeros(128)
    for seed in range(6):
        farmed = colours(replace(plain, valley_share=0.3), dem, seed)
        changed += np.abs(farmed - colours(plain, dem, seed)).mean(axis=(0, 1))
    assert changed[50:78].mean() > 4 * changed[[*range(20), *range(108, 128)]].mean()


def test_false_colour_shows_plants_in_red() -> None:
    look = replace(CLEAN, country="tropical", forest_share=1.0, gain=2.0)
    red, green, blue = colours(replace(look, bands="infrared"), hills(), 2).reshape(3, -1).mean(axis=1)
    assert red > 1.7 * max(green, blue)
    red, green, blue = colours(look, hills(), 2).reshape(3, -1).mean(axis=1)
    assert green > red


def test_a_composite_hardly_knows_the_sun() -> None:
    shades = [colours(replace(CLEAN, shading=s, gain=3.0), hills(), 4).mean(axis=0) for s in (1.0, 0.2)]
    other = [
        colours(with_sun(replace(CLEAN, shading=s, gain=3.0), 330.0, 40.0), hills(), 4).mean(axis=0) for s in (1.0, 0.2)
    ]
    change = [np.abs(a - b).mean() for a, b in zip(shades, other, strict=True)]
    assert change[1] < 0.4 * change[0]


def test_clouds_are_bright_and_cover_their_share() -> None:
    look = replace(CLEAN, gain=1.3)
    clear = colours(look, hills(), 5)
    cloudy = colours(replace(look, cloud_share=0.2), hills(), 5)
    share = (cloudy.min(axis=0) > clear.max(axis=0) + 40).mean()
    # edges are half transparent, and the share is counted on a sixteenth of the pixels
    assert 0.1 < share < 0.3


# ---- draws ----


def test_suns_are_of_their_hemisphere_and_countries_of_their_latitude() -> None:
    rng = np.random.default_rng(0)
    north = [draw_appearance(rng, 45.0) for _ in range(300)]
    south = [draw_appearance(rng, -45.0) for _ in range(300)]

    def towards_equator(looks: list[Appearance], sign: float) -> float:
        return float(np.mean([sign * math.cos(math.radians(a.sun_azimuth_deg)) < 0 for a in looks]))

    # one in eight has any azimuth, and aerial pictures of summer evenings look north of west
    assert towards_equator(north, 1) > 0.85
    assert towards_equator(south, -1) > 0.85
    assert sum(a.country == "tropical" for a in north) < 30
    assert min(a.sun_elevation_deg for a in north + south) >= 12
    kinds = [a.kind for a in north + south]
    assert min(kinds.count("satellite"), kinds.count("aerial"), kinds.count("composite")) > 40
    assert not any(a.cloud_share for a in north if a.kind == "composite")


def test_coarse_pictures_are_mostly_composites_with_little_shading() -> None:
    rng = np.random.default_rng(0)
    fine = [draw_appearance(rng, 40.0, 30.0) for _ in range(200)]
    coarse = [draw_appearance(rng, 40.0, 200.0) for _ in range(200)]
    composites = [a for a in coarse if a.kind == "composite"]
    assert len(composites) > 120
    assert max(a.shading for a in composites) <= 0.12
    assert min(a.shading for a in fine) >= 0.15
    # single dates exist at any pixel size, lit as ever
    assert min(a.shading for a in coarse if a.kind == "satellite") >= 0.7


def test_trees_keep_to_the_heights_more_often_than_not_and_most_in_dry_country() -> None:
    ground = picture.survey(hills(), GSD_M, np.random.default_rng(0))

    def height_counts(country: str) -> np.ndarray:
        look = replace(CLEAN, country=country, cover_by_relief=1.0)
        return np.array([picture._weights(ground, look, np.random.default_rng(seed)).by_height for seed in range(400)])

    moist, dry = height_counts("temperate_summer"), height_counts("arid")
    assert 0.6 < (moist > 0).mean() < (dry > 0).mean() < 1
    assert 0.2 < dry.mean() - moist.mean() < 0.5


def test_rock_of_a_dry_country_lies_in_layers() -> None:
    # an even steep slope has rock everywhere; what changes along it changes with the height alone
    dem = slope_up(0.0, 4000.0)
    spreads = []
    for country in ("red_desert", "temperate_summer"):
        look = replace(CLEAN, country=country, shading=0.0, forest_share=0.0, treeline_m=9000.0, snowline_m=9000.0)
        pictures = [colours(look, dem, seed).astype(float) for seed in range(12)]
        rows = [p.mean(axis=(0, 2)) for p in pictures]
        spreads.append(np.median([r.std() / r.mean() for r in rows]))
    assert spreads[0] > 1.5 * spreads[1]


def test_every_country_names_covers_that_exist() -> None:
    for name, land in COUNTRIES.items():
        for cover in (land.forest, land.open_land, land.ground, land.rock, land.alpine, *land.fields):
            assert cover in REFLECTANCE, name


@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (600, 40)])
def test_any_shape_can_be_rendered(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    assert render(hills(*shape), GSD_M, draw_appearance(rng), rng).shape == (3, *shape)


def test_flat_land_and_void_free_sea_can_be_rendered() -> None:
    for height in (0.0, 250.0):
        rng = np.random.default_rng(2)
        dem = np.full((64, 64), height, np.float32)
        assert render(dem, GSD_M, draw_appearance(rng), rng).dtype == np.uint8


def test_bad_calls_are_told() -> None:
    with pytest.raises(UsageError, match="at least 16"):
        render(np.zeros((8, 64), np.float32), GSD_M, Appearance(), np.random.default_rng(0))
    with pytest.raises(UsageError, match="countries:"):
        Appearance(country="atlantis")


def test_without_numba_the_extra_is_named_and_the_rest_imports() -> None:
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\n"
        "import im2dem.dataset.synth\n"
        "from im2dem.core.errors import MissingDependencyError\n"
        "from im2dem.synth.appearance import draw_appearance, render\n"
        "rng = np.random.default_rng(0)\n"
        "look = draw_appearance(rng)\n"
        "try: render(np.zeros((64, 64), np.float32), 30.0, look, rng)\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "im2dem[synth]" in done.stdout


def test_importing_does_not_load_numba() -> None:
    script = "import sys, im2dem.dataset.synth, im2dem.synth.appearance; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
