"""The PatchGAN is the published one, and it learns to tell blurred relief from true relief."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from torch.nn import functional as F  # noqa: E402

from im2dem.train.discriminator import (  # noqa: E402
    RECEPTIVE_FIELD_PX,
    PatchGAN,
    adversarial_gradient_weight,
    bce_losses,
    hinge_losses,
)

pytestmark = pytest.mark.train


def all_numbers(net: torch.nn.Module) -> int:
    """Weights and moving statistics, as Keras counts parameters."""
    return sum(t.numel() for t in net.state_dict().values())


def test_the_discriminator_has_the_published_number_of_parameters() -> None:
    # 2,770,433 is what Keras prints for the tutorial's discriminator of 3 + 3 channels
    assert all_numbers(PatchGAN(6)) == 2_770_433
    # the prototype judges 3 channels of picture and 1 of heights: two channels less into 4 x 4 x 64 weights
    assert all_numbers(PatchGAN(4)) == 2_770_433 - 2 * 4 * 4 * 64


def test_every_logit_sees_seventy_pixels() -> None:
    net = PatchGAN(2, base=4).eval()
    given = torch.rand(1, 1, 256, 256, requires_grad=True)
    logits = net(given, torch.rand(1, 1, 256, 256), moving=True)  # an image's own statistics would see all of it
    assert logits.shape == (1, 1, 30, 30)
    logits[0, 0, 15, 15].backward()
    rows = given.grad[0, 0].abs().sum(dim=1).nonzero().ravel()
    cols = given.grad[0, 0].abs().sum(dim=0).nonzero().ravel()
    assert int(rows[-1] - rows[0]) + 1 == int(cols[-1] - cols[0]) + 1 == RECEPTIVE_FIELD_PX == 70


def test_losses_are_small_for_the_side_that_wins() -> None:
    high, low = torch.full((1, 1, 4, 4), 5.0), torch.full((1, 1, 4, 4), -5.0)
    for losses in (bce_losses, hinge_losses):
        right, wrong = losses(high, low), losses(low, high)
        assert right.discriminator < 0.1 < wrong.discriminator
        assert wrong.generator < right.generator
    assert hinge_losses(high, low).discriminator == 0  # beyond the margin nothing is left to gain
    zero = torch.zeros(1, 1, 4, 4)
    torch.testing.assert_close(bce_losses(zero, zero).discriminator, 2 * torch.log(torch.tensor(2.0)))
    torch.testing.assert_close(hinge_losses(zero, zero).discriminator, torch.tensor(2.0))


def relief(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures, their sharp relief in slope units, and the same blurred: rough ground of waves of 4 px and more."""
    rough = torch.randn(n, 1, 64, 64, generator=generator)
    sharp = F.avg_pool2d(rough, 3, 1, 1) * 0.3
    blurred = F.avg_pool2d(F.avg_pool2d(sharp, 7, 1, 3), 7, 1, 3)
    image = torch.cat([sharp, sharp, sharp], dim=1) + 0.3 * torch.randn(n, 3, 64, 64, generator=generator)
    return image, sharp, blurred


@pytest.mark.parametrize("losses", [bce_losses, hinge_losses])
def test_sixty_steps_tell_true_relief_from_blurred(losses: object) -> None:
    torch.manual_seed(0)
    chance = torch.Generator().manual_seed(1)
    net = PatchGAN(3 + 1, base=8)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3, betas=(0.5, 0.999))
    for _ in range(60):
        image, sharp, blurred = relief(4, chance)
        loss = losses(net(image, sharp), net(image, blurred)).discriminator
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    image, sharp, blurred = relief(16, chance)  # pictures that it has not seen
    with torch.no_grad():
        told = net(image, sharp).mean(dim=(1, 2, 3)) > net(image, blurred).mean(dim=(1, 2, 3))
    assert told.float().mean() > 0.9


def test_the_gradient_weight_makes_both_terms_pull_alike() -> None:
    torch.manual_seed(0)
    last = torch.nn.Conv2d(4, 1, 3, 1, 1)
    made = last(torch.rand(1, 4, 16, 16))
    main, adversarial = made.square().mean() * 50, -made.mean()
    weight = adversarial_gradient_weight(main, adversarial, last.weight)
    assert not weight.requires_grad
    pulls = [torch.autograd.grad(x, last.weight, retain_graph=True)[0].norm() for x in (main, weight * adversarial)]
    torch.testing.assert_close(*pulls, rtol=1e-3, atol=0)
    # no pull at all: the factor stays finite
    assert adversarial_gradient_weight(main, 0 * made.sum(), last.weight) == 1e4
