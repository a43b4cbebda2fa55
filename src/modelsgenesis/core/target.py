"""What a target task asks of a network, as data: it travels in the header of the fine-tuned weights."""

from dataclasses import dataclass
from typing import Literal

from modelsgenesis.core.errors import DataError

Kind = Literal["segmentation", "classification", "regression"]


@dataclass(frozen=True)
class Label:
    """One class.

    Args:
        name: for people.
        values: that stand for it in a label map, or in the table; a region of several values may overlap another.
    """

    name: str
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Target:
    """What is asked.

    Args:
        kind: a mask, a class, or a number.
        labels: of segmentation, without the background; the classes, or the numbers' names, otherwise.
        exclusive: a voxel or scan has exactly one label (softmax); otherwise any number of them (sigmoid).
    Raises:
        DataError: no label, or two of one name.
    """

    kind: Kind
    labels: tuple[Label, ...]
    exclusive: bool = True

    def __post_init__(self) -> None:
        if not self.labels:
            raise DataError(f"a {self.kind} task needs at least one label")
        names = [label.name for label in self.labels]
        if len(set(names)) < len(names):
            raise DataError(f"two labels have one name: {', '.join(names)}; rename one")

    @property
    def names(self) -> tuple[str, ...]:
        """The labels' names."""
        return tuple(label.name for label in self.labels)

    @property
    def num_outputs(self) -> int:
        """Channels of the network's answer; the first is the background where labels exclude each other."""
        return len(self.labels) + (self.kind == "segmentation" and self.exclusive)
