"""Flip: plain augmentation. It moves content, so it is no deformation: image and target are flipped alike."""

import itertools
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from modelsgenesis.core.deformation import Image
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import check_axes
from modelsgenesis.deformations.base.value_range import Array
from modelsgenesis.deformations.kernels.flipping import flip

MOST = 3  # flips


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Reverse up to three axes; draw once, and apply that to the image and to its target.

    Args:
        p: the chance of a first flip, and of each further one after it.
        match_official: choose among the array axes 0, 1, 2 as the authors' code does, so that channels may be reversed
            and, in 3D, Z never is; otherwise among the axes of space.
    """

    p: float = 0.4
    match_official: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise GenesisError(f"p is a probability in [0, 1], got {self.p}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
        """Draw the array axes to reverse; an axis drawn twice stays as it was."""
        check_axes(shape)
        first, num = (0, 3) if self.match_official else (1, len(shape) - 1)
        reversed_axes: set[int] = set()
        for goes_on, choice in rng.random((MOST, 2)).tolist():
            if goes_on >= self.p:
                break
            reversed_axes ^= {first + int(choice * num)}
        return tuple(sorted(reversed_axes))

    def apply(self, image: Image, drawn: tuple[int, ...]) -> Image:
        """Return a reversed copy."""
        if isinstance(image, np.ndarray):
            return cast(Image, flipped(image, drawn))
        return cast(Image, cast(Any, image).flip(drawn))

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw, then apply."""
        return self.apply(image, self.draw(tuple(cast(Any, image).shape), rng))


def flipped(image: Array, axes: tuple[int, ...]) -> Array:
    """A copy of an array with some axes reversed; float32, as cubes are, by a compiled loop."""
    if image.dtype != np.float32 or not image.flags.c_contiguous:
        return np.flip(image, axes).copy()
    out = np.empty_like(image)
    lead = (1,) * (4 - image.ndim)
    turned = tuple(axis - len(lead) in axes for axis in range(4))
    flip(image.reshape(*lead, *image.shape), out.reshape(*lead, *image.shape), turned)
    return out


def flipped_axes(image: Array, result: Array) -> tuple[int, ...]:
    """The axes along which an image was flipped, so that a picture can be turned back.

    Args:
        image: (C, *space), before.
        result: after.
    Returns:
        Array axes; none when there was no flip, or another change.
    """
    axes = range(1, image.ndim)
    for number in range(image.ndim):
        for chosen in itertools.combinations(axes, number):
            if np.array_equal(np.flip(image, chosen), result):
                return chosen
    return ()
