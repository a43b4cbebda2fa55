"""What networks predict of a whole image: masks on the grid of its file, or numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.core.target import Target
from modelsgenesis.data.images import Image
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.body import find_body
from modelsgenesis.inference.ensemble import Ensemble, Evidence
from modelsgenesis.inference.resample_to_source import axes_back, resample_to_source
from modelsgenesis.inference.sliding_window import Tick, predictions, rows
from modelsgenesis.inference.windows import Windows


@dataclass(frozen=True)
class MaskPrediction:
    """The predicted masks on the grid of the source's file.

    Attributes:
        classes: uint8, (channels, *file's axes), as the target's label map has them.
        probabilities: float16 of each label, (K, *file's axes), or None.
    """

    classes: NDArray[np.uint8]
    probabilities: NDArray[np.float16] | None = None


def plan_windows(
    image: Image, target: Target, patch: tuple[int, ...], overlap: float, *, everywhere: bool = False
) -> Windows:
    """Plan the windows of an image: for masks of a volume, those that hold some of its body are computed.

    Args:
        image: to predict.
        target: of the networks.
        patch: size of a window.
        overlap: of the windows.
        everywhere: all are computed.
    Raises:
        ShapeError: overlap is out of range.
    """
    body = find_body(image) if bodies_are_looked_for(target, patch) and not everywhere else None
    return Windows(image.size, patch, overlap, body=body)


def bodies_are_looked_for(target: Target, patch: tuple[int, ...]) -> bool:
    """Whether windows without body may be left out: of masks of volumes, whose background they are."""
    return isinstance(target, MaskTarget) and len(patch) == 3


def segment(
    image: Image,
    ensemble: Ensemble,
    target: MaskTarget,
    windows: Windows,
    *,
    batch_size: int | None = None,
    probabilities: bool = False,
    tick: Tick | None = None,
) -> MaskPrediction:
    """Segment an image. Beside it, only its mask and a slab of rows are in memory.

    Args:
        image: as `read_image` gives it.
        ensemble: of the target.
        target: of masks.
        windows: of the image; where none of them is computed is background.
        batch_size: windows at a time; None is as many as make up a million voxels.
        probabilities: keep them too; each label's takes as much memory as a 16-bit image.
        tick: called with the number of windows that were predicted, each time.
    """
    geometry, label_map = image.geometry, target.label_map
    classes = _empty(label_map.channels, geometry, np.uint8)
    kept = _empty(len(target.labels), geometry, np.float16) if probabilities else None
    background = 0 if label_map.has_background else None
    swept = rows(image, ensemble, windows, batch_size=batch_size, tick=tick, background=background)
    back = resample_to_source(swept, axes_back(image.size, image.spacing_mm, geometry))
    for x, part in _numbered(back):
        geometry.to_lps(classes)[:, x] = _as_laid_out(label_map.decide(part))
        if kept is not None:
            geometry.to_lps(kept)[:, x] = _as_laid_out(part[part.shape[0] - len(target.labels) :].to(torch.float16))
    return MaskPrediction(classes, kept)


def predict_numbers(
    image: Image,
    ensemble: Ensemble,
    target: TableTarget,
    windows: Windows,
    *,
    batch_size: int | None = None,
    tick: Tick | None = None,
) -> NDArray[np.float64]:
    """Predict the numbers of an image: the mean over its windows, or what the target makes of every voxel's.

    Args:
        image: as `read_image` gives it.
        ensemble: of the target.
        target: of numbers.
        windows: of the image.
        batch_size: as for `segment`.
        tick: as for `segment`.
    Returns:
        (value columns,): probabilities, or numbers.
    """
    if target.dense:
        return target.gathered(rows(image, ensemble, windows, batch_size=batch_size, tick=tick), image)
    total = np.zeros(target.num_outputs)
    for _, predicted in predictions(image, ensemble, windows, batch_size=batch_size, tick=tick):
        total += predicted.double().cpu().numpy()
    mean: NDArray[np.float64] = total / len(windows.places)
    return mean


def find_evidence(
    image: Image, ensemble: Ensemble, outputs: Sequence[int], windows: Windows, *, batch_size: int | None = None
) -> NDArray[np.float16]:
    """Find where in an image some outputs of classifiers come from.

    Args:
        image: as `read_image` gives it.
        ensemble: of classifiers.
        outputs: their numbers, one or more.
        windows: of the image, in order along X.
        batch_size: as for `segment`.
    Returns:
        (K, *space), on the grid of the source's file, turned to LPS.
    """
    swept = rows(image, Evidence(ensemble, outputs), windows, batch_size=batch_size)
    back = resample_to_source(swept, axes_back(image.size, image.spacing_mm, image.geometry))
    return np.concatenate([part.half().cpu().numpy() for part in back], axis=1)


def _empty(channels: int, geometry: Geometry, dtype: Any) -> NDArray[Any]:
    """An array (channels, *file's axes) laid out as a file is: its first axis runs fastest."""
    return _reversed(np.zeros((channels, *geometry.size[::-1]), dtype))


def _as_laid_out(part: Tensor) -> NDArray[Any]:
    """Rows (channels, n, Y, Z) as `_empty` has them in memory; the device turns them faster than NumPy does."""
    turned: NDArray[Any] = part.permute(0, *range(part.ndim - 1, 0, -1)).contiguous().cpu().numpy()
    return _reversed(turned)


def _reversed(values: NDArray[Any]) -> NDArray[Any]:
    """A view with the axes after the first in reverse order."""
    return values.transpose(0, *range(values.ndim - 1, 0, -1))


def _numbered(parts: Iterator[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """Yield the slice of rows that each part covers, and the part."""
    first = 0
    for part in parts:
        yield slice(first, first + part.shape[1]), part
        first += part.shape[1]
