"""Masked auto-encoder: the network restores a cube of which most blocks are hidden."""

import math

import numpy as np
import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.learner import Batch, Sample
from modelsgenesis.core.words import nouns
from modelsgenesis.deformations import BlockMask, Flip
from modelsgenesis.methods.base.restoring import Restoration


class MaskedAutoEncoder(Restoration):
    """Restore the hidden blocks of a cube from the few that are left, by mean squared error.

    The plain form, dense convolutions over blocks set to 0. Sparse ones would make it another network; they gained 0.3
    points of Dice in one large study (Wald et al. 2025) and lost 0.5 in the next, OpenMind, which the plain form won.

    Args:
        backbone: takes the masked cube, gives as many channels.
        block: side of a block in voxels; by default that of one position of the deepest feature of the usual U-Net.
        hidden: part of the blocks that is hidden, in (0, 1); 0.6 and 0.75 do equally well.
        hidden_only: the error is of hidden voxels alone; otherwise of all.
        flip_rate: of the flips that cube and target share, plain augmentation.
    Raises:
        GenesisError: a block or a part that is none.
    Source: He et al. 2022; for U-Nets of medical images Wald et al. 2025, "Revisiting MAE pre-training".
    """

    aim = "fill in what is hidden of images"
    paper = "He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, arXiv:2111.06377"

    def __init__(
        self,
        backbone: Backbone,
        *,
        block: int = 8,
        hidden: float = 0.75,
        hidden_only: bool = True,
        flip_rate: float = 0.4,
    ) -> None:
        super().__init__(backbone, BlockMask(block=block, hidden=hidden), Flip(p=flip_rate))
        self.block, self.hidden, self.hidden_only = block, hidden, hidden_only

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse images of which no block, or every block, would be hidden.

        Raises:
            ShapeError: they have too few blocks, or the network cannot take them.
        """
        super().check(size)
        blocks = math.prod(-(-side // self.block) for side in size)
        said = nouns(len(size))
        if not 0 < round(self.hidden * blocks) < blocks:
            raise ShapeError(
                f"{said.cube}s of {size} {said.voxel}s have {blocks} blocks of side {self.block}, too few to hide "
                f"{self.hidden:g} of them; use a larger --size or a smaller block"
            )

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> {"deformed", "original"}, float32 (C, *space) in [0, 1], and "hidden", bool (1, *space)."""
        original = self.flip(sample["image"], rng)
        drawn = self.deformation.draw(original.shape, rng)
        left_of_ones = self.deformation.apply(np.ones_like(original[:1]), drawn)
        return {
            "deformed": self.deformation.apply(original, drawn),
            "original": original,
            "hidden": left_of_ones == 0,
        }

    def counted(self, batch: Batch) -> Tensor | None:
        """The mask of voxels that count in the error: the hidden ones, or all."""
        return batch["hidden"] if self.hidden_only else None

    def predict(self, batch: Batch) -> Tensor:
        """The cubes with their hidden voxels filled in, (B, C, *space); all voxels are predicted where all count."""
        filled: Tensor = self.backbone(batch["deformed"])
        return torch.where(batch["hidden"], filled.float(), batch["deformed"]) if self.hidden_only else filled
