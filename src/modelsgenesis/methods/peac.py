"""PEAC: POPAR's two tasks, and views of one anatomy that agree, as a whole and cell by cell."""

from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.learner import Batch, Sample
from modelsgenesis.methods.base.cell_grid import CellGrid
from modelsgenesis.methods.base.teacher import Teacher
from modelsgenesis.methods.popar import POPAR, cell_means, deepest_step

SPARED = 5  # cells of an image for each cell by which views may be shifted
Reduce = Literal["mean", "sum"]


class PEAC(POPAR):
    """Tell two views of an image apart from those of others, and match the cells that both show.

    A student sees one view disturbed and one clean, a teacher both; the student's vectors of one view must equal the
    teacher's of the other. Both views lie on one grid, so that each pair of cells is known exactly.

    Args:
        backbone: the student, whose encoder is trained; the teacher is a moving average of it.
        size: of the images in voxels.
        cell, p_shuffled, p_local_shuffling, weight_order, weight_restoration: as of POPAR.
        spare: how many cells longer the images are than a view; the views' offsets are drawn up to it. By default a
            fifth of the image's cells, 4 of 18 as published.
        weight_global: of the mean squared distance between whole views, vectors of length 1.
        weight_local: of that between cells.
        normalize_local: cells' vectors too have length 1.
        local_reduce: "mean" over the matched cells of the batch; "sum" over those of each view, as published.
        expander: channels of the three layers that whole views pass before they are compared.
        local_expander: likewise of cells.
        momentum: what stays of the teacher at the first step; it rises to 1.
        centred: vectors are compared without the mean of the batch's. As published they keep it; then one vector for
            all images agrees best, and small networks end there.
        swap_axes: pairs cells by offsets of which the axes are exchanged, as the released code does; 2D alone.
    Raises:
        GenesisError, ShapeError: as of POPAR.
    Source: Zhou et al. 2023, Learning anatomically consistent embedding for chest radiography.
    """

    aim = "order the cells of images, restore them, and know the same anatomy in two views"
    paper = (
        "Zhou, Luo et al., Learning Anatomically Consistent Embedding for Chest Radiography, BMVC 2023, "
        "arXiv:2312.00335"
    )

    def __init__(
        self,
        backbone: Backbone,
        *,
        size: tuple[int, ...],
        cell: int | None = None,
        spare: int | None = None,
        p_shuffled: float = 0.5,
        p_local_shuffling: float = 1.0,
        weight_order: float = 1.0,
        weight_restoration: float = 1.0,
        weight_global: float = 12.2,
        weight_local: float = 1.0,
        normalize_local: bool = True,
        local_reduce: Reduce = "mean",
        expander: int = 2048,
        local_expander: int = 512,
        momentum: float = 0.999,
        centred: bool = True,
        swap_axes: bool = False,
    ) -> None:
        grid = self.grid_of(backbone, size, cell, spare)
        super().__init__(
            backbone, size=size, cell=grid.cell, spare=grid.spare, p_shuffled=p_shuffled,
            p_local_shuffling=p_local_shuffling, weight_order=weight_order, weight_restoration=weight_restoration,
        )  # fmt: skip
        self.weight_global, self.weight_local, self.normalize_local = weight_global, weight_local, normalize_local
        self.local_reduce, self.swap_axes, self.centred = local_reduce, swap_axes, centred
        width = backbone.channels[-1]
        self.whole, self.local = expander_of(width, expander), expander_of(width, local_expander)
        self.teacher = Teacher(self._student(), momentum)

    @classmethod
    def grid_of(
        cls, backbone: Backbone, size: tuple[int, ...], cell: int | None = None, spare: int | None = None
    ) -> CellGrid:
        """As POPAR's; but by default a fifth of the cells along the shortest side are to spare, at least one."""
        cell = deepest_step(backbone) if cell is None else cell
        spare = max(1, round(min(size) / max(cell, 1) / SPARED)) if spare is None else spare
        return super().grid_of(backbone, size, cell, spare)

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> POPAR's view, and another of the same image.

        Returns:
            What POPAR gives; "second", float32 (C, *view_size); and "match", int64 (cells,), the number in the second
            view of each cell of the first, -1 of those that it does not show.
        """
        image, first, second = sample["image"], self._offset(rng), self._offset(rng)
        original = self.grid.cut(image, first)
        there = (first[::-1], second[::-1]) if self.swap_axes else (first, second)
        return {
            "original": original,
            **self._disturbed(original, rng),
            "second": self.grid.cut(image, second),
            "match": self.grid.matches(*there),
        }

    def losses(self, batch: Batch, progress: float) -> Batch:
        """POPAR's losses, and the distances between views.

        Returns:
            POPAR's, "total" being of all four losses; "global" and "local", mean squared distances; "spread", how far
            apart the teacher's vectors of whole views lie: near 0 they are almost one; "told_apart", the share of the
            views whose nearest among the batch's other views is that of the same image: by chance 1 / B.
        """
        first, second = self.tokens(batch["deformed"]), self.tokens(batch["second"])
        teacher = cast(nn.ModuleDict, self.teacher.network)
        of_teacher = cast(Backbone, teacher["backbone"])
        with torch.no_grad():
            taught = [cell_means(of_teacher, batch[name], self.grid.cells) for name in ("deformed", "second")]
            taught_whole = [self._directed(teacher["whole"](tokens.mean(dim=1))) for tokens in taught]
            answers = unit(teacher["whole"](taught[1].mean(dim=1)))
            taught_cells = [self._cells(teacher["local"], tokens) for tokens in taught]
        wholes = [self._directed(self.whole(tokens.mean(dim=1))) for tokens in (first, second)]
        cells = [self._cells(self.local, tokens) for tokens in (first, second)]
        apart = distance(wholes[0], taught_whole[1]) + distance(wholes[1], taught_whole[0])
        there = batch["match"].clamp_min(0)[..., None].expand_as(cells[0])
        counted = (batch["match"] >= 0) & ~batch["shuffled"]  # (B, cells)
        near = 0.5 * (
            self._between(cells[0], taught_cells[1].gather(1, there), counted)
            + self._between(cells[1].gather(1, there), taught_cells[0], counted)
        )
        marked = self._marked(first, batch)
        total = marked["total"] + self.weight_global * apart.mean() + self.weight_local * near
        spread = answers - answers.mean(dim=0)
        nearest = (wholes[0].detach() @ taught_whole[1].T).argmax(dim=1)
        parts = {
            "global": apart.mean().detach(),
            "local": near.detach(),
            "spread": spread.square().sum(dim=1).mean(),
            "told_apart": (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean(),
        }
        return {**marked, **parts, "total": total}

    def _cells(self, expander: nn.Module, tokens: Tensor) -> Tensor:
        """The cells' vectors that are compared, (B, cells, channels)."""
        vectors: Tensor = expander(tokens)
        return self._directed(vectors) if self.normalize_local else vectors.float()

    def _directed(self, vectors: Tensor) -> Tensor:
        """Vectors of length 1, of which the mean over all others is taken off before, if it is to be."""
        vectors = vectors.float()
        if self.centred:
            vectors = vectors - vectors.flatten(0, -2).mean(dim=0)
        return unit(vectors)

    def _between(self, first: Tensor, second: Tensor, counted: Tensor) -> Tensor:
        """The squared distances of matched cells, by `local_reduce`; 0 where there are none.

        Args:
            first: (B, cells, channels).
            second: of the same cells.
            counted: which cells are compared, bool (B, cells).
        """
        far = distance(first, second) * counted
        return far.sum() / (counted.sum().clamp_min(1) if self.local_reduce == "mean" else len(far))

    def begin_again(self) -> None:
        """The teacher is the student's copy once more."""
        self.teacher.network.load_state_dict(self._student().state_dict())

    def _student(self) -> nn.ModuleDict:
        return nn.ModuleDict({"backbone": self.backbone, "whole": self.whole, "local": self.local})

    def after_step(self, progress: float) -> None:
        """The teacher follows."""
        self.teacher.follow(self._student(), progress)


def expander_of(width: int, hidden: int) -> nn.Sequential:
    """Three layers that vectors pass before they are compared, the first two normed.

    Args:
        width: channels of what comes in.
        hidden: channels of each layer, and of what comes out.
    """
    return nn.Sequential(
        nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(),
        nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
    )  # fmt: skip


def unit(vectors: Tensor) -> Tensor:
    """Vectors along the last axis of length 1, in 32 bits."""
    return functional.normalize(vectors.float(), dim=-1)


def distance(first: Tensor, second: Tensor) -> Tensor:
    """The squared distances of vectors along the last axis."""
    return (first - second).square().sum(dim=-1)
