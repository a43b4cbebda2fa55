"""Fine-tuning for segmentation: Dice and cross-entropy on augmented patches."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.importing import without_collecting
from modelsgenesis.core.learner import Batch
from modelsgenesis.core.target import Target
from modelsgenesis.finetuning.augmentation import Augmentation
from modelsgenesis.finetuning.layer_learning_rates import LayerLearningRates
from modelsgenesis.finetuning.task_learner import TaskLearner


class Segmentation(TaskLearner):
    """Tell which label each voxel has; or, where labels may overlap, which of them.

    Args:
        backbone: answers with `target.num_outputs` logits a voxel.
        target: of the task.
        size: of the patches that the network sees.
        augmentation: of the training patches.
        layer_rates: how fast each part learns.
    Raises:
        ShapeError: the network answers with another number of channels.
    Source: Isensee et al. 2021, nnU-Net: Dice over the batch plus cross-entropy, each coarser scale at half the weight.
    """

    def __init__(
        self,
        backbone: Backbone,
        target: Target,
        *,
        size: tuple[int, ...],
        augmentation: Augmentation,
        layer_rates: LayerLearningRates,
    ) -> None:
        with without_collecting():
            from monai.losses import DiceLoss  # here, since it takes two seconds

        answers = getattr(backbone, "out_channels", None)
        if answers != target.num_outputs:
            raise ShapeError(f"the task needs {target.num_outputs} channels of answer, the network has {answers}")
        super().__init__(backbone, target, size=size, augmentation=augmentation, layer_rates=layer_rates)
        self.backbone = backbone
        exclusive = {"softmax": True, "to_onehot_y": True, "include_background": False}
        self.dice = DiceLoss(**(exclusive if target.exclusive else {"sigmoid": True}), batch=True)

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Dice loss and cross-entropy.

        Returns:
            "total", their sum over the network's scales; "dice_loss" and "cross_entropy" at the finest. When validating
            also what `metrics` makes Dice scores of: for each label twice the overlap, and the two sizes together.
        """
        answers, mask = self._answers(batch["image"]), batch["mask"]
        weights = torch.tensor([2.0**-scale for scale in range(len(answers))])
        parts = [self._losses_at(answer.float(), _at_scale_of(mask, answer)) for answer in answers]
        total = sum((w * (dice + cross) for w, (dice, cross) in zip(weights / weights.sum(), parts, strict=True)))
        metrics = {"total": total, "dice_loss": parts[0][0], "cross_entropy": parts[0][1]}
        return {**metrics, **({} if self.training else self._overlaps(answers[0], mask))}

    def answer(self, batch: Batch) -> Tensor:
        """Probabilities, (B, num_outputs, *space)."""
        logits: Tensor = self.backbone(batch["image"])
        return logits.softmax(dim=1) if self.target.exclusive else logits.sigmoid()

    def metrics(self, means: dict[str, float]) -> dict[str, float]:
        """Dice of each label over all held-out patches together, and their mean, "dice"."""
        metrics = {name: value for name, value in means.items() if not name.startswith(("overlap ", "sizes "))}
        dices = {
            f"dice_{name}": means[f"overlap {name}"] / means[f"sizes {name}"] if means[f"sizes {name}"] else 1.0
            for name in self.target.names
        }
        return {**metrics, **dices, "dice": float(np.mean(list(dices.values())))}

    def selection_score(self, metrics: dict[str, float]) -> float:
        """By Dice."""
        return -metrics["dice"]

    def _answers(self, image: Tensor) -> list[Tensor]:
        return self.backbone.answers(image) if self.training else [self.backbone(image)]

    def _losses_at(self, logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self.target.exclusive:
            cross = functional.cross_entropy(logits, mask[:, 0].long())
        else:
            cross = functional.binary_cross_entropy_with_logits(logits, mask.float())
        return self.dice(logits, mask), cross

    def _overlaps(self, logits: Tensor, mask: Tensor) -> dict[str, Tensor]:
        found = logits.argmax(dim=1, keepdim=True) if self.target.exclusive else logits > 0
        metrics: dict[str, Tensor] = {}
        for k, name in enumerate(self.target.names):
            here, there = (found == k + 1, mask == k + 1) if self.target.exclusive else (found[:, k], mask[:, k] > 0)
            metrics[f"overlap {name}"] = 2 * (here & there).double().mean()
            metrics[f"sizes {name}"] = here.double().mean() + there.double().mean()
        return metrics


def _at_scale_of(mask: Tensor, answer: Tensor) -> Tensor:
    """The mask at a coarser answer's size, by the nearest voxel."""
    if mask.shape[2:] == answer.shape[2:]:
        return mask
    return functional.interpolate(mask.float(), answer.shape[2:], mode="nearest").to(mask.dtype)
