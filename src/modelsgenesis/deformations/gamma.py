"""Gamma: brightness and contrast change by a power law; the network restores the grey levels."""

from dataclasses import dataclass
from math import log

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval


@dataclass(frozen=True, kw_only=True)
class Gamma(PixelDeformation):
    """Raise the unit range to a random power; grey levels beyond the range stay.

    Args:
        gamma: least and greatest power; its logarithm is uniform between theirs.
    """

    gamma: tuple[float, float] = (0.4, 2.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("gamma", self.gamma, 0)
        if self.gamma[0] <= 0:
            raise GenesisError(f"gamma must be above 0, got {self.gamma}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> float:
        """Draw the power."""
        check_sides(shape, 1, "Gamma")
        return float(np.exp(rng.uniform(log(self.gamma[0]), log(self.gamma[1]))))

    def deform(self, array: Array, span: Span, drawn: float) -> Array:
        """Raise the values to the power."""
        unit = span.to_unit(array)
        inside = np.clip(unit, 0, 1) ** np.float32(drawn)
        return span.from_unit(np.where((unit < 0) | (unit > 1), unit, inside))
