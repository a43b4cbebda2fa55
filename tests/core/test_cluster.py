"""Tasks on a cluster: a death costs one task, whoever dies; the journal says of which."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelsgenesis.core.cluster import Cluster, choose_cluster, work_on
from modelsgenesis.core.cluster_batches import BEGUN, DONE, Journal, do_batch
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.process_pool import work_through

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # workers find the tests' functions
SCHEDULER = """
import asyncio, sys
from distributed import Scheduler
async def serve():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, scheduler_file=sys.argv[1]) as scheduler:
        await scheduler.finished()
asyncio.run(serve())
"""
WORKER = """
import asyncio, sys
sys.modules["openvino"] = None  # as in the tests' own process
from distributed import Nanny
async def work():
    async with Nanny(scheduler_file=sys.argv[1], host="127.0.0.1", nthreads=1, memory_limit=0, death_timeout=60,
                     dashboard=False) as nanny:
        await nanny.finished()
if __name__ == "__main__":
    asyncio.run(work())
"""


def square(number: int) -> tuple[int, int, str]:
    """A task: its result, who did it, and where."""
    return number * number, os.getpid(), str(Path.cwd())


def die_of_two(number: int) -> int:
    """Note who does it, and kill the process that gets number 2."""
    with open("deaths" if number == 2 else "others", "a", encoding="utf-8") as file:
        file.write(f"{number} {os.getpid()}\n")
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_once(number: int) -> int:
    """Kill the process that gets number 2 first, as the system may do for another's want of memory."""
    if number == 2 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def refuse(number: int) -> int:
    """What ends a verb, such as a full disk."""
    raise DataError(f"the disk is full at {number}")


def by_others(number: int) -> dict[int, tuple[int, int, str] | None]:
    """A task that would have processes of its own, as a run of a benchmark reads its cases."""
    return dict(work_through(square, [number], 1))


def slowly(number: int) -> int:
    """A task that is under way for a while."""
    Path(f"begun{number}").touch()
    time.sleep(0.3)
    return number


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a scheduler of Dask with two workers of one thread, each with a nanny."""
    file = tmp_path_factory.mktemp("dask") / "scheduler.json"
    with serving(file, 2):
        yield file


class serving:  # noqa: N801
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, file: Path, workers: int) -> None:
        self.file, self.workers = file, workers

    def __enter__(self) -> list["subprocess.Popen[bytes]"]:
        how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.file.parent, "env": ENVIRONMENT}
        started = [subprocess.Popen([sys.executable, "-c", SCHEDULER, str(self.file)], **how)]
        deadline = time.monotonic() + 60
        while not self.file.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        script = self.file.with_name("worker.py")
        script.write_text(WORKER, encoding="utf-8")
        command = [sys.executable, str(script), str(self.file)]
        started += [subprocess.Popen(command, start_new_session=True, **how) for _ in range(self.workers)]
        self.started = started
        return started

    def __exit__(self, *_: object) -> None:
        for process in self.started[1:]:
            os.killpg(process.pid, signal.SIGKILL)
        self.started[0].kill()
        for process in self.started:
            process.wait()


def test_worker_does_tasks_where_the_caller_is(
    scheduler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative names mean the same; nothing is left but what the tasks wrote."""
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    cluster = choose_cluster(Path("store"), str(scheduler), None, said.append)
    (tmp_path / "store").mkdir()
    done = dict(work_through(square, range(30), 4, cluster=cluster))
    assert {number: result[0] for number, result in done.items() if result} == {k: k * k for k in range(30)}
    assert {result[2] for result in done.values() if result} == {str(tmp_path)}
    assert os.getpid() not in {result[1] for result in done.values() if result}
    assert list((tmp_path / "store").iterdir()) == []
    assert said == [line for line in said if line.startswith("Dask shows what is done at http://")]


