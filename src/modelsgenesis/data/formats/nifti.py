"""NIfTI-1 and -2: .nii, gzipped or not, and .hdr with its voxels beside, which may be Analyze 7.5.

Read and written here: SimpleITK reads no NIfTI-2 and no sheared sform, takes the qform where other programs take the
sform, adds the intercept where a slope of 0 says not to, and puts zeros in place of NaN and of what is cut off.
"""

import io
import math
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.files import open_regular
from modelsgenesis.core.image_format import (
    GZIP,
    MAX_VOXELS,
    Contents,
    Geometry,
    Header,
    ImageFormat,
    Place,
    Region,
    head_inside,
    header_of_affine,
)
from modelsgenesis.data.formats.base.itk import (
    ASSUMED_ORIENTATION,
    EXPORT_AGAIN,
    Image,
    beside,
    check_spacing,
    check_volume,
    colours_of,
    image_of,
    placed,
    plain_image,
)
from modelsgenesis.data.formats.base.nifti_header import (
    COLOURS,
    NIFTI_2,
    RawHeader,
    fresh_header,
    layout_of,
    mask_header,
    raw_header,
)
from modelsgenesis.data.formats.base.unpacking import unpacked
from modelsgenesis.data.images import MOST_APART, farthest_corner_voxels
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.resampling import settled

SLAB = 2**20  # numbers that are rescaled together
SAME = 1e-4  # by which the steps of a form may differ from the spacing, which has more digits, and be the same
GZIP_LEVEL = 3  # three times as fast as 6


@dataclass(frozen=True)
class Nifti(ImageFormat):
    """NIfTI-1 and -2, and Analyze 7.5, their elder."""

    endings: ClassVar = {".nii": "NIfTI", ".hdr": "NIfTI", ".nii.gz": "gzipped NIfTI"}
    mask_endings: ClassVar = {".nii": ".nii"}
    may_die: ClassVar = False
    reads_all: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic of the header, which may be gzipped."""
        if head[:2] == GZIP:
            return "gzipped NIfTI" if layout_of(head_inside(path, NIFTI_2.itemsize), path) else ""
        return "NIfTI" if layout_of(head, path) else ""

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """The header, and the .img of a header without voxels."""
        if path.suffix.lower() != ".hdr":
            return (path,)
        return path, beside(path, path.with_suffix(".img").name)

    def read_header(self, place: Place) -> Header:
        """Read the header; of two forms the sform is followed, as nibabel does."""
        if place.path.name.lower().endswith(".nii.gz") and place.path.with_suffix("").exists():
            raise UnreadableError(
                "a file of the same name without .gz lies beside it: other programs read that one in its place",
                "remove or rename one of the two",
            )
        raw = read_raw_header(place.path)
        forms = [form for form in (raw.sform, raw.qform) if form is not None]
        header = _header(raw, forms[0] if forms else np.diag([*raw.spacing_mm, 0.0])[:3])
        if not forms:
            return replace(header, oriented=False, doubts=(ASSUMED_ORIENTATION,))
        far = farthest_corner_voxels(header.geometry, _header(raw, forms[-1]).geometry)
        if far > MOST_APART:
            header = replace(
                header, doubts=(f"its qform and its sform lie up to {far:.2g} voxels apart; the sform is followed",)
            )
        elif raw.qform is None and (steps := _other_steps(raw, header.geometry)):
            header = replace(header, doubts=(f"its pixdim says {steps}, not its sform; the sform is followed",))
        return settled(header)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey volume of a possible size, and of a spacing as it is written."""
        check_volume(header, place, max_voxels)
        check_spacing(read_raw_header(place.path).spacing_mm)

    def read(self, place: Place, region: Region | None = None) -> tuple[Image, list[str]]:
        """Read the whole file, see that it is whole, and cut the region out of it."""
        raw = read_raw_header(place.path)
        volumes = read_voxels(place.files[-1], raw).reshape(-1, *raw.size[:3][::-1])
        values = _rescaled(volumes[place.index or 0], raw)
        values = values.copy() if len(volumes) > 1 and values.base is not None else values  # the others may go
        return plain_image(values, self.read_header(place).geometry, region), []

    def read_all(self, place: Place) -> Contents:
        """Read every volume, or the colours, at once."""
        raw, geometry = read_raw_header(place.path), self.read_header(place).geometry
        volumes = read_voxels(place.files[-1], raw).reshape(-1, *raw.size[:3][::-1])
        if volumes.dtype.names:
            return colours_of(volumes.view(np.uint8).reshape(*volumes.shape[1:], -1), geometry)
        return Contents([placed(image_of(_rescaled(volume, raw).T), geometry) for volume in volumes])


