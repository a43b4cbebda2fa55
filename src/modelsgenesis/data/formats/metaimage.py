"""MetaImage: .mha in one file, .mhd with its voxels beside."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.files import open_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Contents, Header, ImageFormat, Place, Region
from modelsgenesis.data.formats.base.itk import (
    ASSUMED_SPACING,
    all_of,
    check_volume,
    crop,
    detached_file,
    header_of,
    in_mm,
    one_volume,
    placed,
    read_file,
)
from modelsgenesis.data.resampling import settled


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
        with open_regular(place.path) as file:
            head = file.read(2**16).split(b"ElementDataFile")[0].decode("latin-1")
        fields = dict(re.findall(r"^(\w+) *= *(.*?)\s*$", head, re.MULTILINE))
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

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read only a region; of a 4D image, the whole file first."""
        header = self.read_header(place)
        if region is not None and len(header.size) == 3:
            image = read_file(place, region, dtype=header.dtype)
            lower_mm = header.geometry.frame @ [
                side.start * step for side, step in zip(region, header.spacing_mm, strict=True)
            ]
            origin_mm = tuple((np.array(header.origin_mm) + lower_mm).tolist())
            return placed(image, replace(header.geometry, origin_mm=origin_mm)), []
        image = one_volume(read_file(place, dtype=header.dtype), place.index)
        return crop(placed(image, header.geometry), region), []

    def read_all(self, place: Place) -> Contents:
        """Read every volume, or the colours, at once."""
        header = self.read_header(place)
        dtype = "" if header.channels > 1 else header.dtype
        return all_of(read_file(place, dtype=dtype), header.geometry)
