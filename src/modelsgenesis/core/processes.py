"""The processes of a run, as the training loop sees them: one alone, or Lightning Fabric's many."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Processes(Protocol):
    """What the loop asks of those that compute a run, in Fabric's words; `Alone` and `Fabric` fulfil it."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        ...

    @property
    def world_size(self) -> int:
        """How many processes there are."""
        ...

    @property
    def global_rank(self) -> int:
        """Which of them this one is."""
        ...

    @property
    def is_global_zero(self) -> bool:
        """Whether this one writes the files."""
        ...

    @property
    def strategy(self) -> Any:
        """Has the precision, `strategy.precision.precision`."""
        ...

    def launch(self) -> Any:
        """Start the others."""

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer, /) -> Any:
        """Move a module and its optimiser to the device; return both, ready to be called."""

    def to_device(self, obj: Any) -> Any:
        """Move whatever moves."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the run's precision."""
        ...

    def backward(self, tensor: Tensor, /) -> None:
        """Add to the gradients."""

    def no_backward_sync(self, module: Any, enabled: bool = ...) -> AbstractContextManager[Any]:
        """Leave the gradients to each process for now."""
        ...

    def clip_gradients(
        self, module: Any, optimizer: Any, *, max_norm: float | int | None = ..., error_if_nonfinite: bool = ...
    ) -> Tensor | None:
        """Shorten the gradient to this norm; return how long it was."""

    def all_reduce(self, data: Any, *, reduce_op: Any = ...) -> Any:
        """Merge a tensor of all processes."""

    def barrier(self) -> None:
        """Wait for the others."""
