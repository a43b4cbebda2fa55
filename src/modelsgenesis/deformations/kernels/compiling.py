"""Compile a loop: it lets other threads run, is cached on disk, and stays in exact float32."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

Function = TypeVar("Function", bound=Callable[..., object])
FOLDER = "kernels-"  # and the sources' digest


def compiled(function: Function) -> Function:
    """Compile with Numba on the first call and keep the machine code in the package's `__pycache__`.

    The cache is of all sources of the deformations as they are: when one changes, all loops are compiled anew. Where
    neither the package nor the user's cache folder can be written, Numba refuses to cache; then the loop is compiled
    anew in each process instead. NUMBA_CACHE_DIR is Numba's own way to name another folder.
    """
    kernel: Function = numba.njit(nogil=True, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError):  # no folder to cache in
        kernel._cache = _KernelCache(function)  # type: ignore[attr-defined]
    return kernel


def inlined(function: Function) -> Function:
    """Compile a small function into the loops that call it."""
    kernel: Function = numba.njit(nogil=True, inline="always", error_model="numpy")(function)
    return kernel


def _digest() -> str:
    """Hash all sources of the deformations: a loop is compiled of what it calls, for the types that it is given."""
    room = Path(__file__).parents[1]
    sources = sorted((file.relative_to(room).as_posix(), file.read_bytes()) for file in room.rglob("*.py"))
    return hashlib.sha256(repr(sources).encode()).hexdigest()[:16]


DIGEST = _digest()


class _OfTheseSources:
    """Finds a folder for these sources alone inside the folder that Numba's own locators find.

    By itself Numba looks at the file of a loop, and not at those of the functions compiled into it.
    """

    def get_cache_path(self) -> str:
        """The folder for these sources."""
        return str(Path(super().get_cache_path(), FOLDER + DIGEST))  # type: ignore[misc]

    def ensure_cache_path(self) -> None:
        """Make the folder if needed, and remove those of earlier sources."""
        own = Path(self.get_cache_path())
        is_new = not own.is_dir()
        super().ensure_cache_path()  # type: ignore[misc]
        for other in own.parent.glob(FOLDER + "*") if is_new else ():
            if other != own:
                shutil.rmtree(other, ignore_errors=True)


class _KernelCacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    """Numba's cache of one kernel, in the folder for these sources."""

    _locator_classes = tuple(
        type(locator.__name__, (_OfTheseSources, locator), {}) for locator in CompileResultCacheImpl._locator_classes
    )


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache, in the folder for these sources."""

    _impl_class = _KernelCacheImpl
