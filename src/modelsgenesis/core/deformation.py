"""The first interface: a deformation changes what a voxel shows, never where it is."""

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np

Image = TypeVar("Image")  # a numpy array or a torch tensor, (C, X, Y[, Z])


class Deformation(ABC):
    """A random, pixel-level change of an image; a frozen dataclass whose fields are its configuration.

    Drawing and applying are apart: `draw` makes every random decision, small and on the CPU, from the shape and the
    generator alone; `apply` is a pure function. That gives replay, one result on CPU and GPU, and functions to test.
    """

    @abstractmethod
    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        """Decide everything at random for an image of this shape, (C, X, Y[, Z]).

        Raises:
            ShapeError: the image is too small or has too few or too many axes.
        """

    @abstractmethod
    def apply(self, image: Image, drawn: Any) -> Image:
        """Return the deformed image: same type, shape, dtype, device and range; `image` stays untouched."""

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw, then apply."""
        return self.apply(image, self.draw(tuple(image.shape), rng))  # type: ignore[attr-defined]
