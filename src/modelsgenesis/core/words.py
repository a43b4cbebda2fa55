"""Numbers in words: as people read them in pages, tables and lines."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def number(value: float, digits: int = 4, *, signed: bool = False, undefined: str = "-") -> str:
    """A number with so many digits after the point, or a dash for what is undefined."""
    return f"{value:{'+' if signed else ''}.{digits}f}" if math.isfinite(value) else undefined


def short_number(value: float) -> str:
    """Three digits after the point, one from 10 on, or a dash for what is undefined."""
    return number(value, 3 if abs(value) < 10 else 1, undefined="–")


def mean_sd(values: Iterable[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of what is finite; NaN where undefined."""
    known = [float(value) for value in values if math.isfinite(value)]
    mean = sum(known) / len(known) if known else math.nan
    spread = sum((value - mean) ** 2 for value in known)
    return mean, math.sqrt(spread / (len(known) - 1)) if len(known) > 1 else math.nan


def mean_sd_words(values: Iterable[float]) -> str:
    """Mean and standard deviation with three digits; the mean alone of one value."""
    mean, sd = mean_sd(values)
    return number(mean, 3) + (f" ± {sd:.3f}" if math.isfinite(sd) else "")


def duration(seconds: float) -> str:
    """A duration in words, such as 2 h 5 min."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def many(count: int, what: str) -> str:
    """A count with its noun, such as "1 case" and "2 cases"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Nouns:
    """What images are called in words for people.

    Attributes:
        scan: a whole image.
        cube: what is cut from it.
        voxel: the smallest part of both.
    """

    scan: str = "scan"
    cube: str = "cube"
    voxel: str = "voxel"


def nouns(axes: int) -> Nouns:
    """The words for images of two axes or of three."""
    return Nouns("picture", "crop", "pixel") if axes == 2 else Nouns()


def listed(names: Sequence[str], most: int) -> str:
    """Names after commas; beyond so many, how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
