"""The generator is the published one, layer by layer, and its batch norm is that of Keras."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from torch.nn import functional as F  # noqa: E402

from im2dem.train.pix2pix.generator import Generator  # noqa: E402
from im2dem.train.pix2pix.layers import BatchNorm, Down, Up  # noqa: E402

pytestmark = pytest.mark.train

# What Keras prints for the TensorFlow tutorial's generator of 3 + 3 channels: output (h, w, channels), parameters with
# the moving statistics of batch norm. The prototype's has these layers, but for its last one of 1 channel.
PUBLISHED = [
    ((128, 128, 64), 3_072),
    ((64, 64, 128), 131_584),
    ((32, 32, 256), 525_312),
    ((16, 16, 512), 2_099_200),
    ((8, 8, 512), 4_196_352),
    ((4, 4, 512), 4_196_352),
    ((2, 2, 512), 4_196_352),
    ((1, 1, 512), 4_196_352),
    ((2, 2, 512), 4_196_352),
    ((4, 4, 512), 8_390_656),
    ((8, 8, 512), 8_390_656),
    ((16, 16, 512), 8_390_656),
    ((32, 32, 256), 4_195_328),
    ((64, 64, 128), 1_049_088),
    ((128, 128, 64), 262_400),
    ((256, 256, 3), 6_147),
]
PUBLISHED_TRAINABLE = 54_414_979
PUBLISHED_TOTAL = 54_425_859


def numbers(net: torch.nn.Module) -> int:
    """Weights and moving statistics, as Keras counts parameters."""
    return sum(t.numel() for t in net.state_dict().values())


def shapes(net: Generator) -> list[tuple[tuple[int, int, int], int]]:
    """Output shape and parameters of every layer in turn, on one image of 256 px."""
    layers = [m for m in net.modules() if isinstance(m, (Down, Up))] + [net.last]
    found: list[tuple[tuple[int, int, int], int]] = []

    def note(layer: torch.nn.Module, given: object, made: torch.Tensor) -> None:
        _, channels, height, width = made.shape
        found.append(((height, width, channels), numbers(layer)))

    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad():
        net.eval()(torch.zeros(1, net.downs[0].conv.in_channels, 256, 256))
    for hook in hooks:
        hook.remove()
    return found


def test_every_layer_has_the_published_shape_and_size() -> None:
    net = Generator(3, 3)
    assert shapes(net) == PUBLISHED
    assert sum(p.numel() for p in net.parameters()) == PUBLISHED_TRAINABLE
    assert numbers(net) == sum(n for _, n in PUBLISHED) == PUBLISHED_TOTAL
    assert {u.dropout for u in net.ups[:3]} == {0.5}
    assert {u.dropout for u in net.ups[3:]} == {0.0}
    # N(0, 0.02): the standard error of the deviation over 4 million values is 1.4e-5
    assert float(net.downs[5].conv.weight.detach().std()) == pytest.approx(0.02, abs=1e-4)
    assert not net.last.bias.detach().any()


def test_both_directions_have_54_million_parameters() -> None:
    # the first layer has 4 x 4 x 64 weights a channel, the last 4 x 4 x 128 and a bias
    with torch.device("meta"):  # shapes without memory
        rgb2dem, dem2rgb = Generator(3, 1), Generator(1, 3)
    assert numbers(rgb2dem) == PUBLISHED_TOTAL - 2 * (4 * 4 * 128 + 1) == 54_421_761
    assert numbers(dem2rgb) == PUBLISHED_TOTAL - 2 * 4 * 4 * 64 == 54_423_811


def test_output_is_within_its_range_and_sizes_are_multiples_of_256() -> None:
    net = Generator(3, 1, base=2).eval()
    with torch.no_grad():
        out = net(torch.rand(2, 3, 256, 512) * 2 - 1)
    assert out.shape == (2, 1, 256, 512)
    assert float(out.abs().max()) <= 1


def test_batch_norm_in_training_is_that_of_torch_with_the_numbers_of_keras() -> None:
    torch.manual_seed(0)
    own, theirs = BatchNorm(3).train(), torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.01).train()
    x = torch.randn(2, 3, 5, 7) * 4 + 2
    torch.testing.assert_close(own(x), theirs(x))
    torch.testing.assert_close(own.running_var, theirs.running_var)
    torch.testing.assert_close(own.eval()(x, moving=True), theirs.eval()(x))


def test_a_single_value_becomes_the_bias_and_hands_nothing_down() -> None:
    norm = BatchNorm(4).train()
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(1, 4, 1, 1, requires_grad=True)
    out = norm(x)
    torch.testing.assert_close(out[0, :, 0, 0], norm.bias)
    out.square().sum().backward()
    assert not x.grad.any()
    assert norm.bias.grad.all()
    # Keras: mean' = 0.99 mean + 0.01 x, var' = 0.99 var + 0.01 * 0
    torch.testing.assert_close(norm.running_mean, 0.01 * x.detach()[0, :, 0, 0])
    torch.testing.assert_close(norm.running_var, torch.full((4,), 0.99))


def test_a_prediction_depends_on_its_own_image_alone_and_repeats() -> None:
    torch.manual_seed(0)
    net = Generator(3, 1, base=4).eval()
    for norm in (m for m in net.modules() if isinstance(m, BatchNorm)):
        torch.nn.init.normal_(norm.weight, 1.0, 0.2)
    one, other = torch.rand(2, 1, 3, 256, 256) * 2 - 1
    with torch.no_grad():
        alone, again = net(one), net(one)
        together = net(torch.cat([one, 0.1 * other]))[:1]
        # batch 1 in training takes the same statistics; what differs is dropout, here switched off
        for up in net.ups:
            up.dropout = 0.0
        trained = net.train()(one)
    assert torch.equal(alone, again)
    # sums over other memory: a few roundings of float32 through 16 layers
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(trained, alone, atol=1e-5, rtol=0)


def test_dropout_is_at_work_in_training() -> None:
    torch.manual_seed(0)
    net = Generator(3, 1, base=4).train()
    x = torch.rand(1, 3, 256, 256)
    assert not torch.equal(net(x), net(x))
    assert F.l1_loss(net.eval()(x), net(x)) == 0
