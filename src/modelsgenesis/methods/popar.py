"""POPAR: the network restores a view and tells the order of its cells."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.learner import Batch, Learner, Sample
from modelsgenesis.deformations import genesis
from modelsgenesis.methods.base.cell_grid import CellGrid
from modelsgenesis.methods.base.pretext_task import train_encoder_only


class POPAR(Learner):
    """Restore what was deformed or put out of order, and tell where each cell belongs; the encoder alone is trained.

    A view is either deformed, its cells in their places, or clean, its cells in a random order. Written for any number
    of axes and any backbone whose deepest feature has at least a position for each cell.

    Args:
        backbone: whose encoder is trained.
        size: of the images in voxels; a recipe gives that of its cubes.
        cell: side of a cell in voxels; by default that of one position of the network's deepest feature.
        spare: how many cells longer the images are than the views, which are cut at random within them.
        p_shuffled: how often the cells are put out of order, rather than deformed.
        p_local_shuffling: how often a deformed view's pixels are shuffled.
        weight_order, weight_restoration: of the two losses.
    Raises:
        GenesisError: a number that makes no sense.
        ShapeError: the images hold no such cells, or the network has fewer positions.
    Source: Pang et al. 2022, POPAR: patch order prediction and appearance recovery.
    """

    aim = "order the cells of images and restore them"
    paper = "Pang et al., POPAR: Patch Order Prediction and Appearance Recovery, DART 2022"
    restores = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        size: tuple[int, ...],
        cell: int | None = None,
        spare: int = 0,
        p_shuffled: float = 0.5,
        p_local_shuffling: float = 1.0,
        weight_order: float = 0.5,
        weight_restoration: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 <= p_shuffled <= 1:
            raise GenesisError(f"p_shuffled is a probability in [0, 1], got {p_shuffled}")
        self.backbone, self.grid, self.p_shuffled = backbone, self.grid_of(backbone, size, cell, spare), p_shuffled
        self.weight_order, self.weight_restoration = weight_order, weight_restoration
        self.deformation = genesis(p_local_shuffling=p_local_shuffling)
        train_encoder_only(backbone)
        cells, width = int(np.prod(self.grid.cells)), backbone.channels[-1]
        self.tell = nn.Linear(width, cells)
        self.paint = nn.Linear(width, backbone.in_channels * self.grid.cell ** len(size))

    @classmethod
    def grid_of(
        cls, backbone: Backbone, size: tuple[int, ...], cell: int | None = None, spare: int | None = None
    ) -> CellGrid:
        """The cells of images of a size; by default as large as one position of the deepest feature, and none to spare.

        Args:
            backbone: that is trained.
            size: sides of the images in voxels.
            cell: its side in voxels.
            spare: how many cells longer the images are than a view.
        Raises:
            ShapeError: sides that are no whole number of cells, or too few for a view.
        """
        return CellGrid(tuple(size), deepest_step(backbone) if cell is None else cell, spare or 0)

    @classmethod
    def view_size(cls, backbone: Backbone, size: tuple[int, ...], **settings: Any) -> tuple[int, ...]:
        """The sides of a view."""
        return cls.grid_of(backbone, size, settings.get("cell"), settings.get("spare")).view_size

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse views that the network cannot take, or whose cells are finer than its deepest feature.

        Raises:
            ShapeError: as said.
        """
        positions = deepest_size(self.backbone, self.grid.view_size)
        if any(there % number for there, number in zip(positions, self.grid.cells, strict=True)):
            raise ShapeError(
                f"a view of {self.grid.view_size} has {self.grid.cells} cells, but the network's deepest feature has "
                f"{positions} positions; use larger cells, or a network that shrinks less"
            )

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> what the network sees, and what it should tell.

        Returns:
            "deformed" and "original", float32 (C, *view_size) in [0, 1]; "order", int64 (cells,), the number of the
            cell that each place shows; "shuffled", bool (1,).
        """
        original = self.grid.cut(sample["image"], self._offset(rng))
        return {"original": original, **self._disturbed(original, rng)}

    def _offset(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(self.grid.spare + 1, size=len(self.grid.cells))

    def _disturbed(self, original: np.ndarray, rng: np.random.Generator) -> Sample:
        """A view either with its cells out of order or deformed, and the order of its cells."""
        order = np.arange(self.tell.out_features)
        is_shuffled = bool(rng.random() < self.p_shuffled)
        if is_shuffled:
            order = rng.permutation(order)
            deformed = self.grid.reordered(original, order)
        else:
            deformed = self.deformation(original, rng)
        return {"deformed": deformed, "order": order, "shuffled": np.array([is_shuffled])}

    def losses(self, batch: Batch, progress: float) -> Batch:
        """The cross-entropy of the order and the squared error of the restoration, and what they are held against.

        Returns:
            "total"; "order" and "restoration"; "order_accuracy" of views out of order, and the "chance" of guessing;
            "identity_baseline" and "mean_baseline", the errors of the deformed view and of one grey value.
        """
        return self._marked(self.tokens(batch["deformed"]), batch)

    def _marked(self, tokens: Tensor, batch: Batch) -> Batch:
        logits, original = self.tell(tokens).float(), batch["original"]
        restored = self._painted(tokens).float()
        order = functional.cross_entropy(logits.flatten(0, 1), batch["order"].flatten())
        restoration = (restored - original).square().mean()
        grey = original.mean(dim=tuple(range(1, original.dim())), keepdim=True)
        right = (logits.argmax(dim=2) == batch["order"]).float() * batch["shuffled"]
        return {
            "total": self.weight_order * order + self.weight_restoration * restoration,
            "order": order.detach(),
            "restoration": restoration.detach(),
            "order_accuracy": right.sum() / (batch["shuffled"].sum() * logits.shape[1]).clamp_min(1),
            "chance": torch.full((), 1 / logits.shape[2], device=logits.device),
            "identity_baseline": (batch["deformed"] - original).square().mean(),
            "mean_baseline": (grey - original).square().mean(),
        }

    def tokens(self, views: Tensor) -> Tensor:
        """One vector a cell, the mean of the deepest feature over it: (B, C, *view_size) -> (B, cells, channels)."""
        return cell_means(self.backbone, views, self.grid.cells)

    def predict(self, batch: Batch) -> Tensor:
        """The restored views, (B, C, *view_size)."""
        return self._painted(self.tokens(batch["deformed"]))

    def _painted(self, tokens: Tensor) -> Tensor:
        """Each place's vector made a cell of the image: (B, cells, channels) -> (B, C, *view_size)."""
        axes, cell = len(self.grid.cells), self.grid.cell
        x = self.paint(tokens).reshape(len(tokens), *self.grid.cells, self.backbone.in_channels, *(cell,) * axes)
        order = [0, axes + 1]
        for axis in range(axes):
            order += [1 + axis, axes + 2 + axis]
        view: Tensor = x.permute(order).reshape(len(tokens), self.backbone.in_channels, *self.grid.view_size)
        return view


