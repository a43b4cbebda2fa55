"""A network of pictures at work on cubes: the three planes through the centre as its channels."""

from typing import Self

import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.base.flat_on_volumes import PLANES, FlatOnVolumes, upright


class CentrePlanes(FlatOnVolumes):
    """Show a network of two axes the axial, coronal and sagittal plane of a cube, for one prediction of the cube.

    The planes go through voxel side // 2 of each axis. Their axes are (X, Y), (X, Z) and (Y, Z), Z reversed, so that
    the head is on top. Features and predictions are those of the planes, with a last axis of length 1: masks of volumes
    cannot be learned.

    Args:
        network: of two axes; its channels are the three planes, for each of the cube's channels.
    Raises:
        ShapeError: the network does not fit.
    Source: Roth et al. 2014, A New 2.5D Representation for Lymph Node Detection; channels and axes lie as
        `genesis prepare --slices orthogonal` writes them.
    Example: >>> CentrePlanes(UNet3D(3, width=8, axes=2)).encode(torch.rand(1, 1, 16, 16, 16))[0].shape
    torch.Size([1, 16, 16, 16, 1])
    """

    def __init__(self, network: Backbone) -> None:
        super().__init__(network, len(PLANES))
        self.stride = (max(network.stride),) * 3

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a batch of anything but cubes that the network can take."""
        super().check(shape)
        if len(set(shape[2:])) > 1:
            wanted = " ".join([str(max(shape[2:]))] * 3)
            raise ShapeError(
                f"planes as channels are cut of cubes of equal sides, not {shape[2:]}; use --size {wanted}"
            )

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, S, S, S) -> features of the planes, finest first, each (B, channels, side, side, 1)."""
        return [feature.unsqueeze(-1) for feature in self.network.encode(centre_planes(x))]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features of the planes, finest first -> (B, channels[0], S, S, 1)."""
        return self.network.decode([feature.squeeze(-1) for feature in features]).unsqueeze(-1)

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], S, S, 1) -> (B, out_channels, S, S, 1)."""
        return self.network.head(x.squeeze(-1)).unsqueeze(-1)

    def around(self, network: Backbone) -> Self:
        """The same for another network."""
        return type(self)(network)

    def in_words(self) -> str:
        """Describe for people how it sees a volume."""
        return "2D network on the axial, coronal and sagittal plane through a cube's centre"


def centre_planes(x: Tensor) -> Tensor:
    """(B, C, S, S, S) -> (B, 3 * C, S, S): the planes through the centre."""
    middle = x.shape[-1] // 2
    planes = [upright(x.select(2 + across, middle), across) for across in PLANES]
    return torch.stack(planes, dim=2).flatten(1, 2)
