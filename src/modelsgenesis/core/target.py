"""What a target task asks of a network, as data: it travels in the header of the fine-tuned weights."""

from dataclasses import dataclass
from typing import Literal

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit

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
        DataError: no label, or two of one name; or of segmentation two whose masks' files would have one name.
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
        files: dict[str, str] = {}
        for name in names if self.kind == "segmentation" else ():
            other = files.setdefault(fit(name).casefold(), name)
            if other != name:
                raise DataError(f"the files of the labels {other!r} and {name!r} would have one name; rename one")

    @property
    def names(self) -> tuple[str, ...]:
        """The labels' names."""
        return tuple(label.name for label in self.labels)

    @property
    def num_outputs(self) -> int:
        """Channels of the network's answer; the first is the background where labels exclude each other."""
        return len(self.labels) + (self.kind == "segmentation" and self.exclusive)
