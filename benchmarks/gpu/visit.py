"""All that is to be known of a GPU, in one command and ten minutes; each step in its own process and time.

    python benchmarks/gpu/visit.py --deadline 600 --into OUT      # on a machine with a GPU
    python benchmarks/gpu/visit.py --rehearse --into OUT          # all of it, tiny, on a CPU

README.md beside this file says what the steps are. OUT/results.md is written after each; a step that fails, hangs or
has no time left is a line there, and the next goes on.
"""

import argparse
import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SPARE = 15  # seconds kept for the last archive
LEAST = 5  # seconds without which a step is not begun
PART = 15 * 2**20  # bytes of a part of the archive
REHEARSAL = 60  # seconds a step, at a rehearsal


@dataclass(frozen=True)
class Step:
    """A step and its time box; None takes what is left."""

    name: str
    title: str
    seconds: float | None


STEPS = (
    Step("machine", "The machine and its limits", 45),
    Step("deformations", "Deformations on the device", 60),
    Step("training", "Steps of the large networks", 120),
    Step("official", "The authors' code on the same cubes", 45),
    Step("predicting", "A mask of a whole CT", 45),
    Step("pretraining", "Long pre-training", None),
)


def do(step: Step, words: str, box: float, log: Path) -> str:
    """Run a step until it is done or its time is over, then end all its processes; say how it went."""
    begin = time.monotonic()
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", f"benchmarks.gpu.steps.{step.name}", words]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            status: int | None = process.wait(timeout=box)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    taken = f"{time.monotonic() - begin:.0f} s"
    if status is None:
        return f"killed after {taken}, its time"
    last = (log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
    return f"done in {taken}" if status == 0 else f"failed after {taken}: {last[:200]}"


def rows_of(into: Path, step: Step) -> list[dict[str, Any]]:
    """What a step has found, so far."""
    path = into / "steps" / f"{step.name}.json"
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return found


def write_results(into: Path, work: Path, ways: dict[str, str], begun: str, *, tiny: bool) -> None:
    """Put all that is known so far into results.md and results.json."""
    title = "A rehearsal on a CPU: no number here says anything" if tiny else "A visit to a GPU"
    lines = [f"# {title}", "", f"Begun {begun}.", ""]
    found = {}
    for number, step in enumerate(STEPS, 1):
        if step.name not in ways:
            continue
        rows = rows_of(work, step)
        found[step.name] = {"went": ways[step.name], "rows": rows}
        lines += [f"## {number}. {step.title}: {ways[step.name]}", ""]
        if rows:
            lines += ["| what | value | goal |", "|---|---:|---|"]
            lines += [line_of(row) for row in rows] + [""]
    (into / "results.json").write_text(json.dumps({"begun": begun, "steps": found}, indent=1), encoding="utf-8")
    (into / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def line_of(row: dict[str, Any]) -> str:
    """A row of a table."""
    value = f"{row['value']:,}" if isinstance(row["value"], (int, float)) else str(row["value"]).replace("|", "/")
    goal = f"{row['goal']}: {'met' if row['met'] else '**missed**'}" if "goal" in row else ""
    return f"| {row['what']} | {value} {row['unit']} | {goal} |".replace("  ", " ")


def archive(into: Path, work: Path) -> None:
    """Put runs and logs into visit.tar.*, in parts that may be carried: `cat visit.tar.* | tar x`."""
    for old in into.glob("visit.tar.*"):
        old.unlink()
    whole = work / "visit.tar"
    with tarfile.open(whole, "w") as tar:
        for name in ("runs", "logs"):
            if (work / name).is_dir():
                tar.add(work / name, name)
    with open(whole, "rb") as file:
        for number, part in enumerate(iter(lambda: file.read(PART), b"")):
            (into / f"visit.tar.{number:02d}").write_bytes(part)


def main() -> int:
    """Do the steps in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deadline", type=float, default=600, help="seconds after which all is over")
    parser.add_argument("--into", type=Path, required=True, help="folder for the results; at most 8 files")
    parser.add_argument("--pack", type=Path, default=ROOT / ".gpu-visit", help="made by pack.sh")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS], help="these steps alone")
    parser.add_argument("--rehearse", action="store_true", help="all of it, tiny, on the CPU")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the step's processes end with this one
    end = time.monotonic() + given.deadline - (0 if given.rehearse else SPARE)
    begun = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    given.into.mkdir(parents=True, exist_ok=True)
    work, official = Path(tempfile.mkdtemp(prefix="gpu-visit-")), given.pack / "official"
    settings = {"into": work / "found", "work": work, "pack": given.pack.resolve()}
    settings |= {"official": official.resolve() if official.is_dir() else None, "tiny": given.rehearse}
    (work / "found" / "logs").mkdir(parents=True)
    ways: dict[str, str] = {}
    try:
        for step in STEPS:
            if given.only and step.name not in given.only:
                continue
            left = end - time.monotonic()
            box = min(left, REHEARSAL if given.rehearse else step.seconds or left)
            words = json.dumps({**settings, "seconds": box}, default=str)
            log = work / "found" / "logs" / f"{step.name}.txt"
            ways[step.name] = do(step, words, box, log) if left > LEAST else "left out, no time was left"
            print(f"{step.title}: {ways[step.name]}", flush=True)
            write_results(given.into, work / "found", ways, begun, tiny=given.rehearse)
            archive(given.into, work / "found")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0 if all(way.startswith("done") for way in ways.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
