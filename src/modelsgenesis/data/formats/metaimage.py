"""MetaImage: .mha in one file, .mhd with its voxels beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import SimpleITK as sitk

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region
from modelsgenesis.data.formats.base.itk import check_volume, crop, detached_file, header_of, one_volume, read_file


@dataclass(frozen=True)
class MetaImage(ImageFormat):
    """MetaImage, of which SimpleITK reads a region without the rest."""

    endings: ClassVar = {".mha": "MetaImage", ".mhd": "MetaImage"}
    mask_endings: ClassVar = {".mha": ".mha", ".mhd": ".mhd"}
    reads_parts: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise a text of keys, of which these two come early."""
        return "MetaImage" if b"ObjectType" in head or b"NDims" in head else ""

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """The header, and the file of the voxels that it names."""
        return detached_file(path, ".mhd", rb"ElementDataFile\s*=")

    def read_header(self, place: Place) -> Header:
        """Read the header by SimpleITK."""
        return header_of(place.path)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey volume of a possible size and spacing."""
        check_volume(header, place, max_voxels)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read only a region; of a 4D image, the whole file first."""
        header = header_of(place.path)
        if region is not None and len(header.size) == 3:
            return read_file(place, region, dtype=header.dtype), []
        return crop(one_volume(read_file(place, dtype=header.dtype), place.index), region), []
