"""What networks answer together: probabilities, averaged over networks and mirrored windows."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from modelsgenesis.core.device import Machine
from modelsgenesis.core.target import Target
from modelsgenesis.nets.memory_layout import put_channels_last


class Ensemble:
    """Fine-tuned networks of one target, asked as one.

    Args:
        networks: that answer (B, C, *space) with logits or numbers (B, outputs[, *space]).
        target: what was asked of them.
        machine: to compute on.
        mirror: axes of space; also ask with every combination of them mirrored, eight times for all of 3D.
    """

    def __init__(
        self, networks: Sequence[nn.Module], target: Target, machine: Machine, *, mirror: Sequence[int] = ()
    ) -> None:
        self.networks = [network.to(machine.device).eval() for network in networks]
        if machine.device.type == "cpu":
            for network in self.networks:
                put_channels_last(network)
        self.target, self.machine, self.mirror = target, machine, tuple(mirror)

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        """Answer windows, float32 (B, C, *space) in [0, 1].

        Returns:
            float32 (B, outputs[, *space]) on the device: probabilities, or the numbers of a regression.
        """
        windows = windows.to(self.machine.device, non_blocking=True)
        axes = [axis + 2 for axis in self.mirror]
        flips = [flip for count in range(len(axes) + 1) for flip in itertools.combinations(axes, count)]
        total: Tensor | None = None
        for flip in flips:
            mirrored = windows.flip(flip) if flip else windows
            for network in self.networks:
                answer = self._ask(network, mirrored)
                answer = answer.flip(flip) if flip and answer.ndim > 2 else answer
                total = answer if total is None else total.add_(answer)
        if total is None:
            raise ValueError("an ensemble of no networks; give one or more")
        return total.div_(len(self.networks) * len(flips))

    def _ask(self, network: nn.Module, windows: Tensor) -> Tensor:
        with torch.autocast(self.machine.device.type, torch.bfloat16, enabled=self.machine.bf16):
            answer: Tensor = network(windows)
        answer = answer.float()
        if self.target.kind == "regression":
            return answer
        return answer.softmax(1) if self.target.exclusive else answer.sigmoid()
