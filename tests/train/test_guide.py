"""Heights told to the net: their layout, and that a guided net learns to use them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import UsageError  # noqa: E402
from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.dataset.training_data import TrainingData  # noqa: E402
from im2dem.train.batches import Sampler  # noqa: E402
from im2dem.train.export import check_parity, to_onnx  # noqa: E402
from im2dem.train.guide import coarse_guide, draw_guides  # noqa: E402
from im2dem.train.loop import Run, train  # noqa: E402
from im2dem.train.reliefnet import ReliefNet, ReliefNetConfig  # noqa: E402

pytestmark = pytest.mark.train
CPU = torch.device("cpu")
GUIDED = {"widths": [4, 6, 8], "embedding": 8, "guide": True}


def relief(size: int = 64) -> torch.Tensor:
    y, x = np.mgrid[:size, :size] / 9.0
    return torch.from_numpy((np.sin(x) + np.cos(0.7 * y)).astype(np.float32))[None] * 0.3


def test_coarse_heights_keep_the_block_means_of_the_truth() -> None:
    truth = relief()
    guide = coarse_guide(truth, torch.ones_like(truth), 8)
    assert guide.shape == (4, 64, 64)
    blocks = torch.nn.functional.avg_pool2d
    # a cubic through block means is not exactly mean-preserving; at waves of seven blocks it errs by a few percent
    np.testing.assert_allclose(blocks(guide[:1], 8), blocks(truth - truth.mean(), 8), atol=0.03)
    assert guide[1].min() == 1
    assert guide[2:].abs().max() == 0


def test_points_are_squares_of_their_height_and_nothing_else() -> None:
    truth = relief()
    rng = np.random.default_rng(3)
    guide = draw_guides(truth[None], torch.ones_like(truth)[None], (0.0, 1.0), rng)[0]
    painted = guide[3] > 0
    assert guide[:2].abs().max() == 0
    assert guide[2][~painted].abs().max() == 0
    assert abs(float(guide[2][painted].mean())) < 1e-6
    # within a square of 5 pixels this relief changes by some percent of its span; points err by some percent too
    offset = (truth[0] - guide[2])[painted]
    assert float(offset.std()) < 0.35 * float(truth.std())


def test_the_picture_alone_gives_zeros() -> None:
    truth = relief()
    rng = np.random.default_rng(0)
    assert draw_guides(truth[None], torch.ones_like(truth)[None], (0.0, 0.0), rng).abs().max() == 0


def test_voids_of_a_coarse_model_are_marked_and_filled() -> None:
    truth = relief()
    valid = torch.ones_like(truth)
    valid[:, :32, :32] = 0
    guide = coarse_guide(truth * valid, valid, 8)
    assert guide[1][:32, :32].max() == 0
    assert guide[1][32:].min() == 1
    # filled from the neighbours: within what the truth spans
    low, high = float(guide[0][guide[1] > 0].min()), float(guide[0][guide[1] > 0].max())
    assert low - 0.05 <= float(guide[0].min())
    assert float(guide[0].max()) <= high + 0.05


def test_a_new_guided_net_returns_at_least_the_coarse_heights(chips: Chips, recipe: Callable) -> None:
    r = recipe(network=GUIDED, learning_rate=3e-3, augment={"prior": 1.0, "points": 0.0})
    batch = Sampler([], [chips], r).batch(0)
    assert batch.guide.shape == (4, 4, 64, 64)
    run = Run(r, CPU)
    losses = [float(run.train_step(batch)[1]["guided"]) for _ in range(60)]
    # 1 would be the coarse heights alone; one batch is learned by heart
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    run.net.eval()
    with torch.no_grad():
        out = run.net(batch.image, batch.condition, batch.guide)[:, :1]
    own = ((out - batch.relief) * batch.valid).abs().mean()
    coarse = ((batch.guide[:, :1] - batch.relief) * batch.valid).abs().mean()
    assert own < 1.1 * coarse


def test_weights_without_a_guide_start_one_that_ignores_it(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    plain = train(recipe(), TrainingData(rendered=[chips]), tmp_path / "plain")
    guided = Run(recipe(network=GUIDED), CPU)
    guided.start_from(tmp_path / "plain" / "checkpoint.pt")
    image, condition = torch.rand(1, 3, 64, 64), torch.zeros(1, 8)
    guide = torch.zeros(1, 4, 64, 64)
    guide[:, 2:] = 1.0
    with torch.no_grad():
        wanted = plain.ema(image, condition)
        np.testing.assert_allclose(guided.ema.eval()(image, condition, guide), wanted, atol=1e-6)
    with pytest.raises(UsageError, match="other sizes"):
        Run(recipe(network={"widths": [4, 6], "embedding": 8}), CPU).start_from(tmp_path / "plain" / "checkpoint.pt")


def test_a_guided_net_without_its_guide_is_what_it_makes_of_an_empty_one() -> None:
    net = ReliefNet(ReliefNetConfig(widths=(4, 6), embedding=8, guide=True)).eval()
    image, condition = torch.rand(2, 3, 64, 64), torch.rand(1, 8)
    with torch.no_grad():
        wanted = net(image, condition, torch.zeros(2, 4, 64, 64))
        np.testing.assert_allclose(net.without_guide()(image, condition), wanted, atol=1e-6)
    assert not net.without_guide().config.guide


def test_a_guided_net_is_exported_with_its_third_input(tmp_path: Path) -> None:
    net = ReliefNet(ReliefNetConfig(widths=(4, 6), embedding=8, guide=True)).eval()
    to_onnx(net, tmp_path / "m.onnx")
    assert check_parity(net, tmp_path / "m.onnx") <= 1e-4
    import onnx

    assert [i.name for i in onnx.load(tmp_path / "m.onnx").graph.input] == ["image", "condition", "guide"]
