"""Step 1: what the machine is, its limits, and the tests that need a GPU."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch
from benchmarks.gpu.measuring import Results, Settings, copy_bandwidth, matmul_peak

ROOT = Path(__file__).parents[3]
TESTS = ("tests/laws/test_gpu.py",)


def commit(pack: Path) -> str:
    """Of our code: as it was packed, or as the checkout says."""
    if (pack / "commit").is_file():
        return (pack / "commit").read_text(encoding="utf-8").strip()
    found = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def driver() -> str:
    """The GPU's."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "none"


def gpu_tests() -> str:
    """How the tests marked gpu went; without the tests' fixtures, which read scans."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-o", "addopts=--import-mode=importlib", "-rs"]
    command += ["--noconftest", "-p", "no:cacheprovider", "-o", "filterwarnings=default", *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    skipped = re.findall(r"^SKIPPED .*: (.*)$", done.stdout, flags=re.MULTILINE)
    broken = re.findall(r"^(?:FAILED|ERROR) (.*)$", done.stdout, flags=re.MULTILINE)
    last = (done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"])[-1].strip("= ")
    return "; ".join([last, *sorted(set(skipped)), *broken])[:400]


def main() -> None:
    """Ask and measure."""
    settings = Settings.given()
    results, tiny = Results(settings, "machine"), settings.tiny
    results.add("device", "CPU" if tiny else torch.cuda.get_device_name())
    results.add("driver", driver())
    results.add("software", f"Python {platform.python_version()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    results.add("cores", len(os.sched_getaffinity(0)))
    results.add("commit", commit(settings.pack))
    copied = copy_bandwidth(settings.device, 2**24 if tiny else 2**30)
    results.add("copy bandwidth", round(copied / 1e9, 1), "GB/s read and written")
    results.add("bf16 matmul", round(matmul_peak(settings.device, 256 if tiny else 8192) / 1e12, 3), "TFLOP/s")
    results.tried("tests marked gpu", lambda: results.add("tests marked gpu", gpu_tests()))


if __name__ == "__main__":
    main()
