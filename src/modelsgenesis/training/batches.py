"""The batches of a run: what a verb's samples become on their way to the training loop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset

from modelsgenesis.core.learner import Batch
from modelsgenesis.core.processes import Processes
from modelsgenesis.data.sampling.stream import Range, load_batches
from modelsgenesis.training.loop import Materials
from modelsgenesis.training.plan import Plan

Samples = Dataset[dict[str, Any]]


@dataclass(frozen=True)
class RunSamples:
    """The samples that a run is trained on and validated with.

    Attributes:
        training: an endless row of samples.
        validation: held-out samples, always the same.
        num_validating: how many of those; 0 holds nothing out.
        noun: what a sample is called.
    """

    training: Samples
    validation: Samples
    num_validating: int
    noun: str = "cube"

    def materials(
        self,
        plan: Plan,
        fabric: Processes,
        *,
        keep_best: Callable[[int, dict[str, float]], None],
        after_validation: Callable[[int], None] = lambda step: None,
    ) -> Materials:
        """Put together what the training loop works on.

        Args:
            plan: of the run.
            fabric: where it runs, launched.
            keep_best: as `Materials` has it.
            after_validation: as `Materials` has it.
        """
        batches = Batches(plan, fabric)
        return Materials(
            training=lambda first, passes: batches.training(self.training, first, passes),
            validation=(lambda: batches.held_out(self.validation, self.num_validating))
            if self.num_validating
            else None,
            keep_best=keep_best,
            after_validation=after_validation,
            noun=self.noun,
        )


class Batches:
    """The share of one process in the batches of a run.

    Args:
        plan: of the run.
        fabric: where it runs, launched.
    """

    def __init__(self, plan: Plan, fabric: Processes) -> None:
        self.plan, self.fabric = plan, fabric
        on_gpu = fabric.device.type == "cuda"
        self.workers = plan.workers if plan.workers is not None else 8 * on_gpu
        self.pin = on_gpu

    def training(self, samples: Samples, first: int, passes: int) -> Iterator[Batch]:
        """Yield training batches from sample number `first` on, one for each backward pass."""
        share = self.plan.share(self.fabric.world_size)
        numbers = Range(first, passes, share, self.fabric.global_rank, self.fabric.world_size)
        return iter(load_batches(samples, numbers, workers=self.workers, pin=self.pin))

    def held_out(self, samples: Samples, num: int) -> Iterator[Batch]:
        """Yield the first `num` validation samples once."""
        share, rank = self.plan.share(self.fabric.world_size), self.fabric.global_rank
        mine = list(range(rank, num, self.fabric.world_size))
        batches = [mine[first : first + share] for first in range(0, len(mine), share)]
        return iter(load_batches(samples, batches, workers=self.workers, pin=self.pin))
