"""How well a predicted mask agrees with the truth: overlap, surfaces and volume. MONAI computes."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from modelsgenesis.core.errors import ShapeError

Empty = Literal["undefined", "perfect"]
ML_PER_MM3 = 1e-3
UNDEFINED = float("nan")


@dataclass(frozen=True)
class Agreement:
    """The scores of one label of one case; NaN is undefined.

    Attributes:
        dice: 2 |A and B| / (|A| + |B|).
        iou: |A and B| / |A or B|.
        surface_dice: share of both surfaces, by area, that lies within the tolerance of the other.
        hd95_mm: the greater of the two 95th percentiles of the distances from one surface to the other.
        truth_ml: volume of the truth.
        predicted_ml: volume of the prediction.
        difference_ml: predicted minus true volume.
        difference_percent: the same, of the true volume.
    """

    dice: float
    iou: float
    surface_dice: float
    hd95_mm: float
    truth_ml: float
    predicted_ml: float
    difference_ml: float
    difference_percent: float


def agreement(
    predicted: NDArray[Any],
    truth: NDArray[Any],
    *,
    spacing_mm: tuple[float, ...],
    tolerance_mm: float,
    empty: Empty = "undefined",
) -> Agreement:
    """Compare two binary masks.

    Where both are empty, overlap and distances are undefined, or with `empty="perfect"` 1 and 0 mm. Where only one is,
    overlaps are 0 and the distance is the diagonal of the image, so that no prediction is never better than a bad one.

    Args:
        predicted: (X, Y, Z) of bool, or 0 and 1.
        truth: the true mask, of the same shape.
        spacing_mm: between voxels along X, Y, Z.
        tolerance_mm: by which surfaces may differ and still agree.
        empty: what two empty masks are worth.
    Raises:
        ShapeError: the masks differ in shape, or the spacing does not match.
    Source: Nikolov et al. 2018 for the surface Dice.
    """
    if predicted.shape != truth.shape or len(spacing_mm) != truth.ndim:
        raise ShapeError(
            f"two masks of one shape and a spacing for each axis are compared, got {predicted.shape}, {truth.shape} "
            f"and spacing_mm {spacing_mm}"
        )
    one, other = np.asarray(predicted, bool), np.asarray(truth, bool)
    voxel_ml = float(np.prod(spacing_mm)) * ML_PER_MM3
    sizes = float(other.sum()) * voxel_ml, float(one.sum()) * voxel_ml
    percent = 100 * (sizes[1] - sizes[0]) / sizes[0] if sizes[0] else UNDEFINED
    volumes = (*sizes, sizes[1] - sizes[0], percent)
    if not (sizes[0] or sizes[1]):
        return Agreement(*((1.0, 1.0, 1.0, 0.0) if empty == "perfect" else (UNDEFINED,) * 4), *volumes)
    if not (sizes[0] and sizes[1]):
        return Agreement(0.0, 0.0, 0.0, float(np.linalg.norm(np.multiply(truth.shape, spacing_mm))), *volumes)
    return Agreement(*_overlap_and_distance(*_cropped(one, other), spacing_mm, tolerance_mm), *volumes)


def _overlap_and_distance(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: tuple[float, ...], tolerance_mm: float
) -> tuple[float, float, float, float]:
    # Here, since it takes two seconds, and not everything that scores compares masks.
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou, compute_surface_dice

    masks = [torch.from_numpy(each)[None, None].float() for each in (predicted, truth)]  # (1, 1, X, Y, Z)
    spacing = [float(step) for step in spacing_mm]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "monai.metrics.utils get_mask_edges", FutureWarning)  # MONAI warns of itself
        found = (
            compute_dice(*masks),
            compute_iou(*masks),
            compute_surface_dice(
                *masks, [float(tolerance_mm)], include_background=True, spacing=spacing, use_subvoxels=True
            ),
            compute_hausdorff_distance(*masks, include_background=True, percentile=95, spacing=spacing),
        )
    dice, iou, surface_dice, hd95_mm = (float(each) for each in found)
    return dice, iou, surface_dice, hd95_mm


def _cropped(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The box that holds both, with a border of background: elsewhere nothing can differ, and distances stay."""
    both = one | other
    box = []
    for axis in range(both.ndim):
        there = np.flatnonzero(both.any(tuple(a for a in range(both.ndim) if a != axis)))
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    return np.pad(one[tuple(box)], 1), np.pad(other[tuple(box)], 1)
