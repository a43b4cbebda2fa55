"""Models Genesis: deform a cube, restore it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.learner import Batch, Drawn, Learner, Sample
from modelsgenesis.deformations import Arm, Flip, apply_batch, genesis


class Genesis(Learner):
    """Restore a cube from its deformed self, by mean squared error.

    Args:
        backbone: takes the deformed cube, answers with as many channels.
        arm: "all" is Models Genesis; "none" the auto-encoder; a deformation's name
            that one alone (the papers' ablation).
        flip_rate: of the flips that cube and target share, plain augmentation.
        faithful: with the authors' quirks, for replication.
    Raises:
        GenesisError: no arm of that name.
    Source: Zhou et al. 2019, section 2; 2021, section 3.
    """

    def __init__(self, backbone: Backbone, *, arm: Arm = "all", flip_rate: float = 0.4, faithful: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.flip = Flip(p=flip_rate, faithful=faithful)
        self.deformation = genesis(arm=arm, faithful=faithful)

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> {"deformed", "original"}, all float32 (C, *space) in [0, 1]."""
        original = self.flip(sample["image"], rng)
        return {"deformed": self.deformation(original, rng), "original": original}

    def draws(self, sample: Sample, rng: np.random.Generator) -> dict[str, Any]:
        """{"image"} -> {"original", "drawn"}; the same draws as those of `views`."""
        original = self.flip(sample["image"], rng)
        return {"original": original, "drawn": Drawn([self.deformation.draw(original.shape, rng)])}

    @torch.no_grad()
    def finish(self, batch: Batch) -> Batch:
        """{"original", "drawn"} -> {"deformed", "original"}; a finished batch stays as it is."""
        drawn: Any = batch.get("drawn")
        if drawn is None:
            return batch
        return {
            "deformed": apply_batch(self.deformation, batch["original"], drawn.draws),
            "original": batch["original"],
        }

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Mean squared error, and what it must be held against.

        Returns:
            "total", the mean squared error, and "mae", the mean absolute one; the same of the deformed cube returned as
            it came, "unchanged" and "unchanged_mae"; "grey", the squared error of each cube's own mean everywhere;
            "spread", the standard deviation within a cube of the answer over that of the original: near 0 the network
            has collapsed to one grey value.
        """
        original, deformed = batch["original"], batch["deformed"]
        restored = self.answer(batch).float()
        error, unchanged = restored - original, deformed - original
        return {
            "total": error.square().mean(),
            "mae": error.detach().abs().mean(),
            "unchanged": unchanged.square().mean(),
            "unchanged_mae": unchanged.abs().mean(),
            "grey": original.flatten(1).var(dim=1, correction=0).mean(),
            "spread": _spread(restored.detach()) / _spread(original).clamp_min(1e-6),
        }

    def answer(self, batch: Batch) -> Tensor:
        """The restored cubes, (B, C, *space)."""
        restored: Tensor = self.backbone(batch["deformed"])
        return restored


def _spread(cubes: Tensor) -> Tensor:
    """Mean over the batch of the standard deviation within a cube."""
    return cubes.flatten(1).std(dim=1).mean()
