"""Chunked, compressed arrays on disk: one Blosc2 file a scan, with the scan's record and occupancy inside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import written_aside

CHUNK_SIDE = 64  # what is addressed; 64x64x64 int16 is 512 KiB
BLOCK_SIDE = 16  # what is decompressed; small, since a random cube cuts through its outermost blocks


def write_array(path: Path, shape: tuple[int, ...], dtype: str, parts: Iterator[Any], extra: dict[str, bytes]) -> None:
    """Write an array part by part, whole or not at all; the same input gives the same bytes.

    Args:
        path: of the file, `.b2nd`.
        shape: (N, C, X, Y, Z).
        dtype: of the array.
        parts: (slices, values) that tile the array along chunk borders, as `chunks_of` names them.
        extra: named bytes kept beside the array.
    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    chunks = tuple(min(CHUNK_SIDE, side) for side in shape[2:])
    blocks = tuple(min(BLOCK_SIDE, side) for side in chunks)
    array = blosc2.empty(
        shape,
        dtype=np.dtype(dtype),
        chunks=(1, 1, *chunks),
        blocks=(1, 1, *blocks),
        cparams=blosc2.CParams(
            codec=blosc2.Codec.LZ4, clevel=1, filters=[blosc2.Filter.BITSHUFFLE], filters_meta=[0], nthreads=1
        ),
    )
    for slices, values in parts:
        array[slices] = np.ascontiguousarray(values)
    for name, data in extra.items():
        array.schunk.vlmeta[name] = data
    with written_aside(path) as aside:
        aside.write_bytes(array.to_cframe())


def chunks_of(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Name the chunks of an array (N, C, X, Y, Z) in the order of its file."""
    sides = (1, 1, *(min(CHUNK_SIDE, side) for side in shape[2:]))
    counts = [-(-whole // side) for whole, side in zip(shape, sides, strict=True)]
    for index in np.ndindex(*counts):
        yield tuple(
            slice(i * side, min((i + 1) * side, whole)) for i, side, whole in zip(index, sides, shape, strict=True)
        )


class StoredArray:
    """A handle of one stored array, memory-mapped, read-only, on one thread."""

    def __init__(self, path: Path) -> None:
        try:
            self._array: Any = blosc2.open(str(path), mode="r", mmap_mode="r", dparams=blosc2.DParams(nthreads=1))
        except (RuntimeError, OSError, ValueError) as error:
            raise DataError(f"{path}: missing or damaged; delete it and run genesis prepare again") from error
        self.path = path

    def read(self, slices: tuple[slice, ...]) -> NDArray[Any]:
        """Decompress a region of (N, C, X, Y, Z)."""
        try:
            return self._array[slices]  # type: ignore[no-any-return]
        except RuntimeError as error:
            raise DataError(f"{self.path}: damaged; delete it and run genesis prepare again") from error

    def extra(self, name: str) -> bytes:
        """The named bytes beside the array."""
        try:
            return self._array.schunk.vlmeta[name]  # type: ignore[no-any-return]
        except (KeyError, RuntimeError) as error:
            raise DataError(f"{self.path}: holds no {name}; delete it and run genesis prepare again") from error

    def record(self) -> dict[str, Any]:
        """The scan's record."""
        return json.loads(self.extra("scan"))  # type: ignore[no-any-return]
