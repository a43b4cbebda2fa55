"""The network of a task, its weights drawn from a seed and then taken from where the fine-tuning begins."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from modelsgenesis.core.learner import Learner
from modelsgenesis.core.naming import describe
from modelsgenesis.core.target import LearnerSettings, Target
from modelsgenesis.data.intensity import intensity_in_words
from modelsgenesis.data.store.case_cache import CachedCase
from modelsgenesis.finetuning.config import FineTuneConfig
from modelsgenesis.finetuning.initialization import SCRATCH, Initialization
from modelsgenesis.weights.files import kept_network
from modelsgenesis.weights.transfer import LoadingMap, network_for, transfer


def make_learner(
    target: Target, start: Initialization, config: FineTuneConfig, cases: Sequence[CachedCase], seed: int
) -> tuple[Learner, LoadingMap | None]:
    """Make a learner with weights drawn from the seed, and then those that the start gives.

    Args:
        target: to learn.
        start: where to begin.
        config: of the fine-tuning.
        cases: to train on.
        seed: of the first weights.
    Returns:
        The learner, and what became of the start's weights; None from scratch.
    Raises:
        ShapeError: the network does not fit the target.
        DataError: the training cases lack examples with or without a label.
        WeightsError: too little of the start fits.
    """
    channels, outputs = len(cases[0].limits), target.num_outputs if target.dense else 1
    views = config.augmentation.views(config.size)
    settings = LearnerSettings([case.values for case in cases], views, config.layer_rates)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = network_for(start.backbone, in_channels=channels, out_channels=outputs)
        network = target.network(backbone, hidden=config.hidden)
        loading = _transferred(start, network, config) if start.pretrained else None
        return target.learner(network, settings), loading


def _transferred(start: Initialization, network: nn.Module, config: FineTuneConfig) -> LoadingMap:
    report = start.loaded.report if start.loaded else None
    return transfer(start.backbone, kept_network(network), adapt_channels=config.widen, loading=report)


def intensity_report(start: Initialization, config: FineTuneConfig) -> dict[str, str]:
    """How values become what the network sees, in words, and how they did for the start where that differs."""
    own = {"intensity": intensity_in_words(config.reading.intensity)}
    if start.reading is None or start.reading.intensity == config.reading.intensity:
        return own
    return {**own, "intensity_of_the_start": intensity_in_words(start.reading.intensity)}


def loading_report(start: Initialization, loading: LoadingMap | None, config: FineTuneConfig) -> dict[str, Any]:
    """The content of loading.json: the map to the task's network, after that of another program's file if any."""
    if loading is None:
        return {"from": SCRATCH, **intensity_report(start, config)}
    if start.loaded is None:
        return {**loading.to_json(), **intensity_report(start, config)}
    first = {"format": start.loaded.format, "notes": describe(start.loaded.notes), **start.loaded.report.to_json()}
    return {**loading.to_json(), **intensity_report(start, config), "opened": first}
