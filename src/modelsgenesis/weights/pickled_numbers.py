"""NumPy's numbers in torch's files, read as Python's: nnU-Net keeps its curves so. Nothing of NumPy is called."""

import struct
from collections.abc import Callable
from typing import Any

from modelsgenesis.core.errors import WeightsError

KINDS = {
    "f8": "d",
    "f4": "f",
    "f2": "e",
    "i8": "q",
    "i4": "i",
    "i2": "h",
    "i1": "b",
    "u8": "Q",
    "u4": "I",
    "u1": "B",
    "b1": "?",
}


class PlainDtype:
    """NumPy's dtype by its name; the rest of what a pickle says of it is its byte order."""

    def __init__(self, kind: Any = None, *_: Any) -> None:
        if kind not in KINDS:
            raise WeightsError(f"it holds numbers of the kind {str(kind)[:20]!r}, which is not read")
        self.kind, self.order = str(kind), "<"

    def __setstate__(self, state: Any) -> None:
        """(version, byte order, and what only structures have)."""
        self.order = ">" if isinstance(state, tuple) and len(state) > 1 and state[1] == ">" else "<"


def plain_scalar(dtype: Any, data: Any = None) -> int | float | bool:
    """Make one number of its bytes."""
    if not isinstance(dtype, PlainDtype) or not isinstance(data, bytes):
        raise WeightsError("it holds a NumPy value that is no plain number")
    number: int | float | bool = struct.unpack(dtype.order + KINDS[dtype.kind], data)[0]
    return number


Reader = Callable[..., Any]
READERS: dict[str, Reader] = {
    "numpy.dtype": PlainDtype,
    "numpy.core.multiarray.scalar": plain_scalar,
    "numpy._core.multiarray.scalar": plain_scalar,
}
