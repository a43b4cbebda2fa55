"""ONNX, for programs without PyTorch: the whole network and its encoder, of any batch and size, checked before use."""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modelsgenesis.core.errors import MissingExtraError, WeightsError
from modelsgenesis.core.files import write_json, written_aside
from modelsgenesis.nets.network import Encoding, Network, backbone_of
from modelsgenesis.nets.norms import uses_batch_statistics
from modelsgenesis.weights.exporters.base.given import Given, read_given

OPSET = 20
NEEDED = ("onnx", "onnxscript", "onnxruntime")
TRACED = (2, (3, 3, 3))  # batch, and sides in strides
CHECKED = ((1, (2, 3, 4)), (3, (4, 2, 2)))
TOLERANCE = 1e-4  # between PyTorch and onnxruntime, of the greatest absolute output or 1
MOST_INSIDE = 1_800_000_000  # bytes of weights; protobuf ends at 2 GB, so more lie in a file beside
KEY = "modelsgenesis"  # of our description among the file's metadata

USAGE = f"""\
`model.onnx` is the whole network, `encoder.onnx` its encoder, whose outputs `feature_0`, `feature_1`, ... go from the
finest to the deepest. Both take `image`, float32 (B, C, X, Y) or (B, C, X, Y, Z) in [0, 1], of any batch and of
sides that divide by the strides in `config.json`. Opset {OPSET}. The same description is in each file's metadata
under `{KEY}`.

    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession("model.onnx")
    (answer,) = session.run(None, {{"image": images.astype(np.float32)}})
"""


def export(run: Path, into: Path) -> Path:
    """Write model.onnx, encoder.onnx and config.json; each file's outputs are compared with PyTorch's first.

    Args:
        run: a run's folder, or a weights file.
        into: an empty folder.
    Returns:
        `into`.
    Raises:
        WeightsError: there is no network there, its outputs depend on the company in a batch, or onnxruntime computes
            otherwise than PyTorch.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        line = "pip install -c constraints.txt '.[onnx]', in the clone of modelsgenesis"
        raise MissingExtraError(f"exporting to ONNX needs {', '.join(missing)}: {line}")
    given = read_given(run)
    refuse_batch_statistics(given.network, str(given.file))
    far = {
        name: _write(into / name, module, given)
        for name, module in (("model.onnx", given.network), ("encoder.onnx", Encoding(given.backbone)))
    }
    write_json(into / "config.json", given.config() | {"opset": OPSET, "checked": _checks(far)})
    return into


def refuse_batch_statistics(network: nn.Module, named: str) -> None:
    """Refuse a network whose norms depend on the company in a batch, which no traced one does.

    Args:
        network: to be traced.
        named: what the error calls it.
    Raises:
        WeightsError: it is such a network.
    """
    if uses_batch_statistics(network):
        raise WeightsError(
            f"{named}: this network normalises by the batch it is given (norm batch_stats), so what it predicts "
            "depends on the company; give it an ordinary batch norm first: "
            "genesis weights recalibrate RUN STORE INTO"
        )


def _write(path: Path, module: nn.Module, given: Given) -> float:
    """Trace, write and check one file; return how far its outputs are from PyTorch's."""
    module.eval()
    network = given.network
    names = _names(module, network)
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    program = trace(module, _images(network, *TRACED), names, dynamic=_dynamic(network))
    program.model.metadata_props[KEY] = json.dumps(given.config())
    if num_bytes > MOST_INSIDE:
        program.save(str(path), external_data=True)
    else:
        with written_aside(path) as aside:
            program.save(str(aside), external_data=False)
    return largest_difference(path, module, network)


def trace(module: nn.Module, images: Tensor, names: Sequence[str], dynamic: dict[int, Any] | None = None) -> Any:
    """Trace a module as an ONNX program.

    Args:
        module: in evaluation mode.
        images: that it is shown, (B, C, *space).
        names: of its outputs.
        dynamic: the axes of the images that may change; None is none.
    """
    with torch.no_grad(), _quietly():
        return torch.onnx.export(
            module,
            (images,),
            dynamo=True,
            dynamic_shapes=(dynamic,) if dynamic else None,
            input_names=["image"],
            output_names=list(names),
            opset_version=OPSET,
            verbose=False,
        )


def _names(module: nn.Module, network: Network) -> list[str]:
    """The names of the outputs."""
    if module is network:
        return ["answer"]
    backbone = backbone_of(network)
    return [f"feature_{level}" for level in range(len(backbone.channels))]


def _dynamic(network: Network) -> dict[int, Any]:
    """The axes that may change: the batch, and the sides by whole strides."""
    sides = [torch.export.Dim(name) for name in "xyz"[: network.axes]]
    steps = {
        axis: step * side if step > 1 else side
        for axis, (step, side) in enumerate(zip(network.stride, sides, strict=True), 2)
    }
    return {0: torch.export.Dim("batch"), **steps}


def _images(network: Network, batch: int, strides: tuple[int, ...]) -> Tensor:
    """Make images with values in [0, 1], the same each time."""
    sides = [count * step for count, step in zip(strides, network.stride, strict=False)]
    return torch.rand(batch, network.in_channels, *sides, generator=torch.Generator().manual_seed(batch))


@torch.no_grad()
def largest_difference(path: Path, module: nn.Module, network: Network) -> float:
    """The greatest difference between onnxruntime's and PyTorch's outputs, as a share of the greatest output or 1.

    Args:
        path: of the ONNX file.
        module: that it was made from; it gives one output or several.
        network: whose images it takes.
    Raises:
        WeightsError: it is more than the tolerance.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    far = 0.0
    for batch, strides in CHECKED:
        images = _images(network, batch, strides)
        expected = module(images)
        outputs = session.run(None, {"image": images.numpy()})
        for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), outputs, strict=True):
            difference = np.abs(ours.numpy() - theirs).max() / max(1.0, float(ours.abs().max()))
            far = max(far, float(difference))
    if not far <= TOLERANCE:
        raise WeightsError(
            f"{path.name}: onnxruntime's outputs are up to {far:.1e} from PyTorch's, at most {TOLERANCE:g} is right; "
            "another version of onnxruntime may do better"
        )
    return far


def _checks(far: dict[str, float]) -> dict[str, Any]:
    from importlib.metadata import version

    return {"onnxruntime": version("onnxruntime"), "torch": version("torch"), "greatest_difference": far}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Trace without the exporter's warnings about missing libraries and its own old calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
