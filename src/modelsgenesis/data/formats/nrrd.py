"""NRRD: .nrrd in one file, .nhdr with its voxels beside."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import SimpleITK as sitk

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region
from modelsgenesis.data.formats.base.itk import check_volume, crop, detached_file, header_of, one_volume, read_file
from modelsgenesis.data.problems import UnreadableError


@dataclass(frozen=True)
class Nrrd(ImageFormat):
    """NRRD, whose header may leave spacings out that SimpleITK would make up."""

    endings: ClassVar = {".nrrd": "NRRD", ".nhdr": "NRRD"}
    mask_endings: ClassVar = {".nrrd": ".nrrd", ".nhdr": ".nrrd"}

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic."""
        return "NRRD" if head[:7] == b"NRRD000" else ""

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """The header, and the file of the voxels that it names."""
        return detached_file(path, ".nhdr", rb"data ?file:")

    def read_header(self, place: Place) -> Header:
        """Read the header by SimpleITK."""
        return header_of(place.path)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey volume of a possible size, and of a spacing that is given along three axes."""
        check_volume(header, place, max_voxels)
        with open(place.path, "rb") as file:
            head = file.read(65536).split(b"\n\n")[0]
        found = re.search(rb"^(?:space directions|spacings):(.*)$", head, re.IGNORECASE | re.MULTILINE)
        given = found[1].decode("latin-1").strip() if found else ""
        axes = re.findall(r"\([^)]*\)|[^\s()]+", given.lower())
        if axes and sum("nan" not in axis and axis != "none" for axis in axes) < 3:
            raise UnreadableError(f"its header gives no spacing along one axis: {given}", "correct its header")

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the whole file, and cut the region out of it."""
        image = read_file(place, dtype=header_of(place.path).dtype)
        return crop(one_volume(image, place.index), region), []
