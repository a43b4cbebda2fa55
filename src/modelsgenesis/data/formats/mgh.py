"""FreeSurfer's volumes: .mgh, and gzipped .mgz."""

import contextlib
import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.errors import refusal
from modelsgenesis.core.files import check_regular, open_regular
from modelsgenesis.core.image_format import (
    GZIP,
    MAX_VOXELS,
    Contents,
    Header,
    ImageFormat,
    Place,
    Region,
    head_inside,
    header_of_affine,
)
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, check_volume, crop, image_of
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.resampling import settled

DTYPES = (0, 1, 3, 4)  # FreeSurfer's numbers of bytes, integers, floats and short integers
TO_LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS, in which FreeSurfer and nibabel count
DAMAGED = (OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True)
class Mgh(ImageFormat):
    """MGH, read through nibabel."""

    endings: ClassVar = {".mgh": "MGH", ".mgz": "MGH"}
    may_die: ClassVar = False
    reads_all: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the ending, version 1 and one of four types, for want of a magic."""
        if head[:2] == GZIP:
            head = head_inside(path, 24)
        ours = path.suffix.lower() in self.endings and len(head) >= 24 and struct.unpack(">i", head[:4]) == (1,)
        return "MGH" if ours and struct.unpack(">i", head[20:24])[0] in DTYPES else ""

    def read_header(self, place: Place) -> Header:
        """Size and type as they stand, spacing, origin and direction from the affine, turned from RAS to LPS."""
        with _opened(place.path) as image:
            return _header(image)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey volume of a possible size and spacing."""
        check_volume(header, place, max_voxels)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the whole file, and cut the region out of it."""
        with _opened(place.path) as image:
            values, geometry = np.asarray(image.dataobj), _header(image).geometry
        volume = values[..., place.index or 0] if values.ndim == 4 else values
        return crop(image_of(volume, geometry), region), []

    def read_all(self, place: Place) -> Contents:
        """Read every volume at once."""
        with _opened(place.path) as image:
            values, geometry = np.asarray(image.dataobj), _header(image).geometry
        volumes = np.moveaxis(values, 3, 0) if values.ndim == 4 else values[np.newaxis]
        return Contents([image_of(volume, geometry) for volume in volumes])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The image of nibabel, its voxels not yet read, for as long as the file is open: nibabel would not close it."""
    try:
        from nibabel.freesurfer.mghformat import MGHImage
    except ImportError as error:
        line = "in the clone of modelsgenesis: pip install -c constraints.txt '.[mgh]'"
        raise UnreadableError("MGH is read by nibabel, which is missing", line) from error
    try:
        with gzip.open(check_regular(path)) if path.suffix.lower() == ".mgz" else open_regular(path) as file:
            yield MGHImage.from_stream(file)
    except DAMAGED as error:
        if refusal(error):
            raise
        raise UnreadableError("it cannot be read: the file is cut off or damaged", EXPORT_AGAIN) from error


def _header(image: Any) -> Header:
    affine = TO_LPS @ np.asarray(image.affine)[:3]
    size = tuple(int(side) for side in image.shape)
    return settled(header_of_affine(size, affine, np.dtype(image.get_data_dtype()).name))
