"""How the weights of a network lie in memory."""

import torch
from torch import nn


def put_channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions in 3D out with channels last, in place.

    A CPU then steps 1.1 to 1.5 times as fast, and predicts 1.0 to 2.2 times as fast.

    Source: benchmarks/results/channels_last.md, on a CPU; of a GPU it is not known.
    """
    for parameter in module.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
