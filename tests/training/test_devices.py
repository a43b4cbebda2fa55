"""Where a run computes, and how its certificate says so."""

import platform

import torch

from modelsgenesis.training.devices import describe_machine, make_fabric


def test_certificate_says_on_what_a_run_was_computed() -> None:
    """What decides time and last digits is there; the computer's name is not."""
    said = describe_machine(make_fabric("32-true", accelerator="cpu"))
    assert said["device"] == "cpu"
    assert said["precision"] == "32-true"
    assert said["torch"] == torch.__version__
    assert said["threads"] == torch.get_num_threads()
    assert said["cores"] >= 1
    assert said["processor"]
    assert not platform.node() or platform.node() not in str(said)


def test_precision_is_the_one_that_was_chosen() -> None:
    """Not "auto", which says nothing of the machine."""
    assert describe_machine(make_fabric("bf16-mixed", accelerator="cpu"))["precision"] == "bf16-mixed"
    assert describe_machine(make_fabric("auto", accelerator="cpu"))["precision"] in ("32-true", "bf16-mixed")
