"""Pictures in PNG and JPEG files as grey 2D images."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, check_plausible, check_size, crop, header_of, read_file
from modelsgenesis.data.problems import UnreadableError

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"  # how their files begin
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey: ITU-R BT.601
TAIL_BYTES = 1024  # at the end of a JPEG, some of which may follow its end marker
ORIENTATION, UPRIGHT, TURNED = 0x0112, 1, range(2, 9)  # of EXIF
GREY, GREY_ALPHA = 0, 4  # colour types of a PNG, at byte 25 of its header


@dataclass(frozen=True)
class NaturalImage(ImageFormat):
    """A picture: what its file says of spacing is for printing, and is forgotten."""

    endings: ClassVar = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
    axes: ClassVar = 2
    knows_spacing: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magics of PNG and JPEG."""
        return "PNG" if head[:8] == PNG else "JPEG" if head[:3] == JPEG else ""

    def declared(self, path: Path) -> dict[str, Any]:
        """The values of a picture have no unit, whatever it shows."""
        return {"modality": "unknown"}

    def read_header(self, place: Place) -> Header:
        """Read its size in pixels."""
        _check_opaque(place.path)
        header = header_of(place.path)
        return header_of_array(header.size, header.dtype)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse a picture that is cut off, is to be turned when shown, or has an impossible size."""
        check_upright(place.path)
        check_size(header.size, max_voxels, axes=2)
        check_plausible(math.prod(header.size), place.files)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the picture, make it grey, and cut the region out of it."""
        image, notes = to_grey(read_file(place))
        return crop(image, region), notes


def check_upright(path: Path) -> None:
    """Refuse a JPEG that SimpleITK fills up or turns silently: one cut off, or one that is to be turned when shown.

    Raises:
        UnreadableError: it is one of these.
    """
    with open(path, "rb") as file:
        if file.read(3) != JPEG:
            return
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        if b"\xff\xd9" not in file.read():
            raise UnreadableError("the file is cut off: it lacks the end of a JPEG", EXPORT_AGAIN)
    if (turned := _orientation(path)) in TURNED:
        raise UnreadableError(f"viewers are to turn it (EXIF orientation {turned})", "save it turned, without that")


def _check_opaque(path: Path) -> None:
    """Refuse a grey PNG with transparency, which SimpleITK misreads or cannot read."""
    with open(path, "rb") as file:
        head = file.read(2**16)
    if head[:8] != PNG:
        return
    one_grey_clear = head[25:26] == bytes([GREY]) and b"tRNS" in head.split(b"IDAT")[0]
    if one_grey_clear or head[25:26] == bytes([GREY_ALPHA]):
        raise UnreadableError("grey with transparency", "save it without an alpha channel or a transparent grey")


def _orientation(path: Path) -> int:
    """How a JPEG lies, as EXIF counts; a damaged header is found when the pixels are read."""
    try:
        with JpegImageFile(path) as header:
            return int(header.getexif().get(ORIENTATION, UPRIGHT))
    except (OSError, SyntaxError, ValueError, TypeError, struct.error):
        return UPRIGHT


def to_grey(image: sitk.Image) -> tuple[sitk.Image, list[str]]:
    """Make a 2D image grey, and forget its spacing: what a picture's file says of it is for printing.

    Where red, green and blue are alike everywhere, one of them is taken; other colours become their brightness,
    0.299 R + 0.587 G + 0.114 B, with a note. An alpha channel must be opaque everywhere.

    Returns:
        An image of 1 mm a pixel, and notes.
    Raises:
        UnreadableError: some of it is transparent, or its pixels are no whole numbers of 8 or 16 bits.
    """
    values, notes = sitk.GetArrayFromImage(image), []
    if values.dtype not in (np.uint8, np.uint16):
        raise UnreadableError(f"its pixels are {values.dtype}", "save it with 8 or 16 bits a pixel")
    if values.ndim == 3:
        values, coloured = _one_channel(values)
        notes = ["colour: made grey by 0.299 R + 0.587 G + 0.114 B"] * coloured
    return sitk.GetImageFromArray(values), notes


def _one_channel(values: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """(rows, columns, 3 or 4) -> (rows, columns), and whether it was coloured."""
    colours, alpha = values[..., :3], values[..., 3:]
    if values.shape[2] not in (3, 4):
        raise UnreadableError(f"{values.shape[2]} values a pixel", "save it in grey")
    if (alpha != np.iinfo(values.dtype).max).any():
        raise UnreadableError("some of it is transparent", "save it without an alpha channel")
    if (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0]), False
    return np.rint(colours @ np.array(LUMA)).astype(values.dtype), True
