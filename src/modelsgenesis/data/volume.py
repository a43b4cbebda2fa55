"""A volume in memory: values in LPS, and the way back to the file's own axes."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from modelsgenesis.core.image_format import Geometry

__all__ = ["Geometry", "Volume"]


@dataclass(frozen=True)
class Volume:
    """A volume read from a source; a picture has no Z, its X runs along the rows and its Y down the columns.

    Attributes:
        values: (C, X, Y, Z), LPS; HU for CT.
        spacing_mm: along X, Y, Z.
        modality: one of scan.MODALITIES, or "" when unknown.
        geometry: of the source's file, before any resampling.
        notes: what was repaired, in words that name nobody.
        levels: the values of black and white by its bit depth; None where its header does not say.
    """

    values: NDArray[Any]
    spacing_mm: tuple[float, ...]
    modality: str
    geometry: Geometry
    notes: tuple[str, ...] = ()
    levels: tuple[float, float] | None = None
