"""The three planes of a volume as a radiologist hangs them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from modelsgenesis.core.errors import ShapeError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Plane:
    """A plane of an image, ready to draw with its first row on top.

    Attributes:
        name: "axial", "coronal" or "sagittal"; "image" for a 2D image.
        picture: (rows, columns).
        size_mm: (width, height).
        letters: what lies at the picture's left, right, top and bottom; empty where it is not known.
    """

    name: str
    picture: Array
    size_mm: tuple[float, float]
    letters: tuple[str, str, str, str]


def names(axes: int) -> tuple[str, ...]:
    """The names of the planes to draw of a 2D or a 3D image, from the top."""
    return ("image",) if axes == 2 else ("axial", "coronal", "sagittal")


def middle_channel(image: Array) -> int:
    """The channel of an image (C, *space) to draw: of a slice and its neighbours the slice itself, else the first."""
    return image.shape[0] // 2 if image.ndim == 3 else 0


def channel_in_words(image: Array) -> str:
    """Which channel of an image (C, *space) is drawn, as the end of a line; nothing where there is one."""
    return f"; channel {middle_channel(image) + 1} of {image.shape[0]}" if image.shape[0] > 1 else ""


def cut_plane(values: Array, name: str, spacing_mm: tuple[float, ...], at: tuple[int, ...] | None = None) -> Plane:
    """Cut one plane, in radiological view: the patient's right on the picture's left, front or head on top.

    Args:
        values: (X, Y, Z) or (X, Y), LPS: x to the patient's left, y to posterior, z to superior.
        name: which of `names`.
        spacing_mm: between voxels along x, y, z.
        at: the voxel where the planes meet; the middle by default.
    Raises:
        ShapeError: neither 2D nor 3D, or a spacing that does not match.
    """
    if values.ndim not in (2, 3) or len(spacing_mm) != values.ndim:
        raise ShapeError(
            f"a picture is cut from (X, Y) or (X, Y, Z) with one spacing for each axis, got an array of shape "
            f"{values.shape} and spacing_mm {spacing_mm}; choose one channel first"
        )
    x, y, *rest = at or tuple(side // 2 for side in values.shape)
    extent = [side * step for side, step in zip(values.shape, spacing_mm, strict=True)]
    if name == "image":
        return Plane(name, values.T, (extent[0], extent[1]), ("", "", "", ""))
    if name == "axial":
        return Plane(name, values[:, :, rest[0]].T, (extent[0], extent[1]), ("R", "L", "A", "P"))
    if name == "coronal":
        return Plane(name, values[:, y, ::-1].T, (extent[0], extent[2]), ("R", "L", "S", "I"))
    if name == "sagittal":
        return Plane(name, values[x, :, ::-1].T, (extent[1], extent[2]), ("A", "P", "S", "I"))
    raise ShapeError(f"no plane {name!r}; there are axial, coronal, sagittal, and image for 2D")
