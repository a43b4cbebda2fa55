"""An ensemble's prediction: probabilities, averaged over networks and mirrored windows."""

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.device import Machine
from modelsgenesis.core.target import Target
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.exact_layers import keep_exact
from modelsgenesis.nets.memory_layout import choose_layout


class Evidence:
    """Some outputs of an ensemble of classifiers, place by place: what a sweep over an image assembles.

    Args:
        ensemble: of classifiers.
        outputs: their numbers.
    """

    def __init__(self, ensemble: "Ensemble", outputs: Sequence[int]) -> None:
        self.ensemble, self.outputs = ensemble, tuple(outputs)
        self.machine, self.num_outputs = ensemble.machine, len(self.outputs)

    def __call__(self, windows: Tensor) -> Tensor:
        """Return the evidence in windows, (B, C, *space) -> (B, K, *space)."""
        return self.ensemble.evidence(windows, self.outputs)


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
        self.num_outputs = target.num_outputs

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        """Predict windows, float32 (B, C, *space) in [0, 1].

        Returns:
            float32 (B, outputs[, *space]) on the device: probabilities, or the numbers of a regression.
        """
        return self._mean(windows, self._predicted)

    @torch.inference_mode()
    def evidence(self, windows: Tensor, outputs: Sequence[int]) -> Tensor:
        """Say where in windows some outputs of classifiers come from, float32 (B, K, *space) on the device.

        Args:
            windows: as to predict.
            outputs: their numbers.
        """
        return self._mean(windows, functools.partial(self._evidence, outputs=list(outputs)))

    def _mean(self, windows: Tensor, do: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        """Average what is made of windows over the networks and the mirrored windows."""
        windows = windows.to(self.machine.device, non_blocking=True)
        axes = [axis + 2 for axis in self.mirror]
        flips = [flip for count in range(len(axes) + 1) for flip in itertools.combinations(axes, count)]
        total: Tensor | None = None
        for flip in flips:
            mirrored = windows.flip(flip) if flip else windows
            for network in self.networks:
                predicted = do(network, mirrored)
                predicted = predicted.flip(flip) if flip and predicted.ndim > 2 else predicted
                total = predicted if total is None else total.add_(predicted)
        if total is None:
            raise ValueError("an ensemble of no networks; give one or more")
        return total.div_(len(self.networks) * len(flips))

    def _evidence(self, network: nn.Module, windows: Tensor, outputs: list[int]) -> Tensor:
        if not isinstance(network, Classifier):
            raise TypeError(f"a {type(network).__name__} is no classifier, which evidence is of")
        with torch.autocast(self.machine.device.type, torch.bfloat16, enabled=self.machine.bf16):
            coarse = network.evidence(windows)[:, outputs].float()
        how = "bilinear" if windows.ndim == 4 else "trilinear"
        return functional.interpolate(coarse, windows.shape[2:], mode=how, align_corners=False)

    def _predicted(self, network: nn.Module, windows: Tensor) -> Tensor:
        with torch.autocast(self.machine.device.type, torch.bfloat16, enabled=self.machine.bf16):
            outputs: Tensor = network(windows)
        return self.target.predicted(outputs.float())
