"""The second interface: a backbone is an encoder and a decoder that leave nothing on self."""

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor, nn

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.words import nouns

Part = Literal["encoder", "decoder", "head"]


class Backbone(nn.Module, ABC):
    """An encoder-decoder network for 2D or 3D images.

    Attributes:
        channels: of the features, finest first.
        stride: every side of an input must divide by it, computed from the poolings; one number an axis.
        axes: of space, 2 or 3.
        in_channels: of the image.
    """

    channels: tuple[int, ...]
    stride: tuple[int, ...]
    axes: int
    in_channels: int

    @abstractmethod
    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> features, finest first."""

    @abstractmethod
    def decode(self, features: list[Tensor]) -> Tensor:
        """Features, finest first -> (B, channels[0], *space)."""

    @abstractmethod
    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], *space) -> (B, out_channels, *space): the last step of the pre-training task."""

    @abstractmethod
    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The network's steps in the order in which an image passes them.

        Together they hold every parameter and buffer once: what is transferred is counted by them, and rates of
        learning that fall from the head to the image follow them.
        """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *space) -> (B, out_channels, *space)."""
        self.check(tuple(x.shape))
        return self.head(self.decode(self.encode(x)))

    def predict_scales(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> the predictions at every scale that has a head in use, finest first."""
        return [self(x)]

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a batch that the network cannot take.

        Args:
            shape: (B, C, *space).
        Raises:
            ShapeError: wrong number of axes or channels, or a side that does not divide by the stride.
        """
        if len(shape) != self.axes + 2 or shape[1] != self.in_channels:
            expected = ("B", str(self.in_channels), "X", "Y", "Z")[: self.axes + 2]
            raise ShapeError(f"the network takes ({', '.join(expected)}), got {shape}")
        check_divides(shape[2:], self.stride, type(self).__name__)


def check_divides(size: tuple[int, ...], stride: tuple[int, ...], network: str) -> None:
    """Raise ShapeError, naming the nearest size that fits, unless every side divides by its stride."""
    if all(side % step == 0 for side, step in zip(size, stride, strict=True)):
        return
    nearest = tuple(max(step, round(side / step) * step) for side, step in zip(size, stride, strict=True))
    said = nouns(len(size))
    steps = str(stride[0]) if len(set(stride)) == 1 else str(stride)
    raise ShapeError(
        f"the {said.cube}s would be {size} {said.voxel}s, but {network} needs every side to divide by {steps}; "
        f"use --size {' '.join(map(str, nearest))}"
    )
