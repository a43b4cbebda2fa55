"""Convolutions whose bf16 gradients PyTorch gets wrong on CPUs are computed in 32 bits there."""

import copy

import pytest
import torch
from torch import Tensor, nn

from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.exact_layers import keep_exact, kept_exact


def gradient(layer: nn.Module, image: Tensor, *, bf16: bool) -> Tensor:
    """The gradient of a layer's weights, under autocast or in 32 bits."""
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        answer = layer(image)
    answer.float().square().sum().backward()
    parameter = next(layer.parameters())
    assert parameter.grad is not None
    return parameter.grad.clone()


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_gradients_in_bf16_are_those_of_32_bits(side: int) -> None:
    """Within the precision of bf16, whatever the first spatial side."""
    torch.manual_seed(0)
    layer = nn.Conv3d(16, 32, 3, padding=1)
    keep_exact(layer)
    image = torch.randn(2, 16, side, 4, 4)
    exact, found = gradient(layer, image, bf16=False), gradient(layer, image, bf16=True)
    assert float((found - exact).norm() / exact.norm()) < 0.02


def test_only_what_would_be_wrong_is_computed_in_32_bits() -> None:
    """Other layers keep the speed of bf16, and copies of a network are guarded by layers of their own."""
    layer = nn.Conv3d(1, 2, 3, padding=1)
    keep_exact(layer)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.zero_()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.ones(1, 1, 4, 4, 4)).dtype == torch.bfloat16
        assert layer(torch.ones(1, 1, 2, 4, 4)).dtype == torch.float32
        assert torch.equal(other(torch.ones(1, 1, 2, 4, 4)), other.bias[:, None, None, None].expand(1, 2, 2, 4, 4))


def test_strided_layers_with_one_voxel_at_the_end_are_computed_in_32_bits() -> None:
    """PyTorch's issue 169688: their very answer is wrong on processors with AMX, so without gradients too."""
    layer, image = nn.Conv3d(4, 4, 3, stride=2, padding=1), torch.randn(1, 4, 6, 6, 2)
    keep_exact(layer)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(image).dtype == torch.float32
        assert layer(torch.randn(1, 4, 6, 6, 3)).dtype == torch.bfloat16


class Noisy(nn.Conv3d):
    """A convolution whose gradients in bf16 are another processor's noise."""

    def forward(self, image: Tensor) -> Tensor:
        """Right in 32 bits alone."""
        answer = super().forward(image)
        return answer if answer.dtype == torch.float32 else answer + 9 * torch.randn_like(answer) * self.weight.sum()


def test_layers_that_nobody_knew_to_be_wrong_are_found_by_their_own_gradient() -> None:
    """They are named and computed in 32 bits, others are not; nothing is drawn of the run's own random numbers."""
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), Noisy(4, 4, 3, padding=1), nn.ConvTranspose3d(4, 2, 2, 2))
    keep_exact(network)
    image, state = torch.randn(1, 1, 5, 5, 5), torch.get_rng_state()
    exact, found = gradient(network, image, bf16=False), gradient(network, image, bf16=True)
    assert kept_exact(network) == ["1"]
    assert float((found - exact).norm() / exact.norm()) < 0.02
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("side", [16, 40, 64])
def test_kernels_wider_than_the_tested_images_are_tested_too(side: int) -> None:
    """Patches of 16 x 16, as those of a ViT, learn in bf16."""
    torch.manual_seed(0)
    layer, image = nn.Conv2d(3, 8, 16, stride=16), torch.randn(2, 3, side, side)
    keep_exact(layer)
    exact, found = gradient(layer, image, bf16=False), gradient(layer, image, bf16=True)
    assert kept_exact(layer) == []
    assert float((found - exact).norm() / exact.norm()) < 0.02


def test_names_of_weights_stay() -> None:
    """A guarded network is saved as it was."""
    network = UNet3D(width=2)
    before = list(network.state_dict())
    keep_exact(network)
    assert list(network.state_dict()) == before
