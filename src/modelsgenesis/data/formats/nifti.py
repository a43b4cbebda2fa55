"""NIfTI: .nii, gzipped or not, and .hdr with its voxels beside.

SimpleITK fills what is missing, and what is NaN, with zeros, mends a spacing, and says nothing: the file's own
bytes are looked at here.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.image_format import GZIP, MAX_VOXELS, Header, ImageFormat, Place, Region, head_inside
from modelsgenesis.data.formats.base.itk import (
    EXPORT_AGAIN,
    beside,
    check_spacing,
    check_volume,
    crop,
    header_of,
    one_volume,
    read_file,
)
from modelsgenesis.data.problems import UnreadableError

HEAD_BYTES = 352
PIECE_BYTES = 2**22
NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Nifti(ImageFormat):
    """NIfTI-1 and -2."""

    endings: ClassVar = {".nii": "NIfTI", ".hdr": "NIfTI", ".nii.gz": "gzipped NIfTI"}
    mask_endings: ClassVar = {".nii": ".nii"}

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic of the header, which may be gzipped."""
        if head[:2] == GZIP:
            return "gzipped NIfTI" if _is_nifti(head_inside(path, HEAD_BYTES)) else ""
        return "NIfTI" if _is_nifti(head) else ""

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """The header, and the .img of a header without voxels."""
        if path.suffix.lower() != ".hdr":
            return (path,)
        return path, beside(path, path.with_suffix(".img").name)

    def read_header(self, place: Place) -> Header:
        """Read the header by SimpleITK, if its own bytes make sense."""
        if place.path.name.lower().endswith(".nii.gz") and place.path.with_suffix("").exists():
            # The NIfTI library looks for the uncompressed name first, whichever it was given.
            raise UnreadableError(
                "a file of the same name without .gz lies beside it, and SimpleITK would read that one in its place",
                "remove or rename one of the two",
            )
        read_raw_header(place.path)
        return header_of(place.path)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey volume of a possible size, and of a spacing as it is written, not as it is mended."""
        check_volume(header, place, max_voxels)
        check_spacing(read_raw_header(place.path).pixdim_mm)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the whole file, see that it is whole, put NaN back, and cut the region out of it."""
        image = read_file(place, dtype=header_of(place.path).dtype)
        missing = find_missing(place.files, read_raw_header(place.path), sitk.GetArrayViewFromImage(image))
        image = _with_nan(image, missing) if missing.size else image
        return crop(one_volume(image, place.index), region), []


@dataclass(frozen=True)
class RawHeader:
    """The few fields of a NIfTI header that SimpleITK mends or trusts silently.

    Attributes:
        pixdim_mm: spacing as written.
        num_bytes: header and voxels together, uncompressed.
        data_offset: where the voxels begin.
        scaled: whether values are rescaled when read.
        swapped: whether the bytes are in big-endian order.
        floats: the dtype of the stored numbers when they are floats, which may be NaN; "" otherwise.
    """

    pixdim_mm: tuple[float, ...]
    num_bytes: int
    data_offset: int
    scaled: bool
    swapped: bool
    floats: str


def read_raw_header(path: Path) -> RawHeader:
    """Read the raw fields of a NIfTI-1 or -2 header, gzipped or not.

    Raises:
        UnreadableError: it is cut off or is none.
    """
    head = _first_bytes(path, 540)
    for order in "<>":
        if head[344:347] in (b"n+1", b"ni1") and struct.unpack(f"{order}i", head[:4]) == (348,):
            dim = struct.unpack(f"{order}8h", head[40:56])
            kind, bits = struct.unpack(f"{order}2h", head[70:74])
            pixdim = struct.unpack(f"{order}8f", head[76:108])
            offset, slope, intercept = struct.unpack(f"{order}3f", head[108:120])
        elif head[4:7] in (b"n+2", b"ni2") and struct.unpack(f"{order}i", head[:4]) == (540,):
            kind, bits = struct.unpack(f"{order}2h", head[12:16])
            dim = struct.unpack(f"{order}8q", head[16:80])
            pixdim = struct.unpack(f"{order}8d", head[104:168])
            offset, slope, intercept = struct.unpack(f"{order}q2d", head[168:192])
        else:
            continue
        num_voxels = math.prod(side for side in dim[1 : dim[0] + 1]) if 0 < dim[0] < 8 else 0
        scaled = slope not in (0, 1) or (slope == 1 and intercept != 0)
        inside = head[344:346] == b"n+" or head[4:6] == b"n+"
        whole = (int(offset) if inside else 0) + num_voxels * bits // 8
        floats = {16: f"{order}f4", 64: f"{order}f8"}.get(kind, "")
        return RawHeader(pixdim[1:4], whole, int(offset), bool(scaled), order == ">", floats)
    raise UnreadableError("its NIfTI header is damaged", EXPORT_AGAIN)


