"""Segmentation: a voxel has one label, or none."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.labels import MulticlassMap
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.target import LearnerSettings
from modelsgenesis.targets.base.mask_learner import MaskLearner, dice_loss
from modelsgenesis.targets.base.masks import Masks
from modelsgenesis.targets.base.task_learner import as_backbone


@dataclass(frozen=True)
class Segmentation(Masks):
    """Masks of labels that exclude each other: one label map a case, softmax over the labels and the background.

    Args:
        labels: without the background; `values` stand for them in the masks.
    Raises:
        DataError: no label, two of one name, or two whose files would have one name.
    """

    kind = "segmentation"
    labels_per_case = "one label a voxel"

    @property
    def label_map(self) -> MulticlassMap:
        """Use one map of classes."""
        return MulticlassMap(self.labels)

    def learner(self, network: nn.Module, settings: LearnerSettings) -> Learner:
        """Learn by Dice of the labels and cross-entropy over all classes."""
        dice = dice_loss(softmax=True, to_onehot_y=True, include_background=False)
        return MaskLearner(
            as_backbone(network), self, settings, dice=dice, cross_entropy=cross_entropy, found=found_and_true
        )

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the background and each label, which sum to 1."""
        return outputs.softmax(dim=1)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """One column holds the file of the label map."""
        return ("label",)

    @property
    def outputs_in_words(self) -> str:
        """Name the classes of the channels."""
        names = ", ".join(self.names)
        return f"It predicts logits (softmax makes them probabilities) of the background, then {names}."


def cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Over the background and all labels, (B, K + 1, *space) and (B, 1, *space) -> scalar."""
    return functional.cross_entropy(logits, mask[:, 0].long())


def found_and_true(logits: Tensor, mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Return for each label where it is the most probable class, and where it is true."""
    found = logits.argmax(dim=1, keepdim=True)
    for k in range(1, logits.shape[1]):
        yield found == k, mask == k
