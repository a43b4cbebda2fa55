"""Tasks on a cluster: workers of Dask, or jobs of Slurm. Tasks and results are files; only their names travel."""

import contextlib
import os
import pickle
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, TypeVar

from modelsgenesis.core.errors import DataError, MissingExtraError
from modelsgenesis.core.files import aside_of

Task = TypeVar("Task")
Result = TypeVar("Result")

NAME = "cluster"  # in the folder that is worked on: `.cluster.PROCESS.part`, deleted at the end
MOST_IN_BATCH = 20  # tasks of a second, whose scheduling then costs next to nothing
SHARES = 4  # batches a worker at least, so that none waits long for the last
RENEWED_AFTER = 2000  # tasks; a process ends after them, and with it what libraries have leaked
MOST_GIVEN = 2000  # batches, of which each is a file
MOST_LOSSES = 5  # deaths in a row before a batch has begun
LOOK_S = 5.0
CONNECT_S = 30
LOCAL = "local:"
JOBS = 16  # of Slurm, at once
SLURM = {"time": ("timeout_min", int), "cpus": ("cpus_per_task", int), "mem": ("mem_gb", float)}
BEGUN, DONE, FAILED = "begun", "done", "failed"  # what a journal says of a task


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
    journal = Journal.read(_journal_of(batch.path))
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


def _journal_of(batch: Path) -> Path:
    return batch.with_suffix(".journal")


@dataclass
class Journal:
    """What became of a batch, as its file says; what a death cut off in the middle is not counted.

    Attributes:
        results: of the tasks that were done, by their number in the batch.
        begun: the number of the one that was begun, and has not ended.
        error: that ended the batch.
        num_bytes: of what is whole.
    """

    results: dict[int, Any]
    begun: int | None = None
    error: BaseException | None = None
    num_bytes: int = 0

    @classmethod
    def read(cls, path: Path) -> "Journal":
        """Read a journal; that of a batch that was never begun is empty."""
        journal = cls({})
        if not path.is_file():
            return journal
        with open(path, "rb") as file, contextlib.suppress(EOFError, pickle.UnpicklingError, ValueError):
            while True:
                journal._add(*pickle.load(file))
                journal.num_bytes = file.tell()
        return journal

    def _add(self, what: str, number: int, value: Any) -> None:
        self.begun = number if what == BEGUN else None
        if what == DONE:
            self.results[number] = value
        elif what == FAILED:
            self.error = value


done_here = 0  # tasks, by this process


def do_batch(path: str) -> None:
    """Do the tasks of a batch, in a worker, and say in its journal what became of each.

    A scheduler gives a batch to another worker when one died of it. The journal says so, and nothing is done then:
    whoever waits for the batch decides. It ends, too, when its folder is gone, since nobody waits for it any more.

    Args:
        path: of the batch's file.
    """
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # read when a task first loads SimpleITK
    batch, there = Path(path), _journal_of(Path(path))
    if not batch.is_file():
        return
    journal = Journal.read(there)
    if journal.begun is not None or journal.error is not None:
        return
    with open(there, "ab") as file:
        file.truncate(journal.num_bytes)
        folder, renewed_after, do, tasks = _load(batch, file)
        _renew(renewed_after)
        _do_each(batch, journal, file, folder, do, tasks)


def _load(batch: Path, file: BinaryIO) -> Any:
    """Load a batch, or note why it cannot be."""
    try:
        return pickle.loads(batch.read_bytes())
    except Exception as error:
        why = f"a worker cannot load its tasks ({type(error).__name__}: {error}); it needs this package as it is here"
        _note(file, FAILED, 0, DataError(why))
        raise


def _do_each(
    batch: Path, journal: Journal, file: BinaryIO, folder: str, do: Callable[[Any], Any], tasks: Sequence[Any]
) -> None:
    """Do the tasks that are not done yet, in the folder where the caller is."""
    global done_here
    with contextlib.chdir(folder):
        for number, task in enumerate(tasks):
            if not batch.is_file():
                return
            if number in journal.results:
                continue
            _note(file, BEGUN, number, None)
            try:
                result = do(task)
            except BaseException as error:
                _note(file, FAILED, number, _sendable(error))
                raise
            _note(file, DONE, number, result)
            done_here += 1


def _note(file: BinaryIO, what: str, number: int, value: Any) -> None:
    file.write(pickle.dumps((what, number, value)))
    file.flush()
    os.fsync(file.fileno())


def _sendable(error: BaseException) -> BaseException:
    """The error, or its words where another process could not read it."""
    with contextlib.suppress(Exception):  # whatever its class makes of that
        pickle.loads(pickle.dumps(error))
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _renew(after: int) -> None:
    """End this process before it begins a batch, if it has done many tasks and Dask's nanny will start another."""
    if done_here < after:
        return
    from distributed import get_worker

    with contextlib.suppress(ValueError):  # of Slurm, where a job ends with its batch
        if get_worker().nanny:
            os._exit(0)


