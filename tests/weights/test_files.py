"""Weights files that are broken, foreign or hostile are refused with words."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import modelsgenesis as mg
from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.nets import Classifier, ResidualUNet, UNet3D
from modelsgenesis.weights import load_backbone, load_network, save_network
from modelsgenesis.weights.files import distinct, read_notes


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


def test_folder_of_folds_names_them(file: Path) -> None:
    """A cross-validated run has a network a fold, and the error says which there are."""
    for fold in ("fold-0", "fold-1"):
        (file.parent / "cv" / fold).mkdir(parents=True)
        (file.parent / "cv" / fold / "model.safetensors").write_bytes(file.read_bytes())
    with pytest.raises(WeightsError, match="give one of them: fold-0, fold-1"):
        mg.load(file.parent / "cv")


@pytest.mark.parametrize(
    "backbone",
    [
        UNet3D(width=2, axes=2, in_channels=3),
        ResidualUNet(features=(4, 8), strides=(1, (2, 2, 1)), blocks=(1, 1), deep_supervision=True),
    ],
    ids=["unet-2d", "residual"],
)
def test_saved_classifier_rebuilds_with_the_backbone_it_is_built_on(backbone: Backbone, tmp_path: Path) -> None:
    """The header describes a network in a network; every tensor and prediction comes back, the decoder's too."""
    classifier = Classifier(backbone, 3, hidden=5, dropout=0.2)
    save_network(tmp_path / "model.safetensors", classifier)
    loaded = mg.load(tmp_path)
    assert isinstance(loaded, Classifier)
    assert (loaded.out_features, loaded.hidden, loaded.dropout) == (3, 5, 0.2)
    ours, theirs = distinct(classifier), distinct(loaded)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [p.requires_grad for p in classifier.parameters()] == [p.requires_grad for p in loaded.parameters()]
    x = torch.rand(2, backbone.in_channels, *(16,) * backbone.axes)
    assert torch.equal(loaded(x), classifier.eval()(x))
    alone = load_backbone(tmp_path)
    assert type(alone) is type(backbone)
    assert torch.equal(alone(x), backbone(x))


def test_backbone_of_a_backbone_is_itself(file: Path) -> None:
    """A run without a classifier gives its network."""
    assert isinstance(load_backbone(file), UNet3D)


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


def test_absurd_backbone_of_a_classifier_is_refused_before_memory_is_taken(file: Path) -> None:
    """What a classifier is built on is measured too."""
    backbone = {"name": "unet3d", "arguments": {"width": 10**6}}
    describe_as(file, {"name": "classifier", "arguments": {"backbone": backbone, "out_features": 2}})
    with pytest.raises(WeightsError, match="parameters are described, but the file has"):
        load_network(file)


@pytest.mark.parametrize(
    "network",
    [
        {"name": "unet3d", "arguments": {"axes": 4}},
        {"name": "unet3d", "arguments": {"depth": 4}},
        {"name": "unet3d", "arguments": {"in_channels": {"name": "os:system", "arguments": {}}}},
        {"name": "classifier", "arguments": {"backbone": 3, "out_features": 2}},
        {"name": "classifier", "arguments": {"backbone": {"name": "classifier", "arguments": {}}, "out_features": 2}},
        {"name": "files", "arguments": {}},
        {"name": ["unet3d"], "arguments": {}},
        {"arguments": {}},
        [],
    ],
)
def test_description_that_makes_no_network_is_refused(file: Path, network: Any) -> None:
    """Whatever is wrong with it, the error names the file."""
    describe_as(file, network)
    with pytest.raises(WeightsError, match=r"model\.safetensors: its tensors and its description"):
        load_network(file)


def test_description_nested_without_end_is_refused(file: Path) -> None:
    """A header deeper than Python's stack is no crash."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["modelsgenesis"] = "[" * 100_000
    packed = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(packed)) + packed + content[8 + length :])
    with pytest.raises(WeightsError, match="cannot be read as a safetensors file"):
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
