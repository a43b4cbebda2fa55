"""Resampling an image to another spacing, and straightening sheared axes, as of a tilted stack of slices."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.image_format import Header
from modelsgenesis.core.rounding import rounded_down, rounded_up
from modelsgenesis.data.formats.base.itk import Image, check_size, geometry_of, itk_image
from modelsgenesis.data.images import corners_mm, farthest_corner_voxels
from modelsgenesis.data.problems import UnreadableError

WIDE = (sitk.sitkInt32, sitk.sitkUInt32, sitk.sitkInt64, sitk.sitkUInt64)  # more digits than float32 has
WHOLE = (sitk.sitkInt8, sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkUInt16, *WIDE)
SAME = 1e-6  # spacings that differ by less are one; interpolation would cost a whole grey level of integers

NOISE_DEGREES = 1e-4  # of headers in single precision
TOLD_DEGREES = 5e-3
MOST_DEGREES = 45.0


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
        u, _, vt = np.linalg.svd(np.column_stack([frame[:, 0], frame[:, 1], normal]))  # cosines are rounded
        image.SetDirection((u @ vt).ravel().tolist())
        image.SetSpacing((*image.GetSpacing()[:2], height))
        return image
    image.SetDirection(np.column_stack([frame[:, 0], frame[:, 1], step / np.linalg.norm(step)]).ravel().tolist())
    return at_right_angles(image)


def settled(header: Header) -> Header:
    """Turn axes that are nearly at right angles to where they are; any others are left to `at_right_angles`.

    Headers are rounded, and tilted gantries are written as sheared axes. Either is told.

    Raises:
        UnreadableError: the axes are so far off that the header cannot be meant.
    """
    geometry = header.geometry
    numbers = (*geometry.spacing_mm, *geometry.origin_mm, *geometry.direction)
    if len(geometry.size) != 3 or not np.isfinite(numbers).all() or min(geometry.spacing_mm) <= 0:
        return header
    degrees = geometry.shear_degrees
    if degrees < NOISE_DEGREES:
        return header
    if degrees > MOST_DEGREES:
        raise UnreadableError(f"two of its axes miss a right angle by {degrees:.0f} degrees", "correct its header")
    u, _, vt = np.linalg.svd(geometry.frame)
    half = np.array(geometry.spacing_mm) * (np.array(geometry.size) - 1) / 2  # the middle stays where it is
    origin = geometry.origin_mm + (geometry.frame - u @ vt) @ half
    near = replace(geometry, origin_mm=tuple(origin.tolist()), direction=tuple((u @ vt).ravel().tolist()))
    what = f"its axes miss right angles by {degrees:.3g} degrees"
    if farthest_corner_voxels(geometry, near) < 0.5:
        told = (f"{what}; the nearest right angles are taken",) if degrees >= TOLD_DEGREES else ()
        return replace(header.placed(near, *told), sheared=geometry)
    told = (f"{what}, as of a tilted gantry; straightened by resampling",)
    return replace(header, upright=False, doubts=(*header.doubts, *told), sheared=geometry)


def at_right_angles(image: Image, *, labels: bool = False) -> Image:
    """Resample an image of sheared axes to an upright box that holds all of it; any other comes back as it is.

    The two axes that are at right angles, or nearly, are kept: those of the slices, where a gantry was tilted. If there
    are two such pairs, slices lie farther apart than voxels within one.

    Args:
        image: to straighten.
        labels: take the nearest voxel and fill up with 0; otherwise interpolate and fill up with the least value.
    """
    geometry = geometry_of(image)
    if len(geometry.size) != 3 or geometry.shear_degrees < NOISE_DEGREES:
        return image
    image = itk_image(image)
    frame, spacing = geometry.frame, np.array(geometry.spacing_mm)
    cosines = np.abs(frame.T @ frame).round(3)
    ways = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
    first, second, through = min(ways, key=lambda axes: (cosines[axes[:2]], -spacing[axes[2]]))
    upright = np.empty((3, 3))
    upright[:, first] = frame[:, first]
    across = frame[:, second] - (frame[:, second] @ frame[:, first]) * frame[:, first]
    upright[:, second] = across / np.linalg.norm(across)
    normal = np.cross(upright[:, first], upright[:, second])
    upright[:, through] = normal * np.sign(normal @ frame[:, through])
    steps = np.abs((upright * frame).sum(axis=0)) * spacing
    corners = corners_mm(geometry) @ upright
    size = [rounded_up(side) + 1 for side in (corners.max(axis=0) - corners.min(axis=0)) / steps]
    place = ((upright @ corners.min(axis=0)).tolist(), steps.tolist(), upright.ravel().tolist())
    if labels:
        return sitk.Resample(image, size, sitk.Transform(), sitk.sitkNearestNeighbor, *place)
    return _linear(image, size, *place, beyond=float(np.nanmin(sitk.GetArrayViewFromImage(image))))
