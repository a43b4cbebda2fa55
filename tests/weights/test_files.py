"""Weights files that are broken, foreign or hostile are refused with words."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.nets import UNet3D
from modelsgenesis.weights import load_network, save_network
from modelsgenesis.weights.files import read_notes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A whole weights file of a small network."""
    save_network(tmp_path / "model.safetensors", UNet3D(width=2), {"step": 7})
    return tmp_path / "model.safetensors"


def describe_as(file: Path, network: dict[str, Any]) -> None:
    """Change what a weights file says of its network."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    described = json.loads(header["__metadata__"]["modelsgenesis"])
    header["__metadata__"]["modelsgenesis"] = json.dumps({**described, "network": network})
    packed = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(packed)) + packed + content[8 + length :])


def test_load_takes_a_folder_or_a_file(file: Path) -> None:
    """A run's folder gives its best network."""
    assert isinstance(mg.load(file), UNet3D)
    assert isinstance(mg.load(str(file.parent)), UNet3D)


def test_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    """The error asks whether it is a run."""
    with pytest.raises(WeightsError, match="no network in this folder"):
        mg.load(tmp_path)


def test_notes_are_read_without_the_tensors(file: Path) -> None:
    """Notes come back as they were given."""
    assert read_notes(file) == {"step": 7}


def test_file_cut_off_at_any_place_is_refused(file: Path) -> None:
    """Whatever is missing, the error names the file."""
    whole = file.read_bytes()
    for length in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"model\.safetensors"):
            load_network(file)


def test_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    """Tensors of another program have no description of a network."""
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="not one that this version of modelsgenesis wrote"):
        load_network(tmp_path / "foreign.safetensors")


def test_class_from_outside_is_never_imported(file: Path) -> None:
    """A header that names a module of the attacker's choice is refused."""
    describe_as(file, {"name": "os:system", "arguments": {}})
    with pytest.raises(WeightsError, match="only networks of"):
        load_network(file)


def test_absurd_network_is_refused_before_memory_is_taken(file: Path) -> None:
    """A width of a million would be petabytes."""
    describe_as(file, {"name": "unet3d", "arguments": {"width": 10**6}})
    with pytest.raises(WeightsError, match="parameters are described, but the file has"):
        load_network(file)


def test_tensors_of_another_width_are_refused(file: Path) -> None:
    """The first tensor that does not fit is named with both shapes."""
    describe_as(file, {"name": "unet3d", "arguments": {"width": 3}})
    with pytest.raises(WeightsError, match=r"down\.0\.0\.weight is \(2, .* network's is \(3,"):
        load_network(file)


def test_file_is_never_half_written(tmp_path: Path) -> None:
    """When the folder cannot be made, the error says so and nothing is left."""
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="could not be written"):
        save_network(tmp_path / "blocked" / "model.safetensors", UNet3D(width=2))
