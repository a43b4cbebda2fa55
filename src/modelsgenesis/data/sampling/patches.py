"""Patches of prepared cases: at random for training, centred for looking at a whole small case."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from modelsgenesis.data.store.case_cache import CachedCase, CaseCache


@dataclass(frozen=True)
class Patch:
    """A patch cut from a case.

    Attributes:
        arrays: "image", float32 (C, *size) in [0, 1]; "mask", uint8 (1 or K, *size), or "values", float32 (N,).
        case: where from.
        lower: its first voxel; below 0 where the case is smaller than the patch, or its margin hangs over.
    """

    arrays: dict[str, NDArray[Any]]
    case: CachedCase
    lower: tuple[int, ...]


class PatchSampler:
    """Cuts patches at random places; every case is as likely as another.

    Args:
        case_cache: to cut from.
        cases: in it.
        size: voxels along X, Y, Z.
        reach: of what is cut, with a margin as wide on both sides that may hang over the case's borders, so that a
            border is seen as often as the middle however wide the margin; by default `size`.
        foreground: the share of patches that are centred, as far as the case allows, on a voxel of a label; each label
            of the case is as likely, however small. For segmentation.
    """

    def __init__(
        self,
        case_cache: CaseCache,
        cases: Sequence[CachedCase],
        size: tuple[int, ...],
        *,
        reach: tuple[int, ...] | None = None,
        foreground: float = 1 / 3,
    ) -> None:
        self.case_cache, self.cases, self.size, self.foreground = case_cache, list(cases), size, foreground
        self.reach = reach or size

    def sample(self, rng: np.random.Generator) -> Patch:
        """Cut one patch; the same generator gives the same patch."""
        case = self.cases[int(rng.integers(len(self.cases)))]
        chosen, uniform = rng.random(), rng.random(len(self.size))
        present = [label for label, num in enumerate(case.num_voxels) if num]
        lower = tuple(_at(whole, side, u) for whole, side, u in zip(case.size, self.size, uniform, strict=True))
        if present and chosen < self.foreground:
            locations = self.case_cache.locations(case, present[int(rng.integers(len(present)))])
            centre = locations[int(rng.integers(len(locations)))]
            lower = tuple(
                _around(whole, side, int(middle))
                for whole, side, middle in zip(case.size, self.size, centre, strict=True)
            )
        begin = tuple(low - (far - side) // 2 for low, far, side in zip(lower, self.reach, self.size, strict=True))
        return cut_patch(self.case_cache, case, begin, self.reach)


class CentredPatches(Dataset[dict[str, Tensor]]):
    """Cuts the middle of each case, in the cases' order.

    Args:
        case_cache: to cut from.
        cases: in it.
        size: voxels along X, Y, Z.
    """

    def __init__(self, case_cache: CaseCache, cases: Sequence[CachedCase], size: tuple[int, ...]) -> None:
        self.case_cache, self.cases, self.size = case_cache, list(cases), size

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Cut case number `index`."""
        case = self.cases[index]
        lower = tuple((whole - side) // 2 for whole, side in zip(case.size, self.size, strict=True))
        return {
            name: torch.from_numpy(array)
            for name, array in cut_patch(self.case_cache, case, lower, self.size).arrays.items()
        }

    def __len__(self) -> int:
        return len(self.cases)


def cut_patch(case_cache: CaseCache, case: CachedCase, lower: tuple[int, ...], size: tuple[int, ...]) -> Patch:
    """Cut a patch at a place, with its mask if the case has labels on a grid, else with the case's values."""
    arrays: dict[str, NDArray[Any]] = {"image": case_cache.image(case, lower, size)}
    if case.num_voxels:
        arrays["mask"] = case_cache.mask(case, lower, size)
    else:
        arrays["values"] = np.array(case.values, np.float32)
    return Patch(arrays, case, lower)


def _at(whole: int, side: int, uniform: float) -> int:
    """A random place inside; a case smaller than the patch lies in its middle, the odd voxel of padding behind."""
    return int(uniform * (whole - side + 1)) if whole >= side else -((side - whole) // 2)


def _around(whole: int, side: int, centre: int) -> int:
    """The place of a patch with a voxel in its middle, moved inside the image."""
    return max(0, min(centre - side // 2, whole - side)) if whole >= side else -((side - whole) // 2)
