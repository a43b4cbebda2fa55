"""What fine-tuned networks say of one case when they are shown its patches and mirror images."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from modelsgenesis.choosing.strategy import Answers
from modelsgenesis.core.device import Machine
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_unlabelled
from modelsgenesis.data.images import Image
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.regions import overlap
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.finetuned_networks import FineTuned
from modelsgenesis.inference.reading_ahead import read_ahead
from modelsgenesis.inference.sliding_window import cut_window, num_together
from modelsgenesis.inference.windows import Place, Windows
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification

SHIFT = 16  # a patch that is the whole case is also shown moved by one over so many of its side, to every corner


class Asked:
    """Fine-tuned networks that are asked of cases, patch by patch.

    Args:
        tuned: the networks.
        machine: to compute on.
        batch_size: windows at a time; None is as many as make up a million voxels.
    Raises:
        DataError: they predict numbers or points, of which nothing says how sure they are.
    """

    def __init__(self, tuned: FineTuned, machine: Machine, batch_size: int | None = None) -> None:
        target = tuned.target
        if not isinstance(target, (MaskTarget, Classification, MultilabelClassification)):
            raise DataError(
                f"a {target.kind} gives no probabilities, so nothing says how sure it is; choose by typiclust"
            )
        if isinstance(target, MaskTarget) and not tuned.mirror:
            raise DataError(
                "the networks were trained without mirrored patches, so that a voxel has but one answer; "
                "choose by typiclust or k-centre"
            )
        self.tuned, self.batch_size = tuned, batch_size
        self.ensemble = Ensemble(tuned.load(), target, machine)
        self.flips = [
            axes for count in range(len(tuned.mirror) + 1) for axes in itertools.combinations(tuned.mirror, count)
        ]

    def each(
        self, cases: Sequence[Case], root: Path, tell: Callable[[Problem], None]
    ) -> Iterator[tuple[str, Iterator[Answers]]]:
        """Yield the id of each case that can be read, and what is said of it.

        Args:
            cases: to ask about.
            root: of the scans, for messages.
            tell: takes the problem of a case that cannot be read.
        """
        read = functools.partial(
            read_unlabelled, reading=self.tuned.reading, axes=len(self.tuned.patch), channels=self.tuned.channels,
            root=root,
        )  # fmt: skip
        for case, seen in read_ahead(cases, read, lambda problem: None):
            if isinstance(seen, Problem):
                tell(seen)
            else:
                yield case.id, self.of(seen)

    def of(self, image: Image) -> Iterator[Answers]:
        """Yield what is said of an image: of a mask window by window, of classes all patches together."""
        windows = Windows(image.size, self.tuned.patch, 0.0 if self.tuned.target.dense else 0.5)
        batches = self._batches(image, windows)
        if self.tuned.target.dense:
            for places, batch in batches:
                views = torch.stack([self._unmirrored(batch, axes) for axes in self.flips])  # (V, B, K, *patch)
                for place, of_window in zip(places, views.unbind(1), strict=True):
                    inside = _inside(windows, place)
                    kept = of_window[(slice(None), slice(None), *inside)].flatten(2)
                    yield Answers(_distributions(kept, self.tuned.target), same_places=True)
            return
        shown = [batch for _, batch in batches]
        if len(windows.places) == 1:
            shown = [torch.cat([shown[0], *(_moved(shown[0], by) for by in _corners(self.tuned.patch))])]
        views = torch.cat([self._predicted(batch, axes) for batch in shown for axes in self.flips])  # (patches, K)
        yield Answers(_distributions(views[:, :, None], self.tuned.target))

    def _batches(self, image: Image, windows: Windows) -> Iterator[tuple[list[Place], Tensor]]:
        together = num_together(windows.patch, self.batch_size)
        for first in range(0, len(windows.places), together):
            places = windows.places[first : first + together]
            yield places, torch.from_numpy(np.stack([cut_window(image, windows, place) for place in places]))

    def _predicted(self, batch: Tensor, axes: Sequence[int]) -> Tensor:
        return self.ensemble(batch.flip([axis + 2 for axis in axes]) if axes else batch).float().cpu()

    def _unmirrored(self, batch: Tensor, axes: Sequence[int]) -> Tensor:
        predicted = self._predicted(batch, axes)
        return predicted.flip([axis + 2 for axis in axes]) if axes else predicted


def _distributions(p: Tensor, target: Target) -> np.ndarray:
    """Probabilities that sum to 1, (answers, outputs, places) -> (answers, classes, places), in 64 bits."""
    found = p.double().numpy()
    exclusive = (
        target.label_map.has_background if isinstance(target, MaskTarget) else isinstance(target, Classification)
    )
    if exclusive:
        return found
    there = found.reshape(len(found), 1, -1)  # each label at each place by itself
    return np.concatenate([there, 1 - there], axis=1)


def _inside(windows: Windows, place: Place) -> tuple[slice, ...]:
    """Where a window lies within the image, and not in its padding."""
    lower = [at - before for at, before in zip(place, windows.before, strict=True)]
    return tuple(overlap(windows.size, lower, windows.patch)[1])


def _corners(patch: Place) -> list[Place]:
    return list(itertools.product(*((-max(1, side // SHIFT), max(1, side // SHIFT)) for side in patch)))


def _moved(batch: Tensor, by: Place) -> Tensor:
    """Windows moved by so many voxels along each axis of space; what comes in is 0."""
    moved = torch.zeros_like(batch)
    to = tuple(slice(max(0, step), min(0, step) or None) for step in by)
    from_ = tuple(slice(max(0, -step), min(0, -step) or None) for step in by)
    moved[(..., *to)] = batch[(..., *from_)]
    return moved
