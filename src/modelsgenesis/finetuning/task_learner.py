"""What every fine-tuning learner does alike: augmented views, and parts that learn at their own layer_rates."""

from abc import ABC
from typing import Self

import numpy as np

from modelsgenesis.core.learner import Group, Learner, Sample
from modelsgenesis.core.target import Target
from modelsgenesis.finetuning.augmentation import Augmentation, augmented
from modelsgenesis.finetuning.layer_learning_rates import LayerLearningRates, parameter_groups, still_parts
from modelsgenesis.nets.classifier import Network


class TaskLearner(Learner, ABC):
    """A way to teach a network a task.

    Args:
        network: what is taught, and kept.
        target: of the task.
        size: of what the network sees.
        augmentation: of what it is trained on.
        layer_rates: how fast each part learns.
    """

    def __init__(
        self,
        network: Network,
        target: Target,
        *,
        size: tuple[int, ...],
        augmentation: Augmentation,
        layer_rates: LayerLearningRates,
    ) -> None:
        super().__init__()
        self.target, self.layer_rates, self.parts = target, layer_rates, network.parts()
        self.still = still_parts(self.parts, layer_rates)
        self.transform = augmentation.make(size)

    def groups(self) -> list[Group]:
        """By the layer_rates."""
        return parameter_groups(self.parts, self.layer_rates)

    def train(self, mode: bool = True) -> Self:
        """Switch to training, but for what stays still."""
        super().train(mode)
        for module in self.still:
            module.eval()
        return self

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image", and "mask" or "values"} of a reach -> the same, augmented, of the network's size."""
        return augmented(self.transform, sample, rng)
