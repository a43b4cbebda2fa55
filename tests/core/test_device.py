"""Where a run computes, and its provenance."""

import platform

import pytest
import torch

from modelsgenesis.core.device import describe_machine, gpus_here, make_fabric
from modelsgenesis.core.errors import TrainingError


def test_provenance_says_on_what_a_run_was_computed() -> None:
    """What decides time and last digits is there; the computer's name is not."""
    machine = describe_machine(make_fabric("32-true", accelerator="cpu"))
    assert machine["device"] == "cpu"
    assert machine["precision"] == "32-true"
    assert machine["torch"] == torch.__version__
    assert machine["threads"] == torch.get_num_threads()
    assert machine["cores"] >= 1
    assert machine["processor"]
    assert not platform.node() or platform.node() not in str(machine)


def test_precision_is_the_one_that_was_chosen() -> None:
    """Not "auto", which says nothing of the machine."""
    assert describe_machine(make_fabric("bf16-mixed", accelerator="cpu"))["precision"] == "bf16-mixed"
    assert describe_machine(make_fabric("auto", accelerator="cpu"))["precision"] in ("32-true", "bf16-mixed")


def test_gpus_that_a_scheduler_granted_are_the_ones_that_are_dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names the scheduler gave; without one, all there are; none where the CPU is asked for."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_here("auto") == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-a")
    assert gpus_here("gpu") == ["5", "GPU-a"]
    assert gpus_here("cpu") == []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus_here("auto") == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_counted_as_one() -> None:
    """Nouns agree with their numbers."""
    with pytest.raises(TrainingError, match=r"^1 GPU wanted, 0 here"):
        make_fabric("auto", accelerator="gpu")
    with pytest.raises(TrainingError, match=r"^2 GPUs wanted, 0 here"):
        make_fabric("auto", accelerator="gpu", devices=2)


BATCH_SCRIPT = {
    "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "job", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
}  # fmt: skip


@pytest.fixture
def in_batch_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Slurm tells a batch script that does not use srun: as if it were the first task."""
    for name, value in BATCH_SCRIPT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)


@pytest.mark.usefixtures("in_batch_script")
def test_processes_are_started_here_where_srun_has_started_none() -> None:
    """Waiting for the other tasks of a batch script, which nobody starts, would take 20 minutes."""
    fabric = make_fabric("32-true", accelerator="cpu", devices=2)
    assert type(fabric.strategy.cluster_environment).__name__ == "LightningEnvironment"
    assert fabric.world_size == 2
    assert fabric.is_global_zero


@pytest.mark.usefixtures("in_batch_script")
def test_processes_that_srun_started_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ranks are Slurm's."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_LOCALID", "1")
    fabric = make_fabric("32-true", accelerator="cpu", devices=2)
    assert type(fabric.strategy.cluster_environment).__name__ == "SLURMEnvironment"
    assert fabric.global_rank == 1
    assert not fabric.is_global_zero


@pytest.mark.usefixtures("in_batch_script")
@pytest.mark.parametrize(
    ("changed", "nodes", "machine"),
    [
        ({}, 2, "2 devices on 2 nodes wanted, and Slurm started 1 task; start it with srun --nodes=2 --ntasks-per-no"),
        ({"SLURM_STEP_NUM_TASKS": "3"}, 1, "on 1 node wanted, and Slurm started 3 tasks; start it with srun --nodes=1"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS_PER_NODE": "1"}, 1, "start it with srun --nodes=1 --ntasks-per"),
    ],
)
def test_what_srun_has_not_started_is_refused_at_once(
    changed: dict[str, str], nodes: int, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On several nodes, or with another number of tasks, nobody would ever come."""
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match=machine):
        make_fabric("32-true", accelerator="cpu", devices=2, nodes=nodes)
