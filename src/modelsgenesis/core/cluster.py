"""Tasks on a cluster: workers of Dask, or jobs of Slurm. Tasks and results are files; only their names travel."""

import contextlib
import os
import pickle
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from modelsgenesis.core.cluster_batches import Journal, journal_of
from modelsgenesis.core.cluster_workers import LOCAL, DaskWorkers, SlurmJobs
from modelsgenesis.core.errors import DataError, MissingExtraError
from modelsgenesis.core.files import aside_of

Task = TypeVar("Task")
Result = TypeVar("Result")

NAME = "cluster"  # in the folder that is worked on: `.cluster.PROCESS.part`, deleted at the end
MOST_IN_BATCH = 20  # tasks of a second, whose scheduling then costs next to nothing
RENEWED_AFTER = 2000  # tasks; a process ends after them, and with it what libraries have leaked
MOST_GIVEN = 2000  # batches, of which each is a file
MOST_LOSSES = 5  # deaths in a row before a batch has begun
JOBS = 16  # of Slurm, at once
SLURM = {"time": ("timeout_min", int), "cpus": ("cpus_per_task", int), "mem": ("mem_gb", float)}


@dataclass(frozen=True)
class Cluster:
    """Where tasks are done.

    Attributes:
        folder: that is worked on and that all machines see by one name; held by this process.
        dask: a scheduler's address, its file, or `local:4` for four workers of this machine; "" is Slurm.
        slurm: settings of its jobs, such as "partition=cpu,time=60".
        tell: called with lines for the user.
        most_in_batch: tasks that are given to a worker of Dask at a time; 1 is also one a job.
        renewed_after: tasks, a worker's process is replaced.
    """

    folder: Path
    dask: str = ""
    slurm: str = ""
    tell: Callable[[str], None] = field(default=lambda line: None, compare=False)
    most_in_batch: int = MOST_IN_BATCH
    renewed_after: int = RENEWED_AFTER


def choose_cluster(
    folder: Path,
    dask: str | None,
    slurm: str | None,
    tell: Callable[[str], None],
    *,
    workers: int | None = None,
    most_in_batch: int = MOST_IN_BATCH,
) -> Cluster | None:
    """The cluster that options name; None where they name none.

    Args:
        folder: that is worked on.
        dask: what --cluster says.
        slurm: what --slurm says.
        tell: called with lines for the user.
        workers: what --workers says.
        most_in_batch: tasks that are given to a worker at a time.
    Raises:
        DataError: they name two, or make no sense.
    """
    if dask is None and slurm is None:
        return None
    if dask is not None and slurm is not None:
        raise DataError("--cluster is of Dask and --slurm of Slurm; give one of the two")
    wanted, why = ("distributed", "--cluster") if dask is not None else ("submitit", "--slurm")
    if find_spec(wanted) is None:
        raise MissingExtraError(f"{why} needs {wanted}; install it with: pip install -c constraints.txt '.[cluster]'")
    if workers:
        raise DataError(f"--workers {workers} are of this machine, and a cluster has its own; leave it out")
    if dask is not None:
        _check_address(dask)
    else:
        _slurm_settings(slurm or "")
    return Cluster(folder, dask or "", slurm or "", tell, most_in_batch)


def _check_address(dask: str) -> None:
    local = dask.removeprefix(LOCAL)
    if local != dask and not (local.isdecimal() and 1 <= int(local) <= 4096):
        raise DataError(f"--cluster local:N takes a number of workers, such as local:4, got {dask!r}")
    if local == dask and "://" not in dask and not Path(dask).is_file():
        raise DataError(
            f"--cluster takes a scheduler's address (tcp://HOST:8786), its file, or local:4, got {dask!r}; is the "
            "scheduler started, and its file here?"
        )


def _slurm_settings(slurm: str) -> dict[str, Any]:
    """The settings of jobs by the names that submitit has for them; "jobs" and "cluster" are ours."""
    settings: dict[str, Any] = {"jobs": JOBS, "cluster": "slurm"}
    for pair in filter(None, slurm.split(",")):
        name, equals, value = (part.strip() for part in pair.partition("="))
        kind: Callable[[str], Any]
        called, kind = SLURM.get(name, (f"slurm_{name}", str)) if name not in settings else (name, type(settings[name]))
        try:
            if not (name and equals and value):
                raise ValueError
            settings[called] = kind(value)
        except ValueError:
            raise DataError(
                f"--slurm takes NAME=VALUE with commas between, such as partition=cpu,time=60, got {pair!r}"
            ) from None
    if settings["jobs"] < 1:
        raise DataError(f"--slurm jobs must be 1 or more, got {settings['jobs']}; it is how many run at once")
    return settings


