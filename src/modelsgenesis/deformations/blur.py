"""Blur: fine detail goes, as with a soft kernel or a still slower scan; the network sharpens."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval


@dataclass(frozen=True, kw_only=True)
class Blur(PixelDeformation):
    """Smooth by a Gaussian of random width, the same on every axis of space.

    Args:
        sigma: least and greatest standard deviation, in voxels.
    """

    sigma: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("sigma", self.sigma, 0)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> float:
        """Draw the width."""
        check_sides(shape, 1, "Blur")
        return float(rng.uniform(*self.sigma))

    def deform(self, array: Array, span: Span, drawn: float) -> Array:
        """Smooth each channel; beyond a border its last voxel goes on."""
        from scipy import ndimage  # here, since it takes a fifth of a second, which the papers' laws need not wait

        unit = span.to_unit(array)
        for channel in unit:
            ndimage.gaussian_filter(channel, drawn, output=channel, mode="nearest")
        return span.from_unit(unit)
