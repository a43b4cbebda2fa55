"""The steps between the slices of a volume: whether they are even, straight and without gaps, and what is repaired."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.problems import UnreadableError

UNEVEN = 0.1  # of the step between slices
GAP = 1.5  # steps
RUN = 3  # steps alike, one after the other, are a part of the scan, no gap
TILTED = 1e-2  # drift of a step off the normal, as a share of it
SHIFTED = 0.5  # pixels

Floats = NDArray[np.float64]


def is_tilted(step_mm: Floats, normal: Floats) -> bool:
    """Whether slices drift off their normal by so much that they are straightened."""
    height = float(step_mm @ normal)
    return float(np.linalg.norm(step_mm - height * normal)) >= TILTED * height


def check_straight(positions: Floats, heights: Floats, normal: Floats, pixel_mm: float) -> None:
    """Refuse slices that do not lie along a line.

    Args:
        positions: of the slices, (slices, 3) in LPS, in mm.
        heights: of them above the first, along the normal, in mm.
        normal: of the slices, of length 1.
        pixel_mm: the finer of a slice's two spacings.
    Raises:
        UnreadableError: one lies half a pixel off.
    """
    aside = positions - positions[0] - heights[:, None] * normal
    off = np.linalg.norm(aside - heights[:, None] / heights[-1] * aside[-1], axis=1)
    if off.max() > SHIFTED * pixel_mm:
        least, greatest = (positions - heights[:, None] * normal).min(0), (positions - heights[:, None] * normal).max(0)
        raise UnreadableError(
            f"its slices are shifted against each other in their plane, by {np.linalg.norm(greatest - least):.1f} mm",
            "export the series again, or split it where the slices move",
        )


def check_steps(steps_mm: Floats, numbers: Sequence[int], notes: list[str]) -> float:
    """Refuse missing slices, and say to which step others are resampled: 0 where they are as good as even.

    Args:
        steps_mm: between the slices.
        numbers: of the slices, as their headers say.
        notes: what is repaired is added here.
    Raises:
        UnreadableError: slices are missing.
    """
    # Not the median: where two of four slices are missing, that is the gap itself.
    usual = float(np.quantile(steps_mm, 0.25, method="lower"))
    narrowest, widest = float(steps_mm.min()), float(steps_mm.max())
    uneven = f"slices are uneven, {narrowest:.2f} to {widest:.2f} mm apart"
    if usual / GAP <= narrowest and widest <= GAP * usual:
        if float(np.abs(steps_mm - usual).max()) > UNEVEN * usual:
            notes.append(f"{uneven}; their mean is used")
        return 0.0
    parts, jumps = _even_parts(steps_mm), np.abs(np.diff(numbers))
    wide = steps_mm > (1 + UNEVEN) * usual
    if len(parts) > 1 and np.median(jumps[wide]) <= np.median(jumps[~wide]):
        levels = [f"{part:.4g}" for part in sorted(dict.fromkeys(round(part, 2) for part in parts))]
        named = ", ".join(levels[:-1]) + f" and {levels[-1]} mm"
        words = "two steps" if len(levels) == 2 else f"{len(levels)} steps"
        notes.append(f"{words} between its slices, {named}; resampled to the finest")
        return min(parts)
    if widest <= GAP * usual:  # some are nearer, so none is missing
        notes.append(f"{uneven}; resampled to {usual:.4g} mm")
        return usual
    missing = round(float(np.sum(np.rint(steps_mm / usual) - 1)))
    raise UnreadableError(
        f"about {missing} slices are missing: a gap of {widest:.2f} mm where the others are {usual:.2f} mm apart",
        "export the whole series again",
    )


def _even_parts(steps_mm: Floats) -> list[float]:
    """The step of each part of a scan whose slices lie evenly; none where a part is too short to be one."""
    parts: list[list[float]] = []
    for step in steps_mm.tolist():
        if parts and abs(step - parts[-1][0]) <= UNEVEN * parts[-1][0]:
            parts[-1].append(step)
        else:
            parts.append([step])
    means = [float(np.mean(part)) for part in parts]
    long = [len(part) >= RUN for part in parts]
    for index in [index for index, enough in enumerate(long) if not enough]:
        # Thick slices may begin half of each step above the last thin one.
        if not 0 < index < len(parts) - 1 or len(parts[index]) > 1:
            return []
        if not min(beside := (means[index - 1], means[index + 1])) < means[index] < max(beside):
            return []
    return [mean for mean, whole in zip(means, long, strict=True) if whole]
