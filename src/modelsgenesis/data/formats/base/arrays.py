"""Bare arrays as volumes: what .npy files, rows of a .npz and official cube files share."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.files import check_regular
from modelsgenesis.data.formats.base.itk import check_size
from modelsgenesis.data.problems import UnreadableError

MAGIC = b"\x93NUMPY"
CUBES = re.compile(r"bat_(?P<per_scan>\d+)_(s_)?\d+x\d+x\d+_(?P<fold>\d+)\.npy$")  # the authors' name of a cube file
ASSUMED = "an array has no spacing and no orientation: 1 mm and (X, Y, Z) in LPS are assumed"


def open_npy(path: Path) -> NDArray[Any]:
    """Map a .npy file of numbers into memory; nothing is read yet.

    Raises:
        UnreadableError: it is cut off, absurdly large, or holds no numbers.
    """
    try:
        array = np.load(check_regular(path), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OverflowError) as error:
        raise UnreadableError("a .npy file that is cut off, damaged or holds no numbers", "save it again") from error
    if array.dtype.kind not in "iufb" or array.dtype.itemsize > 8:
        raise UnreadableError(f"a .npy file of {array.dtype}", "save integers or floats")
    if math.prod(array.shape) == 0:
        raise UnreadableError(f"a .npy file of no voxels {array.shape}", "save it again")
    if array.dtype.kind == "b":
        return np.asarray(array.astype(np.uint8))
    return np.asarray(array)


def check_array(shape: tuple[int, ...], max_voxels: int) -> None:
    """Refuse an array that is not one volume, (X, Y, Z), of a possible size.

    Raises:
        UnreadableError: it has other axes, or more voxels than are allowed.
    """
    check_size(shape, max_voxels)
    if len(shape) != 3:
        raise UnreadableError(f"{len(shape)} axes {shape}", "save one volume, (X, Y, Z), a file")
