"""How much faster a network works on a CPU when the weights of its convolutions lie channels last.

Run: python benchmarks/channels_last.py
Prints, for widths and precisions, milliseconds of an optimiser step and of a prediction with both layouts, taken in
turns within one run, and their ratio.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.memory_layout import put_channels_last


def make_work(
    width: int, size: tuple[int, ...], batch: int, precision: torch.dtype, last: bool
) -> dict[str, Callable[[], None]]:
    """A step of training and a prediction, ready to be timed."""
    torch.manual_seed(0)
    network = UNet3D(width=width)
    if last:
        put_channels_last(network)
    optimizer = torch.optim.AdamW(network.parameters())
    x = torch.rand(batch, 1, *size)

    def prediction() -> torch.Tensor:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            y: torch.Tensor = network(x)
        return y.float()

    def step() -> None:
        network.train()
        loss = (prediction() - x).square().mean()
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()

    @torch.inference_mode()
    def predict() -> None:
        network.eval()
        prediction()

    return {"step": step, "prediction": predict}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=(64, 64, 32))
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| width | precision | work | channels first, ms | channels last, ms | ratio |")
    print("|---:|---|---|---:|---:|---:|")
    for width in (8, 16, 32):
        for precision in (torch.float32, torch.bfloat16):
            made = [make_work(width, options.size, options.batch_size, precision, last) for last in (False, True)]
            for name in ("step", "prediction"):
                times: list[list[float]] = [[], []]
                for repeat in range(options.repeats + 1):
                    for taken, work in zip(times, made, strict=True):
                        started = time.perf_counter()
                        work[name]()
                        if repeat:  # the first warms up
                            taken.append(1000 * (time.perf_counter() - started))
                first, last = map(statistics.median, times)
                kind = str(precision).removeprefix("torch.")
                print(f"| {width} | {kind} | {name} | {first:.0f} | {last:.0f} | {last / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
