"""What networks say of a whole image: a mask on the grid of its file, or one answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modelsgenesis.data.images import Image
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.resample_to_source import axes_back, resample_to_source
from modelsgenesis.inference.sliding_window import Tick, answers, rows
from modelsgenesis.inference.windows import Windows


@dataclass(frozen=True)
class Segmentation:
    """A mask in the axes of the source's file, voxel for voxel.

    Attributes:
        classes: uint8, (1, *file's axes), 0 the background and k + 1 the k-th label; where labels may overlap
            (K, *file's axes) of 0 and 1.
        probabilities: float16 of each label, (K, *file's axes), or None.
    """

    classes: NDArray[np.uint8]
    probabilities: NDArray[np.float16] | None = None


def segment(
    image: Image,
    ensemble: Ensemble,
    windows: Windows,
    *,
    batch_size: int | None = None,
    probabilities: bool = False,
    tick: Tick | None = None,
) -> Segmentation:
    """Segment an image. Beside it, only its mask and a slab of rows are in memory.

    Args:
        image: as `read_image` gives it.
        ensemble: of a segmentation task.
        windows: of the image.
        batch_size: windows at a time; None is as many as make up a million voxels.
        probabilities: keep them too; each label's takes as much memory as a 16-bit image.
        tick: told how many windows were answered, each time.
    """
    target, geometry = ensemble.target, image.geometry
    classes = _empty(1 if target.exclusive else len(target.labels), geometry, np.uint8)
    kept = _empty(len(target.labels), geometry, np.float16) if probabilities else None
    swept = rows(image, ensemble, windows, batch_size=batch_size, tick=tick)
    back = resample_to_source(swept, axes_back(image.size, image.spacing_mm, geometry))
    for x, part in _numbered(back):
        geometry.to_lps(classes)[:, x] = decide(part, exclusive=target.exclusive).cpu().numpy()
        if kept is not None:
            geometry.to_lps(kept)[:, x] = part[part.shape[0] - len(target.labels) :].to(torch.float16).cpu().numpy()
    return Segmentation(classes, kept)


def decide(p: Tensor, *, exclusive: bool) -> Tensor:
    """Make classes of probabilities.

    Args:
        p: (K, *space), the first the background where labels exclude each other.
        exclusive: whether they do.
    Returns:
        uint8, (1, *space) of the most probable class, the first of several; else (K, *space), 1 above a half.
    """
    if not exclusive:
        return (p > 0.5).to(torch.uint8)
    best, winner = p[0].clone(), torch.zeros(p.shape[1:], dtype=torch.uint8, device=p.device)
    for k in range(1, len(p)):  # seven times as fast as argmax, which gathers along the slowest axis
        winner.masked_fill_(p[k] > best, k)
        torch.maximum(best, p[k], out=best)
    return winner[None]


def answer_whole(
    image: Image,
    ensemble: Ensemble,
    windows: Windows,
    *,
    batch_size: int | None = None,
    tick: Tick | None = None,
) -> NDArray[np.float64]:
    """Classify an image, or name its numbers: the mean over its windows.

    Args:
        image: as `read_image` gives it.
        ensemble: of a classification or regression task.
        windows: of the image.
        batch_size: as for `segment`.
        tick: as for `segment`.
    Returns:
        (outputs,): probabilities, or numbers.
    """
    total = np.zeros(ensemble.target.num_outputs)
    for _, answer in answers(image, ensemble, windows, batch_size=batch_size, tick=tick):
        total += answer.double().cpu().numpy()
    mean: NDArray[np.float64] = total / len(windows.places)
    return mean


def _empty(channels: int, geometry: Geometry, dtype: Any) -> NDArray[Any]:
    """An array (channels, *file's axes) laid out as a file is: its first axis runs fastest."""
    return np.zeros((channels, *geometry.size[::-1]), dtype).transpose(0, 3, 2, 1)


def _numbered(parts: Iterator[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """Each part with the rows it holds."""
    first = 0
    for part in parts:
        yield slice(first, first + part.shape[1]), part
        first += part.shape[1]
