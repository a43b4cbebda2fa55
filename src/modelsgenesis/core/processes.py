"""The processes of a run, as the training loop sees them: one alone, or Lightning Fabric's many."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Processes(Protocol):
    """What the loop needs of the processes that compute a run, in Fabric's words; `Alone` and `Fabric` fulfil it."""

    @property
    def device(self) -> torch.device:
        """The device that this process computes on."""
        ...

    @property
    def world_size(self) -> int:
        """The number of processes."""
        ...

    @property
    def global_rank(self) -> int:
        """The number of this process, from 0."""
        ...

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the process that writes the files."""
        ...

    @property
    def strategy(self) -> Any:
        """Fabric's strategy, which knows the precision: `strategy.precision.precision`."""
        ...

    def launch(self) -> Any:
        """Start the other processes."""

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer, /) -> Any:
        """Move a module and its optimiser to the device; return both, ready to be called."""

    def to_device(self, obj: Any) -> Any:
        """Move every tensor in a nested structure to the device."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which operations compute in the run's precision."""
        ...

    def backward(self, tensor: Tensor, /) -> None:
        """Compute the gradients of a loss and add them to those there are."""

    def no_backward_sync(self, module: Any, enabled: bool = ...) -> AbstractContextManager[Any]:
        """Return a context in which gradients are not yet averaged over the processes."""
        ...

    def clip_gradients(
        self, module: Any, optimizer: Any, *, max_norm: float | int | None = ..., error_if_nonfinite: bool = ...
    ) -> Tensor | None:
        """Scale the gradients down to this norm if theirs is greater; return the norm they had."""

    def all_reduce(self, data: Any, *, reduce_op: Any = ...) -> Any:
        """Combine a tensor over all processes."""

    def barrier(self) -> None:
        """Wait until all processes are here."""
