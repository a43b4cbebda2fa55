"""What transformers share: the layers of a block that are no attention, and a UperNet decoder beside the encoder."""

from abc import abstractmethod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.nets.unet3d import Activation
from modelsgenesis.nets.upernet import UperNet

INITIAL_STD = 0.02  # of weights and of biases by position


class UperNetBackbone(Backbone):
    """An encoder that sees units of its own, and a UperNet decoder.

    Attributes:
        encoder: of (B, C, X, Y), gives features, finest first.
        decoder: fuses them, and has the skip at the size of the image.
        last: the last convolution.
        units: (scale, shift): the encoder sees image * scale + shift.
        activation: after the last convolution.
    """

    encoder: nn.Module
    decoder: UperNet
    last: nn.Module
    units: tuple[float, float]
    activation: Activation

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, X, Y) -> features, the first of the image's size."""
        features = self.encoder(x if self.units == (1.0, 0.0) else x * self.units[0] + self.units[1])
        return [self.decoder.finest(x), *features]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> (B, channels[0], X, Y)."""
        decoded: Tensor = self.decoder(features)
        return decoded

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], X, Y) -> (B, out_channels, X, Y)."""
        x = self.last(x)
        return x.sigmoid() if self.activation == "sigmoid" else x

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The encoder's steps, the decoder, and the last convolution."""
        return [*(("encoder", module) for module in self.down()), ("decoder", self.decoder), ("head", self.last)]

    @abstractmethod
    def down(self) -> list[nn.Module]:
        """The encoder's steps in the order in which an image passes them."""


class MLP(nn.Module):
    """Two dense layers with a GELU between them, or a gate.

    Args:
        dim: channels of the tokens.
        hidden: channels between the layers.
        gated: the first layer gives twice as many, and the SiLU of the first half multiplies the second (SwiGLU).
        norm_eps: of a norm before the second layer; None leaves the norm out.
    """

    def __init__(self, dim: int, hidden: int, gated: bool = False, norm_eps: float | None = None) -> None:
        super().__init__()
        self.gated = gated
        self.fc1, self.fc2 = nn.Linear(dim, hidden * (1 + gated)), nn.Linear(hidden, dim)
        self.norm = nn.Identity() if norm_eps is None else nn.LayerNorm(hidden, eps=norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (..., dim) -> the same."""
        x = self.fc1(x)
        if self.gated:
            gate, x = x.chunk(2, dim=-1)
            x = functional.silu(gate) * x
        else:
            x = functional.gelu(x)
        return cast(Tensor, self.fc2(self.norm(x)))


def left_out(x: Tensor, rate: float, training: bool) -> Tensor:
    """In training leave a branch out for some samples, and scale it up for the others (stochastic depth).

    Args:
        x: what the branch adds, (B, ...).
        rate: of samples that go without.
        training: else nothing is left out.
    """
    if not training or rate == 0:
        return x
    kept = torch.rand(len(x), *(1,) * (x.dim() - 1), device=x.device) >= rate
    return x * kept / (1 - rate)


def begin(module: nn.Module) -> None:
    """Draw the weights of dense layers, and set their biases to zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=INITIAL_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
