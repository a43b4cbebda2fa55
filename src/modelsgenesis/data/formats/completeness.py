"""Whether a NIfTI file is whole: SimpleITK fills what is missing, and what is NaN, with zeros and says nothing."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.formats.headers import EXPORT_AGAIN, NiftiHeader, nifti_bytes
from modelsgenesis.data.problems import UnreadableError

PIECE_BYTES = 2**22
NOWHERE = np.zeros(0, np.int64)


def check_whole(files: tuple[Path, ...], header: NiftiHeader, values: NDArray[Any]) -> NDArray[np.int64]:
    """Refuse a NIfTI file that is cut off or damaged, and find what is not finite.

    A gzipped file's own checksum is compared with that of the voxels in memory, ten times faster than unpacking it
    again. Where these are not the file's own bytes (rescaled, mended, another byte order) it is unpacked again.

    Args:
        files: header and voxels; the voxels are in the last.
        header: of the first.
        values: as SimpleITK read them, in the order of the file.
    Returns:
        Places, in the order of the file, of voxels that are NaN or infinite in the file.
    Raises:
        UnreadableError: it is not whole.
    """
    zipped = files[-1].name.lower().endswith(".gz")
    if zipped and _checksum_agrees(files[-1], header, values):
        return NOWHERE
    if not zipped:
        _check_length(files[-1].stat().st_size, header)
    return _look_through(files[-1], header, zipped) if zipped or header.floats else NOWHERE


def _checksum_agrees(path: Path, header: NiftiHeader, values: NDArray[Any]) -> bool:
    with open(path, "rb") as file:
        file.seek(-8, 2)
        checksum, length = struct.unpack("<II", file.read(8))
    own = not header.scaled and not header.swapped and header.data_offset + values.nbytes == header.num_bytes
    if not own or length != header.num_bytes % 2**32:
        return False
    front = zlib.crc32(nifti_bytes(path, header.data_offset))
    return bool(zlib.crc32(memoryview(values.data).cast("B"), front) == checksum)


def _look_through(path: Path, header: NiftiHeader, zipped: bool) -> NDArray[np.int64]:
    """Read a file in pieces: is all of it there, and where is it not finite?"""
    found, there = [], header.data_offset
    try:
        with gzip.open(path) if zipped else open(path, "rb") as file:
            file.read(header.data_offset)
            while piece := file.read(PIECE_BYTES):
                if header.floats and there < header.num_bytes:
                    numbers = np.frombuffer(piece[: header.num_bytes - there], header.floats)
                    first = (there - header.data_offset) // numbers.itemsize
                    found.append(np.flatnonzero(~np.isfinite(numbers)) + first)
                there += len(piece)
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise UnreadableError("the file is cut off or damaged: its bytes break off", EXPORT_AGAIN) from error
    _check_length(there, header)
    return np.concatenate(found) if found else NOWHERE


def _check_length(there: int, header: NiftiHeader) -> None:
    if there < header.num_bytes:
        claim = f"{there} bytes where its header claims {header.num_bytes}"
        raise UnreadableError(f"the file is cut off: {claim}", EXPORT_AGAIN)
