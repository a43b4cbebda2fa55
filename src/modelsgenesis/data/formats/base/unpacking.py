"""Voxels that a file holds packed by gzip or zlib, unpacked by isal: in less than half the time of zlib."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isal import isal_zlib
from numpy.typing import NDArray

from modelsgenesis.core.files import open_regular
from modelsgenesis.core.image_format import GZIP
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN
from modelsgenesis.data.problems import UnreadableError

PIECE_BYTES = 2**17
GZIPPED, ZLIB = 31, 15  # what zlib calls the two kinds of streams
PLAIN_HEAD = GZIP + b"\x08"  # of a member of a gzipped file; its flags follow
NO_FLAG, NAMED = b"\0", b"\x08"
ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # as zlib writes them, by level
# What a stream that is cut off or damaged raises.
# isal says of its error that it is one, not the type of one.
BROKEN: tuple[type[Exception], ...] = (EOFError, zlib.error, isal_zlib.IsalError)  # type: ignore[assignment]


def unpacked(file: io.BufferedReader, kind: int = GZIPPED) -> Iterator[bytes]:
    """Unpack a file from where it stands to its end, in which checksums are compared and zeros may follow.

    Args:
        file: to read.
        kind: GZIPPED, of one member or several, or ZLIB.
    Raises:
        UnreadableError: it is cut off or damaged.
    """
    try:
        yield from _pieces(file, kind)
    except BROKEN as error:
        raise UnreadableError("the file is cut off or damaged: its bytes break off", EXPORT_AGAIN) from error


def _pieces(file: io.BufferedReader, kind: int) -> Iterator[bytes]:
    unpacker: Any = None
    while piece := file.read(PIECE_BYTES):
        unpacker = unpacker or _unpacker_of(piece, kind)
        yield unpacker.decompress(piece)
        while unpacker.eof and (rest := unpacker.unused_data.lstrip(b"\0")):  # a file of several members
            unpacker = _unpacker_of(rest, kind)
            yield unpacker.decompress(rest)
    if unpacker is None or not unpacker.eof:
        raise EOFError


def unpack_into(numbers: NDArray[Any], path: Path, offset: int, kind: int) -> bool:
    """Fill an array with what a file holds packed; False, with anything in the array, where that is more.

    Args:
        numbers: to fill, in memory one after the other.
        path: of the file.
        offset: of the first packed byte.
        kind: GZIPPED or ZLIB.
    Raises:
        UnreadableError: it is damaged, cut off, or less than fills the array. SimpleITK gives whatever lies in memory
            for the voxels that a zlib stream lacks.
    """
    room, there = numbers.reshape(-1).view("u1").data, 0
    with open_regular(path) as file:
        file.seek(offset)
        for piece in unpacked(file, kind):
            if there + len(piece) > len(room):
                return False
            room[there : there + len(piece)] = piece
            there += len(piece)
    if there < len(room):
        claim = f"{there} bytes of voxels where its header claims {len(room)}"
        raise UnreadableError(f"the file is cut off: {claim}", EXPORT_AGAIN)
    return True


def _unpacker_of(stream: bytes, kind: int) -> Any:
    """What unpacks a stream: isal if its head is as usual, else zlib.

    Of a member of a gzipped file whose head has more than a name, isal passes over bits that must not be set, and fails
    where one with a checksum of its own falls into two pieces.
    """
    usual = stream[:2] in ZLIB_HEADS
    if kind == GZIPPED:
        usual = stream.startswith(PLAIN_HEAD) and stream[3:4] in (NO_FLAG, NAMED)
    return (isal_zlib if usual else zlib).decompressobj(kind)
