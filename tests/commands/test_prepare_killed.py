"""A run of prepare that is killed at any moment is completed by the next, byte for byte."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.data.scan_files import write_ct
from tests.data.store.test_prepare import contents, quietly

PROGRAM = """
import sys
from pathlib import Path
from modelsgenesis.commands.prepare import prepare
prepare(Path(sys.argv[1]), Path(sys.argv[2]), salt="test", quiet=True, workers=int(sys.argv[3]))
"""


def start(scans: Path, store: Path, workers: int) -> subprocess.Popen[bytes]:
    """Begin to prepare in a process group of its own."""
    command = [sys.executable, "-c", PROGRAM, str(scans), str(store), str(workers)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files, large enough to be killed at."""
    folder = tmp_path_factory.mktemp("scans")
    for seed in range(12):
        write_ct(folder / f"{seed}.nii.gz", seed, size=(80, 80, 60))
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_any_moment_is_completed_byte_for_byte(scans: Path, tmp_path: Path, workers: int) -> None:
    """kill -9 of the whole group, again and again at random moments, then one run to the end."""
    whole = contents(quietly(scans, tmp_path / "whole"))
    store = tmp_path / "store"
    rng = np.random.default_rng(workers)
    kills = 0
    for _ in range(4):
        process = start(scans, store, workers)
        begun = len(list(store.glob("scans/*.b2nd")))
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(store.glob("scans/*.b2nd"))) > begun:
                break
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.05)))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 2
    process = start(scans, store, workers)
    assert process.wait(timeout=120) == 0, process.communicate()[1].decode()
    process.communicate()
    assert contents(store) == whole


def test_workers_end_with_their_parent(scans: Path, tmp_path: Path) -> None:
    """kill -9 of the parent alone leaves no process behind."""
    import psutil

    process = start(scans, tmp_path / "store", 2)
    children: list[psutil.Process] = []
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("store/scans/*.b2nd")) and time.monotonic() < deadline:
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert children
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, (gone, alive)
