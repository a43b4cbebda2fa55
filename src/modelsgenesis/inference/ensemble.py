"""An ensemble's prediction: probabilities, averaged over networks and mirrored windows."""

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.device import Machine
from modelsgenesis.core.target import Target
from modelsgenesis.inference.engines import Engine
from modelsgenesis.inference.engines.torch import TorchEngine, prepared
from modelsgenesis.nets.classifier import Classifier


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
        engines: made of the networks, by `make_engines`; by default PyTorch's, which computes evidence always.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        target: Target,
        machine: Machine,
        *,
        mirror: Sequence[int] = (),
        engines: Sequence[Engine] | None = None,
    ) -> None:
        self.networks = list(networks)
        self.engines = engines or [TorchEngine(prepared(network, machine), machine) for network in networks]
        self.target, self.machine, self.mirror = target, machine, tuple(mirror)
        self.num_outputs = target.num_outputs

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        """Predict windows, float32 (B, C, *space) in [0, 1].

        Returns:
            float32 (B, outputs[, *space]) on the device: probabilities, or the numbers of a regression.
        """
        return self._mean(windows, [functools.partial(self._predicted, engine) for engine in self.engines])

    @torch.inference_mode()
    def evidence(self, windows: Tensor, outputs: Sequence[int]) -> Tensor:
        """Say where in windows some outputs of classifiers come from, float32 (B, K, *space) on the device.

        Args:
            windows: as to predict.
            outputs: their numbers.
        """
        which = list(outputs)
        return self._mean(
            windows, [functools.partial(self._evidence, network, outputs=which) for network in self.networks]
        )

    def _mean(self, windows: Tensor, members: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        """Average what the members make of windows, over them and the mirrored windows."""
        windows = windows.to(self.machine.device, non_blocking=True)
        axes = [axis + 2 for axis in self.mirror]
        flips = [flip for count in range(len(axes) + 1) for flip in itertools.combinations(axes, count)]
        total: Tensor | None = None
        for flip in flips:
            mirrored = windows.flip(flip) if flip else windows
            for member in members:
                predicted = member(mirrored)
                predicted = predicted.flip(flip) if flip and predicted.ndim > 2 else predicted
                total = predicted if total is None else total.add_(predicted)
        if total is None:
            raise ValueError("an ensemble of no networks; give one or more")
        return total.div_(len(members) * len(flips))

    def _evidence(self, network: nn.Module, windows: Tensor, outputs: list[int]) -> Tensor:
        if not isinstance(network, Classifier):
            raise TypeError(f"a {type(network).__name__} is no classifier, which evidence is of")
        with torch.autocast(self.machine.device.type, torch.bfloat16, enabled=self.machine.bf16):
            coarse = network.evidence(windows)[:, outputs].float()
        how = "bilinear" if windows.ndim == 4 else "trilinear"
        return functional.interpolate(coarse, windows.shape[2:], mode=how, align_corners=False)

    def _predicted(self, engine: Engine, windows: Tensor) -> Tensor:
        (outputs,) = engine(windows)
        return self.target.predicted(outputs)
