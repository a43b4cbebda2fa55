"""From a scan to its vectors: the mean of the network's features over its foreground or regions, and two baselines."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from modelsgenesis.data.case import Case
from modelsgenesis.data.images import Image
from modelsgenesis.data.intensity_statistics import guess_modality, sample_of, summarise
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.regions import embedded, overlap
from modelsgenesis.embedding.encoder import Encoder
from modelsgenesis.inference.sliding_window import cut_window, num_together
from modelsgenesis.inference.windows import Place, Windows

Regions = NDArray[np.bool_]  # (regions, *space)
Vectors = NDArray[np.float32]  # (regions, length)

RAW_SIDE = {2: 32, 3: 16}  # of the grid of grey values, by axes


def foreground_of(image: Image, modality: str) -> Regions:
    """Where a scan lies above the background in any channel, by the rule of the stores, as one region.

    Args:
        image: as the network is to see it.
        modality: of the scan, or "".
    Raises:
        UnreadableError: all values are equal.
    """
    sample = sample_of(image.values)
    above = summarise(image.values, sample, modality or guess_modality(sample)).foreground
    region: Regions = (image.values.max(axis=0) > above)[np.newaxis]
    return region


def embed_image(
    image: Image,
    regions: Regions,
    encoder: Encoder,
    *,
    overlap_share: float,
    batch_size: int | None,
    tick: Callable[[int], object] = lambda number: None,
) -> Vectors:
    """Average the features of all windows over each region, every feature weighed by its share of the region.

    Args:
        image: as the network is to see it.
        regions: on its grid; each has a voxel.
        encoder: of windows.
        overlap_share: of a window that the next one sees again.
        batch_size: windows at a time; None is as many as make up a million voxels.
        tick: called with the number of windows that were done, each time.
    Returns:
        (regions, length), the scales one after another, finest first.
    """
    windows = Windows(image.size, encoder.size, overlap_share)
    sums, counts = [], []
    together = num_together(windows.patch, batch_size)
    for first in range(0, len(windows.places), together):
        places = windows.places[first : first + together]
        shares = {place: _cut_regions(regions, windows, place) for place in places}
        seen = [place for place in places if shares[place].any()]
        if seen:
            batch = torch.from_numpy(np.stack([cut_window(image, windows, place) for place in seen]))
            share = torch.from_numpy(np.stack([shares[place] for place in seen])).float()
            found = [_weighed(each.cpu(), share) for each in encoder(batch)]
            sums.append([total for total, _ in found])
            counts.append([count for _, count in found])
        tick(len(places))
    scales = range(len(sums[0]))
    means = [sum(each[k] for each in sums) / sum(each[k] for each in counts) for k in scales]
    vectors: Vectors = torch.cat([torch.as_tensor(mean) for mean in means], dim=1).numpy().astype(np.float32)
    return vectors


def _cut_regions(regions: Regions, windows: Windows, place: Place) -> Regions:
    """The regions within a window, (regions, *patch); what is padded belongs to none."""
    lower = [at - before for at, before in zip(place, windows.before, strict=True)]
    inside, there = overlap(windows.size, lower, windows.patch)
    return embedded(regions[(slice(None), *inside)], there, windows.patch)


def _weighed(features: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Sum features over regions; (B, C, *coarse) and (B, R, *space) -> (R, C) sums and (R, 1) weights, in 64 bits."""
    weights = _pooled(regions, tuple(features.shape[2:])).double().flatten(2)
    return torch.einsum("brs,bcs->rc", weights, features.double().flatten(2)), weights.sum(dim=(0, 2))[:, None]


def _pooled(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """The means of the cells of a grid of that size, (..., *space) -> (..., *size)."""
    pool: Callable[..., Tensor] = functional.adaptive_avg_pool2d if len(size) == 2 else functional.adaptive_avg_pool3d
    return pool(values, size)


def raw_vector(image: Image) -> Vectors:
    """Shrink a scan to a small grid, each cell the mean of its grey values: what needs no network. (1, length)."""
    axes = len(image.size)
    small: Vectors = _pooled(torch.from_numpy(image.scaled()), (RAW_SIDE[axes],) * axes).flatten()[None].numpy()
    return small


def size_vector(image: Image) -> Vectors:
    """The size of a scan in voxels, its spacing and extent in mm, and the ratios of its sides. (1, length)."""
    size, spacing_mm = np.array(image.size, float), np.array(image.spacing_mm, float)
    extent_mm = size * spacing_mm
    return np.concatenate([size, spacing_mm, extent_mm, extent_mm[1:] / extent_mm[0]])[None].astype(np.float32)


def check_regions(regions: Regions, case: Case) -> None:
    """Refuse a scan without any voxel to average over."""
    if not regions.shape[0] or not regions.any():
        raise UnreadableError(f"{case.id} has no voxel to average over", "look at the scan and at its mask")