class Workers(Protocol):
    """What does batches: `DaskWorkers` and `SlurmJobs` fulfil it."""

    def __enter__(self) -> Self:
        """Reach them."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let them go; what they have not begun is not done."""

    def size(self, num: int, cluster: Cluster) -> int:
        """How many of so many tasks a batch should have."""
        ...

    def submit(self, batch: Path) -> Any:
        """Have a batch done by `do_batch`; return what stands for it."""
        ...

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        """Wait until some batches are done, or their workers dead; return which."""
        ...


@dataclass
class Batch:
    """Tasks that one worker does one after the other.

    Attributes:
        tasks: in order.
        alone: it is one task, under way when a process died before.
        losses: how often its worker died before it began, in a row.
        path: of its file.
    """

    tasks: list[Any]
    alone: bool = False
    losses: int = 0
    path: Path = Path()


def work_on(
    do: Callable[[Task], Result], tasks: Iterable[Task], cluster: Cluster
) -> Iterator[tuple[Task, Result | None]]:
    """Yield (task, result) as they are done, in any order; the result is None when the process died of the task.

    The journal of a batch says which task was under way when a process died. It is tried once more, alone: the process
    may have been killed for another reason. If that ends a process too, the task is to blame.

    Args:
        do: a function of a module, so that workers find it.
        tasks: its arguments.
        cluster: that does them.
    Raises:
        DataError: the cluster cannot be reached, is lost, or does nothing but lose workers.
    """
    every = list(tasks)
    if not every:
        return
    with _work_folder(cluster.folder) as folder, _workers(cluster, folder) as workers:
        size = max(1, workers.size(len(every), cluster))
        waiting = deque(Batch(every[start : start + size]) for start in range(0, len(every), size))
        running: dict[Any, Batch] = {}
        number = 0
        while waiting or running:
            while waiting and len(running) < MOST_GIVEN:
                batch, number = waiting.popleft(), number + 1
                batch.path = folder / f"{number:07d}.tasks"
                _write_batch(batch, do, cluster)
                running[workers.submit(batch.path)] = batch
            for handle in workers.wait(list(running)):
                yield from _settle(running.pop(handle), waiting)


@contextlib.contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """A folder for batches, which its owner alone may read: raw names and a store's salt are among the arguments.

    Deleted at the end; where this process is killed, by whoever holds the folder next.
    """
    made = aside_of(folder.resolve() / NAME)
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _workers(cluster: Cluster, folder: Path) -> Workers:
    if cluster.dask:
        return DaskWorkers(cluster.dask, cluster.tell)
    return SlurmJobs(_slurm_settings(cluster.slurm), folder / "jobs", cluster.tell)


def _write_batch(batch: Batch, do: Callable[[Any], Any], cluster: Cluster) -> None:
    aside = batch.path.with_suffix(".part")
    with open(aside, "wb") as file:
        pickle.dump((str(Path.cwd()), cluster.renewed_after, do, batch.tasks), file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(batch.path)


def _settle(batch: Batch, waiting: "deque[Batch]") -> Iterator[tuple[Any, Any]]:
    """Yield what was done of a batch; what was not waits again."""
    journal = Journal.read(journal_of(batch.path))
    batch.path.unlink()
    if journal.error is not None:
        raise journal.error
    yield from ((batch.tasks[number], result) for number, result in journal.results.items())
    suspect = journal.begun
    left = [task for number, task in enumerate(batch.tasks) if number != suspect and number not in journal.results]
    if suspect is not None and batch.alone:
        yield batch.tasks[suspect], None
    elif suspect is not None:
        waiting.append(Batch([batch.tasks[suspect]], alone=True))
    losses = 0 if suspect is not None or journal.results else batch.losses + 1
    if left and losses > MOST_LOSSES:
        raise DataError(
            f"{losses} workers in a row ended before they began a task; what do their logs say? They need this "
            "package, and the same folders under the same names"
        )
    if left:
        waiting.append(Batch(left, batch.alone, losses))
