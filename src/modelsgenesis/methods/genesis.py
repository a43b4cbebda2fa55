"""Models Genesis: deform a cube, restore it."""

from typing import Any

import numpy as np
import torch

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.learner import Batch, Drawn, Sample
from modelsgenesis.deformations import Arm, Flip, apply_batch, genesis
from modelsgenesis.methods._restoring import Restoration


class Genesis(Restoration):
    """Restore a cube from its deformed self, by mean squared error.

    Args:
        backbone: takes the deformed cube, answers with as many channels.
        arm: "all" is Models Genesis; "none" the auto-encoder; a deformation's name
            that one alone (the papers' ablation), "without_" and its name all others.
        flip_rate: of the flips that cube and target share, plain augmentation.
        faithful: with the authors' quirks, for replication.
    Raises:
        GenesisError: no arm of that name.
    Source: Zhou et al. 2019, section 2; 2021, section 3.
    """

    def __init__(self, backbone: Backbone, *, arm: Arm = "all", flip_rate: float = 0.4, faithful: bool = False) -> None:
        super().__init__(backbone, genesis(arm=arm, faithful=faithful), Flip(p=flip_rate, faithful=faithful))

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
