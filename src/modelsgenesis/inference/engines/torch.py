"""Networks computed by PyTorch, on any device."""

import torch
from torch import Tensor, nn

from modelsgenesis.core.device import Machine
from modelsgenesis.nets.exact_layers import keep_exact
from modelsgenesis.nets.memory_layout import choose_layout


def prepared(module: nn.Module, machine: Machine) -> nn.Module:
    """Put a module on its device in evaluation mode, laid out as is fastest there, with right numbers in bf16."""
    module = module.to(machine.device).eval()
    choose_layout(module, machine.device)
    if machine.device.type == "cpu":
        keep_exact(module)
    return module


class TorchEngine:
    """A module as PyTorch computes it.

    Args:
        module: as `prepared` gives it.
        machine: that it is on.
    """

    def __init__(self, module: nn.Module, machine: Machine) -> None:
        self.module, self.machine = module, machine

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> tuple[Tensor, ...]:
        """Compute windows, float32 (B, C, *space) on the device."""
        with torch.autocast(self.machine.device.type, torch.bfloat16, enabled=self.machine.bf16):
            found: Tensor | tuple[Tensor, ...] = self.module(windows)
        return tuple(each.float() for each in (found if isinstance(found, tuple) else (found,)))
