"""Pictures in PNG, JPEG and TIFF files as grey 2D images."""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from modelsgenesis.core.files import check_regular, open_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Contents, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.itk import (
    EXPORT_AGAIN,
    check_plausible,
    check_size,
    colours_of,
    crop,
    image_of,
    read_file,
)
from modelsgenesis.data.problems import UnreadableError, in_its_words

MAGICS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
NUM_COLOURS = 3  # red, green and blue
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey: ITU-R BT.601
END_OF_JPEG, TAIL_BYTES = b"\xff\xd9", 1024  # some bytes may follow the end marker
ORIENTATION, UPRIGHT = 0x0112, 1  # of EXIF and TIFF
DEEP_COLOUR = ((16, 2), (16, 6))  # bits and kind of a PNG, at bytes 24 and 25, of which Pillow would keep 8 bits
REFUSED = {
    "CMYK": ("colours for printing (CMYK)", "save it in grey or RGB"),
    "F": ("its pixels are fractions", "save it with 8 or 16 bits a pixel"),
    "I": ("its pixels have 32 bits", "save it with 8 or 16 bits a pixel"),
}


@dataclass(frozen=True)
class NaturalImage(ImageFormat):
    """A picture: what its file says of spacing is for printing, and is forgotten.

    A place with a number is one of its colours, 0 red, 1 green and 2 blue; one without is the picture in grey.

    Args:
        labels: its numbers are labels: of a palette of colours they are the places in it, and neither other colours nor
            numbers that JPEG has changed are taken.
    """

    labels: bool = False

    endings: ClassVar = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
    axes: ClassVar = 2
    knows_spacing: ClassVar = False
    may_die: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magics of PNG, JPEG and TIFF."""
        return next((name for magic, name in MAGICS.items() if head.startswith(magic)), "")

    def declared(self, path: Path) -> dict[str, Any]:
        """The values of a picture have no unit, whatever it shows."""
        return {"modality": "unknown"}

    def read_header(self, place: Place) -> Header:
        """Read its size in pixels."""
        with opened(place.path) as picture:
            header = header_of_array(picture.size, "uint16" if picture.mode.startswith("I;16") else "uint8")
            bits = significant_bits(place.path) if picture.format == "PNG" else 0
        return replace(header, levels=(0.0, 2.0**bits - 1)) if bits else header

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse a picture that is cut off, is to be turned when shown, or has an impossible size."""
        check_size(header.size, max_voxels, axes=2)
        check_plausible(math.prod(header.size), place.files)
        _check_whole(place.path)
        with opened(place.path) as picture:
            _check_kind(picture)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the picture, make it grey or take the colour that is meant, and cut the region out of it."""
        with opened(place.path) as picture:
            if self.labels:
                values, notes = _labels(picture, place)
            elif place.index is None:
                values, notes = to_grey(_pixels(picture, place))
            else:
                values, notes = one_colour(_pixels(picture, place), place.index), []
        return crop(sitk.GetImageFromArray(values), region), notes

    def as_labels(self) -> "NaturalImage":
        """The same for masks."""
        return NaturalImage(labels=True)

    def read_all(self, place: Place) -> Contents:
        """Read the picture with its colours."""
        with opened(place.path) as picture:
            values = _pixels(picture, place)
        return Contents([image_of(values.T)]) if values.ndim == 2 else colours_of(values)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture, whose pixels are decoded when they are asked for.

    Raises:
        UnreadableError: it cannot be read.
    """
    try:
        with Image.open(check_regular(path), formats=("PNG", "JPEG", "TIFF")) as picture:
            yield picture
    except UnreadableError:
        raise
    except (Image.DecompressionBombError, OSError, SyntaxError, TypeError, ValueError, struct.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the picture
        raise UnreadableError(
            f"the picture is cut off or damaged ({in_its_words(error, path)})", EXPORT_AGAIN
        ) from error


def significant_bits(path: Path) -> int:
    """How many bits of each grey level of a PNG count, where its header says that not all of them do; otherwise 0.

    Source: the PNG specification, 11.3.2.7, of the chunk sBIT, which comes before the pixels.
    """
    with open_regular(path) as file:
        file.seek(8)
        depth = 0
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name in (b"PLTE", b"IDAT"):
                return 0
            data = file.read(min(length, TAIL_BYTES))
            if name == b"IHDR" and len(data) == 13:
                depth = data[8]
            if name == b"sBIT":
                bits = max(data, default=0)
                return bits if depth in (8, 16) and bits < depth else 0
            file.seek(length - len(data) + 4, 1)
    return 0


def _check_whole(path: Path) -> None:
    """Refuse a JPEG without its end, which decoders fill up with grey."""
    with open_regular(path) as file:
        if file.read(3) != b"\xff\xd8\xff":
            return
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        if END_OF_JPEG not in file.read():
            raise UnreadableError("the file is cut off: it lacks the end of a JPEG", EXPORT_AGAIN)


def _check_kind(picture: Image.Image) -> None:
    """Refuse what is no single, upright picture in grey or colours."""
    if (pages := getattr(picture, "n_frames", 1)) > 1:
        raise UnreadableError(f"{pages} pictures in one file", "save each in a file of its own")
    if (turned := picture.getexif().get(ORIENTATION, UPRIGHT)) != UPRIGHT:
        raise UnreadableError(f"viewers are to turn it (EXIF orientation {turned})", "save it turned, without that")
    if picture.mode in REFUSED:
        raise UnreadableError(*REFUSED[picture.mode])


def _pixels(picture: Image.Image, place: Place) -> NDArray[Any]:
    """Decode a picture: (rows, columns), or (rows, columns, 3 or 4) of colours and, if need be, opacity."""
    with open_regular(place.path) as file:
        if tuple(file.read(26)[24:]) in DEEP_COLOUR and picture.format == "PNG":
            deep: NDArray[Any] = sitk.GetArrayFromImage(read_file(place))
            return deep
    transparent = "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA")
    if picture.mode.startswith("I;16") or (picture.mode == "L" and not transparent):
        return np.asarray(picture)
    if picture.mode == "1":
        return np.asarray(picture.convert("L"))
    return np.asarray(picture.convert("RGBA" if transparent else "RGB"))


