"""Networks in 8 bits for OpenVINO: quantised with scans of your own, and kept only if the masks stay as good."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from modelsgenesis.core.console import make_console
from modelsgenesis.core.device import Machine
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.masks import read_classes
from modelsgenesis.inference.engines import openvino
from modelsgenesis.inference.engines.openvino import FOLDER_INT8, Numbers, OpenVinoEngine, int8_file, keep, model_of
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.finetuned_networks import FineTuned, find_fine_tuned
from modelsgenesis.inference.sliding_window import cut_window
from modelsgenesis.inference.volume_prediction import plan_windows, segment
from modelsgenesis.tasks import Task, read

MOST_LOST = 0.005  # of the mean Dice
NUMBERS = "accepted.json"


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """The options of genesis weights quantize.

    Args:
        windows: How many windows of the scans show which numbers occur in the network.
        quiet: No line about the result is shown.
    """

    windows: int = 24
    quiet: bool = False


def quantize(run: Path, labelled: Path, options: QuantizeOptions) -> Path:
    """Quantise the networks of a run; `commands.weights` describes the arguments and errors."""
    openvino.require("onnxruntime")
    if options.windows < 1:
        raise DataError(f"windows must be 1 or more, got {options.windows}; 24 are enough for most networks")
    tuned = find_fine_tuned([run])
    if not isinstance(tuned.target, MaskTarget):
        raise DataError(f"the run predicts a {tuned.target.kind}, and what 8 bits cost is measured in masks' Dice")
    task = read(labelled)
    _check_labels(task, tuned)
    networks, shape = tuned.load(), (tuned.channels, *tuned.patch)
    folders = [file.parent for file in tuned.files]
    exact = [model_of(network, shape, folder) for network, folder in zip(networks, folders, strict=True)]
    shown = list(_windows(task.cases, tuned, options.windows))
    coarse = [_quantised(model, shown) for model in exact]
    ways: tuple[tuple[Numbers, list[bytes]], ...] = (("f32", exact), ("int8", coarse))
    dice = [_mean_dice(task.cases, networks, [OpenVinoEngine(one, numbers) for one in models], tuned)
            for numbers, models in ways]  # fmt: skip
    kept = [int8_file(network, shape, folder) for network, folder in zip(networks, folders, strict=True)]
    said = f"mean Dice of {many(len(task.cases), 'case')}: {dice[0]:.4f} in 32 bits, {dice[1]:.4f} in 8"
    if not dice[0] - dice[1] <= MOST_LOST:
        for file in kept:
            file.unlink(missing_ok=True)
        raise DataError(f"{said}; more than {MOST_LOST:g} lost, so no int8 network is kept. Use --engine openvino")
    for file, model in zip(kept, coarse, strict=True):
        keep(file, model)
        write_json(file.parent / NUMBERS, {"dice_32_bits": dice[0], "dice_8_bits": dice[1], "cases": len(task.cases)})
    make_console(quiet=options.quiet).print(f"quantize: {said}", soft_wrap=True, highlight=False)
    return run / FOLDER_INT8 if len(kept) == 1 else run


def _check_labels(task: Task, tuned: FineTuned) -> None:
    """Refuse cases that are labelled for another task.

    Raises:
        DataError: the names of the labels differ, or there is no case.
    """
    names, wanted = task.target.names, tuned.target.names
    if tuple(names) != tuple(wanted) or not task.cases:
        raise DataError(f"{task.name} has labels {', '.join(names)}, but the run was trained on {', '.join(wanted)}")


def _windows(cases: Sequence[Case], tuned: FineTuned, most: int) -> Iterator[NDArray[np.float32]]:
    """Cut windows, (1, C, *patch), evenly spread over the cases and over what is predicted of each."""
    each = -(-most // len(cases))
    for case in cases[:most]:
        image = read_image(case.images, tuned.reading)
        windows = plan_windows(image, tuned.target, tuned.patch, 0.0)
        for number in np.linspace(0, len(windows.computed) - 1, min(each, len(windows.computed))).astype(int):
            yield cut_window(image, windows, windows.computed[number])[np.newaxis]


class _Shown:
    """Windows as ONNX Runtime asks for them, one after the other.

    Args:
        name: of the network's input.
        windows: (1, C, *patch) each.
    """

    def __init__(self, name: str, windows: Sequence[NDArray[np.float32]]) -> None:
        self.name, self.left = name, iter(windows)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next window; None after the last."""
        window = next(self.left, None)
        return None if window is None else {self.name: window}


def _quantised(model: bytes, windows: Sequence[NDArray[np.float32]]) -> bytes:
    """Quantise an ONNX: weights by channel, activations by the least and greatest value that the windows gave.

    ONNX Runtime writes the steps into the ONNX, as pairs that quantise and restore; OpenVINO computes them in 8 bits.
    """
    import onnx
    from onnxruntime import quantization

    name = onnx.load_model_from_string(model).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        before.write_bytes(model)
        with _quiet():
            quantization.quantize_static(
                before, after, _Shown(name, windows), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            )  # fmt: skip
        return after.read_bytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's advice to fold norms first from the user: our ONNX is folded."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _mean_dice(
    cases: Sequence[Case], networks: Sequence[nn.Module], engines: Sequence[OpenVinoEngine], tuned: FineTuned
) -> float:
    """The mean over all labels of all cases that are there or were found.

    Raises:
        DataError: no label is in any case.
    """
    if not isinstance(tuned.target, MaskTarget):
        raise TypeError(f"a {tuned.target.kind} has no masks")
    ensemble = Ensemble(networks, tuned.target, Machine(torch.device("cpu")), engines=engines)
    found = []
    for case in cases:
        image = read_image(case.images, tuned.reading)
        windows = plan_windows(image, tuned.target, tuned.patch, tuned.target.overlap)
        predicted = image.geometry.to_lps(segment(image, ensemble, tuned.target, windows).classes)
        truth = read_classes(case, tuned.target.label_map, image.geometry)
        for label in range(len(tuned.target.labels)):
            one, other = (tuned.target.label_map.present(classes, label) for classes in (predicted, truth))
            if both := int(one.sum()) + int(other.sum()):
                found.append(2 * int((one & other).sum()) / both)
    if not found:
        raise DataError("no label is in any of the cases, so nothing can be compared; give cases that have some")
    return float(np.mean(found))
