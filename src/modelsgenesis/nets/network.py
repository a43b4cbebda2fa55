"""What a weights file may hold."""

from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.named_heads import NamedHeads

Network = Backbone | Classifier | NamedHeads


def backbone_of(network: Network) -> Backbone:
    """The network itself, or the backbone that a classifier or named heads are built on."""
    return network if isinstance(network, Backbone) else network.backbone


class Encoding(nn.Module):
    """A backbone's features as a network's outputs.

    Args:
        backbone: whose encoder is used.
        deepest: only the deepest features, rather than those of all scales.
    """

    def __init__(self, backbone: Backbone, deepest: bool = False) -> None:
        super().__init__()
        self.backbone, self.deepest = backbone, deepest

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, C, *space) -> features, finest first."""
        features = tuple(self.backbone.encode(image))
        return features[-1:] if self.deepest else features
