"""A batch of tasks in a worker of a cluster, and the journal that says what became of each."""

import contextlib
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from modelsgenesis.core.errors import DataError

BEGUN, DONE, FAILED = "begun", "done", "failed"  # what a journal says of a task


def journal_of(batch: Path) -> Path:
    """The file that says what became of a batch."""
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
    batch, there = Path(path), journal_of(Path(path))
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
