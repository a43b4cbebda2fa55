"""Whether a NIfTI file is whole: SimpleITK fills what is missing with zeros and says nothing."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from modelsgenesis.data.headers import EXPORT_AGAIN, NiftiHeader, nifti_bytes
from modelsgenesis.data.problems import UnreadableError

PIECE_BYTES = 2**22


def check_length(files: tuple[Path, ...], header: NiftiHeader) -> None:
    """Refuse an uncompressed file that is shorter than its header says.

    Args:
        files: header and voxels; the voxels are in the last.
        header: of the first.
    """
    there = files[-1].stat().st_size
    if there < header.num_bytes:
        raise UnreadableError(
            f"the file is cut off: {there} bytes where its header claims {header.num_bytes}", EXPORT_AGAIN
        )


def check_gzip(path: Path, header: NiftiHeader, values: NDArray[Any]) -> None:
    """Refuse a gzipped file that is cut off or damaged.

    The checksum at its end is compared with that of the voxels in memory, ten times faster than unpacking it again;
    where these are not the file's own bytes (rescaled, another byte order, several members) it is unpacked again.

    Args:
        path: of the file.
        header: of the file.
        values: as read, in the order of the file.
    """
    with open(path, "rb") as file:
        file.seek(-8, 2)
        checksum, length = struct.unpack("<II", file.read(8))
    own = not header.scaled and not header.swapped and header.data_offset + values.nbytes == header.num_bytes
    if own and length == header.num_bytes % 2**32:
        front = zlib.crc32(nifti_bytes(path, header.data_offset))
        if zlib.crc32(memoryview(values.data).cast("B"), front) == checksum:
            return
    _unpack(path, header.num_bytes)


def _unpack(path: Path, num_bytes: int) -> None:
    there = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(PIECE_BYTES):
                there += len(piece)
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableError("the file is cut off or damaged: its gzip stream breaks", EXPORT_AGAIN) from error
    if there < num_bytes:
        raise UnreadableError(f"the file is cut off: {there} bytes where its header claims {num_bytes}", EXPORT_AGAIN)
