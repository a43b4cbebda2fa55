"""Networks computed by OpenVINO, which is faster than PyTorch on CPUs; they reach it as our ONNX, and nothing is sent.

What is kept for the next time is the ONNX, since tracing a network takes seconds and compiling it a fraction of one:
one file serves every precision and processor.
"""

import contextlib
import hashlib
import json
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from modelsgenesis.core.device import Machine
from modelsgenesis.core.errors import DataError, MissingExtraError, WeightsError, blamed_on
from modelsgenesis.core.files import bytes_of, written_aside
from modelsgenesis.weights.exporters.onnx import OPSET, TOLERANCE, refuse_batch_statistics, trace
from modelsgenesis.weights.files import describe_network, distinct

FOLDER = "openvino-cache"  # beside the weights
FOLDER_INT8 = "openvino-int8"  # beside them too
NEEDED = ("openvino", "onnx", "onnxscript")
INSIDE = "model.onnx"
CONVERTER = "openvino.tools.ovc"
LONGEST = 8  # voxels along an axis that an instance norm averages first

Numbers = Literal["f32", "bf16", "int8"]


class OpenVinoEngine:
    """A module as OpenVINO computes it, one window after the other, on as many threads as PyTorch would use.

    Args:
        model: ONNX.
        numbers: what is computed in; f32 is 32 bits also on processors that have bf16, and int8 is of a quantised
            model, whose other numbers have 32 bits.
    """

    def __init__(self, model: bytes, numbers: Numbers) -> None:
        core = _openvino().Core()
        read = core.read_model(model)
        if numbers == "f32":
            average_in_blocks(read)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if numbers == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # else all processes on a machine share its first cores
        }
        self.request = core.compile_model(read, "CPU", settings).create_infer_request()

    def __call__(self, windows: Tensor) -> tuple[Tensor, ...]:
        """Compute windows, float32 (B, C, *space) on the CPU."""
        found = [self._compute(windows[number : number + 1]) for number in range(len(windows))]
        return tuple(torch.from_numpy(np.concatenate(each)) for each in zip(*found, strict=True))

    def _compute(self, window: Tensor) -> list[Any]:
        return list(self.request.infer([window.contiguous().numpy()], share_inputs=True).values())


def average_in_blocks(model: Any) -> None:
    """Let the instance norms of a model average small blocks, and then those, so that 32 bits are enough.

    Args:
        model: as OpenVINO read it; it is changed.
    Source: findings/openvino-instance-norm-drifts.sh: of a window of 128 x 112 x 80 OpenVINO's own norm after a
        convolution is 3e-4 from the right numbers, by blocks 3e-7; a network planned by nnU-Net 4e-4 and 2e-6, for 9 %
        more time.
    """
    from openvino import opset13 as ops

    for norm in model.get_ordered_ops():
        if norm.get_type_name() != "MVN" or not _is_instance_norm(norm):
            continue
        image, sides = norm.input_value(0), list(norm.get_output_shape(0))[2:]
        block = [max(step for step in range(1, LONGEST + 1) if side % step == 0) for side in sides]
        apart = ops.subtract(image, _mean(image, block))
        variance = ops.add(_mean(ops.multiply(apart, apart), block), np.float32(norm.get_attributes()["eps"]))
        answer = ops.divide(apart, ops.sqrt(variance))
        for place in list(norm.output(0).get_target_inputs()):
            place.replace_source_output(answer.output(0))
    model.validate_nodes_and_infer_types()


def _mean(image: Any, block: Sequence[int]) -> Any:
    """A node that averages each channel over all of space, in blocks that divide its sides and then over those."""
    from openvino import opset13 as ops

    none = [0] * len(block)
    blocks = ops.avg_pool(image, block, none, none, block, True)
    return ops.reduce_mean(blocks, np.arange(2, 2 + len(block)), True)


def _is_instance_norm(norm: Any) -> bool:
    """Whether a node normalises each channel of an image of known size by itself, over all of space."""
    shape, axes, given = norm.get_output_partial_shape(0), norm.input_value(1).get_node(), norm.get_attributes()
    if shape.is_dynamic or axes.get_type_name() != "Constant" or not 3 <= len(shape) <= 5:
        return False
    over = sorted(axes.get_data().ravel().tolist()) == list(range(2, len(shape)))
    return over and bool(given["normalize_variance"]) and str(given["eps_mode"]).upper() == "INSIDE_SQRT"


def make_engines(
    modules: Sequence[nn.Module], shape: tuple[int, ...], machine: Machine, folders: Sequence[Path | None]
) -> list[OpenVinoEngine]:
    """Make an engine of each module; `inference.engines.make_engines` describes the arguments.

    Raises:
        MissingExtraError: OpenVINO, or what it takes to write ONNX, is not installed.
        WeightsError: a module cannot be traced, OpenVINO does not take it, or computes it otherwise than PyTorch.
    """
    require()
    return [
        OpenVinoEngine(model_of(module, shape, folder), "bf16" if machine.bf16 else "f32")
        for module, folder in zip(modules, folders, strict=True)
    ]


