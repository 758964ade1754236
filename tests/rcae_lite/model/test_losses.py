"""The documented formulas, held against a computation written out by hand."""

import math

import pytest
import torch

from rcae_lite.model.losses import bce_dice_loss, gradient, map_loss, reconstruction_loss


def test_gradient_is_the_forward_difference_by_hand():
    x = torch.tensor([[[[1.0, 4.0], [2.0, 8.0]]]])
    assert gradient(x).tolist() == [[[[3, 0], [6, 0]], [[1, 4], [0, 0]]]]
    colour = torch.rand(2, 3, 5, 7)
    assert gradient(colour).shape == (2, 6, 5, 7)
    assert torch.equal(gradient(colour)[:, 1:2], gradient(colour[:, 1:2])[:, :1])


def test_reconstruction_loss_is_the_documented_sum():
    image = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]]])
    reconstruction = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    # Intensity: 1 of 4 pixels off by 1. Gradient: one horizontal and one vertical of 8 off by 1.
    assert reconstruction_loss(reconstruction, image).item() == pytest.approx(1 / 4 + 2 / 8)
    assert reconstruction_loss(image, image) == 0


def test_reconstruction_loss_sees_lost_texture_beyond_intensity():
    checker = torch.zeros(1, 1, 8, 8)
    checker[..., ::2, ::2] = checker[..., 1::2, 1::2] = 1
    flat, shifted = torch.full_like(checker, 0.5), checker + 0.5
    assert reconstruction_loss(flat, checker) > reconstruction_loss(shifted, checker)


def test_map_loss_is_the_documented_sum():
    logits = torch.full((1, 1, 2, 2), -30.0)  # sigmoid = 0
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert map_loss(logits, mask).item() == pytest.approx(math.sqrt(1 / 4) + math.sqrt(2 / 8))
    assert map_loss(60 * mask - 30, mask).item() < 1e-5


def test_map_loss_has_a_finite_slope_at_its_minimum():
    mask = torch.zeros(1, 1, 4, 4)
    logits = torch.full_like(mask, -200.0).requires_grad_()
    map_loss(logits, mask).backward()
    assert logits.grad.isfinite().all()


def test_bce_dice_by_hand():
    logits = torch.zeros(1, 1, 1, 2)  # sigmoid = 1/2
    mask = torch.tensor([[[[1.0, 0.0]]]])
    dice = 1 - (2 * 0.5 + 1) / (1 + 1 + 1)
    assert bce_dice_loss(logits, mask).item() == pytest.approx(math.log(2) + dice)


def test_the_masked_loss_by_hand():
    image, mask = torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    mask[..., 0, 0] = 1
    wrong = image + mask
    plain = reconstruction_loss(wrong, image)
    assert plain == 1 / 16 + 2 / 32
    assert reconstruction_loss(wrong, image, mask, 0.5) == plain + 0.5
    assert reconstruction_loss(image, image, 0 * mask, 1) == 0


def test_the_weighted_loss_by_hand():
    image = torch.zeros(1, 1, 2, 2)
    wrong = image.clone()
    wrong[..., 0, 0] = 1
    weights = torch.tensor([[[[2.5, 0.5], [0.5, 0.5]]]])
    assert reconstruction_loss(wrong, image, weights=weights) == 2.5 / 4 + 2 * 2.5 / 8
    assert reconstruction_loss(wrong, image, weights=torch.ones_like(image)) == 1 / 4 + 2 / 8
