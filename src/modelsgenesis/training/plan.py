"""How to train, as data."""

import math
from dataclasses import dataclass, field
from typing import Literal

from modelsgenesis.core.device import Precision
from modelsgenesis.core.errors import TrainingError
from modelsgenesis.training.trackers import TrackerName, check_trackers

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "plateau", "halving", "constant"]
Where = Literal["workers", "device"]


@dataclass(frozen=True)
class Plan:
    """Everything about training that is not the data, the method or the network.

    Args:
        steps: of the optimiser, at most.
        batch_size: cubes a step, over all processes and accumulations.
        accumulate: backward passes a step, for networks whose batch does not fit the device.
        optimizer: AdamW, or SGD with Nesterov-free momentum.
        lr: the peak learning rate.
        weight_decay: of the weights of convolutions; norms and biases get none.
        momentum: of SGD.
        warmup_steps: over which the learning rate rises linearly from 0.
        schedule: after that: "cosine" to 0 at the last step, "plateau" halves after `halve_after` validations without a
            better one, "halving" halves every `halve_after` validations, "constant".
        clip_norm: the gradient's greatest norm; None leaves it.
        validate_every: steps; None is an epoch of 32 cubes a training scan, the papers' count.
        val_cubes: held-out cubes, always the same, with always the same deformations.
        patience: validations without a better one before the run stops; None never stops early.
        precision: "auto" is bf16 where the device computes it fast, else 32 bits.
        compile: the network with torch.compile, which pays on long runs on a GPU.
        workers: loader processes; None chooses by device.
        log: where else the metrics go: wandb, mlflow; log.csv and TensorBoard events are always written.
        views: where what the network sees is made: by the loader workers, or from their draws on the device, so that a
            worker only reads; the same views, but for the last digit of an intensity.
    Raises:
        TrainingError: a number that makes no sense, or a batch that does not divide.
        MissingExtraError: a tracker of metrics is not installed.
    """

    steps: int
    batch_size: int = 8
    accumulate: int = 1
    optimizer: Optimizer = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    warmup_steps: int = 100
    schedule: Schedule = "cosine"
    halve_after: int = 10
    clip_norm: float | None = 1.0
    validate_every: int | None = 200
    val_cubes: int = 64
    patience: int | None = None
    precision: Precision = "auto"
    compile: bool = False
    workers: int | None = field(default=None, metadata={"no_result": True})
    log: tuple[TrackerName, ...] = field(default=(), metadata={"no_result": True})
    views: Where = "workers"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "val_cubes", "halve_after"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("validate_every", "patience"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise TrainingError(f"{name} must be 1 or more, or left out, got {getattr(self, name)}")
        for name in ("warmup_steps", "weight_decay", "momentum", "workers"):
            if not 0 <= (getattr(self, name) or 0) < math.inf:
                raise TrainingError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("lr", "clip_norm"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise TrainingError(f"{name} must be more than 0, got {getattr(self, name)}")
        self.share(1)
        check_trackers(self.log)

    def share(self, world_size: int) -> int:
        """The number of cubes of one backward pass in one process.

        Raises:
            TrainingError: the batch does not divide by processes times accumulations, or a process would have no
                held-out cube.
        """
        if self.val_cubes < world_size:
            raise TrainingError(
                f"{self.val_cubes} held-out cubes are too few for {world_size} processes; use --val-cubes"
            )
        parts = world_size * self.accumulate
        if self.batch_size % parts:
            raise TrainingError(
                f"a batch of {self.batch_size} cubes does not divide by {world_size} processes times "
                f"{self.accumulate} accumulations; use --batch-size {max(1, round(self.batch_size / parts)) * parts}"
            )
        return self.batch_size // parts
