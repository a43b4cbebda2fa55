"""Networks compute where they are to, and the sum lives where it fits."""

import pytest
import torch

from modelsgenesis.core.device import Machine, find_machine
from modelsgenesis.core.errors import GenesisError


@pytest.mark.parametrize(("precision", "bf16"), [("32-true", False), ("bf16-mixed", True)])
def test_precision_is_as_given(precision: str, bf16: bool) -> None:
    """On a CPU too."""
    assert find_machine("cpu", precision) == Machine(torch.device("cpu"), bf16)  # type: ignore[arg-type]


def test_auto_is_what_is_there() -> None:
    """A GPU where there is one; a precision that the device computes fast."""
    found = find_machine()
    assert found.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    if found.device.type == "cpu":
        assert found.bf16 == torch.cpu._is_avx512_bf16_supported()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_is_named() -> None:
    """Given in so many words."""
    with pytest.raises(GenesisError, match="a GPU is wanted, and there is none here"):
        find_machine("gpu")


def test_sum_lives_on_the_cpu_with_a_network_there() -> None:
    """However large."""
    assert Machine(torch.device("cpu")).of_sum(10**15).type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_sum_too_large_for_the_gpu_lives_on_the_cpu() -> None:
    """A third of what is free is the most."""
    machine = find_machine("gpu")
    free = torch.cuda.mem_get_info()[0]
    assert [machine.of_sum(size).type for size in (free // 4, free // 2)] == ["cuda", "cpu"]