def deepest_size(backbone: Backbone, size: tuple[int, ...]) -> tuple[int, ...]:
    """How many positions the deepest feature has along each axis.

    Args:
        backbone: whose encoder is asked; its running statistics stay.
        size: of an image in voxels.
    Raises:
        ShapeError: the network cannot take such an image.
    """
    shape, learning = (1, backbone.in_channels, *size), backbone.training
    backbone.check(shape)
    with torch.no_grad():
        deepest = backbone.eval().encode(torch.zeros(shape))[-1]
    backbone.train(learning)
    return tuple(deepest.shape[2:])


def deepest_step(backbone: Backbone) -> int:
    """The side in voxels of the smallest cell that holds whole positions of the deepest feature along every axis.

    Args:
        backbone: whose encoder is asked.
    """
    size = tuple(2 * step for step in backbone.stride)  # of a single position an instance norm has no deviation
    positions = deepest_size(backbone, size)
    return math.lcm(*(side // number for side, number in zip(size, positions, strict=True)))


def cell_means(backbone: Backbone, views: Tensor, cells: tuple[int, ...]) -> Tensor:
    """The deepest feature's mean over each cell, in raster order: (B, C, *space) -> (B, cells, channels).

    Args:
        backbone: whose encoder is used.
        views: the images.
        cells: along each axis.
    """
    deepest = backbone.encode(views)[-1]
    if deepest.shape[2:] != cells:
        deepest = functional.interpolate(deepest, size=cells, mode="area")
    return deepest.flatten(2).transpose(1, 2)
