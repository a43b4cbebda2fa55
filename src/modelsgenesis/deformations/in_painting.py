"""In-painting: small boxes of the image are hidden; the network fills them in from around."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations._boxes import draw_boxes
from modelsgenesis.deformations._loop import Paint, run
from modelsgenesis.deformations._pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations._range import Array, Span
from modelsgenesis.deformations.kernels.hashing import draw_key


@dataclass(frozen=True, kw_only=True)
class InPainting(PixelDeformation):
    """Hide up to five small boxes under noise.

    Args:
        shared_noise: the same noise in every channel.
    """

    shared_noise: bool = False

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Paint:
        """Draw the boxes to hide and the key of the noise."""
        check_sides(shape, 4, "InPainting")
        sides = tuple((max(1, side // 6), max(1, side // 3)) for side in shape[1:])
        boxes = draw_boxes(shape[1:], sides, 0, rng)
        return Paint(boxes, False, draw_key(rng), self.shared_noise)

    def deform(self, array: Array, span: Span, drawn: Paint) -> Array:
        """Paint."""
        return run(array, span, None, None, drawn)
