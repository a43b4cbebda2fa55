"""Normalisation layers that work in 2D and 3D alike and keep the state names of PyTorch's own."""

from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

Norm = Literal["batch", "batch_stats", "instance", "group"]


class BatchNorm(nn.modules.batchnorm._BatchNorm):  # the only parent that is free of the number of axes
    """Batch norm for any number of axes; in training under several processes its statistics are theirs together.

    Args:
        channels: of the features.
        always_batch_stats: normalise by the batch's own statistics in evaluation too, as the authors' PyTorch network
            does; the same cube then gives other predictions in other company. Theirs moves its running statistics in
            evaluation too; ours leaves them alone, for a prediction must not change the network.
        eps: added to the variance.
    """

    def __init__(self, channels: int, *, always_batch_stats: bool = False, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps)
        self.always_batch_stats = always_batch_stats

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, *space) -> the same."""
        if self.training and distributed.is_initialized() and distributed.get_world_size() > 1:
            return self._normalize_together(input)
        if self.always_batch_stats:
            followed = (self.running_mean, self.running_var) if self.training else (None, None)
            momentum = self.momentum or 0.0
            return functional.batch_norm(input, *followed, self.weight, self.bias, True, momentum, self.eps)
        return super().forward(input)

    def _normalize_together(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of all processes' batches, which must be of one size."""
        over = [0, *range(2, x.dim())]
        count = x.numel() // x.shape[1] * distributed.get_world_size()
        wide = x.float()
        mean = _Total.apply(wide.sum(over)) / count  # type: ignore[no-untyped-call]  # (C,)
        shape = (1, -1) + (1,) * (x.dim() - 2)
        centred = wide - mean.view(shape)
        variance = _Total.apply(centred.square().sum(over)) / count  # type: ignore[no-untyped-call]  # (C,)
        with torch.no_grad():
            self._follow(mean, variance * (count / (count - 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normalized: Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return normalized.to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = self.momentum or 0.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _Total(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _total(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _total(gradient)


def _total(values: Tensor) -> Tensor:
    values = values.clone()
    distributed.all_reduce(values)
    return values


def make_norm(norm: Norm, channels: int, axes: int, eps: float = 1e-5) -> nn.Module:
    """Make the layer of that name; eps is added to the variance.

    Raises:
        ValueError: no norm of that name.
    """
    if norm in ("batch", "batch_stats"):
        return BatchNorm(channels, always_batch_stats=norm == "batch_stats", eps=eps)
    if norm == "instance":
        kind = nn.InstanceNorm3d if axes == 3 else nn.InstanceNorm2d
        return kind(channels, affine=True, eps=eps)
    if norm == "group":
        return nn.GroupNorm(max(1, channels // 8), channels, eps=eps)
    raise ValueError(f"norm must be batch, batch_stats, instance or group, got {norm!r}")


def uses_batch_statistics(network: nn.Module) -> bool:
    """Whether what a network makes of an image depends, in evaluation too, on the others in its batch."""
    return any(isinstance(module, BatchNorm) and module.always_batch_stats for module in network.modules())
