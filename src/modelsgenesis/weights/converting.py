"""A process of its own for a file that is trusted: it is unpickled, and its tensors and plain values written out.

Run as a script, with FILE and INTO; it needs nothing of this package. What it makes may run whatever the file's author
wanted, here and with this user's rights; nothing of it but the written file reaches the process that called.
"""

import pickle
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (str, int, float, bool, type(None))
DEEPEST = 50


class Unknown:
    """Stands for a class that is not installed here; it keeps what the file says of it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever the arguments."""


class Unpickler(pickle.Unpickler):
    """Python's own, but what cannot be imported is unknown instead of an error."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Import the named class or function, if it is installed."""
        try:
            return super().find_class(module_name, global_name)
        except (ImportError, AttributeError):
            return type(global_name, (Unknown,), {})


def plain(value: Any, depth: int = 0) -> Any:
    """Keep the tensors and plain values of an object; None for anything else."""
    if depth > DEEPEST:
        return None
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, np.generic):
        return value.item() if isinstance(value.item(), PLAIN) else None
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.asarray(value, order="C")) if value.dtype.kind in "fiub" else None
    if isinstance(value, nn.Module):
        return plain(value.state_dict(), depth + 1)
    if isinstance(value, Mapping):
        return {key: plain(inner, depth + 1) for key, inner in value.items() if isinstance(key, PLAIN)}
    if isinstance(value, (list, tuple)):
        return [plain(inner, depth + 1) for inner in value]
    if hasattr(value, "__dict__"):
        return plain(vars(value), depth + 1)
    return None


def main(source: str, into: str) -> None:
    """Convert one file."""
    pickles = ModuleType("pickles")
    vars(pickles).update(vars(pickle), Unpickler=Unpickler)
    with open(source, "rb") as file:
        content = torch.load(file, map_location="cpu", weights_only=False, pickle_module=pickles)
    torch.save(plain(content), into)


if __name__ == "__main__":
    main(*sys.argv[1:])
