"""A network of pictures at work on volumes: slice by slice, each with its neighbours as further channels."""

from typing import Self

import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.words import many
from modelsgenesis.nets.base.flat_on_volumes import PLANES, FlatOnVolumes, upright


class SliceWise(FlatOnVolumes):
    """Cut a volume into slices, run a network of two axes on each, and put what it gives together to volumes.

    Args:
        network: of two axes; its channels are those of a slice's neighbours in their order, for each of the volume's.
        across: the axis that the slices lie across: 2 is axial, 1 coronal and 0 sagittal.
        neighbours: on either side of a slice, as further channels; at the borders the outermost is repeated.
    Raises:
        ShapeError: the network does not fit, or a number makes no sense.
    Source: channels and axes lie as `genesis prepare --slices` writes them, so that of a volume it gives what the
        network gives of that volume's slices in such a store.
    Example: >>> SliceWise(UNet3D(width=8, axes=2))(torch.rand(1, 1, 64, 64, 5)).shape
    torch.Size([1, 1, 64, 64, 5])
    """

    def __init__(self, network: Backbone, across: int = 2, neighbours: int = 0) -> None:
        if across not in PLANES or neighbours < 0:
            raise ShapeError(f"across must be 0, 1 or 2 and neighbours 0 or more, got {across} and {neighbours}")
        super().__init__(network, 2 * neighbours + 1)
        self.across, self.neighbours = across, neighbours
        self.stride = (*network.stride[:across], 1, *network.stride[across:])

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, X, Y, Z) -> features, finest first, each as deep along the cut axis as the volume."""
        return [self._stacked(feature, x.shape[0]) for feature in self.network.encode(self._with_neighbours(x))]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features, finest first -> (B, channels[0], X, Y, Z)."""
        return self._stacked(self.network.decode([self._cut(each) for each in features]), features[0].shape[0])

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], X, Y, Z) -> (B, out_channels, X, Y, Z)."""
        return self._stacked(self.network.head(self._cut(x)), x.shape[0])

    def predict_scales(self, x: Tensor) -> list[Tensor]:
        """(B, C, X, Y, Z) -> the network's predictions at every scale, coarser in the plane alone."""
        self.check(tuple(x.shape))
        return [self._stacked(scale, x.shape[0]) for scale in self.network.predict_scales(self._with_neighbours(x))]

    def around(self, network: Backbone) -> Self:
        """The same for another network."""
        return type(self)(network, self.across, self.neighbours)

    def in_words(self) -> str:
        """Describe for people how it sees a volume."""
        beside = f", {many(self.neighbours, 'neighbour')} on either side as channels" if self.neighbours else ""
        return f"2D network on {PLANES[self.across]} slices{beside}"

    def _with_neighbours(self, x: Tensor) -> Tensor:
        """(B, C, X, Y, Z) -> (B * slices, C * (2 * neighbours + 1), *plane)."""
        axis, k = 2 + self.across, self.neighbours
        if k == 0:
            return self._cut(x)
        places = torch.arange(x.shape[axis], device=x.device)
        shifted = [x.index_select(axis, (places + by).clamp(0, x.shape[axis] - 1)) for by in range(-k, k + 1)]
        return self._cut(torch.stack(shifted, dim=2).flatten(1, 2))

    def _cut(self, x: Tensor) -> Tensor:
        """(B, C, X, Y, Z) -> (B * slices, C, *plane)."""
        return upright(x.movedim(2 + self.across, 1).flatten(0, 1), self.across)

    def _stacked(self, x: Tensor, batch: int) -> Tensor:
        """(B * slices, C, *plane) -> (B, C, X, Y, Z)."""
        return upright(x, self.across).reshape(batch, -1, *x.shape[1:]).movedim(1, 2 + self.across)
