"""Whole numbers from quotients: 1.2 / 0.4 is 2.9999999999999996 to a computer, and three voxels to everybody else."""

import math

NEARLY = 1e-6  # of a number: as far as the float32 of a header may be from what was meant


def rounded_down(number: float) -> int:
    """The greatest whole number that is no greater, but for the last digits."""
    near = round(number)
    return near if _is_nearly(number, near) else math.floor(number)


def rounded_up(number: float) -> int:
    """The least whole number that is no less, but for the last digits."""
    near = round(number)
    return near if _is_nearly(number, near) else math.ceil(number)


def _is_nearly(number: float, whole: int) -> bool:
    return abs(number - whole) <= NEARLY * max(1.0, abs(number))
