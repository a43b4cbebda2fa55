"""OpenVINO says what PyTorch says of every kind of network, keeps what it was given, and tells nobody."""

import functools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from tests.data.scan_files import write_ct
from tests.inference.runs import make_run, mean_classifier, thresholding_unet
from tests.nets.planned import KWARGS, PLANNED
from torch import nn

import modelsgenesis as mg
from modelsgenesis.core.device import Machine
from modelsgenesis.core.errors import DataError, GenesisError, MissingExtraError, WeightsError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.tables import read_rows
from modelsgenesis.inference.engines import USUAL, Engine, make_engines, without_openvino
from modelsgenesis.inference.engines.openvino import FOLDER, OpenVinoEngine
from modelsgenesis.inference.engines.torch import TorchEngine
from modelsgenesis.inference.predict import SETTINGS
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.network import Encoding
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.nets.slice_wise import SliceWise
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.weights.exporters.onnx import trace
from modelsgenesis.weights.files import save_network

CPU, BF16 = (Machine(torch.device("cpu"), bf16) for bf16 in (False, True))
SIDE = 16
quietly = functools.partial(mg.predict, quiet=True, accelerator="cpu", precision="32-true")
unet = functools.partial(UNet3D, activation="identity", width=2)
DROPPING = {"dropout_op": "torch.nn.modules.dropout.Dropout3d", "dropout_op_kwargs": {"p": 0.5}}
PLAN = {**PLANNED, "arch_kwargs": {**KWARGS, **DROPPING}}
KINDS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: unet(1, 3),
    "instance norm, two channels": lambda: unet(2, 2, norm="instance"),
    "picture": lambda: unet(1, 2, axes=2),
    "planned by nnU-Net, with dropout": lambda: PlannedUNet(PLAN, 1, 3, activation="identity"),
    "classifier with dropout": lambda: Classifier(unet(1, 1), 4, hidden=8, dropout=0.5),
    "picture's network on slices": lambda: SliceWise(unet(1, 2, axes=2)),
    "features": lambda: Encoding(unet(1, 1)),
    "deepest features": lambda: Encoding(unet(1, 1), deepest=True),
}


def told(line: str) -> None:
    """Fail: nothing is to be told."""
    raise AssertionError(line)


def unsettled(network: nn.Module) -> nn.Module:
    """Give every norm statistics and factors of its own, so that one in the wrong mode shows."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator) * (1 if "bias" not in name else 0.1))
    return network


def made(kind: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A small network of a kind, in training mode, and the shape of its windows."""
    torch.manual_seed(5)
    axes = 2 if kind == "picture" else 3
    return unsettled(KINDS[kind]()).train(), (2 if "two channels" in kind else 1, *(SIDE, SIDE, 2 * SIDE)[:axes])


def openvino_of(network: nn.Module, shape: Sequence[int], machine: Machine = CPU, folder: Path | None = None) -> Engine:
    """OpenVINO's engine of a network."""
    name, (engine,) = make_engines([network], tuple(shape), machine, "openvino", folders=[folder], say=told)
    assert name == "openvino"
    return engine


@pytest.mark.openvino
@pytest.mark.parametrize("kind", KINDS)
def test_engine_says_what_pytorch_says(kind: str) -> None:
    """In 32 bits to 1e-4 of the greatest number, of every kind of network, of two windows at once, strided too."""
    network, shape = made(kind)
    windows = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1)).transpose(2, 3).contiguous()
    found = openvino_of(network, shape)(windows.transpose(2, 3))
    with torch.no_grad():
        wanted = network.eval()(windows.transpose(2, 3))
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == torch.float32
        assert float((ours - theirs).abs().max()) <= 1e-4 * max(1, float(theirs.abs().max()))


@pytest.mark.openvino
@pytest.mark.parametrize("size", [(128, 112, 80), (104, 91, 143)])
def test_instance_norm_of_a_large_window_is_exact(size: tuple[int, ...]) -> None:
    """Sums of a million voxels lose nothing, whatever divides the sides."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.InstanceNorm3d(8, affine=True)).eval()
    window = torch.randn(1, 1, *size)
    (found,) = OpenVinoEngine(trace(layers, window, ["answer"]).model_proto.SerializeToString(), "f32")(window)
    with torch.no_grad():
        wanted = layers.double()(window.double())
    assert float((found - wanted).abs().max()) <= 5e-6 * float(wanted.abs().max())


@pytest.mark.openvino
def test_bf16_is_asked_for_and_not_taken(tmp_path: Path) -> None:
    """32 bits stay 32 bits where the processor has bf16; bf16 is as far from them as PyTorch's; one file is kept."""
    network, shape = made("instance norm, two channels")
    windows = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))
    exact, half = (openvino_of(network, shape, machine, tmp_path)(windows)[0] for machine in (CPU, BF16))
    (wanted,) = TorchEngine(network.eval(), CPU)(windows)
    (their_half,) = TorchEngine(network, BF16)(windows)
    assert float((exact - wanted).abs().max()) <= 1e-4 * max(1, float(wanted.abs().max()))
    assert float((half - wanted).abs().mean()) <= 3 * float((their_half - wanted).abs().mean())
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


