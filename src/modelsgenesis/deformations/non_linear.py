"""Non-linear intensity map: a random Bezier curve changes every grey level, so that appearance must be learnt."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations.base.loop import Curve, Plan, PlannedDeformation
from modelsgenesis.deformations.base.pixelwise import check_sides


@dataclass(frozen=True, kw_only=True)
class NonLinear(PlannedDeformation):
    """Map grey levels by a random monotone curve; half of the time it falls, and bright becomes dark.

    The curve is the cubic Bezier through (0, 0) and (1, 1) with two control points uniform in the unit square; since
    their abscissas lie in [0, 1] it is a function. Rising, x(t) goes to y(t); falling, x(t) goes to y(1 - t). The unit
    square is the given range. Grey levels beyond the range keep their order: each end's share a 128th of the unit
    interval, so that outliers neither vanish nor press the rest together.

    Source: Zhou et al. 2019, section 2 (non-linear transformation).
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Curve:
        """Draw the two control points and the sense."""
        check_sides(shape, 1, "NonLinear")
        a, b, c, d, sense = rng.random(5).tolist()
        return Curve(a, b, c, d, sense < 0.5)

    def plan(self, drawn: Curve) -> Plan:
        """Plan only the mapping."""
        return Plan(curve=drawn)
