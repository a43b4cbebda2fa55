"""Seconds of the processor from `genesis pretrain` to the first step of its optimiser, of two builds side by side.

    python benchmarks/first_step.py BEFORE/src AFTER/src [STORE] [--repeats 7]

Each start is a process of its own, which ends when the first step is done; builds take turns. What is counted is user
and system time of that process and its children, so that a busy machine counts little. Without a store, one of made-up
scans is prepared first. A first start of each, which compiles and caches, is not counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

START = """
import importlib, os, resource, sys

def done(*_):
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(sum(used.ru_utime + used.ru_stime for used in both), flush=True)
    os._exit(0)

def watched(*asked, load=importlib.import_module, **named):
    module = load(*asked, **named)
    if asked[0] == "modelsgenesis.pretraining.pretrain":
        from torch.optim.optimizer import register_optimizer_step_post_hook
        register_optimizer_step_post_hook(done)
    return module

importlib.import_module = watched  # nothing of torch is imported before the command line asks for it
from modelsgenesis.cli import main
sys.exit(main(sys.argv[1:]))
"""


def seconds(source: Path, store: Path) -> float:
    """Of the processor, until the first step of a build is done."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-c", START, "pretrain", "small", str(store), str(Path(name) / "run")]
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
    return float(done.stdout)


def made_up(folder: Path) -> Path:
    """A store of made-up torsos."""
    from modelsgenesis.commands.prepare import prepare
    from modelsgenesis.phantom.files import write_phantoms

    write_phantoms(folder, 3, seed=0)
    return prepare(folder / "scans", folder / "store", workers=0, quiet=True, salt="benchmark", modality="CT")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the src of one build")
    parser.add_argument("after", type=Path, help="the src of another")
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    builds = [given.before.resolve(), given.after.resolve()]
    with tempfile.TemporaryDirectory() as name:
        store = given.store.resolve() if given.store else made_up(Path(name))
        for build in builds:
            seconds(build, store)
        taken = [[seconds(build, store) for build in builds] for _ in range(given.repeats)]
    before, after = (statistics.median(column) for column in zip(*taken, strict=True))
    ratios = [late / early for early, late in taken]
    print(f"processor seconds to the first step, medians of {given.repeats}: before {before:.2f}, after {after:.2f}")
    print(f"ratio {after / before:.2f}; of each turn {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
