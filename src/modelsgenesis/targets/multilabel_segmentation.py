"""Segmentation of labels that may overlap: a voxel has any number of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.labels import MultilabelMap
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.target import LearnerSettings
from modelsgenesis.targets.base.mask_learner import MaskLearner, dice_loss
from modelsgenesis.targets.base.masks import Masks
from modelsgenesis.targets.base.task_learner import as_backbone


@dataclass(frozen=True)
class MultilabelSegmentation(Masks):
    """Masks of labels that may overlap: one mask a label, or a map in which labels share values; a sigmoid each.

    Args:
        labels: without the background; a label without `values` has masks of its own.
    Raises:
        DataError: no label, two of one name, or two whose files would have one name.
    """

    kind = "segmentation"
    remark = "; they may overlap"
    labels_per_case = "any number of labels a voxel"

    @property
    def label_map(self) -> MultilabelMap:
        """Use one channel a label."""
        return MultilabelMap(self.labels)

    def learner(self, network: nn.Module, settings: LearnerSettings) -> Learner:
        """Learn by Dice and binary cross-entropy of each label."""
        dice = dice_loss(sigmoid=True)
        return MaskLearner(
            as_backbone(network), self, settings, dice=dice, cross_entropy=cross_entropy, found=found_and_true
        )

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label."""
        return outputs.sigmoid()

    @property
    def label_columns(self) -> tuple[str, ...]:
        """A column a label names its mask; one names the map that holds all of them."""
        return ("label",) if self.label_map.one_file else tuple(f"label_{name}" for name in self.names)

    @property
    def outputs_in_words(self) -> str:
        """Name the labels of the channels."""
        return f"It predicts logits (sigmoid makes them probabilities) of {', '.join(self.names)}."


def cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Compute the binary cross-entropy over all labels, (B, K, *space) each -> scalar."""
    return functional.binary_cross_entropy_with_logits(logits, mask.float())


def found_and_true(logits: Tensor, mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Return for each label where it is more probable than a half, and where it is true."""
    found = logits > 0
    for k in range(logits.shape[1]):
        yield found[:, k], mask[:, k] > 0
