"""Resampling an image to another spacing, and straightening a tilted stack of slices."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.rounding import rounded_down, rounded_up
from modelsgenesis.data.formats.base.itk import check_size

WIDE = (sitk.sitkInt32, sitk.sitkUInt32, sitk.sitkInt64, sitk.sitkUInt64)  # more digits than float32 has
WHOLE = (sitk.sitkInt8, sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkUInt16, *WIDE)
SAME = 1e-6  # spacings that differ by less are one; interpolation would cost a whole grey level of integers


def resample(image: sitk.Image, spacing_mm: tuple[float, ...], max_voxels: int) -> sitk.Image:
    """Resample by linear interpolation; where voxels grow twofold or more, whole ones are averaged first.

    An image that has the spacing already comes back as it is.

    Args:
        image: 2D or 3D.
        spacing_mm: along the image's own axes.
        max_voxels: more are refused before memory is taken.
    Raises:
        UnreadableError: the result would be too large or flat.
    """
    if np.allclose(image.GetSpacing(), spacing_mm, rtol=SAME):
        return image
    shrink = [
        min(max(1, rounded_down(wanted / step)), side)
        for wanted, step, side in zip(spacing_mm, image.GetSpacing(), image.GetSize(), strict=True)
    ]
    sides_mm = [step * side for step, side in zip(image.GetSpacing(), image.GetSize(), strict=True)]
    size = [max(1, round(side / step)) for side, step in zip(sides_mm, spacing_mm, strict=True)]
    check_size(tuple(size), max_voxels, axes=len(size))
    if max(shrink) > 1:
        image = sitk.BinShrink(image, shrink)
    frame = np.array(image.GetDirection()).reshape(len(size), len(size))
    first = (np.array(spacing_mm) - np.array(image.GetSpacing())) / 2  # borders, not first centres, coincide
    origin = np.array(image.GetOrigin()) + frame @ first
    # Half a voxel beyond the last centre there is nothing to interpolate: the nearest value is right, not zero.
    return _linear(image, size, origin.tolist(), spacing_mm, image.GetDirection(), nearest_beyond=True)


def _linear(
    image: sitk.Image,
    size: Sequence[int],
    origin_mm: Sequence[float],
    spacing_mm: Sequence[float],
    direction: Sequence[float],
    *,
    beyond: float = 0.0,
    nearest_beyond: bool = False,
) -> sitk.Image:
    """Interpolate linearly; whole numbers are rounded, where ITK would cut their fractions off, towards zero."""
    own = image.GetPixelID()
    between = own if own not in WHOLE else sitk.sitkFloat64 if own in WIDE else sitk.sitkFloat32
    place = (size, sitk.Transform(), sitk.sitkLinear, origin_mm, spacing_mm, direction)
    made = sitk.Resample(image, *place, beyond, between, nearest_beyond)
    return made if between == own else sitk.Cast(sitk.Round(made), own)


def with_even_steps(image: sitk.Image, heights_mm: Sequence[float], num_slices: int) -> sitk.Image:
    """Interpolate between slices that lie unevenly, from the first to the last; whole numbers are rounded.

    Args:
        image: a stack of them.
        heights_mm: of the slices, rising.
        num_slices: wanted.
    """
    values = sitk.GetArrayViewFromImage(image)  # (slices, rows, columns)
    at = np.interp(np.linspace(heights_mm[0], heights_mm[-1], num_slices), heights_mm, np.arange(len(heights_mm)))
    made = np.empty((num_slices, *values.shape[1:]), values.dtype)
    for number, place in enumerate(at.tolist()):
        below = min(int(place), len(values) - 2)
        between = values[below] * (below + 1 - place) + values[below + 1] * (place - below)
        made[number] = between if made.dtype.kind == "f" else np.rint(between)
    even = sitk.GetImageFromArray(made)
    even.SetSpacing(image.GetSpacing())
    even.SetOrigin(image.GetOrigin())
    even.SetDirection(image.GetDirection())
    return even


def straighten(image: sitk.Image, step_mm: tuple[float, ...]) -> sitk.Image:
    """Give a stack of slices its true step; when the gantry was tilted, resample to upright slices.

    Args:
        image: a series as SimpleITK stacks it: it takes the slices for upright.
        step_mm: from a slice to the next, in LPS.
    """
    frame = np.array(image.GetDirection()).reshape(3, 3)
    normal, step = np.cross(frame[:, 0], frame[:, 1]), np.array(step_mm)
    height = float(step @ normal)
    image.SetSpacing((*image.GetSpacing()[:2], float(np.linalg.norm(step))))
    drift = step - height * normal
    if np.linalg.norm(drift) < 1e-2 * height:
        image.SetDirection(np.column_stack([frame[:, 0], frame[:, 1], normal]).ravel().tolist())
        image.SetSpacing((*image.GetSpacing()[:2], height))
        return image
    image.SetDirection(np.column_stack([frame[:, 0], frame[:, 1], step / np.linalg.norm(step)]).ravel().tolist())
    return _upright(image, frame, normal, drift * (image.GetSize()[2] - 1), height)


def _upright(
    image: sitk.Image, frame: np.ndarray, normal: np.ndarray, drift_mm: np.ndarray, height_mm: float
) -> sitk.Image:
    """Resample a sheared image to an upright box that holds all of it."""
    in_plane = [float(drift_mm @ frame[:, axis]) for axis in range(2)]
    size, spacing = list(image.GetSize()), [*image.GetSpacing()[:2], height_mm]
    origin = np.array(image.GetOrigin())
    for axis, moved in enumerate(in_plane):
        size[axis] += rounded_up(abs(moved) / spacing[axis])
        origin = origin + min(0.0, moved) * frame[:, axis]
    upright = np.column_stack([frame[:, 0], frame[:, 1], normal]).ravel().tolist()
    least = float(sitk.GetArrayViewFromImage(image).min())
    return _linear(image, size, origin.tolist(), spacing, upright, beyond=least)
