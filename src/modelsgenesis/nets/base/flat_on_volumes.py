"""What networks of pictures at work on volumes have in common."""

from abc import abstractmethod
from typing import Self

from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import ShapeError

PLANES = {2: "axial", 1: "coronal", 0: "sagittal"}  # by the axis that they lie across


class FlatOnVolumes(Backbone):
    """A backbone of two axes that presents itself as one of three, so that whatever takes a volume's takes it too.

    Args:
        network: of two axes.
        planes: of a volume that it sees at once, as channels.
    Attributes:
        in_channels: of a volume.
    Raises:
        ShapeError: the network has not two axes, or its channels are no multiple of the planes.
    """

    def __init__(self, network: Backbone, planes: int) -> None:
        super().__init__()
        if network.axes != 2:
            raise ShapeError(f"a network of two axes is needed, got {type(network).__name__} of {network.axes}")
        self.in_channels, rest = divmod(network.in_channels, planes)
        if rest:
            raise ShapeError(
                f"{planes} planes are {planes} channels or a multiple, but the network takes {network.in_channels}; "
                "give the planes that it was trained on"
            )
        self.network, self.planes = network, planes
        self.axes, self.channels = 3, network.channels
        self.out_channels = int(getattr(network, "out_channels", self.in_channels))
        self.activation = str(getattr(network, "activation", ""))

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The network's own."""
        return self.network.parts()

    @abstractmethod
    def around(self, network: Backbone) -> Self:
        """The same for another network."""

    @abstractmethod
    def in_words(self) -> str:
        """Describe for people how it sees a volume."""


def upright(planes: Tensor, across: int) -> Tensor:
    """Turn planes so that the head is on top: those with Z have it reversed; turned again, they are as before."""
    return planes if across == 2 else planes.flip(-1)
