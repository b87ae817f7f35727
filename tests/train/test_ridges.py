"""Ridges and valleys as an auxiliary task: what they are, that they teach, and that no trace of them is exported."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.train.batches import Sampler  # noqa: E402
from im2dem.train.export import to_onnx  # noqa: E402
from im2dem.train.losses import relief_loss, ridge_lines  # noqa: E402
from im2dem.train.reliefnet import ReliefNet, ReliefNetConfig  # noqa: E402

pytestmark = pytest.mark.train


def rows_of_ridges(size: int = 96, wave_px: int = 24) -> torch.Tensor:
    """Ridges from west to east on an even slope, (1, 1, size, size)."""
    row = torch.arange(size, dtype=torch.float32)[:, None]
    return (torch.cos(2 * torch.pi * row / wave_px) + 0.2 * row).expand(size, size)[None, None].clone()


def test_a_ridge_is_above_and_a_valley_below_the_land_about_it_whatever_the_slope() -> None:
    lines = ridge_lines(rows_of_ridges(), torch.ones(1, 1, 96, 96))
    assert lines.shape == (1, 2, 96, 96)
    ridges, valleys = lines[0, :, 24:73:24, 48], lines[0, :, 36:61:24, 48]
    assert float(ridges.min()) > 0.6
    assert float(valleys.max()) < -0.6
    assert float(lines.abs().max()) <= 1


def test_lines_do_not_depend_on_the_unit_nor_on_what_is_under_a_void() -> None:
    relief, valid = rows_of_ridges(), torch.ones(1, 1, 96, 96)
    torch.testing.assert_close(ridge_lines(relief * 50 + 7, valid), ridge_lines(relief, valid), atol=2e-4, rtol=0)
    valid[..., :40] = 0
    junk = torch.where(valid > 0, relief, 900.0)
    torch.testing.assert_close(ridge_lines(junk, valid) * valid, ridge_lines(relief, valid) * valid)
    assert torch.isfinite(ridge_lines(torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64))).all()


def test_the_term_is_zero_for_the_right_lines_and_teaches_the_decoder(chips: Chips, recipe: Callable) -> None:
    r = recipe()
    batch = Sampler([], [chips], r).batch(0)
    net = ReliefNet(replace(r.network, ridges=True)).train()
    parts = net.parts(batch.image, batch.condition)
    loss, terms = relief_loss(parts, batch, r.loss, r.relief_floor_m)
    perfect = parts._replace(ridges=ridge_lines(batch.relief, batch.valid))
    without, _ = relief_loss(perfect, batch, r.loss, r.relief_floor_m)
    assert float(terms["ridges"]) > 0
    assert float((loss - without).detach()) == pytest.approx(r.loss.ridges * float(terms["ridges"]), rel=1e-3)
    (loss - without).backward()
    gradient = net.get_parameter("ups.0.conv1.weight").grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0


def test_a_net_without_the_head_has_no_term_and_weights_pass_both_ways(chips: Chips, recipe: Callable) -> None:
    r = recipe()
    batch = Sampler([], [chips], r).batch(0)
    plain, asked = ReliefNet(r.network).eval(), ReliefNet(replace(r.network, ridges=True)).eval()
    _, terms = relief_loss(plain.parts(batch.image, batch.condition), batch, r.loss, r.relief_floor_m)
    assert "ridges" not in terms
    asked.load_weights(plain.state_dict())
    again = ReliefNet(r.network).eval()
    again.load_weights(asked.state_dict())
    with torch.no_grad():
        outs = [net(batch.image, batch.condition) for net in (plain, asked, again)]
    torch.testing.assert_close(outs[0], outs[1])
    torch.testing.assert_close(outs[0], outs[2])


def test_what_is_exported_has_no_head(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    config = ReliefNetConfig(widths=(4, 6, 8, 10), embedding=8, ridges=True)
    to_onnx(ReliefNet(config).eval(), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    names = [tensor.name for tensor in model.graph.initializer]
    assert names
    assert not any("ridges" in name for name in names)
    sizes = [int(np.prod(tensor.dims)) for tensor in model.graph.initializer]
    assert sum(sizes) < sum(p.numel() for p in ReliefNet(config).parameters())
