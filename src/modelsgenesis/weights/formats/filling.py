"""From another program's names and tensors to a network of ours, and the report of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.weights.files import distinct
from modelsgenesis.weights.transfer import How, LoadingMap, Row

B = TypeVar("B", bound=Backbone)
LONGEST_WORD = 200
FRESH = 10_000_000  # parameters that a network may have beyond those found

LEVELS = ("state_dict", "network_weights", "model_state_dict", "model", "net")  # where programs keep their tensors


def tensors_of(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name: those under "state_dict" and the like, or the mapping's own."""
    for level in LEVELS:
        inner = content.get(level)
        if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
            return {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def prefix_of(names: Iterable[str], ending: str) -> str | None:
    """The prefix of a name that the format always has: "module." and the like, or ""; None without the name."""
    found = sorted((name for name in names if name == ending or name.endswith(f".{ending}")), key=len)
    return found[0].removesuffix(ending) if found else None


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors under a prefix, by what follows it, and the names of the others."""
    inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return inside, tuple(name for name in tensors if not name.startswith(prefix))


def plain_values(content: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values at the top of a checkpoint, such as its epoch."""
    return {name: value for name, value in content.items() if isinstance(value, (bool, int, float)) or _is_word(value)}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_WORD


def build(make: Callable[[], B], tensors: Mapping[str, Tensor]) -> B:
    """Make a network in evaluation mode, unless it is absurdly larger than the tensors that shall fill it.

    Args:
        make: its class with its arguments.
        tensors: that were found.
    Raises:
        WeightsError: the shapes found make a network of another order of size, or none.
    """
    held = sum(tensor.numel() for tensor in tensors.values())
    try:
        with torch.device("meta"):  # takes no memory
            needed = sum(parameter.numel() for parameter in make().parameters())
    except (ValueError, RuntimeError, OverflowError) as error:
        raise WeightsError(f"its shapes make no network ({error})") from error
    if needed > 2 * held + FRESH:
        raise WeightsError(f"its shapes make a network of {needed:.1e} parameters, and it holds {held:.1e}")
    with torch.random.fork_rng(devices=[]):
        return make().eval()


def fill_from(
    network: Backbone,
    found: Mapping[str, Tensor],
    *,
    adapted: Mapping[str, str] | None = None,
    left: Mapping[str, str] | None = None,
    unused: Iterable[str] = (),
) -> LoadingMap:
    """Copy found tensors into a network and report what became of each of its tensors.

    Args:
        network: where to, in place.
        found: tensors by their names in the network, already of its shapes.
        adapted: of those that are not as the file has them: what was done.
        left: of those that stay at random: why. A name that ends in a dot stands for all that begin with it. A norm's
            count of its batches may always be left: nothing is computed from it.
        unused: what the file holds besides.
    Raises:
        WeightsError: a tensor is missing, of another shape, or holds values that are not finite.
    """
    adapted, left = adapted or {}, left or {}
    rows, own = [], distinct(network)
    places = {
        id(tensor): part for part, module in network.parts() for tensor in (*module.parameters(), *module.buffers())
    }
    for name, tensor in own.items():
        how: How
        if name in found:
            _check(name, tensor, found[name])
            how, why = ("adapted", adapted[name]) if name in adapted else ("taken", "")
        else:
            how, why = "random", _why_left(name, left)
        learned = isinstance(tensor, nn.Parameter)
        rows.append(Row(name, places[id(tensor)], tuple(tensor.shape), how, why, learned))
    with torch.no_grad():
        for name, value in found.items():
            own[name].copy_(value)
    return LoadingMap(tuple(rows), tuple(unused))


def _check(name: str, tensor: Tensor, value: Tensor) -> None:
    if value.shape != tensor.shape:
        raise WeightsError(f"{name} would be {tuple(value.shape)}, but the network's is {tuple(tensor.shape)}")
    if not torch.isfinite(value).all():
        raise WeightsError(f"{name} holds values that are not finite; the file is damaged, or its training diverged")


def _why_left(name: str, left: Mapping[str, str]) -> str:
    if name.endswith(".num_batches_tracked"):
        return "the file does not count batches"
    for start, why in left.items():
        if name == start or (start.endswith(".") and name.startswith(start)):
            return why
    raise WeightsError(f"the file holds nothing for {name}; it is cut down, or of another network")
