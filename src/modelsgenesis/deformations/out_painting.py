"""Out-painting: only a few windows of the image stay visible; the network draws what lies around them."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations.base.boxes import draw_boxes, least_side
from modelsgenesis.deformations.base.loop import Paint, Plan, PlannedDeformation
from modelsgenesis.deformations.base.pixelwise import check_sides
from modelsgenesis.deformations.kernels.hashing import draw_key


@dataclass(frozen=True, kw_only=True)
class OutPainting(PlannedDeformation):
    """Hide all but one to five large windows under noise; about a third of a cube stays visible, of a picture half.

    One window is kept, then up to four more, each tried only while a fresh draw is under 0.95. A window's side is the
    image's less 3/7 to 4/7 of it, its place uniform with 3 voxels or more to every border. The noise is uniform in
    the range, one number a voxel.

    Args:
        shared_noise: the same noise in every channel.
        match_official: refuse sides too short for the margins; otherwise the margins shrink.

    Raises:
        ShapeError: a side is under 4 voxels; or match_official, and it is under 14.

    Source: Zhou et al. 2019, section 2 (out-painting, in the journal "outer-cutout").
    """

    shared_noise: bool = False
    match_official: bool = False

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Paint:
        """Draw the windows that stay and the key of the noise."""
        check_sides(shape, least_side(lambda side: side - 3 * side // 7) if self.match_official else 4, "OutPainting")
        sides = tuple((side - 4 * side // 7, side - 3 * side // 7) for side in shape[1:])
        boxes = draw_boxes(shape[1:], sides, 1, rng)
        return Paint(boxes, True, draw_key(rng), self.shared_noise)

    def plan(self, drawn: Paint) -> Plan:
        """Plan only the painting."""
        return Plan(paint=drawn)
