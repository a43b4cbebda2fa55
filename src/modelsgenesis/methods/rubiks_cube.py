"""Rubik's cube: the network predicts how the eight cells of a cube were shuffled and turned."""

import functools
import itertools
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.learner import Batch, Learner, Sample
from modelsgenesis.methods.base.cells import check_cells, check_gap, corners, cut_cell, fitted
from modelsgenesis.methods.base.pretext_task import mark, summarise_cells, train_encoder_only

PLANES = ((0, 1), (1, 2))  # of the half turns: about Z and, in 3D, about X


class RubiksCube(Learner):
    """Tell in which order a cube's cells are, and which of them were turned; the encoder alone is trained.

    The first published form, without masking: 2 x 2 x 2 cells (2 x 2 in 2D) with a gap between them pass the same
    encoder one by one; from all their features together one layer predicts the order, of `num_orders` that differ much,
    and another for each cell and axis whether it got a half turn, which any cell survives in shape.

    Args:
        backbone: whose encoder is trained.
        num_orders: to choose from, 2 or more; of four cells there are 24 at most.
        gap: part of half a cube's side that lies between cells, on the average, in [0, 1).
        weight: of the order in the loss, in [0, 1]; the rest is the turns'.
    Raises:
        GenesisError: a number that makes no sense.
    Source: Zhuang et al. 2019, "Self-supervised feature learning for 3D medical images by playing a Rubik's cube".
    """

    aim = "tell how cells of images were ordered and turned"
    paper = (
        "Zhuang et al., Self-supervised Feature Learning for 3D Medical Images by Playing a Rubik's Cube, "
        "MICCAI 2019, arXiv:1910.02241"
    )

    def __init__(self, backbone: Backbone, *, num_orders: int = 100, gap: float = 0.125, weight: float = 0.5) -> None:
        super().__init__()
        check_gap(gap)
        if num_orders < 2 or not 0 <= weight <= 1:
            raise GenesisError(f"num_orders must be 2 or more and weight in [0, 1], got {num_orders} and {weight}")
        self.backbone, self.gap, self.weight = backbone, gap, weight
        train_encoder_only(backbone)
        self.corners, self.planes = corners(backbone.axes), PLANES[: backbone.axes - 1]
        self.orders = distant_orders(len(self.corners), num_orders)
        features = len(self.corners) * backbone.channels[-1]
        self.tell_order = nn.Linear(features, len(self.orders))
        self.tell_turns = nn.Linear(features, len(self.corners) * len(self.planes))

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse images whose cells are too small for the network.

        Raises:
            ShapeError: they are.
        """
        check_cells(size, self.gap, self.backbone.stride)

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Cut an image into cells, shuffled and turned.

        Args:
            sample: "image", float32 (C, *space) in [0, 1].
            rng: the sample's own generator.
        Returns:
            "cells", float32 (cells, C, *sides), in the order they were put into; "order", int64 (1,), its number;
            "turned", float32 (cells, planes), 1 where the cell at that place got a half turn in that plane.
        """
        number = int(rng.integers(len(self.orders)))
        turned = rng.integers(2, size=(len(self.corners), len(self.planes)))
        shifts = rng.random((len(self.corners), self.backbone.axes))
        cells = []
        for place, turns in zip(self.orders[number], turned, strict=True):
            cell = cut_cell(sample["image"], self.corners[place], self.gap, shifts[place])
            cells.append(fitted(half_turned(cell, self.planes, turns), self.backbone.stride))
        return {"cells": np.stack(cells), "order": np.array([number]), "turned": turned.astype(np.float32)}

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Return the cross-entropy of the order and the binary cross-entropy of the turns.

        Returns:
            "total", both weighed; "order" and "turns", each; of the order "accuracy" and its "chance"; of the turns
            "turn_accuracy", of which guessing gets a half.
        """
        orders, turns = self._logits(batch)
        marked = mark(orders, batch["order"][:, 0])
        order = marked["total"]
        turn = functional.binary_cross_entropy_with_logits(turns.float(), batch["turned"])
        right = (turns > 0) == (batch["turned"] > 0)
        total = self.weight * order + (1 - self.weight) * turn
        parts = {"order": order.detach(), "turns": turn.detach(), "turn_accuracy": right.float().mean()}
        return {**marked, "total": total, **parts}

    def predict(self, batch: Batch) -> Tensor:
        """The probability of each order, (B, orders)."""
        return self._logits(batch)[0].softmax(dim=1)

    def _logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits of the orders, (B, orders), and of the turns, (B, cells, planes)."""
        features = summarise_cells(self.backbone, batch["cells"])
        turns: Tensor = self.tell_turns(features)
        return self.tell_order(features), turns.view(-1, len(self.corners), len(self.planes))


def half_turned(cell: Any, planes: tuple[tuple[int, int], ...], turns: Any) -> Any:
    """A cell, (C, *space), after a half turn in each plane that is marked; twice is not at all."""
    for (first, second), is_turned in zip(planes, turns, strict=True):
        if is_turned:
            cell = np.flip(cell, (first + 1, second + 1))
    return cell


@functools.cache
def distant_orders(num_cells: int, num: int) -> tuple[tuple[int, ...], ...]:
    """Choose orders of cells that differ in as many places as can be, one after another, the first as it is.

    Args:
        num_cells: to be ordered.
        num: how many orders; all there are if that is fewer.
    Source: the greedy choice by Hamming distance of Noroozi and Favaro 2016.
    Example: >>> distant_orders(4, 3)
    ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1))
    """
    every = np.array(list(itertools.permutations(range(num_cells))))  # (cells!, cells)
    chosen = [0]
    distance = (every != every[0]).sum(axis=1)  # of each to the nearest chosen one
    while len(chosen) < min(num, len(every)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, (every != every[chosen[-1]]).sum(axis=1))
    return tuple(tuple(order) for order in every[chosen].tolist())
