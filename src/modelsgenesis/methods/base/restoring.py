"""What all methods that restore an image share: its views, its error, and what that must be held against."""

import numpy as np
import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.deformation import Deformation
from modelsgenesis.core.learner import Batch, Learner, Sample
from modelsgenesis.deformations import Flip


class Restoration(Learner):
    """Restore an image from its deformed self, by mean squared error; each method is a leaf of this one.

    Args:
        backbone: takes the deformed image, gives as many channels.
        deformation: of the image.
        flip: that image and target share, plain augmentation.
    """

    restores = True

    def __init__(self, backbone: Backbone, deformation: Deformation, flip: Flip) -> None:
        super().__init__()
        self.backbone, self.deformation, self.flip = backbone, deformation, flip

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> {"deformed", "original"}, all float32 (C, *space) in [0, 1]."""
        original = self.flip(sample["image"], rng)
        return {"deformed": self.deformation(original, rng), "original": original}

    def counted(self, batch: Batch) -> Tensor | None:
        """Which voxels the error is of, bool (B, 1, *space); by default None, all of them."""
        return None

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Mean squared error over the voxels that count, and what it must be held against.

        Returns:
            "total", the mean squared error, and "mae", the mean absolute one; the same of the deformed cube returned as
            it came, "identity_baseline" and "identity_baseline_mae"; "mean_baseline", the squared error of each cube's
            own mean everywhere; "std_ratio", the standard deviation within a cube of the restoration over that of the
            original: near 0 the network has collapsed to one grey value.
        """
        original, deformed, counted = batch["original"], batch["deformed"], self.counted(batch)
        restored = self.predict(batch).float()
        error, unchanged = restored - original, deformed - original
        grey = original - original.mean(dim=tuple(range(1, original.dim())), keepdim=True)
        return {
            "total": _mean(error.square(), counted),
            "mae": _mean(error.detach().abs(), counted),
            "identity_baseline": _mean(unchanged.square(), counted),
            "identity_baseline_mae": _mean(unchanged.abs(), counted),
            "mean_baseline": _mean(grey.square(), counted),
            "std_ratio": _spread(restored.detach(), counted) / _spread(original, counted).clamp_min(1e-6),
        }

    def predict(self, batch: Batch) -> Tensor:
        """The restored cubes, (B, C, *space)."""
        restored: Tensor = self.backbone(batch["deformed"])
        return restored


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    """The mean over the voxels that count, of all channels."""
    if counted is None:
        return values.mean()
    return (values * counted).sum() / (counted.sum() * values.shape[1])


def _spread(cubes: Tensor, counted: Tensor | None) -> Tensor:
    """Mean over the batch of the standard deviation within a cube, of the voxels that count."""
    weights = torch.ones_like(cubes) if counted is None else counted.expand_as(cubes).float()
    shares = weights.flatten(1) / weights.flatten(1).sum(dim=1, keepdim=True)  # (B, C * voxels)
    means = (cubes.flatten(1) * shares).sum(dim=1, keepdim=True)
    return (shares * (cubes.flatten(1) - means).square()).sum(dim=1).sqrt().mean()
