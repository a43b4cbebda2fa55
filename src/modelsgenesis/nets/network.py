"""What a weights file may hold."""

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.named_heads import NamedHeads

Network = Backbone | Classifier | NamedHeads


def backbone_of(network: Network) -> Backbone:
    """The network itself, or the backbone that a classifier or named heads are built on."""
    return network if isinstance(network, Backbone) else network.backbone
