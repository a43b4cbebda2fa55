"""One process on one device: what Lightning Fabric does for it, without the two seconds that importing Fabric takes."""

import contextlib
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from modelsgenesis.core.learner import Batch


class Alone:
    """A run of one process, computed as Fabric computes it, bit for bit.

    Args:
        device: to compute on.
        precision: bf16-mixed computes in bf16 where that is safe, and sees its inputs in bf16, as Fabric has it.
    """

    world_size = 1
    global_rank = 0
    is_global_zero = True

    def __init__(self, device: torch.device, precision: Literal["32-true", "bf16-mixed"]) -> None:
        self.device, self.precision = device, precision
        self.strategy = SimpleNamespace(precision=SimpleNamespace(precision=precision))

    def launch(self) -> None:
        """Nobody else is to be started."""

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Move a module to the device, which its optimiser sees; return both, ready to be called."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        module.to(self.device)
        return (_InBf16(module, self) if self.precision == "bf16-mixed" else module), optimizer

    def to_device(self, obj: Batch) -> Batch:
        """Move a batch; the copy from pinned memory goes on while this process does."""
        there = self.device.type != "cpu"
        return {
            name: part.to(self.device, non_blocking=there) if isinstance(part, Tensor) else part
            for name, part in obj.items()
        }

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the run's precision."""
        if self.precision == "bf16-mixed":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def backward(self, tensor: Tensor) -> None:
        """Add to the gradients."""
        torch.autograd.backward(tensor)

    def no_backward_sync(self, module: nn.Module, enabled: bool = True) -> AbstractContextManager[None]:
        """There is nobody to share gradients with."""
        return contextlib.nullcontext()

    def clip_gradients(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        max_norm: float | None = None,
        error_if_nonfinite: bool = True,
    ) -> Tensor | None:
        """Shorten the gradient to this norm; return how long it was."""
        if max_norm is None:
            return None
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        return nn.utils.clip_grad_norm_(parameters, max_norm, error_if_nonfinite=error_if_nonfinite)

    def all_reduce(self, data: Tensor, *, reduce_op: str | None = "mean") -> Tensor:
        """The tensor itself."""
        return data

    def barrier(self) -> None:
        """Nobody else is waited for."""


class _InBf16(nn.Module):
    """A learner whose inputs and convolutions are bf16, and whose losses are float32."""

    def __init__(self, learner: nn.Module, alone: Alone) -> None:
        super().__init__()
        self.learner, self.alone = learner, alone

    def forward(self, batch: Batch, progress: float) -> Batch:
        """The learner's own."""
        seen = {name: part.to(torch.bfloat16) if part.is_floating_point() else part for name, part in batch.items()}
        with self.alone.autocast():
            parts: Batch = self.learner(seen, progress)
        return {name: part.to(torch.float32) if part.is_floating_point() else part for name, part in parts.items()}