class DaskWorkers:
    """The workers of a scheduler of Dask.

    Args:
        address: as `Cluster.dask` has it.
        tell: called with lines for the user.
    """

    def __init__(self, address: str, tell: Callable[[str], None]) -> None:
        self.address, self.tell = address, tell
        self._opened = contextlib.ExitStack()
        self._client: Any = None
        self._lonely = False

    def __enter__(self) -> Self:
        from distributed import Client

        try:
            if self.address.startswith(LOCAL):
                self._client = self._opened.enter_context(Client(self._start(int(self.address.removeprefix(LOCAL)))))
            else:
                given = {"address": self.address} if "://" in self.address else {"scheduler_file": self.address}
                self._client = self._opened.enter_context(Client(**given, timeout=CONNECT_S))
        except (OSError, ValueError) as error:
            self._opened.close()
            raise DataError(f"no scheduler of Dask answers at {self.address} ({error}); is it started?") from error
        self.tell(f"Dask shows what is done at {self._client.dashboard_link}")
        return self

    def _start(self, num: int) -> Any:
        """Start workers on this machine, which end with this process."""
        import logging

        import dask
        from distributed import LocalCluster

        self._opened.enter_context(without_main())
        # Dask would look at every worker's stack a hundred times a second, which costs half of it while it imports.
        self._opened.enter_context(dask.config.set({"distributed.worker.profile.enabled": False}))
        return self._opened.enter_context(
            LocalCluster(
                n_workers=num, threads_per_worker=1, processes=True, host="127.0.0.1", memory_limit=0,
                dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
            )
        )  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def size(self, num: int, cluster: Cluster) -> int:
        """A share of a worker's share of the tasks."""
        return min(num // (SHARES * max(1, len(self._client.nthreads()))), cluster.most_in_batch)

    def submit(self, batch: Path) -> Any:
        """Have the scheduler give a batch to a worker."""
        return self._client.submit(do_batch, str(batch), pure=False)

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        """Wait for the first; an error of Dask's, as of a worker that died, ends a batch, too."""
        from concurrent.futures import CancelledError

        from distributed import wait

        while True:
            try:
                return list(wait(handles, timeout=LOOK_S, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                self._tell_if_lonely()
            except (CancelledError, OSError) as error:
                raise DataError(
                    f"the scheduler of Dask at {self.address} is gone; start it, and run the same command again: it "
                    "goes on where it was"
                ) from error

    def _tell_if_lonely(self) -> None:
        lonely = not self._client.nthreads()
        if lonely and not self._lonely:
            self.tell("the scheduler of Dask has no worker now; waiting for one")
        self._lonely = lonely


class SlurmJobs:
    """Jobs of Slurm, or processes of this machine in the same form (cluster=local).

    Args:
        settings: by submitit's names, with "jobs" and "cluster".
        folder: of the jobs' files.
        tell: called with lines for the user.
    """

    def __init__(self, settings: dict[str, Any], folder: Path, tell: Callable[[str], None]) -> None:
        self.jobs: int = settings.pop("jobs")
        self.kind: str = settings.pop("cluster")
        self.settings, self.folder, self.tell = settings, folder, tell
        self._running: dict[str, Any] = {}
        self._queue: deque[str] = deque()
        self._executor: Any = None

    def __enter__(self) -> Self:
        import submitit

        try:
            self._executor = submitit.AutoExecutor(self.folder, cluster=self.kind)
            self._executor.update_parameters(**{"name": "genesis", "timeout_min": 240, **self.settings})
        except (RuntimeError, NameError, ValueError, AssertionError) as error:
            raise DataError(f"--slurm: {str(error).splitlines()[0]}; is this a machine that submits jobs?") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._running.values():
            with contextlib.suppress(Exception):  # it may be done since
                job.cancel(check=False)

    def size(self, num: int, cluster: Cluster) -> int:
        """A job's share of the tasks, since a job takes long to start; it ends after as many as a process may do."""
        return 1 if cluster.most_in_batch == 1 else min(-(-num // self.jobs), cluster.renewed_after)

    def submit(self, batch: Path) -> str:
        """Put a batch into the queue; jobs are begun when they are waited for."""
        self._queue.append(str(batch))
        return str(batch)

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        """Begin as many jobs as may run at once, and look at them now and then."""
        while True:
            while self._queue and len(self._running) < self.jobs:
                self._begin(self._queue.popleft())
            if done := [batch for batch, job in self._running.items() if job.done()]:
                for batch in done:
                    del self._running[batch]
                return done
            time.sleep(0.1 if self.kind == "local" else LOOK_S)

    def _begin(self, batch: str) -> None:
        try:
            self._running[batch] = self._executor.submit(do_batch, batch)
        except Exception as error:  # submitit's own, and those of what it calls
            raise DataError(f"no job could be submitted ({error}); the same command goes on where it was") from error


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """Let spawned processes not import the caller's script.

    One of five lines without `if __name__ == "__main__"` would start over in each of them.
    """
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    try:
        main.__dict__.pop("__file__", None)
        main.__spec__ = None
        yield
    finally:
        vars(main).update(kept)
