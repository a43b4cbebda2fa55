"""Compiled loops where nothing can be cached."""

from typing import Any

import numba
import pytest

from modelsgenesis.deformations.kernels import compiling


def test_a_read_only_install_compiles_without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Numba finds no folder to cache in, the loop is compiled in each process instead of failing."""
    plain = numba.njit

    def no_folder(*functions: Any, **settings: Any) -> Any:
        if settings.get("cache") and settings.get("nogil"):  # ours, not Numba's own
            raise RuntimeError("cannot cache function: no locator available")
        return plain(*functions, **settings)

    monkeypatch.setattr(compiling.numba, "njit", no_folder)
    assert compiling.compiled(lambda x: x + 1)(2) == 3
