"""What `rcae_lite.model.rcae` promises: recursion, shared weights, shared work, clear errors."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from data_utils import KitError
from rcae_lite.model.layers import halvings, layers_at
from rcae_lite.model.rcae import RcAE, check_divisible
from rcae_lite.model.single_pass import SinglePassAutoencoder


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def flops(function, *args) -> int:
    with FlopCounterMode(display=False) as counter:
        function(*args)
    return counter.get_total_flops()


@pytest.mark.parametrize("shared", [True, False])
def test_reconstruction_is_the_decoder_n_times_after_the_encoder_n_times(images, shared):
    rcae = RcAE(3, size=64, width=8, shared=shared).eval()
    x = images
    for level in (1, 2, 3):
        x = rcae.encode(x, level)
    assert x.shape == (2, 3, 8, 8)
    for level in (3, 2, 1):
        x = rcae.decode(x, level)
    torch.testing.assert_close(rcae(images), x)


@pytest.mark.parametrize("shared", [True, False])
def test_trajectory_equals_each_depth_on_its_own(images, shared):
    rcae = RcAE(4, size=64, width=8, shared=shared).eval()
    trajectory = rcae.trajectory(images)
    assert trajectory.shape == (2, 3, 4, 64, 64)
    for depth in (1, 2, 3, 4):
        torch.testing.assert_close(trajectory[:, :, depth - 1], rcae(images, depth))


def test_trajectory_computes_every_compressed_image_once(images):
    rcae = RcAE(4, size=64, width=8)
    calls = []
    rcae.encoders[0].register_forward_hook(lambda *_: calls.append("E"))
    rcae.decoders[0].register_forward_hook(lambda *_: calls.append("D"))
    rcae.trajectory(images)
    assert calls == ["E"] * 4 + ["D"] * 4


def test_parameters_grow_with_depth_only_without_sharing():
    assert parameters(RcAE(1)) == parameters(RcAE(6))
    assert parameters(RcAE(5, shared=False)) == 5 * parameters(RcAE(5))


def test_identity_paths_are_average_pooling_and_bilinear_enlargement(images):
    def silenced(**switches) -> RcAE:
        rcae = RcAE(1, size=64, width=8, **switches)
        for module in (rcae.encoders[0].last, rcae.decoders[0].last):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
        return rcae

    expected = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(silenced()(images), expected)
    assert silenced(identity=False)(images).abs().max() == 0
    assert silenced(skips=False)(images).abs().max() == 0  # no skip, no identity path either


def test_layers_leave_maps_of_four_pixels():
    assert layers_at(1024, 5) == [(4, 4)] * 5
    assert layers_at(128, 5) == [(4, 4), (4, 4), (3, 3), (2, 2), (1, 1)]
    assert layers_at(128, 3, half_size=False) == [(4, 4), (4, 4), (4, 3)]
    assert halvings(128, 3) == halvings(128, 5) == 5


@pytest.mark.parametrize("switch", ["skips", "half_size", "identity"])
def test_the_switches_leave_the_shapes(switch):
    rcae = RcAE(3, size=64, **{switch: False})
    images = torch.rand(2, 3, 64, 96)
    torch.testing.assert_close(rcae.trajectory(images)[:, :, 1], rcae(images, 2))


def test_untrained_it_resizes_and_without_skips_it_does_not():
    images = F.avg_pool2d(torch.rand(2, 3, 64, 64), 9, 1, 4)
    error = (RcAE(1, size=64)(images) - images).abs().mean()
    without = (RcAE(1, size=64, skips=False)(images) - images).abs().mean()
    assert error < 0.1 < without


def test_single_pass_skips():
    images = torch.rand(2, 3, 64, 64)
    with_skips, without = SinglePassAutoencoder(4, skips=True), SinglePassAutoencoder(4)
    without.load_state_dict(with_skips.state_dict())
    assert with_skips(images).shape == without(images).shape == images.shape
    assert not torch.allclose(with_skips(images), without(images))


def test_shared_weights_get_gradients_from_every_level(images):
    rcae = RcAE(3, width=8)
    rcae(images).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in rcae.parameters())


def test_every_depth_can_learn_to_reconstruct(images):
    torch.manual_seed(1)
    rcae = RcAE(2, width=16)
    smooth = F.interpolate(images[..., ::16, ::16], size=64, mode="bilinear")
    optimiser = torch.optim.Adam(rcae.parameters(), 2e-3)
    before = [F.l1_loss(rcae(smooth, n), smooth).item() for n in (1, 2)]
    for step in range(250):
        optimiser.zero_grad()
        F.l1_loss(rcae(smooth, 1 + step % 2), smooth).backward()
        optimiser.step()
    after = [F.l1_loss(rcae(smooth, n), smooth).item() for n in (1, 2)]
    assert after[0] < before[0] / 3 and after[1] < before[1] / 3


@pytest.mark.parametrize("size", [(64, 32), (96, 64)])
def test_any_divisible_size(size):
    assert RcAE(3, width=8)(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_single_pass_costs_about_one_full_depth_pass():
    images = torch.rand(1, 3, 128, 128)
    ratio = flops(SinglePassAutoencoder(), images) / flops(RcAE(3), images)
    assert 0.2 < ratio < 2


def test_single_pass_has_one_depth(images):
    single = SinglePassAutoencoder(5, width=8)
    torch.testing.assert_close(single.trajectory(images), single(images).unsqueeze(2))


def test_indivisible_size_names_side_divisor_and_remedies():
    with pytest.raises(KitError, match=r"height 250 .* 2\^5 = 32; resize to 256"):
        check_divisible(torch.zeros(250, 256), 5)
    with pytest.raises(KitError, match="width 48"):
        RcAE(3, width=8)(torch.rand(1, 3, 32, 48))
    check_divisible(torch.zeros(3, 256, 512), 5)


@pytest.mark.parametrize("depth", [0, 4, -1])
def test_depth_outside_the_range(images, depth):
    with pytest.raises(KitError, match=rf"depth {depth} is outside 1..3"):
        RcAE(3, width=8)(images, depth)


@pytest.mark.parametrize("build", [RcAE, SinglePassAutoencoder])
def test_constructor_refuses_nonsense(build):
    with pytest.raises(KitError, match="depth 0"):
        build(0)
    with pytest.raises(KitError, match="width 10"):
        build(2, width=10)
