"""A box around a place in a scan or a picture: a case that is a candidate or a region, not a whole image."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.image_format import Geometry, Region
from modelsgenesis.data.formats.base.itk import crop, geometry_of
from modelsgenesis.data.problems import UnreadableError

AIR_HU = -1000.0
SPELLED = re.compile(r"(?P<file>.+)@(?P<centre>[-+.\de]+(?:,[-+.\de]+){1,2})@(?P<size>\d+(?:x\d+){1,2})")


@dataclass(frozen=True)
class Box:
    """A box of a scan or a picture, read as if it were an image of its own.

    Attributes:
        centre_mm: where its middle voxel lies, in the world of the scan: LPS, as DICOM and ITK count. A picture
            lies nowhere: (X, Y) in pixels, from 0 at the centre of the first one, whatever its spacing.
        size: voxels of the scan along X, Y, Z, or pixels along X, Y; what hangs over the borders is padded.
    Raises:
        UnreadableError: a place that is no number, or a side without a voxel.
    """

    centre_mm: tuple[float, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.centre_mm)) or min(self.size) < 1:
            numbers = "three numbers" if len(self.size) == 3 else "two numbers"
            raise UnreadableError(f"a box {self}", f"write {numbers} for its centre, and sides of 1 or more")

    def __str__(self) -> str:
        return f"@{','.join(map(repr, self.centre_mm))}@{'x'.join(map(str, self.size))}"


def read_box(place: Path) -> tuple[Path, Box] | None:
    """Understand `scan.mhd@-56.1,67.8,-311.9@64x64x32` or `picture.png@310,205@64x48`; None for any other path.

    Returns:
        The file and a box in it.
    """
    found = SPELLED.fullmatch(place.name)
    if found is None:
        return None
    try:
        centre = tuple(map(float, found["centre"].split(",")))
    except ValueError:
        return None
    size = tuple(map(int, found["size"].split("x")))
    return (place.with_name(found["file"]), Box(centre, size)) if len(centre) == len(size) else None


def span_of(box: Box, geometry: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first voxel of a box and its size, along the file's axes; it may hang over.

    Raises:
        UnreadableError: its centre lies outside the image, or the image has more axes or fewer.
    """
    axes = len(geometry.size)
    if len(box.size) != axes:
        spelled = "SCAN@x,y,z@XxYxZ" if axes == 3 else "PICTURE@x,y@WIDTHxHEIGHT"
        raise UnreadableError(f"a box of {len(box.size)} axes in an image of {axes}", f"write {spelled}")
    index = np.array(box.centre_mm)
    if axes == 3:
        frame = geometry.frame * np.array(geometry.spacing_mm)
        index = np.linalg.solve(frame, index - np.array(geometry.origin_mm))
    middle = [int(place) for place in np.floor(index + 0.5)]
    if any(not 0 <= place < side for place, side in zip(middle, geometry.size, strict=True)):
        place = ", ".join(f"{each:g}" for each in box.centre_mm)
        if axes == 2:
            whole = " x ".join(map(str, geometry.size))
            what = f"the place ({place}) lies outside the picture of {whole} pixels"
            raise UnreadableError(what, "correct it: in pixels, from 0 at the upper left")
        raise UnreadableError(
            f"the place ({place}) mm lies outside the scan", "correct it: in mm, in LPS, as ITK has it"
        )
    size = tuple(box.size[geometry.order.index(axis)] for axis in range(axes))
    return tuple(at - side // 2 for at, side in zip(middle, size, strict=True)), size


def inside(lower: tuple[int, ...], size: tuple[int, ...], whole: tuple[int, ...]) -> Region:
    """The part of a span that lies in the scan, along the file's axes."""
    ends = zip(whole, lower, size, strict=True)
    return tuple(slice(max(0, low), min(all_, low + side)) for all_, low, side in ends)


def cut_box(image: sitk.Image, box: Box, modality: str, black: float | None = None) -> sitk.Image:
    """Cut a box out of a whole image, and fill what hangs over as `padded` does."""
    span = span_of(box, geometry_of(image))
    return padded(crop(image, inside(*span, image.GetSize())), span, image.GetSize(), modality, black)


def padded(
    part: sitk.Image,
    span: tuple[tuple[int, ...], tuple[int, ...]],
    whole: tuple[int, ...],
    modality: str,
    black: float | None = None,
) -> sitk.Image:
    """Fill up the part of a span that lies outside the scan.

    It is black where a picture says which value that is, air in CT, and otherwise 0, which masks and MRI have there, or
    the part's least value if less.

    Args:
        part: of the span that the scan has.
        span: first voxel and size, as `span_of` gives them.
        whole: size of the scan.
        modality: of the scan.
        black: its value, where the header of a picture says so.
    """
    before = [max(0, -low) for low in span[0]]
    after = [max(0, low + side - all_) for low, side, all_ in zip(*span, whole, strict=True)]
    if not any(before) and not any(after):
        return part
    least = float(sitk.GetArrayViewFromImage(part).min())
    filled = AIR_HU if modality == "CT" and least < 0 else min(least, 0.0)
    return sitk.ConstantPad(part, before, after, filled if black is None else black)
