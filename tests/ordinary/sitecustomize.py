"""What tests start runs as after an ordinary install, without packages that are here for a few tests only.

MONAI imports every one that it finds, wanted or not: 7.5 processor seconds with these, 3.6 without. Python runs this
file at the start of each process whose PYTHONPATH begins with this folder; see `tests/conftest.py`.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = ("ignite", "mlflow", "pandas", "skimage")  # none of them is a dependency, nor needed by one


class Ordinary(PathFinder):
    """Finds all that is installed but these."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module is; None when it is hidden, as when it is not installed."""
        return None if fullname in HIDDEN else super().find_spec(fullname, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Ordinary
