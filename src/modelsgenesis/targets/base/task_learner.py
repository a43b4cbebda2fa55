"""What the learners of all targets do alike: views of a sample, and parts that learn at their own rates."""

from abc import ABC
from typing import Self

import numpy as np
import torch
from torch import nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.learner import Group, Learner, Sample
from modelsgenesis.core.target import LearnerSettings, Target
from modelsgenesis.core.words import many
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.network import Network


class TaskLearner(Learner, ABC):
    """A way to train a network for a task.

    Args:
        network: what is trained, and kept.
        target: of the task.
        settings: its views and its rates.
    """

    def __init__(self, network: Network, target: Target, settings: LearnerSettings) -> None:
        super().__init__()
        self.target, self.layer_rates, self.parts = target, settings.layer_rates, network.parts()
        self.still = self.layer_rates.freeze(self.parts)
        self.augmented = settings.views

    def groups(self) -> list[Group]:
        """Divide the parameters by the layers' learning rates."""
        return self.layer_rates.groups(self.parts)

    def train(self, mode: bool = True) -> Self:
        """Switch to training, except for the parts that are frozen."""
        super().train(mode)
        for module in self.still:
            module.eval()
        return self

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image", and "mask" or "values"} of a reach -> the same, augmented, of the network's size."""
        return self.augmented(sample, rng)


def outputs_of(network: nn.Module) -> int:
    """The number of outputs of a network, per voxel or per image."""
    return network.out_features if isinstance(network, Classifier) else int(getattr(network, "out_channels", 0))


def as_backbone(network: nn.Module) -> Backbone:
    """Return the network as a backbone, which predicts something for each voxel.

    Raises:
        TypeError: it does not.
    """
    if not isinstance(network, Backbone):
        raise TypeError(f"a backbone is needed here, got a {type(network).__name__}")
    return network


def as_classifier(network: nn.Module) -> Classifier:
    """Return the network as a classifier, which has a dense head.

    Raises:
        TypeError: it has none.
    """
    if not isinstance(network, Classifier):
        raise TypeError(f"a network with a dense head is needed here, got a {type(network).__name__}")
    return network


def check_outputs(network: nn.Module, target: Target) -> None:
    """Refuse a network of another number of outputs than a target has.

    Raises:
        ShapeError: it is one.
    """
    outputs = outputs_of(network)
    if outputs != target.num_outputs:
        raise ShapeError(f"the task needs {many(target.num_outputs, 'output')}, the network has {outputs}")


def at_scale_of(mask: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Bring the mask to the size of a coarser prediction, by the nearest voxel."""
    if mask.shape[2:] == logits.shape[2:]:
        return mask
    return nn.functional.interpolate(mask.float(), logits.shape[2:], mode="nearest").to(mask.dtype)
