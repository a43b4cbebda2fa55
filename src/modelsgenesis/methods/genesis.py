"""Models Genesis: deform a cube, restore it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.learner import Batch, Drawn, Sample
from modelsgenesis.deformations import Arm, Flip, apply_batch, genesis
from modelsgenesis.methods.base.restoring import Restoration


class Genesis(Restoration):
    """Restore a cube from its deformed self, by mean squared error.

    Args:
        backbone: takes the deformed cube, gives as many channels.
        arm: "all" is Models Genesis; "none" the auto-encoder; a deformation's name
            that one alone (the papers' ablation), "without_" and its name all others.
        p_local_shuffling: how often voxels are shuffled; 0.5 in the papers' 3D, 1 in the family's 2D.
        flip_rate: of the flips that cube and target share, plain augmentation.
        drop_skips: how often each skip of the network is shut in pre-training, cube by cube and level by level, so
            so that the deeper features represent what is there: 1 leaves an auto-encoder without skips, the papers' 0.
        match_official: with the authors' quirks, for replication.
    Raises:
        GenesisError: no arm of that name, or a rate that is no probability.
    Source: Zhou et al. 2019, section 2; 2021, section 3.
    """

    aim = "restore deformed images"

    def __init__(
        self,
        backbone: Backbone,
        *,
        arm: Arm = "all",
        p_local_shuffling: float = 0.5,
        flip_rate: float = 0.4,
        drop_skips: float = 0.0,
        match_official: bool = False,
    ) -> None:
        deformation = genesis(arm=arm, p_local_shuffling=p_local_shuffling, match_official=match_official)
        super().__init__(backbone, deformation, Flip(p=flip_rate, match_official=match_official))
        if not 0 <= drop_skips <= 1:
            raise GenesisError(f"drop_skips is a probability in [0, 1], got {drop_skips}")
        self.drop_skips = drop_skips

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> {"deformed", "original"}, float32 (C, *space) in [0, 1]; and "kept", skips to be left open."""
        return {**super().views(sample, rng), **self._kept(rng)}

    def draws(self, sample: Sample, rng: np.random.Generator) -> dict[str, Any]:
        """Make {"original", "drawn"} of {"image"}, with the same draws as `views`."""
        original = self.flip(sample["image"], rng)
        drawn = Drawn([self.deformation.draw(original.shape, rng)])
        return {"original": original, "drawn": drawn, **self._kept(rng)}

    @torch.no_grad()
    def finish(self, batch: Batch) -> Batch:
        """{"original", "drawn"} -> {"deformed", "original"}; a finished batch stays as it is."""
        drawn: Any = batch.get("drawn")
        if drawn is None:
            return batch
        deformed = apply_batch(self.deformation, batch["original"], drawn.draws)
        return {"deformed": deformed, **{name: tensor for name, tensor in batch.items() if name != "drawn"}}

    def predict(self, batch: Batch) -> Tensor:
        """The restored cubes, (B, C, *space), by way of the skips that are kept, also for held-out cubes."""
        if not self.drop_skips:
            return super().predict(batch)
        self.backbone.check(tuple(batch["deformed"].shape))
        *skips, deepest = self.backbone.encode(batch["deformed"])
        kept = batch["kept"].view(*batch["kept"].shape, *(1,) * (deepest.dim() - 1))  # (B, levels, 1, ...)
        skips = [skip * kept[:, level] for level, skip in enumerate(skips)]
        return self.backbone.head(self.backbone.decode([*skips, deepest]))

    def _kept(self, rng: np.random.Generator) -> Sample:
        """Which skips stay open for one cube, finest first; nothing is drawn where all do."""
        if not self.drop_skips:
            return {}
        return {"kept": rng.random(len(self.backbone.channels) - 1) >= self.drop_skips}
