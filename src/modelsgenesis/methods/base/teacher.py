"""A teacher: a copy of a network that follows it by a moving average and is never trained itself."""

import copy
import math
from typing import Self

import torch
from torch import nn

from modelsgenesis.core.errors import GenesisError


class Teacher(nn.Module):
    """A copy of a student whose parameters are a moving average of the student's.

    Args:
        student: to be followed; the copy begins as it is.
        momentum: what stays of the teacher at the first step; it rises to 1 by half a cosine.
    Raises:
        GenesisError: a momentum outside [0, 1].
    """

    def __init__(self, student: nn.Module, momentum: float) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise GenesisError(f"a momentum is in [0, 1], got {momentum}")
        self.network, self.momentum = copy.deepcopy(student).requires_grad_(False), momentum

    def train(self, mode: bool = True) -> Self:
        """Batch norms follow the images as the student's do; nothing else of a teacher is left to chance."""
        super().train(mode)
        for module in self.network.modules():
            if not isinstance(module, nn.modules.batchnorm._NormBase):
                module.training = False
        return self

    def momentum_at(self, progress: float) -> float:
        """What stays of the teacher in a step, from `momentum` to 1.

        Args:
            progress: of the training, 0 to 1.
        """
        return 1 - 0.5 * (1 - self.momentum) * (1 + math.cos(math.pi * progress))

    @torch.no_grad()
    def follow(self, student: nn.Module, progress: float) -> None:
        """Move every parameter towards the student's; running statistics are each network's own.

        Args:
            student: as it is after the step.
            progress: of the training, 0 to 1.
        """
        own, others = ([one.detach() for one in network.parameters()] for network in (self.network, student))
        torch._foreach_lerp_(own, others, 1 - self.momentum_at(progress))
