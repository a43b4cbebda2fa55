"""What networks compute on, and in which precision."""

from dataclasses import dataclass
from typing import Literal

import torch

from modelsgenesis.core.errors import GenesisError

Accelerator = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "32-true", "bf16-mixed"]

SHARE = 3  # of a GPU's free memory that the weighted sum may take: one third


@dataclass(frozen=True)
class Machine:
    """A device, and whether it computes in bf16.

    Args:
        device: of the networks.
        bf16: where convolutions may.
    """

    device: torch.device
    bf16: bool = False

    def of_sum(self, num_bytes: int) -> torch.device:
        """The device of a sum of this size: the network's own, or the CPU where that has too little memory."""
        if self.device.type != "cuda" or num_bytes * SHARE <= torch.cuda.mem_get_info(self.device)[0]:
            return self.device
        return torch.device("cpu")


def find_machine(accelerator: Accelerator = "auto", precision: Precision = "auto") -> Machine:
    """Choose a device.

    Args:
        accelerator: "auto" takes a GPU where there is one.
        precision: "auto" is bf16 on GPUs that have it, and on CPUs with bf16 instructions.
    Raises:
        GenesisError: a GPU is asked for and there is none.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise GenesisError("a GPU is asked for, and there is none here; use --accelerator cpu")
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if on_gpu else torch.cpu._is_avx512_bf16_supported()
    else:
        fast = precision == "bf16-mixed"
    return Machine(torch.device("cuda" if on_gpu else "cpu"), bool(fast))
