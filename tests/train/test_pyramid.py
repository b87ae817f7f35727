"""A first look at half the size: what the net is given of it, that it teaches, and that it can be exported."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import UsageError  # noqa: E402
from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.train.batches import Sampler  # noqa: E402
from im2dem.train.export import to_onnx  # noqa: E402
from im2dem.train.losses import relief_loss  # noqa: E402
from im2dem.train.reliefnet import GUIDE_GAIN, ReliefNet, ReliefNetConfig  # noqa: E402

pytestmark = pytest.mark.train

SMALL = ReliefNetConfig(widths=(4, 6, 8, 10), embedding=8)


def inputs(side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(1)
    condition = torch.tensor([[0.5, -0.8, 0.6, 1.0, 0.0, 1.0, 0.7, 1.0]])
    return torch.rand(2, 3, side, side, generator=chance), condition


def test_it_begins_as_the_net_without_and_half_the_size_is_twice_the_pixel() -> None:
    plain, looks = ReliefNet(SMALL).eval(), ReliefNet(replace(SMALL, pyramid=True)).eval()
    looks.load_weights(plain.state_dict())
    image, condition = inputs()
    with torch.no_grad():
        torch.testing.assert_close(looks(image, condition), plain(image, condition))
        told = condition.clone()
        told[:, 4] = 1.0  # 60 m in place of 30 m
        coarse = plain(torch.nn.functional.avg_pool2d(image, 2), told)[:, :1]
        given = looks._half_size(image, condition) / GUIDE_GAIN[0]
    # metres = slope units x 32 x pixel size: the same heights are twice the number at half the pixel size
    wanted = 2 * torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(given, wanted)


def test_an_unknown_pixel_size_stays_unknown() -> None:
    looks = ReliefNet(replace(SMALL, pyramid=True)).eval()
    image, condition = inputs()
    condition[:, 4:6] = 0.0
    seen = []
    looks.embed.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    with torch.no_grad():
        looks(image, condition)
    assert len(seen) == 2
    assert all(float(told[:, 4:6].abs().max()) == 0.0 for told in seen)


def test_both_looks_learn(chips: Chips, recipe: Callable) -> None:
    r = recipe()
    batch = Sampler([], [chips], r).batch(0)
    net = ReliefNet(replace(r.network, pyramid=True)).train()
    with torch.no_grad():
        net.get_parameter("encoder.stem.weight")[:, -1] = 0.1  # what is new begins without effect
    loss, _ = relief_loss(net.parts(batch.image, batch.condition), batch, r.loss, r.relief_floor_m)
    loss.backward()
    at_full_size = net.get_parameter("encoder.stem.weight").grad
    assert at_full_size is not None
    assert float(at_full_size[:, -1].abs().max()) > 0


def test_a_guide_and_a_pyramid_are_told_apart() -> None:
    with pytest.raises(UsageError, match="choose one"):
        ReliefNet(replace(SMALL, pyramid=True, guide=True))
    with pytest.raises(UsageError, match="lite0"):
        ReliefNet(ReliefNetConfig(encoder="lite0", widths=(4, 6, 8, 10, 12), pyramid=True))


@pytest.mark.parametrize("encoder", ["plain", "joint"])
def test_the_exported_file_looks_twice_too(tmp_path: Path, encoder: str) -> None:
    ort = pytest.importorskip("onnxruntime")
    net = ReliefNet(replace(SMALL, encoder=encoder, pyramid=True)).eval()
    with torch.no_grad():
        net.get_parameter("encoder.stem.weight")[:, -1] = 0.05
    to_onnx(net, tmp_path / "model.onnx")
    session = ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for side in (64, 96):  # half of 96 is no multiple of 32
        image, condition = inputs(side)
        found = session.run(["relief"], {"image": image.numpy(), "condition": condition.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, net(image, condition).numpy(), atol=2e-4)
