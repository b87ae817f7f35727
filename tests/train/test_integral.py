"""Heights out of slopes: exact for waves, without effect at first, and exported as they are trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.train.batches import Sampler  # noqa: E402
from im2dem.train.export import check_parity, to_onnx  # noqa: E402
from im2dem.train.integral import integrate  # noqa: E402
from im2dem.train.losses import relief_loss  # noqa: E402
from im2dem.train.reliefnet import ReliefNet, ReliefNetConfig  # noqa: E402

pytestmark = pytest.mark.train

SMALL = ReliefNetConfig(widths=(4, 6, 8, 10), embedding=8)


def cells(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return y, x


def test_the_slopes_of_waves_give_the_waves() -> None:
    height, width = 24, 40
    y, x = cells(height, width)
    wanted, slopes = torch.zeros(1, 1, height, width), torch.zeros(1, 2, height, width)
    for along_x, along_y, size in ((1, 0, 2.0), (0, 1, -1.0), (3, 2, 0.5)):
        k_x, k_y = math.pi * along_x / width, math.pi * along_y / height
        wanted += size * torch.cos(k_x * x) * torch.cos(k_y * y)
        slopes[:, 0] -= size * k_x * torch.sin(k_x * x) * torch.cos(k_y * y)
        slopes[:, 1] -= size * k_y * torch.cos(k_x * x) * torch.sin(k_y * y)
    torch.testing.assert_close(integrate(slopes), wanted, atol=1e-5, rtol=0)  # float32


def test_an_even_slope_gives_a_plane_and_a_swirl_nothing() -> None:
    y, x = cells(32, 32)
    plane = integrate(torch.stack([torch.ones_like(x), torch.zeros_like(x)])[None])[0, 0]
    # cosines are level at the edges, a plane is not: they are off by a tenth of a cell's rise there
    torch.testing.assert_close(plane, x - x.mean(), atol=0.15, rtol=0)
    k = math.pi / 32
    swirl = torch.stack([torch.sin(k * x) * torch.cos(k * y), -torch.cos(k * x) * torch.sin(k * y)])
    assert float(integrate(swirl[None]).abs().max()) < 1e-5  # no surface has these slopes


def test_it_begins_as_the_net_without() -> None:
    plain, sums = ReliefNet(SMALL).eval(), ReliefNet(replace(SMALL, integral=True)).eval()
    sums.load_weights(plain.state_dict())
    image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    condition = torch.tensor([[0.5, -0.8, 0.6, 1.0, 0.0, 1.0, 0.7, 1.0]])
    with torch.no_grad():
        torch.testing.assert_close(sums(image, condition), plain(image, condition))


def test_the_slopes_learn(chips: Chips, recipe: Callable) -> None:
    r = recipe()
    batch = Sampler([], [chips], r).batch(0)
    net = ReliefNet(replace(r.network, integral=True)).train()
    loss, _ = relief_loss(net.parts(batch.image, batch.condition), batch, r.loss, r.relief_floor_m)
    loss.backward()
    assert net.integral is not None
    assert float(net.integral.slopes.weight.grad.abs().max()) > 0


def test_torch_and_onnx_agree_in_every_size(tmp_path: Path) -> None:
    net = ReliefNet(replace(SMALL, integral=True)).eval()
    assert net.integral is not None
    torch.nn.init.normal_(net.integral.slopes.weight, 0, 0.1)
    to_onnx(net, tmp_path / "net.onnx")
    assert check_parity(net, tmp_path / "net.onnx") < 1e-4
