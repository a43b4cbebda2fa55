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
