"""Chunked, compressed arrays on disk: one Blosc2 file an image, with the record of what it was made of inside."""

import errno
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import blosc2
import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError, blamed_on, refusal
from modelsgenesis.core.files import name_in_utf8, open_regular, written_aside

T = TypeVar("T")
Key = TypeVar("Key", bound=Hashable)
ValuesAt = Callable[[tuple[slice, ...]], NDArray[Any]]  # a region of an array -> its values

ROOM = 2**16  # bytes beside the compressed values in a file
MOST_OPEN = 128  # files kept open in one process; more and their maps would fill memory as the store grows
# Measured on 512 x 512 x 300 int16: as fast to read a 64x64x32 cube as any other shape, and the fastest to write.
# Both by the number of axes of space; of pictures, which are most often read whole, by their size in bytes.
CHUNK = {3: (128, 64, 64), 2: (1024, 512)}  # what is addressed; 1 MiB of int16
PLANES = 8
BLOCK = {3: (16, 16, 32), 2: (64, 128)}  # what is decompressed; small: a random cube cuts through its outermost blocks


def write_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: str,
    values_at: ValuesAt,
    extra: Callable[[], dict[str, bytes]],
) -> None:
    """Write an array chunk by chunk, whole or not at all; the same input gives the same bytes.

    Args:
        path: of the file, `.b2nd`.
        shape: (N, C, X, Y, Z), or (N, C, X, Y).
        dtype: of the array.
        values_at: gives the values of a region of the array.
        extra: gives named bytes kept beside the array; it is asked last, and may tell of the values.
    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    chunks = _at_most(CHUNK, shape[2:])
    blocks = _at_most(BLOCK, chunks)
    array = blosc2.empty(
        shape,
        dtype=np.dtype(dtype),
        chunks=(1, 1, *chunks),
        blocks=(1, 1, *blocks),
        cparams=blosc2.CParams(
            codec=blosc2.Codec.LZ4, clevel=1, filters=[blosc2.Filter.BITSHUFFLE], filters_meta=[0], nthreads=1
        ),
    )
    for slices in _chunks_of(shape):
        # Not `array[slices] = ...`, which takes a fifth longer to find out what it is given.
        starts, stops = zip(*((one.start, one.stop) for one in slices), strict=True)
        array.set_slice((starts, stops), _in_order(values_at(slices)))
    for name, data in extra().items():
        array.schunk.vlmeta[name] = data
    with written_aside(path) as aside:
        aside.unlink(missing_ok=True)
        try:
            array.save(urlpath=str(aside), contiguous=True)
        except RuntimeError as error:
            with open(aside, "ab") as file:  # Blosc2 does not say why; the system does, asked for as much room
                os.posix_fallocate(file.fileno(), 0, array.schunk.cbytes + ROOM)
            raise OSError(errno.EIO, "Blosc2 could not write it") from error


def _in_order(values: NDArray[Any]) -> NDArray[Any]:
    """Copy to the order of the file; a few planes at a time, six times faster where the source runs the other way."""
    if values.flags.c_contiguous:
        return values
    ordered = np.empty(values.shape, values.dtype)
    for low in range(0, values.shape[-1], PLANES):
        ordered[..., low : low + PLANES] = values[..., low : low + PLANES]
    return ordered


def _chunks_of(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The names of the chunks of an array (N, C, X, Y, Z), in the order of its file."""
    sides = (1, 1, *_at_most(CHUNK, shape[2:]))
    counts = [-(-whole // side) for whole, side in zip(shape, sides, strict=True)]
    for index in np.ndindex(*counts):
        yield tuple(
            slice(i * side, min((i + 1) * side, whole)) for i, side, whole in zip(index, sides, shape, strict=True)
        )


def _at_most(limits: Mapping[int, tuple[int, ...]], size: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(most, side) for most, side in zip(limits[len(size)], size, strict=True))


class StoredArray:
    """A read-only handle of a stored array, for one thread.

    Not memory-mapped: that reads a fifth faster, but every page once touched counts as resident, and a loader's memory
    would grow with the store.
    """

    def __init__(self, path: Path) -> None:
        with blamed_on(path, DataError, "missing or damaged; delete it and run genesis prepare again"):
            open_regular(path).close()  # Blosc2 does not say why it cannot
            self._array: Any = blosc2.open(name_in_utf8(path), mode="r", dparams=blosc2.DParams(nthreads=1))
            if not isinstance(self._array, blosc2.NDArray):  # so it opens a file whose shape is damaged
                raise TypeError(f"a {type(self._array).__name__}")
        self.path = path

    def check(self, shape: tuple[int, ...], dtype: str) -> None:
        """Refuse an array of another shape or type than its record says.

        Raises:
            DataError: it is one.
        """
        if (self._array.shape, self._array.dtype.name) != (shape, dtype):
            there = f"{self._array.dtype.name} of {self._array.shape}"
            raise DataError(f"{self.path}: holds {there}, not {dtype} of {shape} as is written of it; prepare again")

    def read(self, slices: tuple[slice, ...]) -> NDArray[Any]:
        """Read a region of (N, C, X, Y, Z)."""
        try:
            return self._array[slices]  # type: ignore[no-any-return]
        except Exception as error:  # whatever Blosc2 makes of damaged numbers
            raise DataError(f"{self.path}: damaged; delete it and run genesis prepare again") from error

    def extra(self, name: str) -> bytes:
        """Read the named bytes beside the array."""
        try:
            return self._array.schunk.vlmeta[name]  # type: ignore[no-any-return]
        except Exception as error:
            raise DataError(f"{self.path}: holds no {name}; delete it and run genesis prepare again") from error


def find_record(path: Path, name: str, make: Callable[[dict[str, Any]], T]) -> T | None:
    """The record in the file of an array that is kept whole; None when it is missing or damaged, and to be made anew.

    Args:
        path: of the file.
        name: of the record in it.
        make: turns what `json` reads into the record.
    """
    if not path.is_file():
        return None
    try:
        return make(json.loads(StoredArray(path).extra(name)))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:  # any other shape
        if refusal(error.__cause__):
            raise
        return None


def is_current(record: object, wanted: Mapping[str, Any]) -> bool:
    """Whether what is kept would be made of the same sources in the same way again.

    Args:
        record: of the array.
        wanted: what the record would hold now, as far as is known without reading a voxel.
    """
    return all(getattr(record, name) == value for name, value in wanted.items())


class OpenFiles(Generic[Key, T]):
    """A cache of handles, of the last MOST_OPEN files, that each process makes anew.

    It may be pickled: nothing travels but how to open. A file opened before a fork is not shared.

    Args:
        make: opens one, by its path or by a name.
    """

    def __init__(self, make: Callable[[Key], T]) -> None:
        self.make = make
        self._open: OrderedDict[Key, T] = OrderedDict()
        self._process = os.getpid()

    def __getitem__(self, key: Key) -> T:
        if self._process != os.getpid():
            self._open, self._process = OrderedDict(), os.getpid()
        if key not in self._open:
            self._open[key] = self.make(key)
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.make,)
