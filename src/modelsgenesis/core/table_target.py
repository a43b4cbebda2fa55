"""Targets whose truth and predictions are numbers of a case, in the rows of tables."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import members
from modelsgenesis.core.target import Geometry, Image, Row, Target, find_target

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """A table of counts on the page of an evaluation.

    Attributes:
        title: of its section.
        words: how to read it.
        head: the columns' names.
        rows: likewise as many.
    """

    title: str
    words: str
    head: Row
    rows: list[Row]


class TableTarget(Target):
    """A target whose truth and predictions are numbers of a case, in the rows of a table.

    Arrays of predictions are (N, value columns), arrays of truth (N, values) as `true_values` has them.
    """

    # The table of predictions.

    @property
    @abstractmethod
    def value_columns(self) -> tuple[str, ...]:
        """The columns of predictions.csv that hold the numbers of a prediction, in order."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of predictions.csv, after the case's id and image."""
        return self.value_columns

    @abstractmethod
    def row(self, values: NDArray[Any]) -> dict[str, str]:
        """A prediction as entries of `columns`."""

    @classmethod
    @abstractmethod
    def recognised(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """The columns of a table that are predictions of this kind, whoever made it; none if there are none."""

    @classmethod
    def names_of(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """The names of the labels that those columns are of."""
        return tuple(columns)

    def refusal(self, values: Sequence[float]) -> str:
        """Why finite numbers cannot be a prediction, in words; "" if they can."""
        return ""

    def gathered(self, parts: Iterator[Tensor], image: Image) -> Numbers:
        """Make a case's numbers of what a dense network predicts of each voxel.

        Args:
            parts: of a whole image, (num_outputs, n, Y, Z) in order along X.
            image: that they are of.
        """
        raise NotImplementedError(f"a {self.kind} is not dense")

    # Truth and scores.

    def of_network(self, predicted_columns: Sequence[str], network: "TableTarget | None") -> "TableTarget":
        """The target by whose labels predictions are compared with a truth of this one.

        Args:
            predicted_columns: that were recognised in the table of predictions.
            network: the target of the network, if that is known.
        Raises:
            DataError: the truth has labels that the predictions do not know.
        """
        return self

    def with_positive(self, name: str) -> "TableTarget":
        """The same target, of which this label is the positive one of two.

        Raises:
            DataError: it has no two classes of which one is positive, or none of that name.
        """
        raise DataError(f"--positive names one of two classes, and this is a {self.kind} of {', '.join(self.names)}")

    def true_values(self, values: Sequence[float], of_case: "TableTarget") -> tuple[float, ...]:
        """A case's truth in the order of this target's labels.

        Args:
            values: of the case.
            of_case: the target they are of, whose labels this one knows.
        """
        return tuple(values[of_case.names.index(name)] for name in self.names)

    @abstractmethod
    def scores(self, predicted: Numbers, truth: Numbers) -> dict[str, dict[str, float]]:
        """The scores of all labels together, if there are such, then of each label: {label: {metric: value}}."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics in `scores`."""

    @property
    @abstractmethod
    def headline(self) -> tuple[str, tuple[str, ...], str]:
        """The label and its metrics that are named first, and words that name the label, if need be."""

    def suspicion(self, predicted: Numbers, truth: Numbers) -> tuple[Numbers, Numbers] | None:
        """Choose (N, K) p and truth of findings that any case of a patient may show; None if there are none."""
        return None

    @abstractmethod
    def errors(self, predicted: Numbers, truth: Numbers) -> Numbers:
        """Compute how wrong each prediction is, (N,), to order cases by."""

    # The page.

    @abstractmethod
    def case_row(self, predicted: Sequence[float], true: Sequence[float]) -> dict[str, Any]:
        """List the true and the predicted values of a case, as columns of cases.csv.

        Args:
            predicted: the numbers; NaN where there is no prediction.
            true: from `true_values`.
        """

    @abstractmethod
    def true_words(self, true: Sequence[float]) -> str:
        """Describe the true values of a case, in words."""

    @abstractmethod
    def predicted_words(self, predicted: Sequence[float]) -> str:
        """Describe the prediction for a case, in a few words."""

    @abstractmethod
    def verdict(self, predicted: Sequence[float], true: Sequence[float]) -> str:
        """Describe the true and the predicted values in a line."""

    @abstractmethod
    def curves(self, path: Path, predicted: Numbers, truth: Numbers) -> tuple[Path, str]:
        """Draw how predictions lie to the truth, as a PNG; its place, and what it shows in words."""

    def counts(self, predicted: Numbers, truth: Numbers) -> list[Counts]:
        """Count cases: how often what is true was predicted as what, and how many a curve's points are of."""
        return []

    @abstractmethod
    def rules(self) -> tuple[str, ...]:
        """Explain how to read the scores, in sentences."""

    def evident(self, values: Sequence[float]) -> tuple[int, ...]:
        """The outputs, by their numbers from 0, of which a picture shows where they come from; by default none."""
        return ()

    def marks(self, values: Sequence[float], geometry: Geometry) -> NDArray[np.uint8] | None:
        """Draw the numbers on their scan for `figures.overlay`, on the file's grid in LPS; None draws nothing."""
        return None


def recognise(columns: Sequence[str]) -> type[TableTarget] | None:
    """The first kind of task, by name, whose predictions a table's columns are; None if they are of none."""
    for name in members("targets"):
        kind = find_target(name)
        if issubclass(kind, TableTarget) and kind.recognised(columns):
            return kind
    return None
