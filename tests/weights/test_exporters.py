"""Exports: tensors that load elsewhere, ONNX files that predict as PyTorch does, at any size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.inference.runs import ORGANS, make_run, notes_of
from tests.nets import planned

import modelsgenesis as mg
from modelsgenesis.core.errors import GenesisError, WeightsError
from modelsgenesis.core.naming import rebuild
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.nets import Classifier, Network, Primus, ResidualUNet, SliceWise, Swin, UNet3D, ViT
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.nets.resnet import ResNet
from modelsgenesis.nets.segresnet import SegResNet
from modelsgenesis.weights.exporters import find_exporter, read_given
from modelsgenesis.weights.exporters.onnx import OPSET, TOLERANCE, largest_difference
from modelsgenesis.weights.files import save_network
from modelsgenesis.weights.loading import load_weights

SMALL = {"features_per_stage": [2, 4, 8], "n_conv_per_stage": [1, 1, 1], "n_conv_per_stage_decoder": [1, 1]}
PLANNED = {**planned.PLANNED, "arch_kwargs": {**planned.KWARGS, **SMALL}}
NETWORKS = {
    "pre-trained": lambda: UNet3D(width=2),
    "residual, segmenting": lambda: ResidualUNet(
        1, 3, width=4, strides=(1, 2, (1, 2, 2)), blocks=(1, 1, 1), activation="identity", deep_supervision=True
    ),
    "classifying": lambda: Classifier(UNet3D(width=2, norm="group"), 3, hidden=4),
    "of slices": lambda: UNet3D(3, 2, width=2, up="nearest", norm="instance", axes=2),
    "slice by slice": lambda: SliceWise(UNet3D(3, 2, width=2, axes=2), across=1, neighbours=1),
    "planned by nnU-Net": lambda: PlannedUNet(PLANNED, units=(3.0, -1.0)),
    "MedicalNet's": lambda: ResNet(width=2, blocks=(1, 1, 1, 1)),
    "CT-FM's": lambda: SegResNet(width=2, blocks=(1, 2, 1), activation="identity"),
    "Swin": lambda: Swin(embed=8, depths=(2,), heads=(2,), window=2, width=8, activation="identity"),
    "Swin, classifying": lambda: Classifier(Swin(embed=8, depths=(2, 2), heads=(1, 2), window=2, width=8), 3, hidden=4),
    "ViT": lambda: ViT(embed=8, depth=2, heads=2, patch=4, grid=3, width=8, activation="identity"),
    "Primus": lambda: Primus(embed=12, depth=2, heads=1, patch=4, grid=(3, 2, 3), activation="identity"),
    "EVA-X's, classifying": lambda: Classifier(
        ViT(embed=8, depth=2, heads=1, patch=4, grid=3, hidden=12, width=8, gated=True, rotary=True), 3, hidden=4
    ),
}


def make(name: str) -> Network:
    """A network whose norms have statistics of their own, so that forgetting them shows."""
    torch.manual_seed(1)
    network = NETWORKS[name]()
    images = torch.rand(2, network.in_channels, *(3 * step for step in network.stride))
    with torch.no_grad():
        for _ in range(3):
            network.train()(images * 3 + 1)
    return network.eval()


def saved(path: Path, network: Network, notes: dict[str, Any] | None = None) -> Path:
    """A weights file."""
    save_network(path, network, notes)
    return path


def images_for(network: Network, batch: int, *strides: int) -> torch.Tensor:
    """Noise in [0, 1]."""
    sides = [count * step for count, step in zip(strides, network.stride, strict=False)]
    return torch.rand(batch, network.in_channels, *sides, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("name", NETWORKS)
def test_safetensors_hold_every_tensor_and_load_here_too(tmp_path: Path, name: str) -> None:
    """Any safetensors library reads them; `load` rebuilds the network from the folder."""
    network = make(name)
    (tmp_path / "out").mkdir()
    out = find_exporter("safetensors").export(saved(tmp_path / "a.safetensors", network, {"step": 3}), tmp_path / "out")
    tensors, own = load_file(out / "model.safetensors"), network.state_dict()
    assert set(tensors) <= set(own)
    assert {tensor.data_ptr() for tensor in own.values()} == {own[name].data_ptr() for name in tensors}
    assert all(torch.equal(tensor, own[name]) for name, tensor in tensors.items())
    images = images_for(network, 1, 2, 2, 2)
    assert torch.equal(mg.load(out)(images), network(images))
    config = json.loads((out / "config.json").read_text())
    assert config["notes"] == {"step": 3}
    assert config["input"]["sides_divide_by"] == list(network.stride)


@pytest.mark.parametrize("name", NETWORKS)
def test_state_dict_fills_a_network_made_by_its_config(tmp_path: Path, name: str) -> None:
    """Strictly, and read with weights_only."""
    network = make(name)
    (tmp_path / "out").mkdir()
    out = find_exporter("torch").export(saved(tmp_path / "a.safetensors", network), tmp_path / "out")
    described = json.loads((out / "config.json").read_text())["network"]
    made = build(described)
    made.load_state_dict(torch.load(out / "model.pt", weights_only=True), strict=True)
    images = images_for(network, 1, 2, 2, 2)
    assert torch.equal(made.eval()(images), network(images))


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_state_dict_is_loaded_again(tmp_path: Path, name: str) -> None:
    """By its folder or its file, as the same kind of network, with its notes; and as a start for another task."""
    network = make(name)
    (tmp_path / "out").mkdir()
    out = find_exporter("torch").export(saved(tmp_path / "a.safetensors", network, {"step": 3}), tmp_path / "out")
    images = images_for(network, 1, 2, 2, 2)
    for place in (out, out / "model.pt"):
        loaded = mg.load(place)
        assert type(loaded) is type(network)
        assert not loaded.training
        assert torch.equal(loaded(images), network(images))
    opened = load_weights(out)
    assert opened.format == "modelsgenesis"
    assert opened.notes == {"step": 3}
    assert all(row.how == "taken" for row in opened.report.rows)


def test_exported_state_dict_with_another_description_is_refused(tmp_path: Path) -> None:
    """One line that names the file; without a description it is a file of another program."""
    (tmp_path / "out").mkdir()
    out = find_exporter("torch").export(saved(tmp_path / "a.safetensors", make("pre-trained")), tmp_path / "out")
    notes = json.loads((out / "config.json").read_text())
    notes["network"]["arguments"]["width"] = 3
    (out / "config.json").write_text(json.dumps(notes))
    with pytest.raises(WeightsError, match=r"model.pt: is not the network that config.json beside it describes"):
        mg.load(out)
    (out / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="no network in this folder"):
        mg.load(out)
    with pytest.raises(WeightsError, match="which is no layout known here"):
        mg.load(out / "model.pt")


def build(described: dict[str, Any]) -> torch.nn.Module:
    """What a reader of config.json does."""
    arguments = {
        name: build(value) if isinstance(value, dict) and "name" in value else value
        for name, value in described["arguments"].items()
    }
    kinds = {"unet3d": UNet3D, "residual_unet": ResidualUNet, "classifier": Classifier}
    kinds |= {
        "planned_unet": PlannedUNet,
        "primus": Primus,
        "resnet": ResNet,
        "segresnet": SegResNet,
        "slice_wise": SliceWise,
        "swin": Swin,
        "vit": ViT,
    }
    return kinds[described["name"]](**arguments)


FAST = ("pre-trained",)  # the rest are marked slow: tracing takes ten seconds a file


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in NETWORKS]
)
def test_onnx_predicts_as_torch_does_at_any_size_and_batch(tmp_path: Path, name: str) -> None:
    """The network and its encoder, to 1e-4, on sizes and batches that were not traced; the file describes itself."""
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    network = make(name)
    notes = notes_of(ORGANS, Reading(Percentiles(), (1.0, 2.0, 3.0)), (16, 16, 16), 1)
    (tmp_path / "out").mkdir()
    out = find_exporter("onnx").export(saved(tmp_path / "a.safetensors", network, notes), tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "encoder.onnx", "model.onnx"]
    whole, encoder = (onnxruntime.InferenceSession(str(out / f"{part}.onnx")) for part in ("model", "encoder"))
    backbone = network.backbone if isinstance(network, Classifier) else network
    assert [output.name for output in encoder.get_outputs()] == [f"feature_{k}" for k in range(len(backbone.channels))]
    single = [(1, (1, 1, 1)), (2, (1, 3, 1))] if isinstance(backbone, Swin) else []  # single windows are not shifted
    for batch, strides in ((1, (5, 2, 3)), (2, (2, 3, 2)), (3, (3, 4, 2)), *single):
        images = images_for(network, batch, *strides)
        with torch.no_grad():
            prediction, features = network(images), backbone.encode(images)
        close(whole.run(None, {"image": images.numpy()}), [prediction])
        close(encoder.run(None, {"image": images.numpy()}), features)
    for part in ("model", "encoder"):
        model = onnx.load(out / f"{part}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSET
        (entry,) = model.metadata_props
        notes = json.loads(entry.value)
        assert rebuild(notes["notes"]["target"]) == ORGANS
        assert rebuild(notes["notes"]["reading"]) == Reading(Percentiles(), (1.0, 2.0, 3.0))
    checked = json.loads((out / "config.json").read_text())["checked"]["greatest_difference"]
    assert max(checked.values()) <= TOLERANCE


def close(predictions: list[np.ndarray], expected: list[torch.Tensor]) -> None:
    """To 1e-4, and the prediction is not one number everywhere."""
    assert len(predictions) == len(expected)
    for prediction, wanted in zip(predictions, expected, strict=True):
        np.testing.assert_allclose(prediction, wanted.numpy(), atol=1e-4, rtol=0)
        assert wanted.std() > 1e-6


def test_onnx_refuses_a_norm_that_follows_the_batch(tmp_path: Path) -> None:
    """What it predicts depends on the company; the way out is named."""
    path = saved(tmp_path / "a.safetensors", UNet3D(width=1, norm="batch_stats"))
    with pytest.raises(WeightsError, match=r"norm batch_stats.*genesis weights recalibrate"):
        find_exporter("onnx").export(path, tmp_path)


def test_onnx_that_predicts_otherwise_is_refused(tmp_path: Path) -> None:
    """A file that hands images back is no network that restores them."""
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    image, prediction = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["b", 1, "x", "y", "z"])
        for name in ("image", "answer")
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], ["answer"])], "g", [image], [prediction]
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "model.onnx")
    network = make("pre-trained")
    with pytest.raises(WeightsError, match=r"model.onnx: onnxruntime's outputs are up to \S+ from PyTorch's"):
        largest_difference(tmp_path / "model.onnx", network, network)


def test_given_knows_what_its_file_says(tmp_path: Path) -> None:
    """Target, reading and patch of a fine-tuned file; none of a bare one."""
    run = make_run(tmp_path / "run", reading=Reading(Percentiles(1, 99)))
    given = read_given(run)
    assert (given.target, given.reading, given.patch) == (ORGANS, Reading(Percentiles(1, 99)), (16, 16, 16))
    bare = read_given(saved(tmp_path / "bare.safetensors", UNet3D(width=1)))
    assert (bare.target, bare.reading, bare.patch, bare.activation) == (None, None, None, "sigmoid")


@pytest.mark.parametrize("to", ["safetensors", "torch"])
def test_no_path_travels(tmp_path: Path, to: str) -> None:
    """Neither what it began with nor where plans lay; names and numbers stay."""
    notes = {"from": "rooms/mine/w.pt", "recipe": {"file": "/home/me/plans.json", "cubes": {"size": [8, 8, 8]}}}
    path = saved(tmp_path / "a.safetensors", UNet3D(width=1), notes)
    (tmp_path / "out").mkdir()
    out = find_exporter(to).export(path, tmp_path / "out")
    for file in out.iterdir():
        assert not any(word in file.read_bytes() for word in (b"/home/me", b"rooms/mine", bytes(tmp_path)))
    notes = json.loads((out / "config.json").read_text())["notes"]
    assert notes == {"from": "w.pt", "recipe": {"file": "plans.json", "cubes": {"size": [8, 8, 8]}}}


def test_unknown_format_lists_the_known() -> None:
    """One clear line."""
    with pytest.raises(GenesisError, match=r"no format 'tflite' to export to; there are: monai-bundle, .*onnx"):
        find_exporter("tflite")
