"""Reading a source into a volume: its format reads the voxels, the way to LPS and to another spacing is here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.image_format import MAX_VOXELS, Geometry, Header
from modelsgenesis.data.boxes import Box, cut_box, inside, padded, span_of
from modelsgenesis.data.formats.base.itk import (
    Image,
    check_plausible,
    crop,
    geometry_of,
    itk_image,
    placed,
    voxels_of,
)
from modelsgenesis.data.intensity_statistics import thinned
from modelsgenesis.data.problems import UnreadableError, costs_one_source
from modelsgenesis.data.resampling import at_right_angles, resample
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Volume

OBLIQUE_DEGREES = 10.0
COLOURED = ("colours", "vector of 8-bit unsigned integer", "vector of 16-bit unsigned integer")  # 3 or 4 a voxel
NEARLY_BLACK = 0.02  # of the range of a picture's values

Levels = tuple[float, float] | None  # the values of black and white by a picture's bit depth


@costs_one_source()
def read_volume(
    source: Source,
    *,
    spacing_mm: tuple[float, ...] | None = None,
    fit: tuple[int, ...] | None = None,
    like: Geometry | None = None,
    labels: bool = False,
    voi: bool = False,
    max_voxels: int = MAX_VOXELS,
) -> Volume:
    """Read one scan, turned to LPS, or one picture.

    Args:
        source: from `find_sources`, or made by a task.
        spacing_mm: along X, Y, Z, to resample to; None keeps the scan's own.
        fit: voxels along X, Y, Z, to resample to instead: the image just fits in, its proportions kept.
        like: of another file of the same voxels, to resample both onto one grid, whichever way their axes run; where
            one of the two does not say how, voxel by voxel as the files have them.
        labels: the numbers are labels, which no resampling of sheared axes may mix.
        voi: the window or look-up table of a radiograph's header is applied.
        max_voxels: more are refused before memory is taken.
    Returns:
        Volume: (1, X, Y, Z), of the source's box alone where it has one, or (1, X, Y) of a picture; modality as given,
            or "" when neither the table nor the header knows it.
    Raises:
        UnreadableError: it cannot be read as a grey image.
    """
    source = replace(source, format=source.format.with_voi()) if voi else source
    source = replace(source, format=source.format.as_labels()) if labels else source
    image, geometry, notes, levels = _read(source, max_voxels, labels=labels)
    if like is not None and like.size == geometry.size and not (like.oriented and geometry.oriented):
        known = geometry if like.spaced and geometry.spaced else like
        geometry = replace(like, spacing_mm=known.spacing_mm)
        image = placed(itk_image(image), geometry)
    if like is not None and (fit is not None or spacing_mm is not None):
        image = _turned(itk_image(image), like)
    if fit is not None:
        spacing_mm = _fitting(geometry_of(image), fit)
    if spacing_mm is None:
        return _volume(image, source, geometry, notes, levels)
    unresampled = thinned(voxels_of(image)).copy()
    image = _resampled(image, spacing_mm, max_voxels)
    return replace(_volume(image, source, geometry, notes, levels), unresampled=unresampled)


@costs_one_source()
def read_both(
    source: Source,
    *,
    spacing_mm: tuple[float, ...] | None,
    longest_side: int | None = None,
    voi: bool = False,
    crop_borders: bool = False,
    max_voxels: int = MAX_VOXELS,
) -> tuple[Volume, Volume]:
    """Read one scan as `read_volume` does, but once, to have it both as it is and resampled.

    Args:
        source: as for `read_volume`.
        spacing_mm: to resample to; None keeps the scan's own.
        longest_side: pixels of a picture's longer side, if it has more.
        voi: as for `read_volume`.
        crop_borders: a picture's borders, all black or all white, are cut off what is returned second.
        max_voxels: as for `read_volume`.
    Returns:
        The volume at its own spacing, and resampled; if nothing is, the same volume twice.
    Raises:
        UnreadableError: it cannot be read as a grey image.
    """
    source = replace(source, format=source.format.with_voi()) if voi else source
    image, geometry, notes, levels = _read(source, max_voxels)
    own = _volume(image, source, geometry, notes, levels)
    image = without_borders(itk_image(image)) if crop_borders else image
    kept = geometry_of(image)
    if longest_side is not None and max(kept.size) > longest_side:
        spacing_mm = _fitting(kept, (longest_side,) * len(kept.size))
    if spacing_mm is None and kept.size == geometry.size:
        return own, own
    if spacing_mm is None:
        return own, _volume(image, source, geometry, notes, levels)
    return own, _volume(_resampled(image, spacing_mm, max_voxels), source, geometry, notes, levels)


@dataclass(frozen=True)
class Seen:
    """All that a file holds, to be looked at.

    Attributes:
        volume: whose values are (1, X, Y, Z), or (volumes, X, Y, Z) of a series, or (3, X, Y, Z) of red, green and blue
            from 0 to 255; a picture has no Z.
        coloured: whether they are red, green and blue.
    """

    volume: Volume
    coloured: bool = False


@costs_one_source()
def read_seen(source: Source, *, max_voxels: int = MAX_VOXELS) -> Seen:
    """Read a scan as `read_volume` does, or what that refuses but can be shown, whole.

    That is a series of volumes, colours, and a scan of one slice; a file of a volume format that has two axes is a
    picture.

    Args:
        source: from `find_sources`, or made by a task.
        max_voxels: more are refused before memory is taken.
    Raises:
        UnreadableError: it cannot be shown.
    """
    if source.box is not None or source.index is not None:
        return Seen(read_volume(source, max_voxels=max_voxels))
    header = source.format.read_header(source)
    plain = _as_one(header, source)
    if plain == header and source.format.axes == 3:
        return Seen(read_volume(source, max_voxels=max_voxels))
    source.format.check(plain, source, max_voxels)
    num = math.prod(header.size) * header.channels
    if num > math.prod(plain.size):  # more than that checked
        if num > max_voxels:
            raise UnreadableError(f"it claims {num} values, more than the limit of {max_voxels}", "save a part of it")
        check_plausible(num, source.files)
    found = source.format.read_all(source)
    images = [at_right_angles(image) for image in found.images]
    geometry, notes = _described(images[0], header, found.repaired)
    volumes = [_volume(image, source, geometry, notes, header.levels) for image in images]
    values = volumes[0].values if len(volumes) == 1 else np.concatenate([each.values for each in volumes])
    return Seen(replace(volumes[0], values=values), found.coloured)


def _as_one(header: Header, source: Source) -> Header:
    """The header that a grey volume of two voxels or more along each axis would have there, for what can be shown."""
    axes = len(header.size)
    if axes > 4 or (axes == 4 and not (source.format.reads_all and header.channels == 1)):
        return header
    if header.channels > 1 and not (source.format.reads_all and header.dtype in COLOURED and header.channels in (3, 4)):
        return header
    kept, more = min(axes, 3), source.format.axes_of(source) - axes
    direction = np.eye(kept + max(more, 0))
    direction[:kept, :kept] = header.geometry.frame
    return replace(
        header,
        size=tuple(max(side, 2) for side in header.size[:kept]) + (2,) * more,
        spacing_mm=header.spacing_mm[:kept] + (1.0,) * more,
        origin_mm=header.origin_mm[:kept] + (0.0,) * more,
        direction=tuple(direction.ravel().tolist()),
        channels=1,
    )


def without_borders(image: sitk.Image) -> sitk.Image:
    """Cut off the rows and columns around a picture that are all black or all white, as a collimator or label leaves.

    Black and white are the picture's own least and greatest value, and what is within a fiftieth of its range of them,
    since compression blurs. Volumes, and pictures that would vanish, come back as they are.
    """
    if image.GetDimension() != 2:
        return image
    values = sitk.GetArrayViewFromImage(image)  # (rows, columns)
    low, high = float(values.min()), float(values.max())
    near = NEARLY_BLACK * (high - low)
    ends = values <= low + near, values >= high - near
    box, before = (slice(0, values.shape[0]), slice(0, values.shape[1])), None
    while box != before:
        before = box
        for axis in (0, 1):
            inside = np.argwhere(~(ends[0][box].all(axis=1 - axis) | ends[1][box].all(axis=1 - axis)))
            if not inside.size or np.ptp(inside) < 1:
                return image
            start = box[axis].start
            kept = slice(start + int(inside.min()), start + int(inside.max()) + 1)
            box = (kept, box[1]) if axis == 0 else (box[0], kept)
    return crop(image, (box[1], box[0]))


def _read(source: Source, max_voxels: int, *, labels: bool = False) -> tuple[Image, Geometry, list[str], Levels]:
    """The image, or the source's box of it, in the file's own axes, straightened.

    Where it lies, what was repaired, and the values of black and white.
    """
    header = source.format.read_header(source)
    source.format.check(header, source, max_voxels)
    if header.labels and not labels:
        raise UnreadableError("a segmentation (DICOM-SEG), no scan", "leave it out, or give it as a label")
    image, repaired = _read_box(source, source.box, header, labels) if source.box else _read_whole(source, labels)
    return image, *_described(image, header, repaired), header.levels


def _described(image: Image, header: Header, repaired: Sequence[str]) -> tuple[Geometry, list[str]]:
    """Where an image lies, and what is said of it."""
    notes = [*header.doubts, *repaired]
    geometry = replace(geometry_of(image), oriented=header.oriented, spaced=header.spaced)
    oblique_degrees = geometry.oblique_degrees
    if oblique_degrees > OBLIQUE_DEGREES:
        notes.append(f"its axes lie {oblique_degrees:.0f} degrees off LPS; the nearest axes are taken")
    return geometry, notes


def _read_whole(source: Source, labels: bool) -> tuple[Image, list[str]]:
    """A whole scan, at right angles."""
    image, notes = source.format.read(source)
    return at_right_angles(image, labels=labels), notes


def _read_box(source: Source, box: Box, header: Header, labels: bool) -> tuple[Image, list[str]]:
    """The box of a scan, read without the rest where the format can."""
    black = header.levels[0] if header.levels and not labels else None
    if not (source.format.reads_parts and header.upright):
        image, notes = _read_whole(source, labels)
        return cut_box(itk_image(image), box, source.modality, black), notes
    span = span_of(box, header.geometry)
    image, notes = source.format.read(source, inside(*span, header.geometry.size))
    return padded(image, span, header.geometry.size, source.modality, black), notes


def _resampled(image: Image, spacing_mm: tuple[float, ...], max_voxels: int) -> sitk.Image:
    """Resample an image to a spacing along X, Y, Z."""
    order = geometry_of(image).order
    return resample(itk_image(image), tuple(spacing_mm[order.index(axis)] for axis in range(len(order))), max_voxels)


def _turned(image: sitk.Image, like: Geometry) -> sitk.Image:
    """The image with its axes turned to those of another file, and of just its steps; of another size as it is.

    The grid that an image is resampled to begins where the file's axes begin, and ends where the last step fits in.
    """
    own = geometry_of(image)
    if [own.size[axis] for axis in own.order] != [like.size[axis] for axis in like.order]:
        return image
    runs_along = [like.order.index(axis) for axis in range(len(like.order))]  # X, Y or Z
    axes = [own.order[space] for space in runs_along]
    flips = [own.flips[space] != like.flips[space] for space in runs_along]
    image = sitk.Flip(sitk.PermuteAxes(image, axes), flips)
    image.SetSpacing(like.spacing_mm)
    return image


def _volume(image: Image, source: Source, geometry: Geometry, notes: list[str], levels: Levels) -> Volume:
    """Turn an image to LPS."""
    turned = geometry_of(image)
    values = turned.to_lps(voxels_of(image).T)[np.newaxis]
    spacing = tuple(turned.spacing_mm[axis] for axis in turned.order)
    return Volume(values, spacing, source.modality, geometry, tuple(notes), levels)


def _fitting(geometry: Geometry, fit: tuple[int, ...]) -> tuple[float, ...]:
    """The spacing at which an image just fits into so many voxels, its proportions in voxels kept."""
    if len(fit) != len(geometry.size):
        raise UnreadableError(f"an image of {len(geometry.size)} axes, and one of {len(fit)} is wanted", "leave it out")
    step = max(geometry.size[axis] / wanted for axis, wanted in zip(geometry.order, fit, strict=True))
    return tuple(step * geometry.spacing_mm[axis] for axis in geometry.order)
