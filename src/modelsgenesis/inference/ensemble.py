"""An ensemble's prediction: probabilities, averaged over networks and mirrored windows."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from modelsgenesis.core.device import Machine
from modelsgenesis.core.target import Target
from modelsgenesis.nets.exact_layers import keep_exact
from modelsgenesis.nets.memory_layout import choose_layout


class Ensemble:
    """Fine-tuned networks of one target, used as one.

    Args:
        networks: that make logits or numbers (B, outputs[, *space]) of (B, C, *space).
        target: of them all.
        machine: to compute on.
        mirror: axes of space; also predict with every combination of them mirrored, eight times for all of 3D.
    """

    def __init__(
        self, networks: Sequence[nn.Module], target: Target, machine: Machine, *, mirror: Sequence[int] = ()
    ) -> None:
        self.networks = [network.to(machine.device).eval() for network in networks]
        for network in self.networks:
            choose_layout(network, machine.device)
            if machine.device.type == "cpu":
                keep_exact(network)
        self.target, self.machine, self.mirror = target, machine, tuple(mirror)

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        """Predict windows, float32 (B, C, *space) in [0, 1].

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
                predicted = self._predicted(network, mirrored)
                predicted = predicted.flip(flip) if flip and predicted.ndim > 2 else predicted
                total = predicted if total is None else total.add_(predicted)
        if total is None:
            raise ValueError("an ensemble of no networks; give one or more")
        return total.div_(len(self.networks) * len(flips))

    def _predicted(self, network: nn.Module, windows: Tensor) -> Tensor:
        with torch.autocast(self.machine.device.type, torch.bfloat16, enabled=self.machine.bf16):
            outputs: Tensor = network(windows)
        return self.target.predicted(outputs.float())
