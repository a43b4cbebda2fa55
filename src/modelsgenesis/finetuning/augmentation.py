"""The field's usual augmentation, by MONAI, as a function of the sample's own generator."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.importing import without_collecting
from modelsgenesis.core.rounding import rounded_up

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Augmentation:
    """Rotate, scale and mirror image and mask alike; blur, brighten and roughen the image.

    The rates and ranges are about nnU-Net's, rotations smaller: a patch is small, and patients lie straight.

    Args:
        p_spatial: of rotating and scaling.
        rotation_degrees: about each axis, at most; a picture turns in its plane.
        scale: at most this much larger or smaller, as a fraction.
        mirror: axes of space that may be reversed; not X where left and right are labels of their own.
        p_intensity: of each change of intensity.
    Raises:
        TrainingError: a number that makes no sense.
    """

    p_spatial: float = 0.5
    rotation_degrees: float = 15.0
    scale: float = 0.2
    mirror: tuple[int, ...] = (0,)
    p_intensity: float = 0.15

    def __post_init__(self) -> None:
        if not (0 <= self.p_spatial <= 1 and 0 <= self.p_intensity <= 1):
            raise TrainingError(f"a rate is a probability in [0, 1], got {self.p_spatial} and {self.p_intensity}")
        if not (0 <= self.rotation_degrees <= 180 and 0 <= self.scale < 1):
            raise TrainingError(
                f"rotations lie in 0..180 degrees and scales in [0, 1), got {self.rotation_degrees} and {self.scale}"
            )
        if not set(self.mirror) <= {0, 1, 2}:
            raise TrainingError(f"mirrored axes are 0, 1 and 2 for X, Y and Z, got {self.mirror}")

    def reach(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The size to cut, so that a patch of `size` that is turned and shrunk seldom reaches its borders.

        Longer by as much on both sides: what is not turned is then cut from voxels, not interpolated between them.
        """
        if not self.p_spatial:
            return size
        # Two thirds of the worst case: corners may be missing then, the price of reading half as many voxels.
        turned = 1 + math.sin(math.radians(min(90.0, self.rotation_degrees))) * 2 / 3
        longer = turned * (1 + self.scale * 2 / 3) - 1
        return tuple(side + 2 * rounded_up(side * longer / 2) for side in size)

    def views(self, size: tuple[int, ...]) -> "AugmentedViews":
        """Make the function that turns a training sample into what the network sees, of `size`."""
        return AugmentedViews(self.make(size))

    def make(self, size: tuple[int, ...]) -> Any:
        """Build MONAI's transform for patches of `size`; give it to `augmented`."""
        with without_collecting():
            from monai import transforms  # here, since it takes two seconds, and what does not augment need not wait

        keys, modes = ["image", "mask"], ["bilinear", "nearest"]
        angle, linear = math.radians(self.rotation_degrees), "trilinear" if len(size) == 3 else "bilinear"
        anywhere: dict[str, Any] = {"keys": keys, "allow_missing_keys": True}
        p: dict[str, Any] = {"keys": "image", "prob": self.p_intensity}
        spatial = transforms.RandAffined(
            **anywhere, prob=self.p_spatial, rotate_range=(angle,) * (3 if len(size) == 3 else 1),
            scale_range=(self.scale,) * len(size), mode=modes, padding_mode="zeros", spatial_size=size,
        )  # fmt: skip
        mirrors = [
            transforms.RandFlipd(**anywhere, prob=0.5, spatial_axis=axis) for axis in self.mirror if axis < len(size)
        ]
        intensity = [
            transforms.RandGaussianNoised(**p, std=0.05),
            transforms.RandGaussianSmoothd(**p, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0), sigma_z=(0.5, 1.0)),
            transforms.RandScaleIntensityd(**p, factors=0.25),
            transforms.RandSimulateLowResolutiond(**p, zoom_range=(0.5, 1.0), upsample_mode=linear),
            transforms.RandAdjustContrastd(**p, gamma=(0.7, 1.5)),
        ]
        return transforms.Compose([spatial, *mirrors, *intensity])


class AugmentedViews:
    """Augments a patch that is larger than the network's and crops it to that size.

    Args:
        transform: from `Augmentation.make`.
    """

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, sample: Arrays, rng: np.random.Generator) -> Arrays:
        """Augment it; the same generator gives the same views."""
        return augmented(self.transform, sample, rng)


def augmented(transform: Any, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Augment one patch by MONAI's transform.

    Args:
        transform: from `Augmentation.make`.
        arrays: "image", float32 (C, *reach); with "mask", uint8 (M, *reach); others pass.
        rng: the sample's own generator.
    Returns:
        The same names; image in [0, 1] and mask of the transform's size.
    """
    transform.set_random_state(seed=int(rng.integers(2**32)))
    with torch.no_grad(), _untracked():
        changed = transform({name: torch.from_numpy(array) for name, array in arrays.items()})
    result: Arrays = {name: np.asarray(changed[name]) for name in arrays}
    result["image"] = np.clip(result["image"], 0, 1).astype(np.float32)
    if "mask" in result:
        result["mask"] = result["mask"].astype(np.uint8)
    return result


@contextlib.contextmanager
def _untracked() -> Iterator[None]:
    """Let MONAI keep no record of what it does to a patch, which costs as much time as doing it; values are equal."""
    from monai.data import get_track_meta, set_track_meta

    tracked = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(tracked)
