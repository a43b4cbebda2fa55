"""What does batches of tasks: workers of Dask, or jobs of Slurm."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from modelsgenesis.core.cluster_batches import do_batch
from modelsgenesis.core.errors import DataError

if TYPE_CHECKING:
    from modelsgenesis.core.cluster import Cluster

LOCAL = "local:"
SHARES = 4  # batches a worker at least, so that none waits long for the last
LOOK_S = 5.0
CONNECT_S = 30


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

    def size(self, num: int, cluster: "Cluster") -> int:
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

    def size(self, num: int, cluster: "Cluster") -> int:
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
