"""MetaImage: .mha in one file, .mhd with its voxels beside."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.files import open_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Contents, Header, ImageFormat, Place, Region
from modelsgenesis.data.formats.base.itk import (
    ASSUMED_SPACING,
    EXPORT_AGAIN,
    SMALL,
    Image,
    all_of,
    check_volume,
    crop,
    detached_file,
    header_of,
    in_mm,
    one_volume,
    placed,
    plain_image,
    read_file,
)
from modelsgenesis.data.formats.base.unpacking import ZLIB, ZLIB_HEADS, unpack_into
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.resampling import settled

DATA = b"ElementDataFile"  # the last field
LOCAL = b"\n" + DATA + b" = LOCAL\n"
MOST_DIGITS = 18  # of a number of bytes
USUAL = {"BinaryData": "True", "BinaryDataByteOrderMSB": "False", "ElementByteOrderMSB": "False", "HeaderSize": "0"}


@dataclass(frozen=True)
class MetaImage(ImageFormat):
    """MetaImage, of which SimpleITK reads a region without the rest."""

    endings: ClassVar = {".mha": "MetaImage", ".mhd": "MetaImage"}
    mask_endings: ClassVar = {".mha": ".mha", ".mhd": ".mhd"}
    reads_parts: ClassVar = True
    reads_all: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise a text of keys, of which these two come early."""
        return "MetaImage" if b"ObjectType" in head or b"NDims" in head else ""

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """The header, and the file of the voxels that it names."""
        return detached_file(path, ".mhd", rb"ElementDataFile\s*=")

    def read_header(self, place: Place) -> Header:
        """Read the header by SimpleITK, and the unit of its lengths, which that passes over."""
        fields = _fields(place.path)
        header = header_of(place.path)
        if header.channels > 1 or len(header.size) < 3:
            return header
        if "ElementSpacing" not in fields and "ElementSize" not in fields:
            header = header.placed(header.geometry, ASSUMED_SPACING)
        unit = fields.get("DistanceUnits", "")
        return settled(in_mm(header, [unit.strip("?")] if unit else []))

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey volume of a possible size and spacing."""
        check_volume(header, place, max_voxels)

    def read(self, place: Place, region: Region | None = None) -> tuple[Image, list[str]]:
        """Read only a region; of a 4D image, the whole file first."""
        header = self.read_header(place)
        if region is not None and len(header.size) == 3:
            image = read_file(place, region, dtype=header.dtype)
            lower_mm = header.geometry.frame @ [
                side.start * step for side, step in zip(region, header.spacing_mm, strict=True)
            ]
            origin_mm = tuple((np.array(header.origin_mm) + lower_mm).tolist())
            return placed(image, replace(header.geometry, origin_mm=origin_mm)), []
        if (values := _unpacked(place.path, header)) is not None:
            return plain_image(values, header.geometry, region), []
        image = one_volume(read_file(place, dtype=header.dtype), place.index)
        return crop(placed(image, header.geometry), region), []

    def read_all(self, place: Place) -> Contents:
        """Read every volume, or the colours, at once."""
        header = self.read_header(place)
        dtype = "" if header.channels > 1 else header.dtype
        return all_of(read_file(place, dtype=dtype), header.geometry)


def _fields(path: Path) -> dict[str, str]:
    """The fields of a header by their names, up to the one that says where the voxels are."""
    with open_regular(path) as file:
        head = file.read(2**16).split(DATA)[0].decode("latin-1")
    return dict(re.findall(r"^(\w+) *= *(.*?)\s*$", head, re.MULTILINE))


def _unpacked(path: Path, header: Header) -> NDArray[Any] | None:
    """The voxels of a compressed file whose header says nothing unusual, (K, J, I); None is left to SimpleITK."""
    fields = _fields(path)
    usual = all(fields.get(name, value) == value for name, value in USUAL.items()) and fields.get("NDims") == "3"
    if not usual or fields.get("CompressedData") != "True" or header.dtype not in SMALL or header.channels != 1:
        return None
    with open_regular(path) as file:
        offset = file.read(2**16).find(LOCAL) + len(LOCAL)
        packed = file.seek(0, os.SEEK_END) - offset
        file.seek(offset)
        head = file.read(2)
    claimed = fields.get("CompressedDataSize", str(packed))
    if offset < len(LOCAL) or not claimed.isdecimal() or len(claimed) > MOST_DIGITS or head not in ZLIB_HEADS:
        return None
    if int(claimed) > packed:
        raise UnreadableError(f"the file is cut off: {packed} packed bytes of {claimed}", EXPORT_AGAIN)
    if int(claimed) < packed:
        return None
    values = np.empty(header.size[::-1], np.dtype(header.dtype).newbyteorder("<"))
    return values if unpack_into(values, path, offset, ZLIB) else None
