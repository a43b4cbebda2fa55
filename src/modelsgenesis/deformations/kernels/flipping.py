"""Reversing axes row by row: several times faster than copying a reversed view."""

from typing import Any

import numpy as np

from modelsgenesis.deformations.kernels.compiling import compiled


@compiled
def flip(image: Any, out: Any, turned: Any) -> None:
    """Write `image` into `out`, (A, B, C, D) both, with the axes reversed for which `turned` is True."""
    for a in range(image.shape[0]):
        for b in range(image.shape[1]):
            for c in range(image.shape[2]):
                source = image[
                    image.shape[0] - 1 - a if turned[0] else a,
                    image.shape[1] - 1 - b if turned[1] else b,
                    image.shape[2] - 1 - c if turned[2] else c,
                ]
                run = out[a, b, c]
                if turned[3]:
                    for d in range(run.size):
                        run[d] = source[np.uint32(run.size - 1 - d)]
                else:
                    for d in range(run.size):
                        run[d] = source[d]
