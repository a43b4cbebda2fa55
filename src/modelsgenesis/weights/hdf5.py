"""HDF5 files, read with h5py: groups and plain numeric data sets that lie whole in the file itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modelsgenesis.core.errors import MissingExtraError, WeightsError, refusal
from modelsgenesis.core.files import check_regular, open_regular

MAGIC = b"\x89HDF\r\n\x1a\n"
DEEPEST, MOST_MEMBERS = 8, 100_000
HOSTILE = "programs that save weights write no such file, and it may be meant to harm"


def is_hdf5(path: Path) -> bool:
    """Whether a file begins like HDF5."""
    with open_regular(path) as file:
        return file.read(8) == MAGIC


@dataclass
class _Budget:
    """The bytes that a file may still take."""

    num_bytes: int
    members: int = MOST_MEMBERS


def read_hdf5(path: Path) -> dict[str, Any]:
    """Read every data set of a file, as nested mappings.

    Returns:
        A mapping for each group, a tensor for each numeric data set; other data sets are left out.
    Raises:
        WeightsError: it is broken, or leads out of itself: links to other places, virtual or external data; or it
            claims more than it holds.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "Keras files need h5py; in the clone of modelsgenesis: pip install -c constraints.txt '.[keras]'"
        ) from error
    try:
        with h5py.File(check_regular(path), "r") as file:
            return _group(file, h5py, _Budget(path.stat().st_size), 0)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except (OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
        why = refusal(error) or f"cannot be read as an HDF5 file ({error}); it is damaged or cut off"
        raise WeightsError(f"{path}: {why}") from error


def _group(group: Any, h5py: Any, budget: _Budget, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise WeightsError(f"{group.name}: groups nest deeper than {DEEPEST}; {HOSTILE}")
    content: dict[str, Any] = {}
    for name in group:
        budget.members -= 1
        if budget.members < 0:
            raise WeightsError(f"more than {MOST_MEMBERS} members; {HOSTILE}")
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(f"{group.name}/{name} is a {type(link).__name__} to another place; {HOSTILE}")
        member = group[name]
        if isinstance(member, h5py.Group):
            content[name] = _group(member, h5py, budget, depth + 1)
        elif isinstance(member, h5py.Dataset) and member.dtype.kind in "fiub":
            content[name] = _tensor(member, budget)
    return content


def _tensor(dataset: Any, budget: _Budget) -> Tensor:
    """Read one data set, if it lies whole in the file."""
    if dataset.is_virtual or dataset.external:
        raise WeightsError(f"{dataset.name} takes its data from other files; {HOSTILE}")
    if dataset.chunks is not None:
        raise WeightsError(f"{dataset.name} is cut into chunks, perhaps compressed; Keras writes its weights whole")
    budget.num_bytes -= dataset.nbytes
    if dataset.nbytes > dataset.id.get_storage_size() or budget.num_bytes < 0:
        raise WeightsError(f"{dataset.name} claims {dataset.nbytes:.1e} bytes, more than the file holds; {HOSTILE}")
    values: Any = dataset[()]
    return torch.from_numpy(np.array(values, dtype=values.dtype.newbyteorder("="), ndmin=0))
