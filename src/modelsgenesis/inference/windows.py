"""Where the windows of a sweep lie, and how much each of their voxels counts: MONAI's positions and weights."""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.inference.body import Body

SIGMA = 0.125  # of a window's side
LEAST = 1e-3  # weight of any voxel, so that a corner that one window alone sees is seen

Place = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """Windows of one size that cover an image, in order along X.

    An image smaller than a window is padded evenly on both sides, the odd voxel behind; places are of the padded image.

    Args:
        size: of the image, (X, Y, Z).
        patch: size of a window.
        overlap: share of a window's side that the next one sees again, in [0, 1).
        corners: there are no other windows than those in the corners, and one in the middle.
        body: windows that hold nothing of it are not computed; None computes all.
    Raises:
        ShapeError: overlap is out of range.
    Source: MONAI's sliding_window_inference, mode "gaussian". Its formulas are repeated here, and compared in the
        tests, because importing monai.data takes seconds and 190 MB.
    """

    size: Place
    patch: Place
    overlap: float = 0.5
    corners: bool = False
    body: Body | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1:
            raise ShapeError(f"overlap must be in [0, 1), got {self.overlap:g}; 0.5 is usual")

    @property
    def padded(self) -> Place:
        """The image's size with its padding."""
        return tuple(max(side, patch) for side, patch in zip(self.size, self.patch, strict=True))

    @property
    def before(self) -> Place:
        """The voxels of padding in front of the image, on each axis."""
        return tuple((padded - side) // 2 for padded, side in zip(self.padded, self.size, strict=True))

    @cached_property
    def places(self) -> list[Place]:
        """The first voxel of each window, in the order in which X rises slowest; the middle one is the last."""
        if self.corners:
            last = [whole - patch for whole, patch in zip(self.padded, self.patch, strict=True)]
            return [*itertools.product(*((0, end) for end in last)), tuple(end // 2 for end in last)]
        return list(itertools.product(*(self._starts(axis) for axis in range(len(self.size)))))

    @cached_property
    def computed(self) -> list[Place]:
        """Those of the places whose windows are computed, in the same order: all that hold a voxel of the body."""
        if self.body is None:
            return self.places
        return [place for place in self.places if self.body.touches(self.in_image(place), self.patch)]

    def in_image(self, place: Place) -> Place:
        """A place as the first voxel of the image itself, which is negative where the window begins in its padding."""
        return tuple(at - before for at, before in zip(place, self.before, strict=True))

    def _starts(self, axis: int) -> list[int]:
        whole, patch = self.padded[axis], self.patch[axis]
        step = max(1, int(patch * (1 - self.overlap)))
        count = 1 + math.ceil((whole - patch) / step)
        return [min(number * step, whole - patch) for number in range(count)]

    def weights(self) -> Tensor:
        """How much each voxel of a window counts, float32 of the window's size: a Gaussian about its centre."""
        product = torch.ones(())
        for side in self.patch:
            far = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
            product = product.unsqueeze(-1) * torch.exp(far**2 / (-2 * (SIGMA * side) ** 2))
        return product.clamp_(min=max(float(product.min()), LEAST))