@pytest.mark.openvino
def test_what_is_kept_is_used_made_anew_and_never_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second engine does not trace; a damaged file is made anew; other weights are another file; none is no error."""
    network, shape = thresholding_unet(0.3).eval(), (1, 16, 16, 16)
    windows = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))
    (first,) = openvino_of(network, shape, folder=tmp_path)(windows)
    (kept,) = (tmp_path / FOLDER).iterdir()
    whole = kept.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(torch.onnx, "export", told)
        (again,) = openvino_of(network, shape, folder=tmp_path)(windows)
        torch.testing.assert_close(again, first, atol=0, rtol=0)
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        for broken in (bytes(damaged), whole[:-100], b""):
            kept.write_bytes(broken)
            with pytest.raises(WeightsError, match="OpenVINO cannot compute it"):  # since it may not trace
                openvino_of(network, shape, folder=tmp_path)
    (anew,) = openvino_of(network, shape, folder=tmp_path)(windows)
    torch.testing.assert_close(anew, first, atol=0, rtol=0)
    assert [file.name for file in (tmp_path / FOLDER).iterdir()] == [kept.name]
    with zipfile.ZipFile(kept) as archive:
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)  # so that it has the same bytes at any time
    (tmp_path / "file").touch()  # in the place of a folder nothing can be kept, not even by root
    with torch.no_grad():
        network.last.bias += 1
    (other,) = openvino_of(network, shape, folder=tmp_path / "file")(windows)
    torch.testing.assert_close(other, first + 1, atol=1e-4, rtol=1e-4)


@pytest.mark.openvino
def test_network_of_the_company_in_its_batch_is_left_to_pytorch() -> None:
    """Under auto with one line that says why; asked for, it is an error."""
    network, lines = UNet3D(1, 1, width=2, norm="batch_stats").eval(), []
    name, (engine,) = make_engines([network], (1, 16, 16, 16), CPU, "auto", folders=[None], say=lines.append)
    assert name == "torch"
    assert isinstance(engine, TorchEngine)
    assert "batch_stats" in " ".join(lines)
    assert len(lines) == 1
    with pytest.raises(WeightsError, match="batch_stats"):
        openvino_of(network, (1, 16, 16, 16))


def test_absent_openvino_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a summary, under auto alone, where PyTorch computes; asked for, it is an error with how to install it."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    network = UNet3D(1, 1, width=1)
    assert make_engines([network], (1, 16, 16, 16), CPU, "auto", folders=[None], say=told)[0] == "torch"
    assert without_openvino("auto", CPU) == "; by PyTorch, as OpenVINO is not installed"
    assert not without_openvino("torch", CPU)
    assert not without_openvino("auto", Machine(torch.device("cuda")))
    assert make_engines([network], (1, 16, 16, 16), CPU, "torch", folders=[None], say=told)[0] == "torch"
    with pytest.raises(MissingExtraError, match=r"'\.\[fast\]'"):
        openvino_of(network, (1, 16, 16, 16))


def test_openvino_is_of_cpus() -> None:
    """On a GPU it is refused when asked for."""
    with pytest.raises(GenesisError, match="accelerator cpu"):
        openvino_of(UNet3D(1, 1, width=1), (1, 16, 16, 16), Machine(torch.device("cuda")))


@pytest.mark.openvino
def test_masks_are_those_of_pytorch_and_a_folder_stays_with_its_engine(tmp_path: Path) -> None:
    """Voxel for voxel; auto goes on with the engine that a folder was begun with, and another is refused."""
    run = make_run(tmp_path / "run")
    for number in range(2):
        write_ct(tmp_path / "scans" / f"{number}.nii.gz", number)
    masks = {}
    for engine in ("torch", "openvino", "auto"):
        out = quietly(run, tmp_path / "scans", tmp_path / engine, engine=engine)
        masks[engine] = [sitk.GetArrayFromImage(sitk.ReadImage(str(out / f"{number}.nii.gz"))) for number in range(2)]
        recorded = "torch" if engine == "torch" else "openvino"
        assert json.loads((out / SETTINGS).read_text())["engine"] == recorded
        assert read_provenance(out, "predict").arguments["engine"] == recorded
    for engine in ("openvino", "auto"):
        np.testing.assert_array_equal(masks[engine], masks["torch"])
    before = {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "torch").rglob("*.nii.gz"))}
    quietly(run, tmp_path / "scans", tmp_path / "torch")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(DataError, match="engine is torch there, openvino now"):
        quietly(run, tmp_path / "scans", tmp_path / "torch", engine="openvino")
    with pytest.raises(DataError, match="engine is openvino there, torch now"):
        quietly(run, tmp_path / "scans", tmp_path / "auto", engine="torch")


@pytest.mark.openvino
def test_heat_maps_and_probabilities_of_a_classifier(tmp_path: Path) -> None:
    """The numbers are PyTorch's; the heat maps are computed by PyTorch beside them."""
    run = make_run(
        tmp_path / "run",
        mean_classifier(30.0, -4.0),
        target=MultilabelClassification((Label("bright", (1,)), Label("dark", (2,)))),
    )
    write_ct(tmp_path / "ct.nii.gz", 1)
    rows = {}
    for engine in ("torch", "openvino"):
        out = quietly(run, tmp_path / "ct.nii.gz", tmp_path / engine, engine=engine, pictures=True)
        assert (out / "pictures" / "ct.png").is_file()
        (rows[engine],) = read_rows(out / "predictions.csv")
    numbers = {engine: [float(row[name]) for name in ("p_bright", "p_dark")] for engine, row in rows.items()}
    np.testing.assert_allclose(numbers["openvino"], numbers["torch"], atol=1e-4)


