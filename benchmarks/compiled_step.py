"""Whether `torch.compile` pays on a CPU: processor seconds of a training step as it is and compiled, and of compiling.

Run: python benchmarks/compiled_step.py [--width 8] [--norm batch] [--cubes 4] [--side 32] [--steps 10]
A U-Net restores random cubes in bf16 on one thread; the processes that the compiler starts count towards compiling.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor

from modelsgenesis.nets import UNet3D


def seconds_of(network: Callable[[Tensor], Tensor], cubes: Tensor, steps: int) -> float:
    """Processor seconds of a step, forward and backward, the mean of some after two."""
    begin = 0.0
    for step in range(steps + 2):
        if step == 2:
            begin = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            loss = (network(cubes) - cubes).square().mean()
        loss.backward()
    return (time.process_time() - begin) / steps


def busy() -> float:
    """Processor seconds of this process and of those it started that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--norm", default="batch")
    parser.add_argument("--cubes", type=int, default=4)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = UNet3D(1, 1, width=options.width, norm=options.norm)
    cubes = torch.rand(options.cubes, 1, *[options.side] * 3)
    eager = seconds_of(network, cubes, options.steps)
    begin = busy()
    compiled = torch.compile(network)
    seconds_of(compiled, cubes, 1)
    cost = busy() - begin - 3 * eager
    fast = seconds_of(compiled, cubes, options.steps)
    print(f"width {options.width}, norm {options.norm}, {options.cubes} cubes of {options.side}: ", end="")
    print(f"{1000 * eager:.0f} ms a step, {1000 * fast:.0f} compiled ({fast / eager:.2f}); compiling {cost:.0f} s")


if __name__ == "__main__":
    main()
