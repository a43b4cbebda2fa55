"""Compiled loops: their cache on disk goes with all the sources they are compiled of, or is done without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from modelsgenesis.deformations.kernels import compiling

PAINT_ALL = """
import numpy as np
from modelsgenesis.deformations.kernels.fused import show_and_paint
out = np.zeros((1, 8), np.float32)
boxes, table = np.empty((0, 6), np.int64), np.empty((2, 0), np.float32)
span, key = (np.float32(0), np.float32(1), np.float32(0), np.float32(1)), (np.uint32(1), np.uint32(2))
show_and_paint(out, out, (2, 2, 2), table, span, boxes, True, key, False)
print(*out[0], sum(show_and_paint.stats.cache_hits.values()))
"""


def painted(folder: Path) -> tuple[list[str], int]:
    """The noise that the kernels of a folder paint in a process of their own, and how many loops came from a cache."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    argv = [sys.executable, "-c", PAINT_ALL]
    done = subprocess.run(argv, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    *noise, hits = done.stdout.split()
    return noise, int(hits)


def test_a_change_of_what_a_loop_calls_is_compiled_in(tmp_path: Path) -> None:
    """Noise by another hash is other noise, though the file of the painting loop is the same; what was cached goes."""
    kernels = tmp_path / "modelsgenesis" / "deformations" / "kernels"
    shutil.copytree(Path(compiling.__file__).parent, kernels, ignore=shutil.ignore_patterns("__pycache__"))
    for package in (kernels.parent, kernels.parent.parent):
        (package / "__init__.py").touch()
    before, _ = painted(tmp_path)
    assert painted(tmp_path) == (before, 1)
    cached = {path.name for path in kernels.rglob("*.nb?")}
    hashing = kernels / "hashing.py"
    hashing.write_text(hashing.read_text(encoding="utf-8").replace("0x7FEB352D", "0x7FEB352F"), encoding="utf-8")
    after, hits = painted(tmp_path)
    assert hits == 0
    assert not set(after) & set(before)
    assert sorted(path.name for path in kernels.rglob("*.nb?")) == sorted(cached)


def test_a_loop_that_can_be_cached_nowhere_is_compiled_all_the_same() -> None:
    """Where Numba finds no folder, as for a function of no file, each process compiles anew."""
    space: dict[str, Any] = {}
    exec(compile("def one_more(x): return x + 1", "<nowhere>", "exec"), space)
    assert compiling.compiled(space["one_more"])(2) == 3
