"""How long the first thing a user does takes: importing the package, and `genesis --help`.

Run: python benchmarks/startup.py
"""

import shutil
import statistics
import subprocess
import sys
import time

RUNS = 10
COMMANDS = {
    "python -c pass (the limit)": [sys.executable, "-c", "pass"],
    "import modelsgenesis": [sys.executable, "-c", "import modelsgenesis"],
    "genesis --help": [shutil.which("genesis", path=sys.exec_prefix + "/bin") or "genesis", "--help"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print the median of each, after a run to warm the file cache."""
    print(f"median of {RUNS} runs")
    for name, command in COMMANDS.items():
        seconds(command)
        print(f"{name:<28} {statistics.median(seconds(command) for _ in range(RUNS)):.3f} s")


if __name__ == "__main__":
    main()
