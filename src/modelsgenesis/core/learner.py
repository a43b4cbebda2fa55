"""The third interface: a learner makes the network's views of a sample, and computes the losses and metrics."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone

Sample = dict[str, np.ndarray[Any, Any]]
Batch = dict[str, Tensor]


class Drawn:
    """What was drawn for the images of a batch, on its way to the device; whatever moves tensors leaves it alone."""

    def __init__(self, draws: list[Any]) -> None:
        self.draws = draws


@dataclass(frozen=True)
class Group:
    """Parameters that learn at one pace.

    Attributes:
        parameters: those that require a gradient are trained.
        scale: of the plan's learning rate.
        after: the progress, 0 to 1, before which they rest.
    """

    parameters: list[nn.Parameter]
    scale: float = 1.0
    after: float = 0.0


class Learner(nn.Module, ABC):
    """A way to train a network, in pre-training and fine-tuning alike.

    Attributes:
        backbone: what is trained, or a part of it.
        restores: whether `predict` restores the view "original" from the view "deformed", so that there is something to
            picture.
        labelled: whether it learns from labelled sets rather than from a store.
        aim: what it teaches, in words that follow "to"; "" where nobody says.
        paper: that it comes from, as one cites it, beside those of Models Genesis.
    """

    backbone: Backbone
    restores: bool = False
    labelled: bool = False
    aim: ClassVar[str] = ""
    paper: ClassVar[str] = ""

    @property
    def network(self) -> nn.Module:
        """The network that is kept when the run is done; by default the backbone."""
        return self.backbone

    def groups(self) -> list[Group]:
        """Which parameters learn, and how fast; by default all, at the plan's rate."""
        return [Group(list(self.parameters()))]

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse images of a size that the network cannot take, or the method has no use for.

        Args:
            size: sides of the images in voxels, (X, Y[, Z]).
        Raises:
            ShapeError: as said.
        """
        self.backbone.check((1, self.backbone.in_channels, *size))

    @classmethod
    def view_size(cls, backbone: Backbone, size: tuple[int, ...], **settings: Any) -> tuple[int, ...]:
        """The sides in voxels of what the network is shown of an image; by default all of it.

        Args:
            backbone: that is trained.
            size: sides of the image in voxels.
            settings: the method's arguments.
        """
        return size

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
    def predict(self, batch: Batch) -> Tensor:
        """Return the network's prediction for a batch of views, (B, ...), for pictures and checks."""

    def forward(self, batch: Batch, progress: float) -> Batch:
        """The losses; called by the training loop, so that DDP sees every pass."""
        return self.losses(batch, progress)

    def metrics(self, means: dict[str, float]) -> dict[str, float]:
        """Make metrics of the means of `losses` over all that is held out; by default they are the metrics."""
        return means

    def selection_score(self, metrics: dict[str, float]) -> float:
        """The number that decides which validated network is kept, the least being best; by default the total loss."""
        return metrics["total"]

    def begin_again(self) -> None:
        """Act when weights from elsewhere have become the network's; a teacher copies its student here."""

    def after_step(self, progress: float) -> None:
        """Act after an optimiser step; a teacher follows its student here."""