def test_task_that_kills_its_worker_is_tried_alone_and_named(
    scheduler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One death in company, one alone, though the scheduler itself would allow four; the others are done once."""
    monkeypatch.chdir(tmp_path)
    done = dict(work_on(die_of_two, range(6), Cluster(tmp_path, str(scheduler), most_in_batch=3)))
    assert done == {0: 0, 1: 1, 2: None, 3: 9, 4: 16, 5: 25}
    assert len((tmp_path / "deaths").read_text(encoding="utf-8").splitlines()) == 2
    assert len((tmp_path / "others").read_text(encoding="utf-8").splitlines()) == 5


def test_worker_that_dies_of_something_else_costs_nothing(
    scheduler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that was under way is done by another."""
    monkeypatch.chdir(tmp_path)
    done = dict(work_on(die_once, range(4), Cluster(tmp_path, str(scheduler), most_in_batch=2)))
    assert done == {0: 0, 1: 1, 2: 4, 3: 9}


def test_workers_are_renewed(scheduler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many tasks another process goes on, and no task is lost or done twice."""
    monkeypatch.chdir(tmp_path)
    cluster = Cluster(tmp_path, str(scheduler), most_in_batch=2, renewed_after=4)
    done = dict(work_on(square, range(16), cluster))
    assert [result[0] for _, result in sorted(done.items()) if result] == [k * k for k in range(16)]
    assert len({result[1] for result in done.values() if result}) >= 3


def test_task_that_wants_processes_works_in_its_own(scheduler: Path, tmp_path: Path) -> None:
    """Dask's workers may start none."""
    ((number, done),) = work_on(by_others, [3], Cluster(tmp_path, str(scheduler)))
    assert number == 3
    assert done is not None
    assert done[3] is not None
    assert done[3][0] == 9


def test_error_that_ends_a_verb_is_the_callers(scheduler: Path, tmp_path: Path) -> None:
    """As in this process."""
    with pytest.raises(DataError, match="the disk is full at"):
        list(work_on(refuse, range(4), Cluster(tmp_path, str(scheduler))))
    assert list(tmp_path.iterdir()) == []


def test_scheduler_that_is_killed_ends_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a traceback of Dask's, and within seconds."""
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "scheduler.json", 1) as started:
        work = work_on(slowly, range(50), Cluster(tmp_path, str(tmp_path / "scheduler.json"), most_in_batch=1))
        next(work)
        started[0].kill()
        with pytest.raises(DataError, match=r"scheduler of Dask at .* is gone; start it, and run the same command"):
            list(work)


def test_jobs_do_what_workers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitit's own, on this machine: a death, a task that is to blame, and results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    cluster = Cluster(tmp_path, slurm="cluster=local,jobs=1,time=5")
    assert dict(work_on(die_of_two, range(4), cluster)) == {0: 0, 1: 1, 2: None, 3: 9}
    assert len((tmp_path / "deaths").read_text(encoding="utf-8").splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deaths", "others"]


def test_journal_without_its_end_says_what_was_under_way(tmp_path: Path) -> None:
    """Cut off at any byte: a task is done when all of its result is there, and under way when its beginning is."""
    path = tmp_path / "1.journal"
    notes = [(BEGUN, 0, None), (DONE, 0, "a"), (BEGUN, 1, None), (DONE, 1, "b")]
    whole = [pickle.dumps(note) for note in notes]
    for cut in range(len(b"".join(whole)) + 1):
        path.write_bytes(b"".join(whole)[:cut])
        num = max(k for k in range(5) if len(b"".join(whole[:k])) <= cut)
        journal = Journal.read(path)
        assert journal.results == {k: "ab"[k] for k in range(num // 2)}
        assert journal.begun == (num // 2 if num % 2 else None)
        assert journal.num_bytes == len(b"".join(whole[:num]))


def test_batch_that_nobody_waits_for_is_not_done(tmp_path: Path) -> None:
    """Its caller was killed, and its folder deleted."""
    do_batch(str(tmp_path / "gone" / "0000001.tasks"))
    assert list(tmp_path.iterdir()) == []


def test_cluster_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """With what to do, before anything is begun."""
    for dask, slurm, workers, words in (
        ("local:2", "partition=cpu", None, "give one of the two"),
        ("local:0", None, None, "a number of workers, such as local:4"),
        ("nowhere.json", None, None, "is the scheduler started, and its file here"),
        ("local:2", None, 3, "a cluster has its own"),
        (None, "partition", None, "NAME=VALUE with commas between"),
        (None, "time=long", None, "got 'time=long'"),
        (None, "jobs=0", None, "jobs must be 1 or more"),
    ):
        with pytest.raises(DataError, match=words):
            choose_cluster(tmp_path, dask, slurm, print, workers=workers)
    assert choose_cluster(tmp_path, None, None, print, workers=3) is None


def test_scheduler_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says where it was looked for."""
    monkeypatch.setattr("modelsgenesis.core.cluster_workers.CONNECT_S", 1)
    with pytest.raises(DataError, match=r"no scheduler of Dask answers at tcp://127.0.0.1:9"):
        list(work_on(square, range(3), Cluster(tmp_path, "tcp://127.0.0.1:9")))
