"""Windows of height models and streams of rendered chips."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("numba", reason="numba is not installed; pip install 'im2dem[synth]'")

from im2dem.core.errors import InputError, UsageError
from im2dem.dataset.chips import VOID, load_chips, save_chips
from im2dem.dataset.synth import (
    DemSource,
    RenderedStream,
    SynthOptions,
    cut_window,
    draw_relief,
    fill_voids,
    make_chips,
    render_chip,
)

OPTIONS = SynthOptions(count=6, size_px=64, seed=3)


def hills(size: int = 400, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (ndimage.gaussian_filter(rng.standard_normal((size, size)), 12) * 3000 + 600).astype(np.float32)


def source(dem: np.ndarray, latitude_deg: float = 40.0) -> DemSource:
    return DemSource("hills", "public domain", dem, 30.0, latitude_deg)


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.7, 4.0])
def test_resampling_keeps_an_even_slope(zoom: float) -> None:
    dem = np.add.outer(2.0 * np.arange(400), 3.0 * np.arange(400)).astype(np.float32)
    window = cut_window(source(dem), 64, zoom, np.random.default_rng(0))
    assert window is not None
    inner = window[6:-6, 6:-6]
    steps = sorted(float(np.diff(inner, axis=axis).mean()) for axis in (0, 1))
    span = round(64 * zoom) / 64
    # both filters are exact on a plane away from the edge, but for float32 at 2,000 m
    np.testing.assert_allclose(steps, [2 * span, 3 * span], rtol=1e-4)
    assert np.abs(np.diff(inner, axis=0) - np.diff(inner, axis=0).mean()).max() < 0.002 * span


def test_dropped_pixels_are_averaged_not_picked() -> None:
    dem = (hills() + 200 * (np.indices((400, 400)).sum(axis=0) % 2)).astype(np.float32)
    coarse = cut_window(source(dem), 64, 4.0, np.random.default_rng(1))
    smooth = cut_window(source(hills() + np.float32(100)), 64, 4.0, np.random.default_rng(1))
    assert coarse is not None
    assert smooth is not None
    # the chequerboard of 200 m has the mean 100 m and leaves no trace
    assert np.abs(coarse - smooth)[1:-1, 1:-1].max() < 2


def test_small_voids_stay_void_in_the_label_and_are_filled_in_the_picture() -> None:
    dem = hills()
    dem[::29, ::31] = np.nan
    seen = 0
    for i in range(8):
        chip, _, _ = render_chip([source(dem)], OPTIONS, np.random.default_rng(i))
        void = ~np.isfinite(chip.dem)
        assert void.mean() < 0.5
        seen += bool(void.any())
        whole = fill_voids(chip.dem)
        assert np.isfinite(whole).all()
        np.testing.assert_array_equal(whole[~void], chip.dem[~void])
    assert seen > 4
    chips = make_chips([source(dem)], OPTIONS)
    assert (chips.dem == VOID).any()


def test_mostly_void_windows_are_left_out() -> None:
    dem = hills()
    dem[:, :330] = np.nan
    for i in range(5):
        _, window, _ = draw_relief([source(dem)], SynthOptions(size_px=48), np.random.default_rng(i))
        assert np.isfinite(window).mean() > 0.8


def test_halves_are_means_and_keep_voids() -> None:
    dem = hills(101)
    dem[10, 11] = np.nan
    half = source(dem).halved
    assert half.gsd_m == 60.0
    assert half.dem.shape == (50, 50)
    np.testing.assert_allclose(half.dem[3, 4], dem[6:8, 8:10].mean(), rtol=1e-6)
    assert np.isnan(half.dem[5, 5])
    assert np.isnan(half.dem).sum() == 1


def test_the_range_of_pixel_sizes_is_kept() -> None:
    options = SynthOptions(size_px=32, gsd_range_m=(25.0, 50.0))
    land = source(hills())
    sizes = [draw_relief([land], options, np.random.default_rng(i))[2] for i in range(40)]
    assert min(sizes) >= 25 * (1 - 1e-9)
    assert max(sizes) <= 50 * (1 + 1e-9)
    assert max(sizes) > 1.4 * min(sizes)


def test_windows_are_turned_every_way() -> None:
    # rises eastwards only: after turns and mirrors the steepest direction is each of four
    dem = np.repeat(np.linspace(0, 3000, 300, dtype=np.float32)[None], 300, axis=0)
    seen = set()
    for i in range(40):
        _, window, _ = draw_relief([source(dem)], SynthOptions(size_px=32), np.random.default_rng(i))
        dy, dx = (float(g.mean()) for g in np.gradient(window))
        seen.add((round(np.sign(dy) * (abs(dy) > abs(dx))), round(np.sign(dx) * (abs(dx) > abs(dy)))))
    assert seen == {(0, 1), (0, -1), (1, 0), (-1, 0)}


def test_the_same_seed_gives_the_same_chip_in_any_thread() -> None:
    stream = RenderedStream([source(hills()), source(hills(seed=1), float("nan"))], SynthOptions(size_px=64))
    alone = [stream.chip(np.random.default_rng(i)) for i in range(24)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda i: stream.chip(np.random.default_rng(i)), range(24)))
    for one, other in zip(alone, together, strict=True):
        assert one.rgb.tobytes() == other.rgb.tobytes()
        assert one.dem.tobytes() == other.dem.tobytes()
        np.testing.assert_array_equal(one[2:], other[2:])


def test_a_chip_owns_its_arrays() -> None:
    stream = RenderedStream([source(hills())], SynthOptions(size_px=64))
    chip = stream.chip(np.random.default_rng(0))
    rgb, dem = chip.rgb.copy(), chip.dem.copy()
    stream.chip(np.random.default_rng(1))
    np.testing.assert_array_equal(chip.rgb, rgb)
    np.testing.assert_array_equal(chip.dem, dem)


def test_the_picture_follows_the_recorded_sun() -> None:
    agreement = []
    for i in range(40):
        chip, _, look = render_chip([source(hills())], SynthOptions(size_px=96), np.random.default_rng(i))
        if look.kind == "composite":
            assert np.isnan(chip.sun_azimuth_deg)
            continue
        dy, dx = np.gradient(chip.dem, chip.gsd_m)
        azimuth, elevation = np.radians([chip.sun_azimuth_deg, chip.sun_elevation_deg])
        cosine = (dy * np.cos(azimuth) - dx * np.sin(azimuth)) * np.cos(elevation) + np.sin(elevation)
        cosine /= np.sqrt(1 + dx**2 + dy**2)
        agreement.append(np.corrcoef(cosine.ravel(), chip.rgb.mean(axis=0).ravel())[0, 1])
    # single covers of one aspect may outshine the light; the many do not
    assert np.median(agreement) > 0.15
    assert np.mean(np.array(agreement) > 0) > 0.75


def test_a_pack_records_what_was_drawn(tmp_path) -> None:
    chips = make_chips([source(hills())], OPTIONS)
    save_chips(tmp_path / "pack.npz", chips)
    provenance = load_chips(tmp_path / "pack.npz").provenance
    drawn = provenance["appearance"]
    assert {len(column) for column in drawn.values()} == {OPTIONS.count}
    known = np.isfinite(chips.sun_azimuth_deg)
    assert [kind != "composite" for kind in drawn["kind"]] == known.tolist()
    # five digits are kept
    np.testing.assert_allclose(np.array(drawn["sun_azimuth_deg"])[known], chips.sun_azimuth_deg[known], rtol=1e-4)
    np.testing.assert_allclose(drawn["latitude_deg"], chips.latitude_deg, rtol=1e-4)


def test_both_hemispheres_are_drawn() -> None:
    chips = make_chips([source(hills())], SynthOptions(count=30, size_px=32))
    assert (chips.latitude_deg > 0).any()
    assert (chips.latitude_deg < 0).any()
    assert (np.abs(np.abs(chips.latitude_deg) - 40) < 1e-9).mean() > 0.3


def test_bad_input_is_told() -> None:
    with pytest.raises(InputError, match="at least one"):
        RenderedStream([])
    with pytest.raises(InputError, match="positive pixel size"):
        DemSource("x", "", hills(), 0.0, 0.0)
    with pytest.raises(UsageError, match="pixel sizes"):
        SynthOptions(gsd_range_m=(50.0, 20.0))


def test_arrays_of_other_types_serve() -> None:
    whole = DemSource("made", "", np.asfortranarray(hills().astype(np.float64)), 30.0, float("nan"))
    assert whole.dem.dtype == np.float32
    assert RenderedStream([whole], SynthOptions(size_px=32)).chip(np.random.default_rng(0)).rgb.shape == (3, 32, 32)
