"""Gibbs ringing: an MRI without its highest frequencies shows ripples beside edges; the network smooths them out."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval


@dataclass(frozen=True, kw_only=True)
class Gibbs(PixelDeformation):
    """Cut off all spatial frequencies beyond a part of the highest one, sharply.

    Args:
        cutoff: least and greatest part that is kept on every axis, in (0, 1].
    """

    cutoff: tuple[float, float] = (0.3, 0.7)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("cutoff", self.cutoff, 0, 1)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> float:
        """Draw the part that is kept."""
        check_sides(shape, 1, "Gibbs")
        return float(rng.uniform(*self.cutoff))

    def deform(self, array: Array, span: Span, drawn: float) -> Array:
        """Cut off the outer part of k-space."""
        from scipy import fft  # here, since it takes time that the papers' laws need not wait

        axes = tuple(range(1, array.ndim))
        k_space = fft.rfftn(span.to_unit(array), axes=axes)
        for axis, side in zip(axes, array.shape[1:], strict=True):
            frequency = fft.rfftfreq(side) if axis == axes[-1] else np.abs(fft.fftfreq(side))
            kept = (2 * frequency <= drawn).reshape([-1 if a == axis else 1 for a in range(array.ndim)])
            k_space *= kept
        return span.from_unit(fft.irfftn(k_space, s=array.shape[1:], axes=axes))
