"""What benchmarks and examples import of the package is there."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path for room in ("benchmarks", "examples", "docs") for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_that_programs_import_are_there(path: Path) -> None:
    """A program that no test runs would keep the name of a module that has moved."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("modelsgenesis"):
            module = importlib.import_module(node.module or "")
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not [name for name in missing if importlib.util.find_spec(f"{node.module}.{name}") is None]