def _labels(picture: Image.Image, place: Place) -> tuple[NDArray[Any], list[str]]:
    """The numbers of labels, (rows, columns), as programs that draw masks write them: grey, or places in a palette.

    Raises:
        UnreadableError: it is of colours, two of which may be equally bright, or a JPEG.
    """
    if picture.format == "JPEG" or picture.info.get("compression") == "jpeg":
        raise UnreadableError("a mask in JPEG, which changes the numbers of labels", "save the original as PNG")
    places = np.asarray(picture) if picture.mode == "P" else None
    values = _pixels(picture, place)
    if values.ndim == 2 or (values[..., :3] == values[..., :1]).all():
        return to_grey(values)
    if places is None:
        what, remedy = "a mask in colour: its colours are no numbers of labels", "the number of the label in each pixel"
        raise UnreadableError(what, f"save it in grey, or with a palette, {remedy}")
    return places, []


def one_colour(values: NDArray[Any], number: int) -> NDArray[Any]:
    """Take red, green or blue of pixels that have colours.

    Args:
        values: (rows, columns, 3 or 4), or (rows, columns) where they have none.
        number: of the colour: 0 red, 1 green, 2 blue.
    Returns:
        (rows, columns).
    Raises:
        UnreadableError: they have none, or some of it is transparent.
    """
    if values.ndim == 2 or number >= NUM_COLOURS:
        what = "a grey picture" if values.ndim == 2 else f"a picture, whose colours are three, has no channel {number}"
        raise UnreadableError(f"{what}, where red, green and blue are wanted", "give pictures in colours")
    _check_opaque(values)
    return np.ascontiguousarray(values[..., number])


def _check_opaque(values: NDArray[Any]) -> None:
    if (values[..., NUM_COLOURS:] != np.iinfo(values.dtype).max).any():
        raise UnreadableError("some of it is transparent", "save it without an alpha channel")


def to_grey(values: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """Make pixels grey.

    Where red, green and blue are alike everywhere, one of them is taken; other colours become their brightness,
    0.299 R + 0.587 G + 0.114 B, with a note. What may be transparent must be opaque everywhere.

    Args:
        values: (rows, columns), or (rows, columns, 3 or 4).
    Returns:
        (rows, columns), and notes.
    Raises:
        UnreadableError: some of it is transparent.
    """
    if values.ndim == 2:
        return values, []
    _check_opaque(values)
    colours = values[..., :NUM_COLOURS]
    if (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0]), []
    grey: NDArray[Any] = np.rint(colours @ np.array(LUMA)).astype(values.dtype)
    return grey, ["colour: made grey by 0.299 R + 0.587 G + 0.114 B"]
