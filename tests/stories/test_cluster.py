"""Every verb that works on a cluster gives what one process gives, byte for byte, whoever is killed meanwhile."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file
from tests.balls import blob, write_image
from tests.core.test_cluster import ENVIRONMENT, serving
from tests.data.scan_files import make_ct, write_ct, write_series
from tests.data.store.test_prepare import contents
from tests.embedding.test_embed import write_network
from tests.inference.runs import make_run

import modelsgenesis as mg
from modelsgenesis.commands.benchmark import benchmark
from modelsgenesis.commands.embed import embed
from modelsgenesis.data import sources
from modelsgenesis.data.formats import classify
from modelsgenesis.data.formats.nifti import Nifti

quietly = functools.partial(mg.prepare, quiet=True, salt="test")
TINY = {"steps": 2, "batch_size": 2, "size": (16, 16, 16), "precision": "32-true", "test": 0.25, "seeds": 1}


@dataclass(frozen=True)
class Deadly(Nifti):
    """Stands in for a decoder that ends its process."""

    def read(self, place: Any, region: Any = None) -> Any:
        """Note it, and kill this process."""
        with open(place.path.with_name("deaths.log"), "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The file of a scheduler with two workers."""
    file = tmp_path_factory.mktemp("dask") / "scheduler.json"
    with serving(file, 2):
        yield str(file)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine scans, large enough to be killed at, and a file that is cut off."""
    folder = tmp_path_factory.mktemp("cluster") / "scans"
    for seed in range(8):
        write_ct(folder / f"{seed}.nii.gz", seed, size=(80, 80, 60))
    write_series(folder / "Doe_Jane", make_ct(7))
    path = write_ct(folder / "cut.nii", 9)
    path.write_bytes(path.read_bytes()[:-100])
    return folder


@pytest.fixture(scope="module")
def whole(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The store of one process."""
    return contents(quietly(scans, tmp_path_factory.mktemp("whole") / "store", workers=0))


