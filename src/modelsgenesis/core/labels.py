"""What labels are called, and how they lie on a grid of voxels: one a voxel, or any number of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modelsgenesis.core.files import fit

# Okabe and Ito 2008: distinguished by the colour-blind; those that show best on grey first, black left out.
COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")

Share = Callable[[NDArray[Any]], NDArray[np.float32]]  # of a binary mask in each voxel of another grid


@dataclass(frozen=True)
class Label:
    """One class, number or point.

    Args:
        name: for people.
        values: that stand for it in a label map, or in the table; a region of several values may overlap another.
    """

    name: str
    values: tuple[int, ...] = ()


def colour(number: int) -> str:
    """The colour of a label by its number from 0, in pictures and files; beyond seven they come round again."""
    return COLOURS[number % len(COLOURS)]


@dataclass(frozen=True)
class LabelMap(ABC):
    """The layout of labels in an array of classes, uint8 (channels, *space), and in the files that hold them.

    Attributes:
        labels: without the background.
        has_background: whether a voxel has exactly one label or none, so that the background is an output of its own.
    """

    labels: tuple[Label, ...]
    has_background: ClassVar[bool]

    @property
    @abstractmethod
    def channels(self) -> int:
        """The number of channels of an array of classes."""

    @property
    @abstractmethod
    def greatest_class(self) -> int:
        """The greatest number that an array of classes holds."""

    @property
    @abstractmethod
    def one_file(self) -> bool:
        """Whether a case has one map of values; otherwise it has a binary mask for each label."""

    @abstractmethod
    def classes_of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn a map of the labels' own values into classes, (X, Y, Z) -> (channels, X, Y, Z)."""

    @abstractmethod
    def merged(self, masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Make classes of a binary mask for each label, (K, *space) -> (channels, *space)."""

    @abstractmethod
    def present(self, classes: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
        """Return where a label is, by its number from 0: (channels, *space) -> (*space)."""

    @abstractmethod
    def count(self, classes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Count the voxels of each label in classes or a part of them, (K,)."""

    @abstractmethod
    def resampled(self, classes: NDArray[np.uint8], share: Share) -> NDArray[np.uint8]:
        """Bring classes to another grid.

        Args:
            classes: (channels, *space).
            share: brings a binary mask there, as the share of each voxel that it fills.
        """

    @abstractmethod
    def decide(self, p: Tensor) -> Tensor:
        """Make classes of probabilities, (outputs, *space) -> uint8 (channels, *space)."""

    @abstractmethod
    def files(self, classes: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[Any]]]:
        """The arrays to write for classes, each with the ending of its file's name after the case's id."""


@dataclass(frozen=True)
class MulticlassMap(LabelMap):
    """A voxel has one label or none: classes are (1, *space), 0 the background and k + 1 the k-th label."""

    has_background = True
    channels = 1
    one_file = True

    @property
    def greatest_class(self) -> int:
        """The greatest class is the number of labels."""
        return len(self.labels)

    def classes_of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Look up the class of each value."""
        meant = {value: k + 1 for k, label in enumerate(self.labels) for value in label.values}
        return _looked_up(values, meant)[np.newaxis]

    def merged(self, masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay the masks on each other, the later label on top."""
        whole = np.zeros_like(masks[:1])
        for k, mask in enumerate(masks):
            whole[0][mask > 0] = k + 1
        return whole

    def present(self, classes: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
        """Return where the class is that of the label."""
        return np.asarray(classes[0] == label + 1)

    def count(self, classes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Count the voxels of each class but the background."""
        num = len(self.labels)
        return np.bincount(classes[0].ravel(order="K"), minlength=num + 1)[1 : num + 1]

    def resampled(self, classes: NDArray[np.uint8], share: Share) -> NDArray[np.uint8]:
        """Give each voxel the class of the greatest share; the lower class when two are equal."""
        greatest = share(classes[0] == 0)
        winner = np.zeros(greatest.shape, np.uint8)
        for found in np.flatnonzero(self.count(classes)) + 1:
            part = share(classes[0] == found)
            wins = part > greatest
            greatest[wins], winner[wins] = part[wins], found
        return winner[np.newaxis]

    def decide(self, p: Tensor) -> Tensor:
        """Take the most probable class, the first of several."""
        best, winner = p[0].clone(), torch.zeros(p.shape[1:], dtype=torch.uint8, device=p.device)
        for k in range(1, len(p)):  # seven times as fast as argmax, which gathers along the slowest axis
            winner.masked_fill_(p[k] > best, k)
            torch.maximum(best, p[k], out=best)
        return winner[None]

    def files(self, classes: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Return one map of the labels' own values, in the smallest type that holds them all."""
        values = [0, *(label.values[0] if label.values else k for k, label in enumerate(self.labels, start=1))]
        if values == list(range(len(values))):
            yield "", classes[0]
            return
        kinds = (np.uint8, np.uint16, np.int16, np.int32)
        kind = next(kind for kind in kinds if np.iinfo(kind).min <= min(values) and max(values) <= np.iinfo(kind).max)
        yield "", np.array(values, kind)[classes[0]]


@dataclass(frozen=True)
class MultilabelMap(LabelMap):
    """A voxel has any number of labels: classes are (K, *space) of 0 and 1."""

    has_background = False
    greatest_class = 1

    @property
    def channels(self) -> int:
        """One channel a label."""
        return len(self.labels)

    @property
    def one_file(self) -> bool:
        """Whether each label has values of its own in one map."""
        return all(label.values for label in self.labels)

    def classes_of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Look up the values of each label."""
        return np.stack([_looked_up(values, dict.fromkeys(label.values, 1)) for label in self.labels])

    def merged(self, masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the masks as they are."""
        return masks

    def present(self, classes: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
        """Return where the label's own channel is not 0."""
        return np.asarray(classes[label] > 0)

    def count(self, classes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Count the voxels that are not 0 in each channel."""
        return np.array([np.count_nonzero(channel) for channel in classes], np.int64)

    def resampled(self, classes: NDArray[np.uint8], share: Share) -> NDArray[np.uint8]:
        """Give each voxel the labels that fill half of it."""
        return np.stack([np.asarray(share(part) >= 0.5, np.uint8) for part in classes])

    def decide(self, p: Tensor) -> Tensor:
        """Take each label that is more probable than a half."""
        return (p > 0.5).to(torch.uint8)

    def files(self, classes: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Return one binary mask a label."""
        for label, mask in zip(self.labels, classes, strict=True):
            yield f"__{fit(label.name)}", mask


def planes_of(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The axial planes, in which volumes lie in memory as files have them: small pieces of what is large as int64."""
    return (values[..., place] for place in range(values.shape[-1]))


def _looked_up(values: NDArray[Any], meant: dict[int, int]) -> NDArray[np.uint8]:
    low, high = int(values.min()), int(values.max())
    table = np.array([meant.get(value, 0) for value in range(low, high + 1)], np.uint8)
    found = np.empty_like(values, np.uint8)
    for plane, classes in zip(planes_of(values), planes_of(found), strict=True):
        np.take(table, plane.astype(np.int64) - low, out=classes)
    return found
