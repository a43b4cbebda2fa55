"""What tests start runs as an ordinary install would, without packages that are here for a few tests only.

MONAI imports every one that it finds, wanted or not: 7.5 processor seconds with these, 2.6 without. Python runs this
file at the start of each process whose PYTHONPATH begins with this folder; see `tests/conftest.py`.
"""

import sys

for name in ("ignite", "mlflow", "pandas", "skimage"):  # none of them is a dependency, nor used by one
    sys.modules[name] = None  # type: ignore[assignment]  # importing it says that it is not installed
