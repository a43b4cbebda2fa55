"""Regression: an image has one or several numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.table_target import Numbers, TableTarget
from modelsgenesis.core.target import Finding, LearnerSettings, Row
from modelsgenesis.core.words import short_number
from modelsgenesis.metrics.regression import METRICS, number_scores
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.targets.base.examples import extremes
from modelsgenesis.targets.base.task_learner import as_classifier
from modelsgenesis.targets.base.value_learner import ValueLearner, buffer

BESIDE = {"id", "image", "class", "status", "prediction", "note", "patient"}  # columns that are no numbers' names


@dataclass(frozen=True)
class Regression(TableTarget):
    """Numbers of a whole image; a case's values are the numbers.

    Args:
        labels: the numbers' names.
    """

    kind = "regression"
    noun = "numbers"
    labels_per_case = "numbers"
    metric = "mae"
    overlap = 0.25
    dense = False
    column = "number"

    @property
    def num_outputs(self) -> int:
        """One output a number."""
        return len(self.labels)

    def network(self, backbone: Backbone, *, hidden: int) -> nn.Module:
        """Put a dense head on the encoder."""
        return Classifier(backbone, self.num_outputs, hidden=hidden)

    def learner(self, network: nn.Module, settings: LearnerSettings) -> Learner:
        """Learn by squared error, in variances of the training cases."""
        return NumberLearner(as_classifier(network), self, settings)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the numbers as they are."""
        return outputs

    @property
    def label_columns(self) -> tuple[str, ...]:
        """One column a number, or `label`."""
        return ("label",) if self.names == ("label",) else tuple(f"label_{name}" for name in self.names)

    def label_entries(self, values: Sequence[float]) -> tuple[str, ...]:
        """Write the numbers."""
        return tuple(f"{value:g}" for value in values)

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The columns have the numbers' names."""
        return self.names

    def row(self, values: NDArray[Any]) -> dict[str, str]:
        """Write the numbers with six digits."""
        return {name: f"{value:.6g}" for name, value in zip(self.names, values, strict=True)}

    @classmethod
    def recognised(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """Take the columns that belong to no other kind; a table of masks has none."""
        return () if "prediction" in columns else tuple(name for name in columns if name not in BESIDE)

    def scores(self, predicted: Numbers, truth: Numbers) -> dict[str, dict[str, float]]:
        """Score each number."""
        return {name: number_scores(predicted[:, k], truth[:, k]) for k, name in enumerate(self.names)}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The errors and correlations."""
        return METRICS

    @property
    def headline(self) -> tuple[str, tuple[str, ...], str]:
        """Show the scores of the first number."""
        return self.names[0], ("mae", "r2", "spearman"), f" of {self.names[0]}" if len(self.names) > 1 else ""

    def errors(self, predicted: Numbers, truth: Numbers) -> Numbers:
        """Compute the distance from the true numbers, each in units of its spread."""
        spread = np.maximum(truth.std(axis=0), 1e-12)
        return np.asarray((np.abs(predicted - truth) / spread).sum(1))

    def case_row(self, predicted: Sequence[float], true: Sequence[float]) -> dict[str, Any]:
        """List both numbers and their difference."""
        row: dict[str, Any] = {}
        for name, one, other in zip(self.names, predicted, true, strict=True):
            row |= {f"true {name}": other, f"predicted {name}": one, f"error {name}": one - other}
        return row

    def true_words(self, true: Sequence[float]) -> str:
        """Name each number with its value."""
        return ", ".join(f"{name} {value:g}" for name, value in zip(self.names, true, strict=True))

    def predicted_words(self, predicted: Sequence[float]) -> str:
        """List the numbers."""
        return ", ".join(short_number(value) for value in predicted)

    def verdict(self, predicted: Sequence[float], true: Sequence[float]) -> str:
        """List both numbers with their name."""
        each = zip(self.names, true, predicted, strict=True)
        return ", ".join(f"{name}: true {short_number(float(t))}, predicted {short_number(p)}" for name, t, p in each)

    def curves(self, path: Path, predicted: Numbers, truth: Numbers) -> tuple[Path, str]:
        """Draw predicted against true numbers."""
        from modelsgenesis.figures.scores import draw_numbers  # here, since matplotlib takes a second

        numbers = {name: (predicted[:, k], truth[:, k]) for k, name in enumerate(self.names)}
        return draw_numbers(path, numbers), "predicted against true numbers"

    def rules(self) -> tuple[str, ...]:
        """Explain when scores are undefined."""
        return ("R² and the correlations are undefined where all true numbers are equal.",)

    def occurring(self, finding: Finding) -> tuple[int, ...]:
        """Every case has every number."""
        return tuple(range(len(self.labels)))

    def labels_table(self, found: Sequence[Finding]) -> tuple[Row, list[Row]]:
        """Tabulate the range of each number."""
        numbers = np.array([finding.values for finding in found]).reshape(-1, len(self.labels))
        rows = [
            (name, *(f"{value:.4g}" for value in (column.min(), np.median(column), column.max())))
            for name, column in zip(self.names, numbers.T, strict=True)
            if len(column)
        ]
        return ("number", "least", "median", "most"), list(rows)

    def in_words(self, finding: Finding) -> str:
        """List the numbers."""
        return ", ".join(f"{value:g}" for value in finding.values)

    def examples(self, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
        """Choose the extremes of the first number."""
        ranked = sorted(found, key=lambda one: one.values[0])
        chosen = extremes(found, ranked, "least number", "greatest number")
        return [(one, f"{why} ({self.in_words(one)})") for one, why in chosen]

    @property
    def outputs_in_words(self) -> str:
        """Name the numbers that are predicted."""
        return f"It predicts numbers: {', '.join(self.names)}."


class NumberLearner(ValueLearner):
    """Predict a cube's numbers; the network begins at their mean, with steps of their spread.

    Args:
        classifier: predicts a number each.
        target: of the task.
        settings: its values, its views and its rates.
    """

    scale: Tensor

    def __init__(self, classifier: Classifier, target: Regression, settings: LearnerSettings) -> None:
        super().__init__(classifier, target, settings)
        known = np.array(settings.values, np.float64)  # (cases, numbers)
        spread = known.std(axis=0)
        self.register_buffer("scale", buffer(np.where(spread > 0, spread, 1.0)), persistent=False)
        _begin_at(classifier, known.mean(axis=0), self.scale)

    def losses(self, batch: Batch, progress: float) -> Batch:
        """The squared error in variances, "total"; and the mean absolute error, "mae"."""
        error = self.classifier(batch["image"]).float() - batch["values"]
        return {"total": (error / self.scale).square().mean(), "mae": error.detach().abs().mean()}


@torch.no_grad()
def _begin_at(classifier: Classifier, mean: Numbers, scale: Tensor) -> None:
    """Let a network of numbers begin at their mean, with steps of their spread."""
    last = classifier.head[-1]
    if isinstance(last, nn.Linear):
        last.weight.mul_(scale[:, None])
        last.bias.copy_(torch.from_numpy(mean))