def begin(scans: Path, store: Path, cluster: str) -> "subprocess.Popen[str]":
    """Begin to prepare on a cluster, and wait for the first scan."""
    words = [*("prepare", str(scans), str(store)), *("--salt", "test", "--cluster", cluster)]
    command = [sys.executable, "-m", "modelsgenesis", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(store.glob("scans/*.b2nd")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return process


def test_scan_that_kills_its_worker_is_named(
    scheduler: str, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried once in company and once alone; the store is that of one process of this machine."""
    folder = shutil.copytree(scans, tmp_path / "scans")
    monkeypatch.setattr(
        sources, "classify", lambda file, **how: Deadly() if file.name == "3.nii.gz" else classify(file, **how)
    )
    store = quietly(folder, tmp_path / "store", cluster=scheduler)
    assert len((folder / "deaths.log").read_text(encoding="utf-8").split()) == 2
    (folder / "deaths.log").unlink()
    here = quietly(folder, tmp_path / "here", workers=1)
    assert "3.nii.gz,error,the process that read it died" in (store / "problems.csv").read_text(encoding="utf-8")
    assert contents(store) == contents(here)


def test_killed_worker_and_killed_scheduler_cost_nothing(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """The work of a killed worker is done by the next; without its scheduler the command ends, and goes on later."""
    with serving(tmp_path / "scheduler.json", 2) as started:
        process = begin(scans, tmp_path / "store", str(tmp_path / "scheduler.json"))
        for child in psutil.Process(started[1].pid).children(recursive=True):
            child.kill()
        assert process.wait(timeout=120) == 0, process.communicate()[1]
        process.communicate()
        assert contents(tmp_path / "store") == whole
        process = begin(scans, tmp_path / "again", str(tmp_path / "scheduler.json"))
        started[0].kill()
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "is gone; start it, and run the same command again" in said.splitlines()[-1]
    assert contents(quietly(scans, tmp_path / "again", workers=0)) == whole


@pytest.mark.slow
def test_killed_client_costs_nothing(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Its own workers end with it; the same command goes on."""
    process = begin(scans, tmp_path / "store", "local:2")
    assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(children, timeout=30)[1]
    assert contents(quietly(scans, tmp_path / "store", cluster="local:1")) == whole


def test_part_of_a_store_on_a_cluster(scheduler: str, scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Both together."""
    quietly(scans, tmp_path / "store", cluster=scheduler, part="2/2")
    assert contents(quietly(scans, tmp_path / "store", cluster=scheduler)) == whole


def test_jobs_prepare_what_processes_do(
    scans: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By submitit, on this machine."""
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    assert contents(quietly(scans, tmp_path / "store", slurm="cluster=local,jobs=1,time=10")) == whole


@pytest.fixture(scope="module")
def few(scans: Path) -> Path:
    """Two small scans, and the one that is cut off."""
    folder = scans.with_name("few")
    for seed in range(2):
        write_ct(folder / f"{seed}.nii.gz", seed)
    shutil.copy(scans / "cut.nii", folder)
    return folder


@pytest.mark.slow
def test_predictions_and_scores_are_those_of_one_process(scheduler: str, few: Path, tmp_path: Path) -> None:
    """Masks, records, tables and lines of what is wrong."""
    run = make_run(tmp_path / "run")
    how = {"accelerator": "cpu", "precision": "32-true", "engine": "torch", "quiet": True}
    one, two = (
        mg.predict(run, few, tmp_path / name, **how, **where)
        for name, where in (("one", {}), ("two", {"cluster": scheduler}))
    )
    assert contents(one) == contents(two)
    assert len(list(one.glob("records/*.json"))) == 2
    shutil.copytree(two, tmp_path / "truth", ignore=shutil.ignore_patterns("*.csv", "*.json", "records"))
    scores = [
        mg.evaluate(one, tmp_path / "truth", tmp_path / f"scores{number}", resamples=10, quiet=True, **where)
        for number, where in enumerate(({"workers": 0}, {"cluster": scheduler}))
    ]
    assert (scores[0] / "cases.csv").read_bytes() == (scores[1] / "cases.csv").read_bytes()
    assert (scores[0] / "summary.csv").read_bytes() == (scores[1] / "summary.csv").read_bytes()


@pytest.mark.slow
def test_vectors_are_those_of_one_process(scheduler: str, few: Path, tmp_path: Path) -> None:
    """Of a network and of a baseline."""
    write_network(tmp_path / "net.safetensors")
    for network in (str(tmp_path / "net.safetensors"), "raw"):
        how = {"quiet": True, "engine": "torch", "precision": "32-true"}
        one = embed(network, few, tmp_path / f"one{network[-3:]}", **how)
        two = embed(network, few, tmp_path / f"two{network[-3:]}", cluster=scheduler, **how)
        assert contents(one) == contents(two)


@pytest.mark.slow
def test_runs_of_a_benchmark_are_those_of_one_process(scheduler: str, tmp_path: Path) -> None:
    """The same weights and scores, and a record that does not say where."""
    for number in range(8):
        image, mask = blob(number)
        write_image(tmp_path / "balls" / "images" / f"ball{number}.nii.gz", image)
        write_image(tmp_path / "balls" / "labels" / f"ball{number}.nii.gz", mask)
    one, two = (
        benchmark(tmp_path / "balls", tmp_path / name, cases=("2",), like="small", **TINY, **where)
        for name, where in (("one", {}), ("two", {"cluster": scheduler}))
    )
    (place,) = [path.relative_to(one) for path in one.rglob("model.safetensors")]
    ours, theirs = load_file(one / place), load_file(two / place)
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours)
    assert (one / "cases.csv").read_bytes() == (two / "cases.csv").read_bytes()
    assert "scheduler" not in (two / "made.json").read_text(encoding="utf-8")
