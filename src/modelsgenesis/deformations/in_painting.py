"""In-painting: small boxes of the image are hidden; the network fills them in from around."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations.base.boxes import draw_boxes, least_side
from modelsgenesis.deformations.base.loop import Paint, Plan, PlannedDeformation
from modelsgenesis.deformations.base.pixelwise import check_sides
from modelsgenesis.deformations.kernels.hashing import draw_key


@dataclass(frozen=True, kw_only=True)
class InPainting(PlannedDeformation):
    """Hide up to five small boxes under noise; on average about 5 % of a cube, a fifth of a picture.

    Each box is tried only while a fresh draw is under 0.95. Its side is 1/6 to 1/3 of the image's, its place uniform
    with 3 voxels or more to every border. The noise is uniform in the range, one number a voxel.

    Args:
        shared_noise: the same noise in every channel; in 2D it always is, as in the family's recipes.
        match_official: refuse sides too short for the margins; otherwise the margins shrink.

    Raises:
        ShapeError: a side is under 4 voxels; or match_official, and it is under 8.

    Source: Zhou et al. 2019, section 2 (in-painting, in the journal "inner-cutout"); Pathak et al. 2016.
    """

    shared_noise: bool = False
    match_official: bool = False

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Paint:
        """Draw the boxes to hide and the key of the noise."""
        check_sides(shape, least_side(lambda side: side // 3) if self.match_official else 4, "InPainting")
        sides = tuple((max(1, side // 6), max(1, side // 3)) for side in shape[1:])
        boxes = draw_boxes(shape[1:], sides, 0, rng)
        shared = self.shared_noise or len(shape) == 3
        return Paint(boxes, False, draw_key(rng), shared)

    def plan(self, drawn: Paint) -> Plan:
        """Plan only the painting."""
        return Plan(paint=drawn)
