"""Relative position: the network predicts where one cell of a cube lies, seen from another."""

import itertools

import numpy as np
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.learner import Batch, Learner, Sample
from modelsgenesis.methods.base.cells import check_cells, check_gap, cut_cell, fitted
from modelsgenesis.methods.base.pretext_task import mark, summarise_cells, train_encoder_only


class RelativePosition(Learner):
    """Tell which of its 26 neighbours (8 in 2D) a cell's companion is; the encoder alone is trained.

    The cells are two of the cube's 2 x 2 x 2, which among them lie in all 26 directions. The published grid of
    3 x 3 x 3 with the first cell in its middle has cells a third of the size, which is too small for usual cubes.

    Args:
        backbone: whose encoder is trained.
        gap: part of half a cube's side that lies between cells, on the average, in [0, 1).
        hidden: neurons of the layer that sees both cells, before the logits.
    Raises:
        GenesisError: a number that makes no sense.
    Source: Doersch et al. 2015; in 3D Taleb et al. 2020, "3D self-supervised methods for medical imaging".
    """

    aim = "tell where one part of an image lies from another"
    paper = (
        "Doersch et al., Unsupervised Visual Representation Learning by Context Prediction, ICCV 2015, arXiv:1505.05192"
    )

    def __init__(self, backbone: Backbone, *, gap: float = 0.125, hidden: int = 128) -> None:
        super().__init__()
        check_gap(gap)
        if hidden < 1:
            raise GenesisError(f"hidden must be 1 or more, got {hidden}")
        self.backbone, self.gap = backbone, gap
        train_encoder_only(backbone)
        self.directions = directions(backbone.axes)
        self.tell = nn.Sequential(
            nn.Linear(2 * backbone.channels[-1], hidden), nn.ReLU(), nn.Linear(hidden, len(self.directions))
        )

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse images whose cells are too small for the network.

        Raises:
            ShapeError: they are.
        """
        check_cells(size, self.gap, self.backbone.stride)

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> {"cells", float32 (2, C, *sides), "direction", int64 (1,), its number among `directions`}."""
        number, axes = int(rng.integers(len(self.directions))), self.backbone.axes
        either, shifts = rng.integers(2, size=axes), rng.random((2, axes))
        # Along an axis the first cell is low if the second lies higher, high if lower, either if they lie level.
        steps = self.directions[number]
        first = tuple(int(e) if step == 0 else int(step < 0) for step, e in zip(steps, either, strict=True))
        second = tuple(place + step for place, step in zip(first, steps, strict=True))
        cells = [
            fitted(cut_cell(sample["image"], corner, self.gap, shift), self.backbone.stride)
            for corner, shift in zip((first, second), shifts, strict=True)
        ]
        return {"cells": np.stack(cells), "direction": np.array([number])}

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Return the cross-entropy as "total", with "accuracy" and the "chance" of guessing."""
        return mark(self._logits(batch), batch["direction"][:, 0])

    def predict(self, batch: Batch) -> Tensor:
        """The probability of each direction, (B, directions)."""
        return self._logits(batch).softmax(dim=1)

    def _logits(self, batch: Batch) -> Tensor:
        logits: Tensor = self.tell(summarise_cells(self.backbone, batch["cells"]))
        return logits


def directions(axes: int) -> tuple[tuple[int, ...], ...]:
    """The ways from one cell to another: -1, 0 or 1 on every axis, but not 0 on all."""
    return tuple(steps for steps in itertools.product((-1, 0, 1), repeat=axes) if any(steps))
