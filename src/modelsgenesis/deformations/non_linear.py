"""Non-linear intensity map: a random Bezier curve changes every grey level, so that appearance must be learnt."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations._loop import Curve, run
from modelsgenesis.deformations._pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations._range import Array, Span


@dataclass(frozen=True, kw_only=True)
class NonLinear(PixelDeformation):
    """Map grey levels by a random monotone curve; half of the time it falls, and bright becomes dark."""

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Curve:
        """Draw the two control points and the sense."""
        check_sides(shape, 1, "NonLinear")
        a, b, c, d, sense = rng.random(5)
        return Curve(float(a), float(b), float(c), float(d), bool(sense < 0.5))

    def deform(self, array: Array, span: Span, drawn: Curve) -> Array:
        """Map every voxel."""
        return run(array, span, None, drawn, None)
