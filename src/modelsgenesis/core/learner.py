"""The third interface: a learner says what the network sees, what it is asked, and how wrong it was."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone

Sample = dict[str, np.ndarray[Any, Any]]
Batch = dict[str, Tensor]


class Drawn:
    """What was drawn for the images of a batch, on its way to the device; whatever moves tensors leaves it alone."""

    def __init__(self, draws: list[Any]) -> None:
        self.draws = draws


class Learner(nn.Module, ABC):
    """A way to teach a network, in pre-training and fine-tuning alike."""

    backbone: Backbone

    @abstractmethod
    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Make of one sample what the network sees and its target; runs in a loader worker.

        Args:
            sample: "image", float32 (C, X, Y[, Z]) in [0, 1].
            rng: the sample's own generator.
        """

    def draws(self, sample: Sample, rng: np.random.Generator) -> dict[str, Any]:
        """Do a worker's share of the views, arrays and Drawn, when `finish` does the rest; by default all of them."""
        return self.views(sample, rng)

    def finish(self, batch: Batch) -> Batch:
        """Do the rest of the views on the device, without gradient: after `draws`, what `views` would have given."""
        return batch

    @abstractmethod
    def losses(self, batch: Batch, progress: float) -> Batch:
        """Return {"total": scalar, named parts}, on the device; progress runs from 0 to 1."""

    @abstractmethod
    def answer(self, batch: Batch) -> Tensor:
        """Return what the network answers for a batch of views, (B, ...), for pictures and checks."""

    def forward(self, batch: Batch, progress: float) -> Batch:
        """The losses; called by the training loop, so that DDP sees every pass."""
        return self.losses(batch, progress)

    def after_step(self, progress: float) -> None:
        """Act after an optimiser step; a teacher follows its student here."""
