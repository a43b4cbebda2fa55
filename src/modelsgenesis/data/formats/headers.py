"""What a header claims, checked before memory is taken for it."""

import gzip
import math
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from modelsgenesis.data.problems import UnreadableError

MAX_VOXELS = 2**31  # 4 GiB as int16: five times a whole-body CT of 512 x 512 x 1600
DEFLATE_RATIO = 1032  # no zlib stream holds more bytes than this for each of its own
EXPORT_AGAIN = "copy or export it again"


@dataclass(frozen=True)
class Header:
    """What a file claims to hold, in its own axes.

    Attributes:
        size: voxels along the file's axes.
        spacing_mm: along the file's axes.
        channels: values a voxel.
        pixel: SimpleITK's pixel id of the stored numbers after any rescaling.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    channels: int
    pixel: int


@dataclass(frozen=True)
class NiftiHeader:
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


def read_header(path: Path, files: tuple[Path, ...], max_voxels: int, *, index: int | None = None) -> Header:
    """Read a header through SimpleITK, no voxels.

    Args:
        path: of the image.
        files: all its files, for their size.
        max_voxels: more are refused.
        index: which volume of a 4D image is wanted; None where there is one.
    Raises:
        UnreadableError: it cannot be read, is no grey 3D volume, has no proper spacing, claims absurdly many voxels,
            or claims more than its bytes can hold.
    """
    header = read_claims(path)
    if index is not None:
        check_index(header.size, index)
    check_size(header.size if index is None else header.size[:3], max_voxels)
    if header.channels != 1:
        raise UnreadableError(
            f"{header.channels} values a voxel: colour or vectors", "leave it out or save one channel"
        )
    check_spacing(header.spacing_mm[:3])
    check_plausible(math.prod(header.size), files)
    return header


def read_claims(path: Path) -> Header:
    """Read a header through SimpleITK as it stands, unchecked.

    Raises:
        UnreadableError: it cannot be read.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableError("its header is damaged or makes no sense", EXPORT_AGAIN) from error
    return Header(reader.GetSize(), reader.GetSpacing(), reader.GetNumberOfComponents(), reader.GetPixelIDValue())


def check_size(size: tuple[int, ...], max_voxels: int, *, axes: int = 3) -> None:
    """Refuse what is absurdly large, and what has not so many axes."""
    voxels = " x ".join(map(str, size))
    if math.prod(size) > max_voxels:
        raise UnreadableError(
            f"its header claims {voxels} voxels, more than the limit of {max_voxels}",
            "if that is right, raise --max-voxels",
        )
    if axes == 2:
        if len(size) != 2 or min(size) < 2:
            raise UnreadableError(f"{len(size)} axes ({voxels})", "give a 2D picture of two pixels a side, or more")
        return
    if len(size) == 4 and size[3] > 1:
        raise UnreadableError(f"4D ({voxels}): a series of volumes", "save each volume as a file of its own")
    if len(size) > 4 or len(size) < 2:
        raise UnreadableError(f"{len(size)} axes ({voxels})", "save a 3D volume")
    if len(size) == 2 or min(size[:3]) < 2:
        raise UnreadableError(f"2D ({voxels})", "leave it out; 3D volumes are prepared here")


def check_index(size: tuple[int, ...], index: int) -> None:
    """Refuse an image that has not the volume asked for."""
    num_volumes = size[3] if len(size) == 4 else 1
    if len(size) < 3 or index >= num_volumes:
        voxels = " x ".join(map(str, size))
        raise UnreadableError(
            f"channel {index} is asked of an image of {num_volumes} ({voxels})", "correct the channels the data declare"
        )


def check_spacing(spacing_mm: tuple[float, ...]) -> None:
    """Refuse a spacing that is not positive."""
    if not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        given = " x ".join(f"{step:g}" for step in spacing_mm)
        raise UnreadableError(f"its spacing is {given} mm: zero, negative or not a number", "correct its header")


def check_nrrd_spacing(path: Path) -> None:
    """Refuse a NRRD of fewer than three axes with a known spacing; SimpleITK would take 1 mm for the others."""
    with open(path, "rb") as file:
        head = file.read(65536).split(b"\n\n")[0]
    found = re.search(rb"^(?:space directions|spacings):(.*)$", head, re.IGNORECASE | re.MULTILINE)
    given = found[1].decode("latin-1").strip() if found else ""
    axes = re.findall(r"\([^)]*\)|[^\s()]+", given.lower())
    if axes and sum("nan" not in axis and axis != "none" for axis in axes) < 3:
        raise UnreadableError(f"its header gives no spacing along one axis: {given}", "correct its header")


def check_plausible(num_voxels: int, files: tuple[Path, ...]) -> None:
    """Refuse what no compression could have put into these bytes; a voxel is at least one byte."""
    num_bytes = sum(file.stat().st_size for file in files)
    if num_voxels > DEFLATE_RATIO * num_bytes:
        raise UnreadableError(
            f"its header claims {num_voxels} voxels, more than its {num_bytes} bytes can hold", EXPORT_AGAIN
        )


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read the raw fields of a NIfTI-1 or -2 header, gzipped or not.

    Raises:
        UnreadableError: it is cut off or is none.
    """
    head = nifti_bytes(path, 540)
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
        return NiftiHeader(pixdim[1:4], whole, int(offset), bool(scaled), order == ">", floats)
    raise UnreadableError("its NIfTI header is damaged", EXPORT_AGAIN)


def nifti_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a NIfTI file, uncompressed.

    Raises:
        UnreadableError: the file ends before, or its compression is broken.
    """
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path) as file:
                return file.read(count)
        with open(path, "rb") as file:
            return file.read(count)
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableError("the file is cut off", EXPORT_AGAIN) from error
