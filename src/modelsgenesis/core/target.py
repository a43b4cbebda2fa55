"""The interface of a kind of task, from labels to page, for fine-tuning, prediction and evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label, LabelMap
from modelsgenesis.core.learner import Group, Learner, Sample
from modelsgenesis.core.naming import find_class

Kind = str  # the value of --kind: the name of a file in targets/, or package.module:Class
Row = tuple[str, ...]  # of a table of an inspection

# What a target is handed of the rooms above this one, whose types cannot be named here: a data.case.Case, a
# data.images.Image with its Reading, a data.volume.Geometry, and a finding of tasks.findings.
Case = Any
Image = Any
Reading = Any
Geometry = Any
Finding = Any


class Views(Protocol):
    """Makes of a training sample what the network sees of it."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image", and "mask" or "values"} of a reach -> the same, of the network's size."""


class LayerRates(Protocol):
    """The learning rate of each part of a network."""

    def groups(self, parts: Sequence[tuple[Part, nn.Module]]) -> list[Group]:
        """Divide the parameters of a network's parts into groups."""

    def freeze(self, parts: Sequence[tuple[Part, nn.Module]]) -> list[nn.Module]:
        """Freeze the parts that never change, and return them."""


@dataclass(frozen=True)
class LearnerSettings:
    """The arguments from which a target makes its learner, beside the network.

    Attributes:
        values: of the training cases, as their `Case` has them.
        views: of a training sample.
        layer_rates: how fast each part learns.
    """

    values: Sequence[Sequence[float]]
    views: Views
    layer_rates: LayerRates


