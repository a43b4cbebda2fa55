"""Bias field: one side of an MRI is brighter than the other, as near a receiver coil; the network evens it out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import legendre

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval


@dataclass(frozen=True, kw_only=True)
class BiasField(PixelDeformation):
    """Multiply by a smooth random field, the exponential of a polynomial in the coordinates.

    Args:
        strength: least and greatest of the field's largest absolute logarithm; 0.5 is a factor of 0.6 to 1.6.
        order: of the polynomial, 1 or more.

    Source: Van Leemput et al. 1999, the polynomial model of bias.
    """

    strength: tuple[float, float] = (0.2, 0.7)
    order: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("strength", self.strength, 0)
        if self.order < 1:
            raise GenesisError(f"order must be 1 or more, got {self.order}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[float, Any]:
        """Draw the strength and the polynomial's coefficients, (order + 1,) on every axis."""
        check_sides(shape, 1, "BiasField")
        axes = len(shape) - 1
        coefficients = rng.uniform(-1, 1, (self.order + 1,) * axes)
        degree = np.indices(coefficients.shape).sum(axis=0)
        return float(rng.uniform(*self.strength)), np.where((degree > 0) & (degree <= self.order), coefficients, 0.0)

    def deform(self, array: Array, span: Span, drawn: tuple[float, Any]) -> Array:
        """Multiply the image by the field; 0 of the unit range, no signal, stays."""
        strength, coefficients = drawn
        at = [np.linspace(-1, 1, side, dtype=np.float32) for side in array.shape[1:]]
        field = coefficients
        for side in at:  # one axis after another, each moved to the end
            field = legendre.legval(side, field)
        field *= strength / max(float(np.abs(field).max()), 1e-6)
        return span.from_unit(span.to_unit(array) * np.exp(field).astype(np.float32))