def read_raw_header(path: Path) -> RawHeader:
    """Read the header of a file, gzipped or not.

    Raises:
        UnreadableError: it is cut off or is none.
    """
    with open_regular(path) as file:
        head = file.read(NIFTI_2.itemsize)
    return raw_header(head_inside(path, NIFTI_2.itemsize) if head[:2] == GZIP else head, path)


def read_voxels(path: Path, raw: RawHeader) -> NDArray[Any]:
    """Read the stored numbers of all volumes, in the order of the file.

    Args:
        path: of the file that holds them.
        raw: its header.
    Raises:
        UnreadableError: it is cut off or damaged.
    """
    stored = np.empty(int(np.prod(raw.size)), raw.dtype)
    room = stored.view(np.uint8).data
    with open_regular(path) as file:
        zipped = file.read(len(GZIP)) == GZIP
        there = _unpack(file, room, raw.offset) if zipped else _fill(file, room, raw.offset)
    if there < len(room) + raw.offset:
        claim = f"{there} bytes where its header claims {len(room) + raw.offset}"
        raise UnreadableError(f"the file is cut off: {claim}", EXPORT_AGAIN)
    return stored


def _fill(file: io.BufferedReader, room: memoryview, offset: int) -> int:
    """Fill the room from a place in a file on, if it has so many bytes; how many it has, as far as the room goes."""
    there = file.seek(0, os.SEEK_END)
    if there < offset + len(room):  # no system goes to just any place that a header may claim
        return there
    file.seek(offset)
    return offset + file.readinto(room)


def _unpack(file: io.BufferedReader, room: memoryview, offset: int) -> int:
    """Fill the room from a place in what a gzipped file holds on; how many bytes it holds."""
    there = -offset
    file.seek(0)
    for piece in unpacked(file):
        kept = piece[max(0, -there) : max(0, len(room) - there)]
        room[max(0, there) : max(0, there) + len(kept)] = kept
        there += len(piece)
    return there + offset


def write_nifti(path: Path, values: NDArray[Any], like: Path | Geometry) -> None:
    """Write an array so that it lies on a NIfTI file in every program, or where a geometry says.

    Args:
        path: to write, gzipped if it ends so.
        values: in the file's own axes.
        like: the file, whose header is copied; or the place of the voxels, which may be sheared.
    """
    raw = fresh_header(like) if isinstance(like, Geometry) else read_raw_header(like)
    numbers = np.asarray(values, values.dtype.newbyteorder(raw.fields["dim"].base.byteorder))
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31) if path.suffix == ".gz" else None
    with open(path, "wb") as file:
        for part in (mask_header(raw, values.shape, values.dtype), numbers.tobytes(order="F")):
            file.write(packer.compress(part) if packer else part)
        file.write(packer.flush() if packer else b"")


def _header(raw: RawHeader, form: NDArray[np.float64]) -> Header:
    """The header by one of its forms; its spacing as written, where the form's is but the same, rounded."""
    kind = raw["datatype"]
    dtype = "colours" if kind in COLOURS else "float32" if raw.scaling else raw.dtype.name
    header = header_of_affine(raw.size, form, dtype, channels=COLOURS.get(kind, 1))
    axes = min(len(raw.size), 3)
    if not np.allclose(header.spacing_mm[:axes], raw.spacing_mm[:axes], rtol=SAME):
        return header
    return header.placed(replace(header.geometry, spacing_mm=raw.spacing_mm[:axes]))


def _other_steps(raw: RawHeader, geometry: Geometry) -> str:
    """The spacing as written, in words, where it differs from the sform's by more than rounding; otherwise ""."""
    steps = raw.spacing_mm[: len(geometry.size)]
    if not all(math.isfinite(step) and step > 0 for step in steps):
        return ""  # which is refused
    far = farthest_corner_voxels(geometry, replace(geometry, spacing_mm=steps))
    return f"{' x '.join(f'{step:.4g}' for step in steps)} mm" if far > MOST_APART else ""


def _rescaled(stored: NDArray[Any], raw: RawHeader) -> NDArray[Any]:
    """The values of a volume, in float32 where slope and intercept make them."""
    if raw.scaling is None:
        return stored
    slope, intercept = raw.scaling
    values = np.empty(stored.shape, np.float32)
    for low in range(0, stored.size, SLAB):
        part = stored.reshape(-1)[low : low + SLAB].astype(np.float64)
        values.reshape(-1)[low : low + SLAB] = part * slope + intercept
    return values
