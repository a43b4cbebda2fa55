"""What targets of classes have in common: probabilities in a table, and scores of each label against the rest."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.table_target import Counts, Numbers, TableTarget
from modelsgenesis.core.target import Finding, Row
from modelsgenesis.metrics.classification import BINS, OF_LABEL, OVERALL, label_scores
from modelsgenesis.metrics.summary import ALL
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.targets.base.examples import one_of_each

P = "p_"  # before a label's name, of the column of its probability
FEW_CASES = 10  # in a bin; the share of fewer says little
MOST_NAMED = 4  # probabilities in a verdict, and heat maps of a case
DEFINED = (
    "AUC is undefined, not 0.5, where all cases or none have a label; so are sensitivity without a case that has "
    "it and specificity without one that has not."
)
CALIBRATION = "Calibration error: expected, over ten bins of equal width. Brier score: mean squared error of p."
BY_PATIENT = (
    "AUC by patient, where patients have several cases: the greatest p of a patient's cases is the patient's, who "
    "has what any of them has."
)


class Classes(TableTarget):
    """A target whose network predicts a probability for each label of a whole image."""

    kind = "classification"
    noun = "classes"
    metric = "auc"
    overlap = 0.25
    dense = False
    pipeline = "image-classification"
    column = "class"

    @abstractmethod
    def presence(self, truth: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each case has each label, (N, labels), of true values."""

    @abstractmethod
    def chosen(self, predicted: Sequence[float]) -> list[str]:
        """The names of the labels that the probabilities predict."""

    @abstractmethod
    def overall(self, predicted: Numbers, truth: Numbers) -> dict[str, float]:
        """Score all labels together."""

    @abstractmethod
    def confusion(self, predicted: Numbers, truth: Numbers) -> Counts:
        """Count how often what is true was predicted as what."""

    @abstractmethod
    def labels_of(self, values: Sequence[float]) -> list[str]:
        """The names of the labels that are true."""

    @property
    def num_outputs(self) -> int:
        """One output a label."""
        return len(self.labels)

    def network(self, backbone: Backbone, *, hidden: int) -> nn.Module:
        """Put a dense head on the encoder."""
        return Classifier(backbone, self.num_outputs, hidden=hidden)

    @property
    def value_columns(self) -> tuple[str, ...]:
        """One column of probabilities a label."""
        return tuple(f"{P}{name}" for name in self.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns with the predicted class and the probabilities."""
        return ("class", *self.value_columns)

    def row(self, values: NDArray[Any]) -> dict[str, str]:
        """Write the predicted classes, and the probabilities with six digits."""
        p = {column: f"{value:.6f}" for column, value in zip(self.value_columns, values, strict=True)}
        return {"class": ";".join(self.chosen(values.tolist())), **p}

    @classmethod
    def recognised(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """The columns of a table that hold probabilities."""
        return tuple(name for name in columns if name.startswith(P))

    @classmethod
    def names_of(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """The names of labels in the columns: what follows the p_."""
        return tuple(name.removeprefix(P) for name in columns)

    def refusal(self, values: Sequence[float]) -> str:
        """Explain why values are no probabilities; "" where they are."""
        return "not probabilities" if min(values) < 0 or max(values) > 1 else ""

    def scores(self, predicted: Numbers, truth: Numbers) -> dict[str, dict[str, float]]:
        """Score all labels together, then each against the rest."""
        there = self.presence(truth)
        each = {name: label_scores(predicted[:, k], there[:, k]) for k, name in enumerate(self.names)}
        return {ALL: self.overall(predicted, truth), **each}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of all labels together and of one."""
        return tuple(dict.fromkeys((*OVERALL, *OF_LABEL)))

    @property
    def headline(self) -> tuple[str, tuple[str, ...], str]:
        """Show the AUC, balanced accuracy and Brier score of all labels."""
        return ALL, ("auc", "balanced_accuracy", "brier"), ""

    def errors(self, predicted: Numbers, truth: Numbers) -> Numbers:
        """Compute the Brier score of each case."""
        return np.asarray(np.square(predicted - self.presence(truth)).sum(1))

    def case_row(self, predicted: Sequence[float], true: Sequence[float]) -> dict[str, Any]:
        """List the true class, the predicted one, and the probabilities."""
        row: dict[str, Any] = {"truth": " | ".join(self.labels_of(true)), "class": self._words(predicted)}
        return row | dict(zip(self.value_columns, predicted, strict=True))

    def true_words(self, true: Sequence[float]) -> str:
        """Name the true class, or all true labels."""
        return " | ".join(self.labels_of(true)) or "none"

    def predicted_words(self, predicted: Sequence[float]) -> str:
        """Name the predicted class, or all predicted labels."""
        return self._words(predicted) or "none"

    def verdict(self, predicted: Sequence[float], true: Sequence[float]) -> str:
        """Name the true and the predicted class, with the greatest probabilities."""
        p = list(zip(self.names, predicted, strict=True))
        if len(p) > MOST_NAMED:
            there = self.labels_of(true)
            p = sorted((each for each in p if each[1] >= 0.5 or each[0] in there), key=lambda each: -each[1])
        more = ", ..." if len(p) > MOST_NAMED else ""
        named = ", ".join(f"{name} {value:.2f}" for name, value in p[:MOST_NAMED]) + more
        return f"true: {self.true_words(true)}; predicted: {self._words(predicted) or 'none'} ({named})"

    def curves(self, path: Path, predicted: Numbers, truth: Numbers) -> tuple[Path, str]:
        """Draw the ROC curves and the calibration."""
        from modelsgenesis.figures.scores import draw_decisions  # here, since matplotlib takes a second

        there = self.presence(truth)
        decisions = {self.names[k]: (predicted[:, k], there[:, k]) for k in self._drawn}
        return draw_decisions(path, decisions), "ROC curves and reliability"

    def counts(self, predicted: Numbers, truth: Numbers) -> list[Counts]:
        """Count what was predicted as what, and the cases in the bins of the calibration."""
        return [self.confusion(predicted, truth), self.calibration(predicted)]

    def calibration(self, predicted: Numbers) -> Counts:
        """Count the cases in each bin of the calibration, of the labels whose curves are drawn."""
        bins = np.stack([np.histogram(predicted[:, k], BINS, (0, 1))[0] for k in self._drawn])
        held = bins[bins > 0]
        few = f"{int((held < FEW_CASES).sum())} of the {len(held)} bins that hold any hold fewer than {FEW_CASES} cases"
        words = f"Cases by predicted probability. {few}: how often it is true there is known but roughly."
        head = ("label", *(f"{k / BINS:g} to {(k + 1) / BINS:g}" for k in range(BINS)))
        rows = [(self.names[k], *map(str, row)) for k, row in zip(self._drawn, bins, strict=True)]
        return Counts("Cases behind the calibration", words, head, list(rows))

    @property
    def _drawn(self) -> range:
        """The labels of which curves are drawn."""
        return range(len(self.labels))

    def evident(self, values: Sequence[float]) -> tuple[int, ...]:
        """Show where the predicted labels come from, the most probable first."""
        found = [self.names.index(name) for name in self.chosen(values)]
        return tuple(sorted(found, key=lambda k: -values[k])[:MOST_NAMED])

    def _words(self, predicted: Sequence[float]) -> str:
        """The labels that are predicted; "" of none, or where there is no prediction."""
        return " | ".join(self.chosen(predicted)) if np.isfinite(predicted).all() else ""

    def labels_table(self, found: Sequence[Finding]) -> tuple[Row, list[Row]]:
        """Count in how many cases each label occurs."""
        counts = [sum(k in self.occurring(finding) for finding in found) for k in range(len(self.labels))]
        every = max(len(found), 1)
        rows = [(name, str(n), f"{n / every:.0%}") for name, n in zip(self.names, counts, strict=True)]
        return ("class", "cases", "share"), list(rows)

    def occurring(self, finding: Finding) -> tuple[int, ...]:
        """List the labels of the case."""
        return tuple(self.names.index(name) for name in self.labels_of(finding.values))

    def in_words(self, finding: Finding) -> str:
        """Name the labels of the case."""
        return ", ".join(self.labels_of(finding.values)) or "none"

    def examples(self, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
        """Choose the first case of each class."""
        return one_of_each([self.in_words(finding) for finding in found], found)

    @property
    def outputs_in_words(self) -> str:
        """Name the classes that the logits belong to."""
        return f"It predicts logits ({self.squashing} makes them probabilities) of {', '.join(self.names)}."

    @property
    @abstractmethod
    def squashing(self) -> str:
        """The name of the function that turns logits into probabilities."""
