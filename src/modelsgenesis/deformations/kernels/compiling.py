"""Compile a loop: it lets other threads run, is cached on disk, and stays in exact float32."""

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile with Numba on the first call and keep the machine code in the package's `__pycache__`.

    Where neither the package nor the user's cache folder can be written, Numba refuses to cache; then the loop is
    compiled anew in each process instead. NUMBA_CACHE_DIR is Numba's own way to name another folder.
    """
    try:
        kernel: Function = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to cache in
        kernel = numba.njit(nogil=True, error_model="numpy")(function)
    return kernel


def inlined(function: Function) -> Function:
    """Compile a small function into the loops that call it."""
    kernel: Function = numba.njit(nogil=True, inline="always", error_model="numpy")(function)
    return kernel