@dataclass(frozen=True)
class Target(ABC):
    """What a network predicts, as data: it travels in the header of the fine-tuned weights.

    A leaf is a frozen dataclass in a file of its own in targets/, and a `MaskTarget` or a `TableTarget`.

    Args:
        labels: classes, numbers or points; of a segmentation, without the background.
    Raises:
        DataError: no label, or two of one name.

    Attributes:
        kind: what the user calls it, as in --kind.
        noun: what its labels are, in the plural.
        labels_per_case: how many labels a case has, in words.
        metric: by which a benchmark compares, unless another is given.
        overlap: of neighbouring windows, as a share of a window's side.
        dense: whether the network predicts something for each voxel; otherwise once for a whole image.
        pipeline: what Hugging Face calls it, or "".
        column: the head of a case's labels in the table of an inspection.
        remark: what that table adds after the labels' names.
    """

    labels: tuple[Label, ...]

    kind: ClassVar[str]
    noun: ClassVar[str]
    labels_per_case: ClassVar[str]
    metric: ClassVar[str]
    overlap: ClassVar[float]
    dense: ClassVar[bool]
    pipeline: ClassVar[str] = ""
    column: ClassVar[str]
    remark: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not self.labels:
            raise DataError(f"a {self.kind} task needs at least one label")
        if len(set(self.names)) < len(self.names):
            raise DataError(f"two labels have one name: {', '.join(self.names)}; rename one")

    @property
    def names(self) -> tuple[str, ...]:
        """The labels' names."""
        return tuple(label.name for label in self.labels)

    # What is trained.

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """Channels of the network's prediction."""

    @property
    def voxel_labels(self) -> LabelMap | None:
        """How the labels that a dense network learns lie on its grid; None of a target that is not dense."""
        return None

    def read_voxels(self, case: Case, image: Image, reading: Reading) -> NDArray[np.uint8]:
        """Read or draw what a dense network learns of a case, uint8 (channels, *space) on the grid of its image.

        Args:
            case: labelled.
            image: of the case.
            reading: that the image was read with.
        Raises:
            UnreadableError: the labels cannot be read, or do not fit the image.
        """
        raise NotImplementedError(f"a {self.kind} has no labels on a grid")

    @abstractmethod
    def network(self, backbone: Backbone, *, hidden: int) -> nn.Module:
        """The network that is trained and kept.

        Args:
            backbone: with `num_outputs` channels if the target is dense, else with any.
            hidden: neurons of a dense head's hidden layer, if it has one.
        """

    @abstractmethod
    def learner(self, network: nn.Module, settings: LearnerSettings) -> Learner:
        """The learner that trains that network.

        Raises:
            ShapeError: the network has another number of outputs.
            DataError: the training cases lack examples with or without a label.
        """

    @abstractmethod
    def predicted(self, outputs: Tensor) -> Tensor:
        """Make probabilities or numbers of a network's outputs; both are float (B, num_outputs[, *space])."""

    # What is written of predictions.

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns of predictions.csv, after the case's id and image."""

    @property
    def failed_row(self) -> dict[str, str]:
        """The entries of a case that could not be predicted; none where it has no row."""
        return {}

    # Which cases are alike, when they are divided.

    def stratum(self, values: Sequence[float]) -> tuple[float, ...]:
        """The group of cases, by their values, that is drawn in its own proportion; by default all are one."""
        return ()

    def each_once(self, values: Sequence[float]) -> tuple[int, ...]:
        """The labels of a case, from 0, of which each is wanted among the first that are drawn; by default none."""
        return ()

    # Tables of labels.

    @classmethod
    def own_columns(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """The columns of a table that hold labels of this kind in a layout of its own; none where it has no such."""
        return ()

    @classmethod
    def read_entries(
        cls, rows: Sequence[Sequence[str]], columns: Sequence[str], place: Path
    ) -> tuple[Self, list[tuple[float, ...] | None]]:
        """Read the target, and the values of each row, from those columns.

        Args:
            rows: the entries.
            columns: the columns' names, from `own_columns`.
            place: of the table, for messages.
        Returns:
            The target; and of each row the values as a Case has them, None where it has no label.
        Raises:
            DataError: an entry cannot be understood.
        """
        raise NotImplementedError(f"{cls.__name__} has no columns of its own")

    @property
    @abstractmethod
    def label_columns(self) -> tuple[str, ...]:
        """The columns in which a table holds what is known of a case."""

    @abstractmethod
    def label_entries(self, values: Sequence[float]) -> tuple[str, ...]:
        """Write the values of a case into those columns; the caller knows the files of masks."""

    # What an inspection shows.

    @abstractmethod
    def occurring(self, finding: Finding) -> tuple[int, ...]:
        """The labels that a case has, by their numbers from 0."""

    @abstractmethod
    def labels_table(self, found: Sequence[Finding]) -> tuple[Row, list[Row]]:
        """The head and the rows of a table of the labels over all cases."""

    @abstractmethod
    def in_words(self, finding: Finding) -> str:
        """Describe the labels of a case in words."""

    @abstractmethod
    def examples(self, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
        """The few cases that are best looked at, each with the reason and its labels in words."""

    def examine(self, case: Case, geometry: Geometry) -> tuple[int, ...]:
        """Read what is labelled in a case; how many voxels each label has, if its labels are masks.

        Raises:
            UnreadableError: the labels cannot be read, or do not fit the image.
        """
        return ()

    def pictured(self, case: Case, image: Image, reading: Reading) -> NDArray[np.uint8]:
        """Draw the labels over an image, as `figures.overlay` takes them; by default nothing is drawn."""
        return np.zeros((1, *image.size), np.uint8)

    # What a model card holds.

    @property
    @abstractmethod
    def outputs_in_words(self) -> str:
        """What the network predicts, in a sentence."""


def find_target(kind: Kind) -> type[Target]:
    """Find a kind of task by the name of its file in targets/, or by `package.module:Class` from outside.

    Raises:
        GenesisError: there is none of that name; the message lists those there are.
    """
    return find_class("targets", kind, Target)


def make_target(kind: Kind, labels: Sequence[Label]) -> Any:
    """Make a target of a kind; annotate what it is, where that matters.

    Args:
        kind: as of `find_target`.
        labels: of the target.
    """
    return find_target(kind)(tuple(labels))