def find_missing(files: tuple[Path, ...], header: RawHeader, values: NDArray[Any]) -> NDArray[np.int64]:
    """Refuse a file that is cut off or damaged, and find what is not finite.

    A gzipped file's own checksum is compared with that of the voxels in memory, ten times faster than unpacking it
    again. Where these are not the file's own bytes (rescaled, mended, another byte order) it is unpacked again.

    Args:
        files: header and voxels; the voxels are in the last.
        header: of the first.
        values: as SimpleITK read them, in the order of the file.
    Returns:
        Places, in the order of the file, of voxels that are NaN or infinite in the file.
    Raises:
        UnreadableError: it is not whole.
    """
    zipped = files[-1].name.lower().endswith(".gz")
    if zipped and _checksum_agrees(files[-1], header, values):
        return NOWHERE
    if not zipped:
        _check_length(files[-1].stat().st_size, header)
    return _look_through(files[-1], header, zipped) if zipped or header.floats else NOWHERE


def _checksum_agrees(path: Path, header: RawHeader, values: NDArray[Any]) -> bool:
    with open(path, "rb") as file:
        file.seek(-8, 2)
        checksum, length = struct.unpack("<II", file.read(8))
    own = not header.scaled and not header.swapped and header.data_offset + values.nbytes == header.num_bytes
    if not own or length != header.num_bytes % 2**32:
        return False
    front = zlib.crc32(_first_bytes(path, header.data_offset))
    return bool(zlib.crc32(memoryview(values.data).cast("B"), front) == checksum)


def _look_through(path: Path, header: RawHeader, zipped: bool) -> NDArray[np.int64]:
    """Read a file in pieces, to see whether all of it is there and where it is not finite."""
    found, there = [], header.data_offset
    try:
        with gzip.open(path) if zipped else open(path, "rb") as file:
            file.read(header.data_offset)
            while piece := file.read(PIECE_BYTES):
                if header.floats and there < header.num_bytes:
                    numbers = np.frombuffer(piece[: header.num_bytes - there], header.floats)
                    first = (there - header.data_offset) // numbers.itemsize
                    found.append(np.flatnonzero(~np.isfinite(numbers)) + first)
                there += len(piece)
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise UnreadableError("the file is cut off or damaged: its bytes break off", EXPORT_AGAIN) from error
    _check_length(there, header)
    return np.concatenate(found) if found else NOWHERE


def _check_length(there: int, header: RawHeader) -> None:
    if there < header.num_bytes:
        claim = f"{there} bytes where its header claims {header.num_bytes}"
        raise UnreadableError(f"the file is cut off: {claim}", EXPORT_AGAIN)


def _with_nan(image: sitk.Image, places: NDArray[Any]) -> sitk.Image:
    """Put NaN back where SimpleITK put zero; the caller decides what a missing voxel becomes."""
    values = sitk.GetArrayFromImage(image)
    values.reshape(-1)[places] = np.nan
    mended = sitk.GetImageFromArray(values, isVector=False)
    mended.CopyInformation(image)
    return mended


def _is_nifti(head: bytes) -> bool:
    return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")


def _first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, uncompressed.

    Raises:
        UnreadableError: the file ends before, or its compression is broken.
    """
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as file:
            return file.read(count)
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableError("the file is cut off", EXPORT_AGAIN) from error
