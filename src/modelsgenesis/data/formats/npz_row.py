"""Arrays of volumes in a .npz, unpacked once for many reads."""

import functools
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.problems import UnreadableError

SPLITS = 3  # training, validation and test, between which the cases of a task change
DAMAGED = "a .npz file that is cut off, damaged or holds no numbers"


def names_in(path: Path) -> list[str]:
    """The names of the arrays in a .npz.

    Raises:
        UnreadableError: it is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
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
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise UnreadableError(DAMAGED, "download or save it again") from error
    array.flags.writeable = False
    return array
