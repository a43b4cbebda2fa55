"""What networks share whose encoder is another's, and whose decoder is a few small steps of ours."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.nets.unet3d import Activation


class SteppedDecoder(Backbone):
    """An encoder that sees units of its own, a skip at the size of the image, and a step up for each of its sizes.

    Attributes:
        encoder: of (B, C, *space), gives features, finest first.
        finest: the image itself made a feature, since such encoders have none at its size.
        rise: enlarges a feature to the next finer one's size, coarsest first.
        merge: makes one feature of the risen one and the finer one beside it.
        last: the last convolution.
        units: (scale, shift): the encoder sees image * scale + shift.
        activation: after the last convolution.
    """

    encoder: nn.Module
    finest: nn.Module
    rise: nn.ModuleList
    merge: nn.ModuleList
    last: nn.Module
    units: tuple[float, float]
    activation: Activation

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> features at the size of the image and at each of the encoder's."""
        features = self.encoder(x if self.units == (1.0, 0.0) else x * self.units[0] + self.units[1])
        return [self.finest(x), *features]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> (B, channels[0], *space)."""
        x = features[-1]
        for rise, merge, skip in zip(self.rise, self.merge, features[-2::-1], strict=True):
            x = merge(torch.cat([rise(x), skip], dim=1))
        return x

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], *space) -> (B, out_channels, *space)."""
        x = self.last(x)
        return x.sigmoid() if self.activation == "sigmoid" else x

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The encoder's steps, the skip at full size, the steps up, and the last convolution."""
        up = [nn.ModuleList(pair) for pair in zip(self.rise, self.merge, strict=True)]
        return [
            *(("encoder", module) for module in self.down()),
            *(("decoder", module) for module in (self.finest, *up)),
            ("head", self.last),
        ]

    @abstractmethod
    def down(self) -> list[nn.Module]:
        """The encoder's steps in the order in which an image passes them."""
