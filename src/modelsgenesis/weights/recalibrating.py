"""From a norm that uses each batch's own statistics to an ordinary batch norm, by cubes of the user's scans."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.norms import BatchNorm
from modelsgenesis.weights.files import arguments_of, distinct, fill

NORMS = ("batch", "batch_stats")


@dataclass(frozen=True)
class Difference:
    """How far two sets of predictions are apart, over all their values.

    Attributes:
        largest: absolute difference.
        mean: absolute difference.
    """

    largest: float
    mean: float

    @classmethod
    def between(cls, one: Tensor, other: Tensor) -> "Difference":
        """Measure the difference between two sets of predictions."""
        apart = (one - other).abs()
        return cls(float(apart.max()), float(apart.mean()))


@dataclass(frozen=True)
class Comparison:
    """The effect of a recalibration, on a batch of cubes that it was not made from.

    Attributes:
        before: of the network as it was: each cube alone, and all in one batch.
        after: the same of the recalibrated one.
        moved: between the two networks, all cubes in one batch.
        spread: standard deviation of the predictions of the network as it was, to hold the others against.
    """

    before: Difference
    after: Difference
    moved: Difference
    spread: float


def recalibrate(network: Backbone, batches: Iterable[Tensor]) -> Backbone:
    """Make the same network with an ordinary batch norm whose statistics are those of some batches.

    Each layer's statistics are the means, over the batches, of their means and variances, measured while all layers
    normalise by their batch: what the weights were trained with.

    Args:
        network: with the norm batch_stats, or batch; it is not changed.
        batches: (B, C, *space), as the network is to see them; more than one value a channel each.
    Returns:
        A network of the same weights with the norm batch, in evaluation mode, on the same device.
    Raises:
        WeightsError: the network's norm has no statistics, there are no batches, or a prediction is no number.
    """
    norm = getattr(network, "norm", None)
    if norm not in NORMS:
        norm_in_words = f"its norm is {norm}" if norm else f"{type(network).__name__} has a norm of its own kind"
        raise WeightsError(f"{norm_in_words}, which keeps no statistics of batches: there is nothing to recalibrate")
    new = type(network)(**{**arguments_of(network), "norm": "batch"})
    fill(new, distinct(network))
    new = new.to(next(network.parameters()).device)
    layers = [module for module in new.modules() if isinstance(module, BatchNorm)]
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
    new.train()
    with torch.no_grad():
        for batch in batches:
            new(batch)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum
        _check(layer)
    return new.eval()


def _check(layer: BatchNorm) -> None:
    if not layer.num_batches_tracked:
        raise WeightsError("no batch was given to recalibrate from")
    if not all(bool(torch.isfinite(statistic).all()) for statistic in layer.buffers()):
        raise WeightsError("the network predicts no numbers on these cubes; are they scaled to [0, 1]?")


@torch.no_grad()
def compare_networks(before: Backbone, after: Backbone, cubes: Tensor) -> Comparison:
    """Measure how far recalibration changes the predictions, alone and in a batch.

    Args:
        before: the network as it was.
        after: recalibrated.
        cubes: (B, C, *space), B at least 2, others than it was made from.
    """
    together, recalibrated = _predictions(before, cubes), _predictions(after, cubes)
    return Comparison(
        before=Difference.between(_one_by_one(before, cubes), together),
        after=Difference.between(_one_by_one(after, cubes), recalibrated),
        moved=Difference.between(recalibrated, together),
        spread=float(together.std()),
    )


def _one_by_one(network: Backbone, cubes: Tensor) -> Tensor:
    return torch.cat([_predictions(network, cube) for cube in cubes[:, None]])


def _predictions(network: Backbone, cubes: Tensor) -> Tensor:
    predictions: Tensor = network(cubes)
    return predictions.float().cpu()
