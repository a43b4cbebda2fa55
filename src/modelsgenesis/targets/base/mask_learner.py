"""Fine-tuning for masks: Dice and cross-entropy on augmented patches."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.importing import without_collecting
from modelsgenesis.core.learner import Batch
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.target import LearnerSettings
from modelsgenesis.targets.base.task_learner import TaskLearner, at_scale_of, check_outputs

Loss = Callable[[Tensor, Tensor], Tensor]
Found = Callable[[Tensor, Tensor], Iterator[tuple[Tensor, Tensor]]]


def dice_loss(**settings: bool) -> nn.Module:
    """Make MONAI's Dice loss over the batch; the settings are MONAI's own."""
    with without_collecting():
        from monai.losses import DiceLoss  # here, since it takes two seconds

    loss: nn.Module = DiceLoss(batch=True, **settings)
    return loss


class MaskLearner(TaskLearner):
    """A learner of masks: it predicts the labels of each voxel.

    Args:
        backbone: predicts `target.num_outputs` logits a voxel.
        target: of the task.
        settings: its views and its rates.
        dice: loss of logits and a mask.
        cross_entropy: likewise.
        found: of logits and a mask, for each label where it is predicted and where it is.
    Raises:
        ShapeError: the network has another number of outputs.
    Source: Isensee et al. 2021, nnU-Net: Dice over the batch plus cross-entropy, each coarser scale at half the weight.
    """

    def __init__(
        self,
        backbone: Backbone,
        target: MaskTarget,
        settings: LearnerSettings,
        *,
        dice: nn.Module,
        cross_entropy: Loss,
        found: Found,
    ) -> None:
        check_outputs(backbone, target)
        super().__init__(backbone, target, settings)
        self.backbone, self.dice, self.cross_entropy, self.found = backbone, dice, cross_entropy, found

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Return the Dice loss and the cross-entropy, over all scales.

        Returns:
            "total", their sum over the network's scales; "dice_loss" and "cross_entropy" at the finest. When validating
            also what `metrics` makes Dice scores of: for each label twice the overlap, and the two sizes together.
        """
        scales, mask = self._scales(batch["image"]), batch["mask"]
        weights = torch.tensor([2.0**-scale for scale in range(len(scales))])
        parts = [self.losses_at(logits.float(), at_scale_of(mask, logits)) for logits in scales]
        total = sum((w * (dice + cross) for w, (dice, cross) in zip(weights / weights.sum(), parts, strict=True)))
        metrics = {"total": total, "dice_loss": parts[0][0], "cross_entropy": parts[0][1]}
        return {**metrics, **({} if self.training else self._overlaps(scales[0], mask))}

    def losses_at(self, logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Dice loss and the cross-entropy at one scale."""
        cross = self.cross_entropy(logits, mask)
        return self.dice(logits, mask), cross

    def predict(self, batch: Batch) -> Tensor:
        """Return the probabilities, (B, num_outputs, *space)."""
        return self.target.predicted(self.backbone(batch["image"]))

    def metrics(self, means: dict[str, float]) -> dict[str, float]:
        """Dice of each label over all held-out patches together, and their mean, "dice"."""
        metrics = {name: value for name, value in means.items() if not name.startswith(("overlap ", "sizes "))}
        dices = {
            f"dice_{name}": means[f"overlap {name}"] / means[f"sizes {name}"] if means[f"sizes {name}"] else 1.0
            for name in self.target.names
        }
        return {**metrics, **dices, "dice": float(np.mean(list(dices.values())))}

    def selection_score(self, metrics: dict[str, float]) -> float:
        """Choose the best network by its Dice."""
        return -metrics["dice"]

    def _scales(self, image: Tensor) -> list[Tensor]:
        return self.backbone.predict_scales(image) if self.training else [self.backbone(image)]

    def _overlaps(self, logits: Tensor, mask: Tensor) -> dict[str, Tensor]:
        metrics: dict[str, Tensor] = {}
        for name, (here, there) in zip(self.target.names, self.found(logits, mask), strict=True):
            metrics[f"overlap {name}"] = 2 * (here & there).double().mean()
            metrics[f"sizes {name}"] = here.double().mean() + there.double().mean()
        return metrics
