"""Fine-tuning for one prediction of a whole cube: what classes, labels and numbers have in common."""

from abc import ABC
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.learner import Batch
from modelsgenesis.core.target import LearnerSettings, Target
from modelsgenesis.core.words import many
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.targets.base.task_learner import TaskLearner, check_outputs


class ValueLearner(TaskLearner, ABC):
    """A learner of values: it predicts the class, the labels or the numbers of an image.

    Args:
        classifier: predicts `target.num_outputs` logits or numbers.
        target: of the task.
        settings: its values, its views and its rates.
    Raises:
        ShapeError: the network has another number of outputs.
    Source: Zhou et al. 2021, section 3: the head on the average of the deepest features, all layers tuned.
    """

    def __init__(self, classifier: Classifier, target: Target, settings: LearnerSettings) -> None:
        check_outputs(classifier, target)
        super().__init__(classifier, target, settings)
        self.classifier, self.backbone = classifier, classifier.backbone

    @property
    def network(self) -> nn.Module:
        """Keep the whole classifier."""
        return self.classifier

    def predict(self, batch: Batch) -> Tensor:
        """Return probabilities or numbers, (B, num_outputs)."""
        return self.target.predicted(self.classifier(batch["image"]))

    def metrics(self, means: dict[str, float]) -> dict[str, float]:
        """The mean over classes of the share that was predicted right, if classes are learned."""
        metrics = {name: value for name, value in means.items() if not name.startswith(("right ", "seen "))}
        seen = {name.removeprefix("seen "): value for name, value in means.items() if name.startswith("seen ")}
        shares = [means[f"right {k}"] / value for k, value in seen.items() if value]
        return {**metrics, "balanced_accuracy": float(np.mean(shares))} if shares else metrics


def counted(right: Tensor, hits: Tensor) -> dict[str, Tensor]:
    """Return the parts of a balanced accuracy: means over a batch, which add up over all batches.

    Args:
        right: whether each prediction is right, (B, 1) or (B, labels, 1).
        hits: which class each case has, one-hot in the last axis, (B, classes) or (B, labels, 2).
    Returns:
        "right k", what is predicted right of class k, and "seen k", how much of it there is.
    """
    seen = hits.flatten(1).mean(dim=0)
    found = (hits * right).flatten(1).mean(dim=0)
    return {f"right {k}": found[k] for k in range(len(found))} | {f"seen {k}": seen[k] for k in range(len(seen))}


def check_learnable(names: Sequence[str], learnable: NDArray[np.bool_], num_cases: int) -> None:
    """Refuse training cases from which a label cannot be learned.

    Args:
        names: of the labels.
        learnable: whether each can be learned.
        num_cases: all of them.
    Raises:
        DataError: one cannot.
    """
    if missing := [name for name, there in zip(names, learnable, strict=True) if not there]:
        raise DataError(
            f"{many(num_cases, 'training case')} cannot separate {', '.join(missing)} from the rest; use more --cases"
        )


def buffer(values: NDArray[np.float64]) -> Tensor:
    """Make a learner's buffer of the numbers that a loss needs."""
    return torch.from_numpy(values).float()