@pytest.mark.openvino
def test_embeddings_are_those_of_pytorch(tmp_path: Path) -> None:
    """To 1e-4 of the greatest number, from a network of the package's kind; the ONNX is kept beside its file."""
    network, _ = made("batch norm")
    save_network(tmp_path / "network.safetensors", network.eval(), {"patch": [SIDE] * 3})
    write_ct(tmp_path / "ct.nii.gz", 1)
    embed = functools.partial(mg.embed, tmp_path / "network.safetensors", tmp_path / "ct.nii.gz", quiet=True)
    vectors = {}
    for engine in ("torch", "openvino"):
        out = embed(tmp_path / engine, engine=engine, accelerator="cpu", precision="32-true", features="all")
        vectors[engine] = np.load(out / "vectors" / "ct.npy")
        assert json.loads((out / SETTINGS).read_text())["engine"] == engine
    np.testing.assert_allclose(vectors["openvino"], vectors["torch"], atol=1e-4 * np.abs(vectors["torch"]).max())
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    with pytest.raises(DataError, match="engine is torch there, openvino now"):
        embed(tmp_path / "torch", engine="openvino", accelerator="cpu", precision="32-true", features="all")


NOTHING_SENT = """
import sys

def watch(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__" or event == "subprocess.Popen":
        print("REPORTS", event, arguments, flush=True)

sys.addaudithook(watch)
import torch
from modelsgenesis.core.device import Machine
from modelsgenesis.inference.engines import make_engines
from modelsgenesis.nets import UNet3D

_, (engine,) = make_engines(
    [UNet3D(1, 1, width=1)], (1, 16, 16, 16), Machine(torch.device("cpu")), "openvino", folders=[None], say=print
)
print(len(engine(torch.rand(2, 1, 16, 16, 16))[0]))
assert "openvino" in sys.modules
"""


@pytest.mark.openvino
def test_nothing_is_sent(tmp_path: Path) -> None:
    """Tracing, reading, compiling and computing open no connection, and leave an installed telemetry alone."""
    telemetry = tmp_path / "openvino_telemetry"
    telemetry.mkdir()
    (telemetry / "__init__.py").write_text("print('REPORTS: telemetry was imported', flush=True)\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOTHING_SENT], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["2"], done.stdout


def test_the_environment_says_what_auto_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """GENESIS_ENGINE=torch keeps auto from OpenVINO, without a word, and is no news at the end of a summary."""
    monkeypatch.setenv(USUAL, "torch")
    told: list[str] = []
    network = nn.Conv3d(1, 1, 3, padding=1)
    assert make_engines([network], (1, 16, 16, 16), CPU, "auto", folders=[None], say=told.append)[0] == "torch"
    assert told == []
    assert without_openvino("auto", CPU) == ""