def require(*more: str) -> None:
    """Refuse to go on without what OpenVINO needs, and more packages.

    Raises:
        MissingExtraError: something is not installed.
    """
    if missing := missing_of(*more):
        line = "pip install -c constraints.txt '.[fast]', in the clone of modelsgenesis"
        raise MissingExtraError(f"OpenVINO, faster on a CPU, needs {', '.join(missing)}: {line}")


def missing_of(*more: str) -> list[str]:
    """Which of the packages that OpenVINO needs, and of more, are not installed."""
    return [name for name in (*NEEDED, *more) if find_spec(name) is None]


def make_int8_engines(
    modules: Sequence[nn.Module], shape: tuple[int, ...], folders: Sequence[Path | None]
) -> list[OpenVinoEngine]:
    """Make an engine of each module as it was quantised; `inference.engines.make_engines` describes the arguments.

    Raises:
        MissingExtraError: OpenVINO, or what it takes to write ONNX, is not installed.
        WeightsError: a module was not quantised with these weights, for windows of this size, by these versions.
    """
    require()
    found = []
    for module, folder in zip(modules, folders, strict=True):
        model = read_kept(int8_file(module, shape, folder)) if folder else None
        if model is None:
            raise WeightsError(
                f"{folder or 'the network'} has no int8 network of these weights, versions and size of window; make it "
                "with scans of your own: genesis weights quantize RUN LABELLED"
            )
        found.append(OpenVinoEngine(model, "int8"))
    return found


def int8_file(module: nn.Module, shape: tuple[int, ...], folder: Path) -> Path:
    """Where the quantised module is kept."""
    return folder / FOLDER_INT8 / f"{_fingerprint(module, shape)}.zip"


def model_of(module: nn.Module, shape: tuple[int, ...], folder: Path | None) -> bytes:
    """The ONNX of a module: that kept before, if it is whole, or made, checked and kept now."""
    kept = folder / FOLDER / f"{_fingerprint(module, shape)}.zip" if folder else None
    if kept is not None and (model := read_kept(kept)) is not None:
        return model
    model = _checked_model(module, shape)
    if kept is not None:
        with contextlib.suppress(DataError):  # where nothing may be written, nothing is kept
            keep(kept, model)
    return model


def _fingerprint(module: nn.Module, shape: tuple[int, ...]) -> str:
    """The SHA-256 of all that decides on the ONNX, and on whether it was found right."""
    versions = {name: version(name) for name in ("modelsgenesis", "torch", *NEEDED)}
    decides = {"network": describe_network(module), "shape": shape, "opset": OPSET, "versions": versions}
    digest = hashlib.sha256(bytes_of(json.dumps(decides, default=repr, sort_keys=True)))
    for name, tensor in distinct(module).items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_kept(kept: Path) -> bytes | None:
    """The ONNX that a file holds; None if there is none, or it is damaged, which the zip's checksum tells."""
    try:
        with zipfile.ZipFile(kept) as archive:
            return archive.read(INSIDE)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, EOFError):
        return None


def keep(kept: Path, model: bytes) -> None:
    """Keep the ONNX for the next time, in the same bytes whenever that is.

    Raises:
        DataError: nothing can be written there.
    """
    with written_aside(kept) as aside, zipfile.ZipFile(aside, "w") as archive:
        archive.writestr(zipfile.ZipInfo(INSIDE), model)


def _checked_model(module: nn.Module, shape: tuple[int, ...]) -> bytes:
    """Trace a module for windows of one shape, and compare a window computed by OpenVINO with PyTorch's, in 32 bits.

    Raises:
        WeightsError: it cannot be traced or compiled, or the numbers differ.
    """
    module = module.cpu().eval()
    window = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    refuse_batch_statistics(module, "the network")
    with blamed_on("the network", WeightsError, "OpenVINO cannot compute it"):
        with torch.inference_mode():
            answer = module(window)
        expected = answer if isinstance(answer, tuple) else (answer,)
        program = trace(module, window, [f"answer_{number}" for number in range(len(expected))])
        model: bytes = program.model_proto.SerializeToString()
        found = OpenVinoEngine(model, "f32")(window)
    for ours, theirs in zip(expected, found, strict=True):
        far = float((ours - theirs).abs().max()) / max(1.0, float(ours.abs().max()))
        if not far <= TOLERANCE:
            raise WeightsError(
                f"the network: OpenVINO's numbers are {far:.1e} from PyTorch's, at most {TOLERANCE:g} is right"
            )
    return model


def _openvino() -> Any:
    """Import OpenVINO without its converter.

    Source: findings/openvino-reports-its-import.sh: pip installs openvino-telemetry beside it, and then the mere import
        of the converter reports to Google Analytics. OpenVINO's own `__init__` goes on where there is no converter.
    """
    if "openvino" not in sys.modules and CONVERTER not in sys.modules:
        sys.modules[CONVERTER] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if sys.modules.get(CONVERTER, True) is None:
            del sys.modules[CONVERTER]
    return openvino
