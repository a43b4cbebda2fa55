"""Out-painting: only a few windows of the image stay visible; the network draws what lies around them."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations._boxes import draw_boxes
from modelsgenesis.deformations._loop import Paint, run
from modelsgenesis.deformations._pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations._range import Array, Span
from modelsgenesis.deformations.kernels.hashing import draw_key


@dataclass(frozen=True, kw_only=True)
class OutPainting(PixelDeformation):
    """Hide all but one to five large windows under noise.

    Args:
        shared_noise: the same noise in every channel.
    """

    shared_noise: bool = False

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Paint:
        """Draw the windows that stay and the key of the noise."""
        check_sides(shape, 4, "OutPainting")
        sides = tuple((side - 4 * side // 7, side - 3 * side // 7) for side in shape[1:])
        boxes = draw_boxes(shape[1:], sides, 1, rng)
        return Paint(boxes, True, draw_key(rng), self.shared_noise)

    def deform(self, array: Array, span: Span, drawn: Paint) -> Array:
        """Paint."""
        return run(array, span, None, None, drawn)
