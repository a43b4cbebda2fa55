"""Samples by number: the k-th cube of a run depends on the seed and k alone, whichever process draws it."""

import contextlib
import re
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from modelsgenesis.core.errors import GenesisError, TrainingError
from modelsgenesis.core.learner import Batch, Drawn, Sample
from modelsgenesis.core.randomness import generator_for

GRACE_S = 30  # in which a run ends after its step, once it was asked to
Views = Callable[[Sample, np.random.Generator], dict[str, Any]]  # arrays, and Drawn where the device does the rest


class Cut(Protocol):
    """What a sampler cuts: a cube of a scan, or a patch of a case."""

    @property
    def arrays(self) -> Sample:
        """The arrays of which a learner makes its views."""
        ...


C = TypeVar("C", bound=Cut, covariant=True)


class Sampler(Protocol[C]):
    """A sampler of cubes or patches."""

    def sample(self, rng: np.random.Generator) -> C:
        """Cut one cube or patch."""
        ...


class CubeStream(Dataset[dict[str, Any]], Generic[C]):
    """An endless row of samples: a cube cut at random, then the learner's views of it.

    Args:
        sampler: cuts cubes, or patches.
        views: makes of a cube what the network sees and its target.
        seed: of the run.
        name: keeps training and validation apart.
    """

    def __init__(self, sampler: Sampler[C], views: Views, *, seed: int, name: str = "train") -> None:
        self.sampler, self.views, self.seed, self.name = sampler, views, seed, name

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Make sample number `index`: {"name": (C, *space)}, tensors and Drawn."""
        return self.sample(index)[1]

    def sample(self, index: int) -> tuple[C, dict[str, Any]]:
        """Make sample number `index`, and return also the cube that it was made of."""
        rng = generator_for(self.seed, index, self.name)
        cube = self.sampler.sample(rng)
        views = self.views(cube.arrays, rng)
        return cube, {name: view if isinstance(view, Drawn) else as_tensor(view) for name, view in views.items()}


def as_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Turn an array into a tensor of the same numbers and shape."""
    return torch.from_numpy(np.asarray(array, order="C"))  # ascontiguousarray makes one axis of none


def collate(samples: list[dict[str, Any]]) -> Batch:
    """Make a batch of samples: tensors are stacked, and draws are listed."""
    batch: dict[str, Any] = {}
    for name in samples[0]:
        parts = [sample[name] for sample in samples]
        drawn = isinstance(parts[0], Drawn)
        batch[name] = Drawn([draw for part in parts for draw in part.draws]) if drawn else stacked(parts)
    return batch


def stacked(parts: list[Tensor]) -> Tensor:
    """Stack tensors; in a worker process into the memory that it shares with its run.

    Where there is too little of that, the error reaches the run, which the thread that would share it later does not
    tell: the run would wait for ever.
    """
    if get_worker_info() is None:
        return torch.stack(parts)
    shape = (len(parts), *parts[0].shape)
    return torch.stack(parts, out=torch.empty(shape, dtype=parts[0].dtype).share_memory_())  # type: ignore[no-untyped-call]


class Range:
    """The numbers of the samples of each batch of one process, as a batch sampler.

    Args:
        start: the first sample of all.
        batches: how many batches every process gets.
        batch_size: samples a batch and process.
        rank: of this process.
        world_size: how many processes there are; neighbouring batches go to neighbouring processes.
    """

    def __init__(self, start: int, batches: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.start, self.batches, self.batch_size = start, batches, batch_size
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield lists of sample numbers."""
        for batch in range(self.batches):
            first = self.start + (batch * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))

    def __len__(self) -> int:
        return self.batches


def load_batches(
    stream: Dataset[dict[str, Any]], numbers: Iterable[list[int]], *, workers: int = 0, pin: bool = False
) -> DataLoader[Batch]:
    """Read the batches of these numbers, in worker processes if there are any.

    Args:
        stream: of samples.
        numbers: of the samples of each batch.
        workers: processes that read ahead; 0 reads in this one.
        pin: to copy to a GPU while it computes.
    """
    return DataLoader(
        stream,
        batch_sampler=numbers,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_leave_signals_to_parent,
        prefetch_factor=4 if workers else None,
    )


@contextlib.contextmanager
def loading_told() -> Iterator[None]:
    """Say in one line what torch says in many when a worker process of a loader fails.

    Raises:
        TrainingError: a worker was killed, or there is too little shared memory.
        GenesisError: what a worker raised.
    """
    try:
        yield
    except GenesisError as error:
        if not str(error).startswith("Caught "):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold each other, and the loader with its workers
        line = str(error).rstrip().rpartition(f"{type(error).__name__}: ")[2]
        raise type(error)(line) from error
    except RuntimeError as error:
        traceback.clear_frames(error.__traceback__)
        if re.search("shared memory|file </torch_", str(error)) and "open files" not in str(error):
            raise TrainingError(
                "the worker processes that load samples share them in /dev/shm, which is full; load in the run's own "
                "process (--workers 0), or make it larger (docker run --shm-size=8g)"
            ) from error
        if str(error).startswith("DataLoader worker (pid"):
            raise TrainingError(
                "a worker process that loads samples was killed; is there enough memory? Take fewer --workers, or "
                "--workers 0; the same command goes on from the last checkpoint"
            ) from error
        raise


def _leave_signals_to_parent(_: int) -> None:
    """What asks a run to stop reaches the whole group; a worker that died of it would cost the run its last batch.

    SIGTERM is also how Python ends a worker that does not hear that it may go; it has to be heeded in the end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE_S))
