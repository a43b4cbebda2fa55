"""Classification: an image has one class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.table_target import Counts, Numbers, TableTarget
from modelsgenesis.core.target import LearnerSettings
from modelsgenesis.metrics.classification import multiclass_scores
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.targets.base.classes import BY_PATIENT, CALIBRATION, DEFINED, Classes
from modelsgenesis.targets.base.task_learner import as_classifier
from modelsgenesis.targets.base.value_learner import ValueLearner, buffer, check_learnable, counted

NEARLY = 1e-3  # by which probabilities may miss a sum of 1


@dataclass(frozen=True)
class Classification(Classes):
    """Classes that exclude each other: softmax; a case's value is the number of its class.

    Args:
        labels: the classes.
    """

    labels_per_case = "one class"
    squashing = "softmax"

    def learner(self, network: nn.Module, settings: LearnerSettings) -> Learner:
        """Learn by cross-entropy, each class weighed by how rare it is."""
        return ClassLearner(as_classifier(network), self, settings)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return probabilities that sum to 1."""
        return outputs.softmax(dim=1)

    def stratum(self, values: Sequence[float]) -> tuple[float, ...]:
        """Draw each class in its own proportion."""
        return tuple(values)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """One column holds the name of the class."""
        return ("label",)

    def label_entries(self, values: Sequence[float]) -> tuple[str, ...]:
        """Write the class's name."""
        return (self.names[int(values[0])],)

    def refusal(self, values: Sequence[float]) -> str:
        """Refuse what is no probability, and probabilities that do not sum to 1."""
        wrong = abs(sum(values) - 1) > NEARLY
        return super().refusal(values) or (f"probabilities that sum to {sum(values):.3g}, not 1" if wrong else "")

    def of_network(self, predicted_columns: Sequence[str], network: TableTarget | None) -> TableTarget:
        """The classes that the network knows, of which the truth may lack some."""
        names = network.names if network else self.names_of(predicted_columns)
        if strange := [name for name in self.names if name not in names]:
            raise DataError(f"the truth knows {', '.join(strange)}, but the predictions are of {', '.join(names)}")
        return Classification(tuple(Label(name) for name in names))

    def with_positive(self, name: str) -> TableTarget:
        """The same two classes, this one last, where the positive one is."""
        if len(self.labels) != 2 or name not in self.names:
            raise DataError(f"--positive names one of two classes; there are {', '.join(self.names)}, got {name!r}")
        return Classification(tuple(sorted(self.labels, key=lambda label: label.name == name)))

    def true_values(self, values: Sequence[float], of_case: TableTarget) -> tuple[float, ...]:
        """The class's number among these classes."""
        return (float(self.names.index(of_case.names[int(values[0])])),)

    def labels_of(self, values: Sequence[float]) -> list[str]:
        """Return the name of the one class."""
        return [self.names[int(values[0])]]

    def chosen(self, predicted: Sequence[float]) -> list[str]:
        """Return the most probable class."""
        return [self.names[int(np.argmax(predicted))]]

    def predicted_words(self, predicted: Sequence[float]) -> str:
        """Name the most probable class, and its probability."""
        return f"{super().predicted_words(predicted)} {max(predicted):.2f}"

    def presence(self, truth: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which one class each case has."""
        return np.asarray(truth[:, :1] == np.arange(len(self.labels)))

    def overall(self, predicted: Numbers, truth: Numbers) -> dict[str, float]:
        """Score the most probable class."""
        return multiclass_scores(predicted, truth[:, 0])

    def suspicion(self, predicted: Numbers, truth: Numbers) -> tuple[Numbers, Numbers] | None:
        """Draw the curves of the second of two classes."""
        if len(self.labels) > 2:
            return None
        return predicted[:, 1:2], self.presence(truth)[:, 1:2].astype(float)

    def confusion(self, predicted: Numbers, truth: Numbers) -> Counts:
        """Count how often each class was predicted as each."""
        table = np.zeros((len(self.labels), len(self.labels)), int)
        np.add.at(table, (truth[:, 0].astype(int), predicted.argmax(1)), 1)
        rows = [(name, *map(str, row), str(row.sum())) for name, row in zip(self.names, table, strict=True)]
        words = "A row a true class, a column a predicted one: the most probable."
        return Counts("Confusion matrix", words, ("true", *self.names, "cases"), list(rows))

    @property
    def _drawn(self) -> range:
        return range(1, 2) if len(self.labels) == 2 else range(len(self.labels))

    def rules(self) -> tuple[str, ...]:
        """Explain which class is the positive one, or how classes are averaged."""
        whole = (
            "The predicted class is the most probable. AUC and average precision of all labels are the mean over the "
            "classes, each against the rest; the Brier score is their sum."
        )
        if len(self.labels) == 2:
            whole = f"Two classes: {self.names[1]} is the positive one in the line of all labels (see --positive)."
        return whole, DEFINED, BY_PATIENT, CALIBRATION


class ClassLearner(ValueLearner):
    """A learner that predicts the class of an image.

    Args:
        classifier: predicts a logit a class.
        target: of the task.
        settings: its values, its views and its rates.
    Raises:
        DataError: a class has no training case.
    """

    weights: Tensor

    def __init__(self, classifier: Classifier, target: Classification, settings: LearnerSettings) -> None:
        super().__init__(classifier, target, settings)
        weights = class_weights(np.array(settings.values, np.float64), target.names)
        self.register_buffer("weights", buffer(weights), persistent=False)

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Return the cross-entropy, with rare classes weighed more.

        Returns:
            "total" and "accuracy"; when validating also what `metrics` makes a balanced accuracy of.
        """
        logits, classes = self.classifier(batch["image"]).float(), batch["values"][:, 0].long()
        total = functional.cross_entropy(logits, classes, weight=self.weights, reduction="none").mean()
        right = logits.argmax(dim=1) == classes
        metrics = {"total": total, "accuracy": right.double().mean()}
        if self.training:
            return metrics
        hits = functional.one_hot(classes, len(self.target.labels)).double()
        return {**metrics, **counted(right[:, None], hits)}


def class_weights(values: Numbers, names: Sequence[str]) -> Numbers:
    """Compute the weight of each class, so that rare ones count as much as frequent ones.

    Args:
        values: (cases, 1), the number of each case's class.
        names: of the classes.
    Raises:
        DataError: a class of which there is no training case.
    """
    counts = np.array([(values[:, 0] == k).sum() for k in range(len(names))])
    check_learnable(names, counts > 0, len(values))
    return np.asarray(len(values) / (len(counts) * counts), np.float64)
