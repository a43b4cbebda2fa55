"""Fine-tuning for classification and regression: one answer for a whole cube."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.learner import Batch
from modelsgenesis.core.target import Target
from modelsgenesis.finetuning.augmentation import Augmentation
from modelsgenesis.finetuning.layer_learning_rates import LayerLearningRates
from modelsgenesis.finetuning.task_learner import TaskLearner
from modelsgenesis.nets.classifier import Classifier


class Classification(TaskLearner):
    """Tell a cube's class, its labels, or its numbers.

    Args:
        classifier: answers with `target.num_outputs` logits or numbers.
        target: of the task.
        values: of the training cases, from which classes are weighed and numbers scaled.
        size: of the cubes that the network sees.
        augmentation: of the training cubes.
        layer_rates: how fast each part learns.
    Raises:
        DataError: a class has no training case.
    Source: Zhou et al. 2021, section 3: the head on the average of the deepest features, all layers tuned.
    """

    weights: Tensor
    scale: Tensor

    def __init__(
        self,
        classifier: Classifier,
        target: Target,
        *,
        values: Sequence[Sequence[float]],
        size: tuple[int, ...],
        augmentation: Augmentation,
        layer_rates: LayerLearningRates,
    ) -> None:
        super().__init__(classifier, target, size=size, augmentation=augmentation, layer_rates=layer_rates)
        self.classifier, self.backbone = classifier, classifier.backbone
        known = np.array(values, np.float64)  # (cases, 1) classes, or (cases, labels)
        self.register_buffer("weights", torch.from_numpy(class_weights(known, target)).float(), persistent=False)
        spread = known.std(axis=0) if target.kind == "regression" else np.ones(len(target.labels))
        self.register_buffer("scale", torch.from_numpy(np.where(spread > 0, spread, 1.0)).float(), persistent=False)
        if target.kind == "regression":
            _begin_at(classifier, known.mean(axis=0), self.scale)

    @property
    def network(self) -> nn.Module:
        """The classifier whole."""
        return self.classifier

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Cross-entropy, each class or label weighed by how rare it is; of numbers the squared error, in variances.

        Returns:
            "total"; when validating also what `metrics` makes a balanced accuracy of.
        """
        answer, values = self.classifier(batch["image"]).float(), batch["values"]
        if self.target.kind == "regression":
            error = answer - values
            return {"total": (error / self.scale).square().mean(), "mae": error.detach().abs().mean()}
        if self.target.exclusive:
            classes = values[:, 0].long()
            total = functional.cross_entropy(answer, classes, weight=self.weights, reduction="none").mean()
            right = answer.argmax(dim=1) == classes
            hits = functional.one_hot(classes, len(self.target.labels)).double()
        else:
            total = functional.binary_cross_entropy_with_logits(answer, values, pos_weight=self.weights)
            right, hits = (answer > 0) == (values > 0), torch.stack([values > 0, values <= 0], dim=2).double()
        metrics = {"total": total, "accuracy": right.double().mean()}
        if self.training:
            return metrics
        # Means over a batch add up over all batches: what is right of each class, and how much of it there is.
        seen = hits.flatten(1).mean(dim=0)
        found = (hits * (right[:, None] if self.target.exclusive else right[:, :, None])).flatten(1).mean(dim=0)
        counts = {f"right {k}": found[k] for k in range(len(found))} | {f"seen {k}": seen[k] for k in range(len(seen))}
        return {**metrics, **counts}

    def answer(self, batch: Batch) -> Tensor:
        """Probabilities or numbers, (B, num_outputs)."""
        answer: Tensor = self.classifier(batch["image"])
        if self.target.kind == "regression":
            return answer
        return answer.softmax(dim=1) if self.target.exclusive else answer.sigmoid()

    def metrics(self, means: dict[str, float]) -> dict[str, float]:
        """The mean over classes of the share that was told right."""
        metrics = {name: value for name, value in means.items() if not name.startswith(("right ", "seen "))}
        seen = {name.removeprefix("seen "): value for name, value in means.items() if name.startswith("seen ")}
        told = [means[f"right {k}"] / value for k, value in seen.items() if value]
        return {**metrics, "balanced_accuracy": float(np.mean(told))} if told else metrics


def class_weights(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], target: Target
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """How much each class, or the presence of each label, weighs, so that the rare count like the frequent.

    Args:
        values: (cases, 1) classes, (cases, labels) of 0 and 1, or (cases, numbers).
        target: of the task.
    Raises:
        DataError: a class or label of which there is no training case, or a label that every case has.
    """
    if target.kind == "regression":
        return np.ones(len(target.labels))
    if target.exclusive:
        counts = np.array([(values[:, 0] == k).sum() for k in range(len(target.labels))])
        missing = [name for name, count in zip(target.names, counts, strict=True) if not count]
    else:
        counts = (values > 0).sum(axis=0)
        missing = [n for n, count in zip(target.names, counts, strict=True) if count in (0, len(values))]
    if missing:
        raise DataError(
            f"the {len(values)} training cases do not tell {', '.join(missing)} from the rest; use more --cases"
        )
    weights = len(values) / (len(counts) * counts) if target.exclusive else (len(values) - counts) / counts
    return np.asarray(weights, np.float64)


@torch.no_grad()
def _begin_at(classifier: Classifier, mean: np.ndarray[tuple[int, ...], np.dtype[np.float64]], scale: Tensor) -> None:
    """Let a network of numbers begin at their mean, with steps of their spread."""
    last = classifier.head[-1]
    if isinstance(last, nn.Linear):
        last.weight.mul_(scale[:, None])
        last.bias.copy_(torch.from_numpy(mean))
