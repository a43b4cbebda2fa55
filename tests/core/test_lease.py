"""One process works on a folder at a time, on one machine or on several; what dead ones leave is no hindrance."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import aside_of, remove_leftovers
from modelsgenesis.core.lease import FILE, STALE_S, HeldError, await_end, held
from modelsgenesis.core.process_id import ProcessId, this_process

HOLD = """
import sys, time
from collections.abc import Callable
from pathlib import Path
from modelsgenesis.core import lease
lease.RENEWED_S = 0.05
with lease.held(Path(sys.argv[1]), "prepare"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Another process that holds a folder."""
    made = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "held\n"
    return made


def write_lease(folder: Path, process: str, age_s: float) -> None:
    """Write what a process of another machine would have left."""
    folder.mkdir(exist_ok=True)
    told = {"process": process, "host": "node7", "verb": "pretrain", "since": "2026-01-01T00:00:00+00:00", "key": "k"}
    (folder / FILE).write_text(json.dumps(told))
    then = time.time() - age_s
    os.utime(folder / FILE, (then, then))


def test_second_process_is_refused_and_told_who_holds(tmp_path: Path) -> None:
    """The error names the verb, the process and what to do; nothing is changed."""
    first = holder(tmp_path / "run")
    try:
        with pytest.raises(DataError, match=f"another genesis prepare works on .*process {first.pid} of .*wait until"):
            held(tmp_path / "run", "pretrain").__enter__()
    finally:
        first.kill()
        first.communicate()


def test_hold_of_a_killed_process_is_taken_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also while nobody has waited for the dead process, which has its number until then; one line says so."""
    first = holder(tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    with held(tmp_path, "pretrain"):
        said = capsys.readouterr().err
    assert said.startswith(f"pretrain: {tmp_path} is taken over from a dead run (process {first.pid} of ")
    assert said.count("\n") == 1
    first.communicate()
    assert list(tmp_path.iterdir()) == []


def test_number_of_a_dead_process_may_be_used_again(tmp_path: Path) -> None:
    """A living process of the same number, which started at another time, holds nothing."""
    own = this_process()
    write_lease(tmp_path, f"{own.machine}-{own.number}-{own.started + 1}", age_s=0)
    with held(tmp_path, "pretrain"):
        assert str(own) in (tmp_path / FILE).read_text(encoding="utf-8")


def test_hold_of_another_machine_lasts_while_it_is_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its processes cannot be asked; only the age of its file, by the clock of the file server, tells."""
    write_lease(tmp_path, "00000000-1-1", age_s=STALE_S - 30)
    with pytest.raises(DataError, match=r"genesis pretrain works on .* of node7, .*its hold ends in (29|30|31) s"):
        held(tmp_path, "pretrain").__enter__()
    write_lease(tmp_path, "00000000-1-1", age_s=STALE_S + 1)
    with held(tmp_path, "pretrain"):
        assert "taken over from a dead run (process 1 of node7, since 2" in capsys.readouterr().err


def test_file_of_which_nothing_is_known_holds_until_it_is_old(tmp_path: Path) -> None:
    """It may be about to be written, by a machine that is slow."""
    (tmp_path / FILE).touch()
    with pytest.raises(DataError, match="another genesis command works on"):
        held(tmp_path, "pretrain").__enter__()
    os.utime(tmp_path / FILE, (0, 0))
    with held(tmp_path, "pretrain"):
        assert str(this_process()) in (tmp_path / FILE).read_text(encoding="utf-8")


def test_hold_is_renewed_and_put_back(tmp_path: Path) -> None:
    """The file of a living holder is never old, and comes back when it was deleted."""
    first = holder(tmp_path)
    try:
        os.utime(tmp_path / FILE, (0, 0))
        wait_until(lambda: (tmp_path / FILE).stat().st_mtime > time.time() - 30)
        (tmp_path / FILE).unlink()
        wait_until((tmp_path / FILE).is_file)
        assert f"{first.pid}" in (tmp_path / FILE).read_text(encoding="utf-8")
    finally:
        first.kill()
        first.communicate()


def test_process_that_lost_its_hold_ends(tmp_path: Path) -> None:
    """A machine that was suspended wakes up beside the one that took over: it must write nothing more."""
    first = holder(tmp_path)
    write_lease(tmp_path, "00000000-1-1", age_s=0)
    _, said = first.communicate(timeout=30)
    assert first.returncode == 1
    assert said.startswith(f"prepare: {tmp_path} was taken over (process 1 of node7")
    assert (tmp_path / FILE).is_file()


def test_nothing_is_left_of_a_hold(tmp_path: Path) -> None:
    """Neither the file nor a folder in which nothing was written, also after an error."""
    with pytest.raises(ZeroDivisionError), held(tmp_path / "new", "pretrain"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file stands in its way."""
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file/run: could not be written"):
        held(tmp_path / "file" / "run", "pretrain").__enter__()


def test_two_processes_never_write_aside_to_one_file(tmp_path: Path) -> None:
    """The name holds the process, which its own machine can tell from all others."""
    script = "import sys, pathlib, modelsgenesis.core.files as files; print(files.aside_of(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    other = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    own = aside_of(tmp_path / "a")
    assert own != other
    assert own == aside_of(tmp_path / "a")
    written = ProcessId.parse(own.name.split(".")[-2])
    assert written == this_process()
    assert written.is_here
    assert written.lives


def test_what_dead_processes_left_is_deleted_and_what_live_ones_write_stays(tmp_path: Path) -> None:
    """Three floors deep, files and folders, those of earlier versions too; of another machine until they are old."""
    own = this_process()
    dead = f"{own.machine}-{own.number}-{own.started + 1}"
    (tmp_path / "a" / "b").mkdir(parents=True)
    gone = [tmp_path / f".x.{dead}.part", tmp_path / "a" / ".x.part", tmp_path / "a" / "b" / f".x.{dead}.part"]
    stay = [aside_of(tmp_path / "x"), tmp_path / "a" / ".x.00000000-1-1.part", tmp_path / "x.part"]
    old = tmp_path / ".y.00000000-1-1.part"
    for path in [*gone, *stay, old]:
        path.touch()
    (tmp_path / ".folder.part").mkdir()
    os.utime(old, (0, 0))
    remove_leftovers(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(stay)
    assert not (tmp_path / ".folder.part").exists()


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait, half a minute at most."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise TimeoutError


def test_end_of_a_holder_on_another_machine_is_waited_for(tmp_path: Path) -> None:
    """Until it has not renewed its hold for too long; one that renews it lives, and is named at once."""
    said: list[str] = []
    write_lease(tmp_path, "00000000-7-1", age_s=STALE_S - 0.8)
    await_end(tmp_path, said.append)
    assert [line.partition(",")[0] for line in said] == ["waiting to learn whether process 7 of node7"]
    write_lease(tmp_path, "00000000-7-1", age_s=1)
    renewal = threading.Timer(0.2, os.utime, [tmp_path / FILE])
    renewal.start()
    with pytest.raises(HeldError, match="process 7 of node7"):
        await_end(tmp_path, said.append)
    renewal.join()


def test_verb_that_is_soon_done_is_waited_for(tmp_path: Path) -> None:
    """And no other."""
    said: list[str] = []
    first = held(tmp_path, "prepare --list")
    first.__enter__()
    ending = threading.Timer(0.3, first.__exit__, [None, None, None])
    ending.start()
    with pytest.raises(HeldError, match="another genesis prepare --list works on"):
        held(tmp_path, "prepare").__enter__()
    with held(tmp_path, "prepare", after="prepare --list", tell=said.append):
        assert len(said) == 1
        assert said[0].startswith(f"waiting for genesis prepare --list (process {os.getpid()} of ")
    ending.join()
