"""Rows of an array in a .npz: volumes (X, Y, Z), or pictures (rows, columns), unpacked once for many reads."""

import functools
import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.errors import refusal
from modelsgenesis.core.files import check_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.arrays import ASSUMED, check_array
from modelsgenesis.data.formats.base.itk import check_size, crop, image_of
from modelsgenesis.data.problems import UnreadableError

SPLITS = 3  # training, validation and test, between which the cases of a task change
DAMAGED = "a .npz file that is cut off, damaged or holds no numbers"


@dataclass(frozen=True)
class NpzRow(ImageFormat):
    """One row of one array, which a table names as FILE#ARRAY:ROW."""

    knows_spacing: ClassVar = False
    may_die: ClassVar = False
    stands_alone: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise a zip archive that is called .npz."""
        return "NumPy archive" if head[:2] == b"PK" and path.name.lower().endswith(".npz") else ""

    def axes_of(self, place: Place) -> int:
        """The number of axes of a row."""
        return open_array(place.path, place.array).ndim - 1

    def read_header(self, place: Place) -> Header:
        """Read the shape of a row; X of a picture runs along its columns."""
        rows = open_array(place.path, place.array)
        shape = rows.shape[1:]
        if len(shape) == 2:
            return header_of_array(shape[::-1], rows.dtype.name)
        return header_of_array(shape, rows.dtype.name, (ASSUMED,))

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse a row that is not there, or is neither volume nor picture."""
        read_row(place)
        if len(header.size) == 2:
            check_size(header.size, max_voxels, axes=2)
        else:
            check_array(header.size, max_voxels)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the row, and cut the region out of it."""
        row = read_row(place)
        return crop(image_of(row.T if row.ndim == 2 else row), region), []

    def content_hash(self, place: Place) -> str:
        """Hash the row alone, as it is stored."""
        return hashlib.sha256(np.ascontiguousarray(read_row(place)).data).hexdigest()


def read_row(place: Place) -> NDArray[Any]:
    """The row of an array, as it is stored.

    Raises:
        UnreadableError: it is not there.
    """
    rows = open_array(place.path, place.array)
    if place.index is None or place.index >= len(rows):
        raise UnreadableError(f"it has no row {place.index} in {place.array}", "copy it again")
    return np.asarray(rows[place.index])


def names_in(path: Path) -> list[str]:
    """The names of the arrays in a .npz.

    Raises:
        UnreadableError: it is none.
    """
    try:
        with zipfile.ZipFile(check_regular(path)) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        if refusal(error):
            raise
        raise UnreadableError(DAMAGED, "download or save it again") from error


def open_array(path: Path, name: str) -> NDArray[Any]:
    """One array of a .npz; it stays in memory, with the file's other splits, so that reading rows unpacks it once.

    Raises:
        UnreadableError: it is not there or cannot be read.
    """
    return _unpacked(path, name, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=SPLITS)
def _unpacked(path: Path, name: str, changed_ns: int) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(check_regular(path)) as archive, archive.open(f"{name}.npy") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        if refusal(error):
            raise
        raise UnreadableError(DAMAGED, "download or save it again") from error
    array.flags.writeable = False
    return array
