"""A network in one safetensors file: its description is in the header, so the file rebuilds alone."""

import inspect
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as read_tensors
from safetensors.torch import save
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError, blamed_on, refusal
from modelsgenesis.core.files import check_regular, open_regular, read_object, written_aside
from modelsgenesis.core.naming import find_class
from modelsgenesis.core.words import many
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.nets.network import Network
from modelsgenesis.weights.registry import resolve

KEY = "modelsgenesis"  # of our description in the header; one key, since safetensors writes several in any order
FORMAT = 1
OWN, EXPORTED, DESCRIPTION = "model.safetensors", "model.pt", "config.json"


def arguments_of(network: nn.Module) -> dict[str, Any]:
    """Read a network's constructor arguments off its attributes, which have their names."""
    return {name: getattr(network, name) for name in inspect.signature(type(network)).parameters}


def save_network(path: Path, network: Network, notes: dict[str, Any] | None = None) -> None:
    """Write a network whole or not at all.

    Args:
        path: ends in .safetensors.
        notes: what else the header should hold: recipe, metrics, lineage; anything JSON holds.
    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    header = {KEY: json.dumps({"format": FORMAT, "network": describe_network(network), "notes": notes or {}})}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in distinct(network).items()}
    with written_aside(path) as aside:
        aside.write_bytes(save(state, metadata=header))


def kept_network(network: nn.Module) -> Network:
    """The network of a learner in the form that a weights file holds.

    Raises:
        TypeError: it is none that can be kept.
    """
    if not isinstance(network, Network):
        raise TypeError(f"a learner's network is kept, and {type(network).__name__} is none")
    return network


def network_file(source: str | Path) -> Path:
    """The file of a network: a run's best, the file itself, or one of the package by its name.

    Raises:
        WeightsError: there is none, or it must be fetched first.
    """
    path = resolve(source)
    if path.is_dir():
        path = path / (EXPORTED if (path / EXPORTED).is_file() and read_description(path / EXPORTED) else OWN)
        if not path.is_file():
            raise WeightsError(f"{source}: no network in this folder; {_remedy(Path(source))}")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; a finished run holds a model.safetensors")
    return path


def load_network(path: Path) -> Network:
    """Rebuild a network from its file alone, in evaluation mode.

    Raises:
        WeightsError: the file is missing, broken, of another program, or its tensors are not the network's.
    """
    header = read_header(path)
    if header.get("format") != FORMAT:
        raise WeightsError(f"{path}: a safetensors file, but not one that this version of modelsgenesis wrote")
    with blamed_on(path, WeightsError, "its tensors and its description do not make a network"):
        network = _build(header["network"], path.stat().st_size)
        fill(network, read_tensors(check_regular(path).read_bytes()))
    return network.eval()


def read_description(path: Path) -> dict[str, Any]:
    """Read what `genesis export --to torch` wrote beside a state dict; empty where there is no such description."""
    beside = path.with_name(DESCRIPTION)
    description = read_object(beside) if beside.is_file() else {}
    network = description.get("network") if isinstance(description, dict) else None
    return description if isinstance(network, dict) and network.keys() == {"name", "arguments"} else {}


def rebuild_network(path: Path, described: dict[str, Any], state: Mapping[str, Any]) -> Network:
    """Rebuild a network from its description and its state dict, in evaluation mode.

    Args:
        path: of the state dict.
        described: as `describe_network` gives it.
        state: the state dict.
    Raises:
        WeightsError: the two do not belong together.
    """
    with blamed_on(path, WeightsError, f"is not the network that {DESCRIPTION} beside it describes"):
        network = _build(described, path.stat().st_size)
        network.load_state_dict(state)
    return network.eval()


def distinct(network: nn.Module) -> dict[str, Tensor]:
    """The network's state with every tensor once; nnU-Net's modules know theirs by several names."""
    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in network.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            state[name] = tensor
    return state


def fill(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy tensors into a network of the same names and shapes.

    Raises:
        WeightsError: names or shapes differ from the network's.
    """
    own = distinct(network)
    if missing := sorted(own.keys() - state.keys()):
        raise WeightsError(f"{many(len(missing), 'tensor')} missing, {missing[0]} first")
    if unknown := sorted(state.keys() - own.keys()):
        raise WeightsError(f"{many(len(unknown), 'tensor')} beyond the network's, {unknown[0]} first")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise WeightsError(f"{name} is {tuple(state[name].shape)}, but the network's is {tuple(tensor.shape)}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def read_header(path: Path) -> dict[str, Any]:
    """Read our description in a safetensors file, without its tensors; empty when another program wrote it.

    Raises:
        WeightsError: the file is missing or no safetensors file.
    """
    try:
        with open_regular(path) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100_000_000:
                raise WeightsError(f"{path}: no safetensors file (its header claims {length} bytes)")
            header = json.loads(file.read(length)).get("__metadata__", {})
            described = dict(json.loads(header.get(KEY, "{}")))
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file; a finished run holds a model.safetensors") from error
    except (OSError, struct.error, ValueError, TypeError, AttributeError, RecursionError) as error:
        why = refusal(error) or f"cannot be read as a safetensors file ({error}); it may be cut off"
        raise WeightsError(f"{path}: {why}") from error
    return described


def read_notes(path: Path) -> dict[str, Any]:
    """Read the notes that `save_network` put beside the weights.

    Raises:
        WeightsError: the file is missing, no safetensors file, or its notes are of another shape.
    """
    notes = read_header(path).get("notes", {})
    if not isinstance(notes, dict):
        raise WeightsError(f"{path}: its notes are no JSON object; fine-tune or pre-train again")
    return notes


def describe_network(network: nn.Module) -> dict[str, Any]:
    """Describe a network as data: its file in nets/ and its arguments, of which networks are described alike."""
    arguments = {
        name: describe_network(value) if isinstance(value, nn.Module) else value
        for name, value in arguments_of(network).items()
    }
    return {"name": type(network).__module__.rpartition(".")[2], "arguments": arguments}


def _build(described: dict[str, Any], num_bytes: int) -> Network:
    """Make a network, if the file can hold its weights; first on the meta device, which takes no memory."""
    base = {"classifier": Classifier, "named_heads": NamedHeads}.get(described["name"], Backbone)
    with torch.device("meta"):
        num_parameters = sum(parameter.numel() for parameter in _make(described, base).parameters())
    if num_parameters > num_bytes:
        raise WeightsError(f"{num_parameters:.1e} parameters are described, but the file has {num_bytes:.1e} bytes")
    network: Network = _make(described, base)
    return network


def _make(described: dict[str, Any], base: type) -> Any:
    """Make what was described, if it is of ours and of that kind; an argument so described is a backbone."""
    name = described["name"]
    if ":" in name:
        raise WeightsError(f"{name}: only networks of modelsgenesis.nets are rebuilt from a file")
    arguments = {
        key: _make(value, Backbone) if isinstance(value, dict) and value.keys() == {"name", "arguments"} else value
        for key, value in described["arguments"].items()
    }
    return find_class("nets", name, base)(**arguments)


def _remedy(folder: Path) -> str:
    """Suggest what to do about a folder without a network."""
    if folds := sorted(path.parent.name for path in folder.glob("fold-*/model.safetensors")):
        return f"it holds cross-validated folds, give one of them: {', '.join(folds)}"
    return "is it a run of `genesis pretrain` with a validation, or of `genesis finetune`?"
