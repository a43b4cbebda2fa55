"""What a command costs in two builds of this package, in processor seconds.

Run: python benchmarks/builds.py BEFORE AFTER [--repeats 3] -- prepare SCANS OUT --workers 0 --quiet

BEFORE and AFTER are clones at two commits. The command runs with each in turn on one thread, children included; the
word OUT stands for a fresh folder. Prints every number, and the ratio of the least of each.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def cost(clone: Path, words: Sequence[str]) -> float:
    """Processor seconds of a command with a clone's package."""
    env = {**os.environ, "PYTHONPATH": str(clone.resolve() / "src"), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "modelsgenesis", *words], env=env, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{clone}: {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("words", nargs="+", help="of the command, after --")
    options = parser.parse_args()
    found: dict[Path, list[float]] = {clone: [] for clone in options.clones}
    for turn in range(options.repeats):
        for clone, seconds in found.items():
            with tempfile.TemporaryDirectory() as folder:
                out = str(Path(folder, f"out{turn}"))
                seconds.append(cost(clone, [out if word == "OUT" else word for word in options.words]))
    for clone, seconds in found.items():
        print(f"{clone}: {' '.join(f'{one:.2f}' for one in seconds)}")
    before, after = (min(seconds) for seconds in found.values())
    print(f"genesis {' '.join(options.words)}: {after / before:.3f}")


if __name__ == "__main__":
    main()
