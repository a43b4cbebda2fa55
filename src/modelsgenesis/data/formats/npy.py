"""One volume in a .npy file: numbers alone, without spacing or orientation."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import SimpleITK as sitk

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.arrays import ASSUMED, CUBES, MAGIC, check_array, open_npy
from modelsgenesis.data.formats.base.itk import crop, image_of


@dataclass(frozen=True)
class Npy(ImageFormat):
    """An array (X, Y, Z) in LPS, mapped into memory before it is read."""

    endings: ClassVar = {".npy": "NumPy"}
    knows_spacing: ClassVar = False
    may_die: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic, unless the name is that of an official cube file."""
        return "NumPy" if head[:6] == MAGIC and not CUBES.search(path.name) else ""

    def read_header(self, place: Place) -> Header:
        """Read the shape; 1 mm and LPS are assumed."""
        array = open_npy(place.path)
        return header_of_array(array.shape, array.dtype.name, (ASSUMED,))

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse an array that is not one volume."""
        check_array(header.size, max_voxels)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the array, and cut the region out of it."""
        return crop(image_of(open_npy(place.path)), region), []
