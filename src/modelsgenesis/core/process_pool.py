"""Work through many tasks in processes of their own; one that dies costs one task."""

import contextlib
import functools
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.queues
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from modelsgenesis.core.cluster import Cluster, work_on
from modelsgenesis.core.cluster_workers import without_main

Task = TypeVar("Task")
Result = TypeVar("Result")

BATCH = 200
WORTH_IT = 2000  # tasks of a millisecond each, below which processes take longer to start


def usable_cores() -> int:
    """Cores this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_through(
    do: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    *,
    gpus: Sequence[str] = (),
    cluster: Cluster | None = None,
) -> Iterator[tuple[Task, Result | None]]:
    """Yield (task, result) as they are done, in any order; the result is None when the process died of the task.

    A process may be killed by the system for want of memory, or by a fault of a decoder. It is not known then which of
    the tasks under way was to blame: each is done again alone.

    Args:
        do: a function of a module, so that other processes find it.
        tasks: its arguments.
        workers: processes; 0 works in this one, where a death is this one's, as does a worker of a cluster.
        gpus: as CUDA names them, dealt to the processes in turn, each of which sees its own alone.
        cluster: whose processes do the tasks, instead of any of this machine.
    Raises:
        DataError: the cluster cannot be reached, or is lost.
    """
    if cluster is not None:
        yield from work_on(do, tasks, cluster)
        return
    waiting = deque(tasks)
    if workers == 0 or multiprocessing.current_process().daemon:  # a worker of Dask's may start none
        yield from ((task, do(task)) for task in waiting)
        return
    while waiting:
        suspects = yield from _until_one_dies(do, waiting, min(workers, len(waiting)), gpus)
        for task in suspects:
            yield task, _alone(do, task, gpus)


def _until_one_dies(
    do: Callable[[Task], Result], waiting: deque[Task], workers: int, gpus: Sequence[str]
) -> Generator[tuple[Task, Result | None], None, list[Task]]:
    """Do tasks until none waits or a process dies; return those that were under way when it did."""
    running: dict[Future[Result], Task] = {}
    suspects: list[Task] = []
    with _pool(workers, gpus) as pool:
        while (waiting and not suspects) or running:
            while waiting and not suspects and len(running) <= workers:
                task = waiting.popleft()
                try:
                    running[_submit(pool, do, task)] = task
                except BrokenProcessPool:
                    suspects.append(task)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(task)
                else:
                    yield task, future.result()
    return suspects


def _alone(do: Callable[[Task], Result], task: Task, gpus: Sequence[str]) -> Result | None:
    with _pool(1, gpus) as pool:
        try:
            return _submit(pool, do, task).result()
        except BrokenProcessPool:
            return None


@contextlib.contextmanager
def _pool(workers: int, gpus: Sequence[str]) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    dealt = context.SimpleQueue()
    for gpu in itertools.islice(itertools.cycle(gpus), workers):
        dealt.put(gpu)
    pool = ProcessPoolExecutor(workers, context, _begin, (dealt if gpus else None,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, do: Callable[[Task], Result], task: Task) -> Future[Result]:
    """Submit a task to a process that does not import the caller's script."""
    with without_main():
        return pool.submit(do, task)


def _begin(gpus: "multiprocessing.queues.SimpleQueue[str] | None") -> None:
    """Prepare a worker: one thread, no noise, a GPU of its own if there are any, and no life after its parent."""
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus.get()  # read when CUDA is first needed, in a task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    # Read when a task first loads SimpleITK, if any does: importing it here would cost those that read no scan.
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    # ITK, NIfTI, MetaIO and GDCM complain on stderr, with the paths of patients; what matters is in problems.csv.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def map_in_processes(workers: int) -> Callable[[Callable[[Task], Result], Iterable[Task]], list[Result]]:
    """Make a function that does what `map` does, in processes where there is enough to do.

    Args:
        workers: processes; 0 works in this one.
    """

    def mapper(do: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
        every = list(tasks)
        if workers < 2 or len(every) < WORTH_IT:
            return [do(task) for task in every]
        batches = [tuple(every[start : start + BATCH]) for start in range(0, len(every), BATCH)]
        done = dict(work_through(functools.partial(_do_each, do), batches, workers))
        # A batch whose process died is done here; nothing in reading a header should kill anybody.
        return [result for batch in batches for result in done[batch] or _do_each(do, batch)]

    return mapper


def _do_each(do: Callable[[Task], Result], tasks: tuple[Task, ...]) -> list[Result]:
    return [do(task) for task in tasks]
