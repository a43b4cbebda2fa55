"""Weights of any program: what a file is, is decided by what it holds, and its adapter makes the network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load as read_tensors

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError, refusal
from modelsgenesis.core.files import check_regular, open_regular
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.nets.network import Network, backbone_of
from modelsgenesis.weights.checkpoints import is_checkpoint, read_checkpoint
from modelsgenesis.weights.files import (
    load_network,
    network_file,
    read_description,
    read_header,
    read_notes,
    rebuild_network,
)
from modelsgenesis.weights.formats import LoadedWeights, adapters
from modelsgenesis.weights.formats.filling import plain_values
from modelsgenesis.weights.hdf5 import is_hdf5, read_hdf5
from modelsgenesis.weights.registry import part_of
from modelsgenesis.weights.transfer import whole

__all__ = ["LoadedWeights", "load", "load_backbone", "load_weights", "read_checkpoint"]

Kind = Literal["torch", "hdf5", "safetensors"]

OURS = "modelsgenesis"
SHOWN = 3  # names in an error
GLIMPSE = 16  # bytes of an unknown file


def load(source: str | Path, *, trust: bool = False) -> Network:
    """Load the network of a run, of a .safetensors file, or of another program's file, in evaluation mode.

    Args:
        source: a run's folder (its best network is taken), a file, or what `genesis export --to torch` wrote; FILE#KEY
            for what lies in a file of another program under a key, such as "teacher".
        trust: unpickle another program's file that needs more than tensors and plain values, in a process of its own.
            It can do there whatever its author wanted; the names that it asks for are shown first.
    Returns:
        A backbone after pre-training, which restores, and after learning to segment, which gives logits
        (B, outputs, *space); a Classifier, with logits or numbers (B, outputs), after classification or regression.
        Another program's network gives the outputs that it gives there.
    Raises:
        WeightsError: there is no network there, or the file is broken, hostile or of an unknown format.
        MissingExtraError: the format needs a library that is not installed.
    Example: >>> network = load("runs/chest-ct"); restored = network(cubes)   # (B, 1, 64, 64, 32)
    """
    path = network_file(source)
    own = _own(path, _kind(path))
    return own[0] if own else _adapted(path, part_of(source)[1], trust=trust).network


def load_backbone(source: str | Path, *, trust: bool = False) -> Backbone:
    """Load a backbone as `load` does; of a classifier, the one it is built on, with its decoder frozen.

    Raises:
        WeightsError: there is no network there, or the file is broken, hostile or of an unknown format.
    """
    return backbone_of(load(source, trust=trust))


def load_weights(source: str | Path, *, trust: bool = False) -> LoadedWeights:
    """Open a run or a file of any known format, and report what became of each tensor.

    Args:
        source: a run's folder, or a file, as of `load`.
        trust: as of `load`.
    Returns:
        The backbone, the report, the format's name and what the file says of itself.
    Raises:
        WeightsError: there is no network there, or the file is broken, hostile or of an unknown format.
        MissingExtraError: the format needs a library that is not installed.
    """
    path = network_file(source)
    if own := _own(path, _kind(path)):
        network, notes = own
        backbone = backbone_of(network)
        heads = network if isinstance(network, NamedHeads) else None
        return LoadedWeights(backbone, whole(backbone, notes.get("taught")), OURS, notes=notes, heads=heads)
    return _adapted(path, part_of(source)[1], trust=trust)


def _own(path: Path, kind: Kind) -> tuple[Network, dict[str, Any]] | None:
    """A network of ours with what its file says of itself: a file of its own, or a state dict as we export it."""
    if kind == "safetensors" and read_header(path):
        return load_network(path), read_notes(path)
    if kind == "torch" and (description := read_description(path)):
        return rebuild_network(path, description["network"], read_checkpoint(path)), dict(description.get("notes", {}))
    return None


def _adapted(path: Path, part: str, *, trust: bool) -> LoadedWeights:
    """The network of another program's file or of a part of it, by the first adapter that knows its layout."""
    kind = _kind(path)
    content = _read(path, kind, trust=trust)
    if part:
        content = _inside(content, part, path)
    for adapter in adapters("hdf5" if kind == "hdf5" else "torch"):
        if adapter.recognises(content):
            try:
                return adapter.adapt(content)
            except WeightsError as error:
                raise WeightsError(f"{path}: taken for {adapter.FORMAT}, but {error}") from error
    known = "; ".join(adapter.FORMAT for adapter in adapters())
    raise WeightsError(f"{path}: holds {_glimpse(content)}, which is no layout known here; known are: {known}")


def _kind(path: Path) -> Kind:
    """The kind of a file, by its first bytes.

    Raises:
        WeightsError: nothing that is known here, or it cannot be read.
    """
    try:
        if is_checkpoint(path):
            return "torch"
        if is_hdf5(path):
            return "hdf5"
        with open_regular(path) as file:
            head = file.read(GLIMPSE)
    except OSError as error:
        raise WeightsError(f"{path}: {refusal(error) or error}") from error
    if len(head) > 8 and head[8:9] == b"{":  # after the length of its header
        return "safetensors"
    begins = f"begins with {head!r}" if head else "is empty"
    raise WeightsError(f"{path}: {begins}, as no weights file does; was it fetched whole, and from the right address?")


def _read(path: Path, kind: Kind, *, trust: bool) -> Mapping[str, Any]:
    if kind == "torch":
        return read_checkpoint(path, trust=trust)
    if kind == "hdf5":
        return read_hdf5(path)
    try:
        return dict(sorted(read_tensors(check_regular(path).read_bytes()).items()))
    except SafetensorError as error:
        raise WeightsError(f"{path}: cannot be read as a safetensors file ({error}); it may be cut off") from error


def _inside(content: Mapping[str, Any], part: str, path: Path) -> Mapping[str, Any]:
    """What lies in a file under a key, with the plain values beside it.

    Raises:
        WeightsError: no mapping lies there.
    """
    parts = [str(key) for key, inner in content.items() if isinstance(inner, Mapping)]
    if part not in parts:
        raise WeightsError(f"{path}: holds nothing to load under {part!r}; its parts are: {', '.join(parts) or 'none'}")
    return {**plain_values(content), **content[part]}


def _glimpse(content: Mapping[str, Any]) -> str:
    """Describe in a few words what a file holds."""
    names = [str(name) for name in content]
    inner = next((value for value in content.values() if isinstance(value, Mapping) and value), None)
    within = f" (the first with {', '.join(map(str, list(inner)[:SHOWN]))}, ...)" if inner else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}{within}" if names else "nothing"
