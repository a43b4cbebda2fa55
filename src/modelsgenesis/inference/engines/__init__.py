"""Engines, which compute what networks say of windows, one file each; `make_engines` chooses.

An engine is made of a module that gives one tensor or a tuple of them, and is called with windows, float32
(B, C, *space); it answers with a tuple of float32 tensors.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from modelsgenesis.core.device import EngineName, Machine
from modelsgenesis.core.errors import GenesisError, MissingExtraError, WeightsError
from modelsgenesis.inference.engines import openvino
from modelsgenesis.inference.engines.torch import TorchEngine, prepared

Engine = Callable[[Tensor], tuple[Tensor, ...]]
USUAL = "GENESIS_ENGINE"  # in the environment: what "auto" is


def make_engines(
    modules: Sequence[nn.Module],
    shape: tuple[int, ...],
    machine: Machine,
    wanted: EngineName,
    *,
    folders: Sequence[Path | None],
    say: Callable[[str], object],
) -> tuple[EngineName, list[Engine]]:
    """Make an engine of each module, and prepare the modules themselves for PyTorch.

    Args:
        modules: to compute.
        shape: of a window, (C, *space).
        machine: to compute on.
        wanted: "auto" is OpenVINO on a CPU, where it is installed and takes the modules, unless the environment has
            GENESIS_ENGINE=torch.
        folders: where what was made of each module is kept for the next time; None keeps nothing.
        say: tells the user in a line that "auto" had to fall back, since OpenVINO does not take a module; that it is
            not installed is no news, and `without_openvino` is for the end.
    Returns:
        The engine's name, and an engine a module.
    Raises:
        GenesisError: OpenVINO is wanted on a GPU.
        MissingExtraError: OpenVINO is wanted and not installed.
        WeightsError: OpenVINO is wanted and does not take a module, or a module was not quantised for it.
    """
    on_cpu = machine.device.type == "cpu"
    if wanted.startswith("openvino") and not on_cpu:
        raise GenesisError(f"--engine {wanted} computes on a CPU; add --accelerator cpu, or use --engine torch")
    if wanted == "openvino-int8":
        quantised: list[Engine] = [*openvino.make_int8_engines(modules, shape, folders)]
        return wanted, quantised
    if wanted == "openvino" or (wanted == "auto" and on_cpu and os.environ.get(USUAL) != "torch"):
        try:
            engines: list[Engine] = [*openvino.make_engines(modules, shape, machine, folders)]
        except (MissingExtraError, WeightsError) as error:
            if wanted == "openvino":
                raise
            if isinstance(error, WeightsError):
                say(f"computed by PyTorch: {error}")
        else:
            for module in modules:
                prepared(module, machine)
            return "openvino", engines
    return "torch", [TorchEngine(prepared(module, machine), machine) for module in modules]


def without_openvino(wanted: EngineName, machine: Machine) -> str:
    """A few words for the end of a summary where "auto" would have taken OpenVINO, were it installed; else none."""
    asked = wanted == "auto" and machine.device.type == "cpu" and os.environ.get(USUAL) != "torch"
    missed = asked and openvino.missing_of()
    return "; by PyTorch, as OpenVINO is not installed" if missed else ""
