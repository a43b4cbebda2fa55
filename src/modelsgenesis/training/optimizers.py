"""torch's optimisers, without the compiler that they import: a second of the processor before the first step.

torch wraps what its optimisers do so that `torch.compile` leaves it alone, and the wrapping imports that compiler. Here
nothing compiles an optimiser, so the very same functions are called without it; a torch that wraps nothing loses none.
"""

import inspect

import torch
from torch.optim import Optimizer


class _Unwrapped(Optimizer):
    """An optimiser whose methods do not import PyTorch's compiler."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)


class AdamW(_Unwrapped, torch.optim.AdamW):
    """PyTorch's AdamW with the same arithmetic."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class SGD(_Unwrapped, torch.optim.SGD):
    """PyTorch's SGD with the same arithmetic."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
