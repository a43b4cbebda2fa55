"""Classification into labels that do not exclude each other: an image has any number of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.table_target import Counts, Numbers
from modelsgenesis.core.target import LearnerSettings
from modelsgenesis.metrics.classification import THRESHOLD, overlapping_scores
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.targets.base.classes import BY_PATIENT, CALIBRATION, DEFINED, Classes
from modelsgenesis.targets.base.task_learner import as_classifier
from modelsgenesis.targets.base.value_learner import ValueLearner, buffer, check_learnable, counted


@dataclass(frozen=True)
class MultilabelClassification(Classes):
    """Labels of which a case has any number: a sigmoid each; a case's values are 0 or 1 for each, or NaN if unknown.

    Args:
        labels: of which each is there or not.
    """

    remark = "; they may overlap"
    labels_per_case = "any number of labels"
    squashing = "sigmoid"

    def learner(self, network: nn.Module, settings: LearnerSettings) -> Learner:
        """Learn by binary cross-entropy, the presence of each label weighed by how rare it is."""
        return LabelLearner(as_classifier(network), self, settings)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label."""
        return outputs.sigmoid()

    def each_once(self, values: Sequence[float]) -> tuple[int, ...]:
        """Want each label that the case has."""
        return tuple(k for k, value in enumerate(values) if value > 0)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """One column a label."""
        return tuple(f"label_{name}" for name in self.names)

    def label_entries(self, values: Sequence[float]) -> tuple[str, ...]:
        """Write 0 or 1 for each label, or nothing: a soft label is no truth to score against."""
        return tuple(f"{value:g}" if value in (0, 1) else "" for value in values)

    def row(self, values: NDArray[Any]) -> dict[str, str]:
        """Write the labels above a half, and the probabilities with six digits."""
        above = [name for name, p in zip(self.names, values, strict=True) if p > THRESHOLD]
        return {**super().row(values), "class": ";".join(above)}

    def labels_of(self, values: Sequence[float]) -> list[str]:
        """Return the names of the labels that are there."""
        return [name for name, there in zip(self.names, values, strict=True) if there > 0]

    def chosen(self, predicted: Sequence[float]) -> list[str]:
        """Return the labels of a probability of a half and more."""
        return [name for name, p in zip(self.names, predicted, strict=True) if p >= THRESHOLD]

    def predicted_words(self, predicted: Sequence[float]) -> str:
        """Name the predicted labels, each with its probability."""
        p = dict(zip(self.names, predicted, strict=True))
        return " | ".join(f"{name} {p[name]:.2f}" for name in self.chosen(predicted)) or "none"

    def presence(self, truth: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the labels of each case."""
        return np.asarray(truth > 0)

    def overall(self, predicted: Numbers, truth: Numbers) -> dict[str, float]:
        """Average the scores of the labels."""
        return overlapping_scores(predicted, truth)

    def confusion(self, predicted: Numbers, truth: Numbers) -> Counts:
        """Count for each label how often it was predicted and true, or only one of both."""
        there, said = self.presence(truth), predicted >= THRESHOLD
        both = (there & said, there & ~said, ~there & said, ~there & ~said)
        counts = np.stack([each.sum(axis=0) for each in both], axis=1)
        rows = [(name, *map(str, row)) for name, row in zip(self.names, counts, strict=True)]
        head = ("label", "true and predicted", "true, not predicted", "predicted, not true", "neither")
        return Counts("Confusion", "A row a label, predicted at p of 0.5 and above.", head, list(rows))

    def suspicion(self, predicted: Numbers, truth: Numbers) -> tuple[Numbers, Numbers] | None:
        """Draw the curves of every label."""
        return predicted, self.presence(truth).astype(float)

    def rules(self) -> tuple[str, ...]:
        """Explain when a label is predicted, and how labels are averaged."""
        whole = "Labels may overlap: each is predicted at p of 0.5 and above, and all labels together are their mean."
        return whole, DEFINED, BY_PATIENT, CALIBRATION


class LabelLearner(ValueLearner):
    """A learner that predicts each label of an image by itself.

    Args:
        classifier: predicts a logit a label.
        target: of the task.
        settings: its values, its views and its rates.
    Raises:
        DataError: no training case has a label, or every one has it.
    """

    weights: Tensor

    def __init__(self, classifier: Classifier, target: MultilabelClassification, settings: LearnerSettings) -> None:
        super().__init__(classifier, target, settings)
        weights = presence_weights(np.array(settings.values, np.float64), target.names)
        self.register_buffer("weights", buffer(weights), persistent=False)

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Binary cross-entropy of each label, its presence weighed by how rare it is; unknown ones add nothing.

        Returns:
            "total" and "accuracy"; when validating also what `metrics` makes a balanced accuracy of.
        """
        logits, values = self.classifier(batch["image"]).float(), batch["values"]
        known = ~values.isnan()
        total = functional.binary_cross_entropy_with_logits(
            logits, values.nan_to_num(), weight=known.float(), pos_weight=self.weights
        )
        right = ((logits > 0) == (values > 0)) & known
        metrics = {"total": total, "accuracy": right.double().sum() / known.sum().clamp(min=1)}
        if self.training:
            return metrics
        hits = torch.stack([values > 0, values <= 0], dim=2).double()
        return {**metrics, **counted(right[:, :, None], hits)}


def presence_weights(values: Numbers, names: Sequence[str]) -> Numbers:
    """Compute the weight of each label's presence, so that it counts as much as its absence.

    Args:
        values: (cases, labels) of 0 and 1, NaN where unknown.
        names: of the labels.
    Raises:
        DataError: a label that no training case has, or every one.
    """
    present, absent = (values > 0).sum(axis=0), (values <= 0).sum(axis=0)
    check_learnable(names, (present > 0) & (absent > 0), len(values))
    return np.asarray(absent / present, np.float64)
