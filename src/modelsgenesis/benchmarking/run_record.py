"""What ran where, and how long: from the provenance and logs of a benchmark's runs, and of what they started from."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsgenesis.benchmarking.trial import folder_of
from modelsgenesis.core.device import MACHINE
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import GIVEN_OPTIONS, Provenance, lineage, read_provenance
from modelsgenesis.core.words import duration, many
from modelsgenesis.figures.curves import Log
from modelsgenesis.finetuning.initialization import SCRATCH

UNKNOWN = "not written down"
TIMES_HEAD = ("arm", "cases", "runs", "updates each", "time each", "all together")
STARTS_HEAD = ("arm", "pre-training", "updates", "time", "where")
Row = tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """One run of a benchmark.

    Attributes:
        arm: its name.
        cases: it was trained on.
        updates: of the optimiser; None where its folder is not here.
        time_s: spent training; NaN where nobody wrote it down.
        where: machine and program, in words.
        start: what it began with, a path; empty of scratch.
    """

    arm: str
    cases: int
    updates: int | None
    time_s: float
    where: str
    start: str


def read_ran(folder: Path, rows: Sequence[Mapping[str, str]]) -> list[Ran]:
    """Read when, where and how long each run was computed.

    Args:
        folder: of the benchmark.
        rows: of its runs.csv; several metrics of a run are one run.
    """
    found: dict[tuple[str, ...], Ran] = {}
    for row in rows:
        key = (row["task"], row["arm"], row["cases"], row["seed"])
        if key not in found:
            found[key] = _ran(folder, row)
    return list(found.values())


def place_of(folder: Path, arm: str, cases: int, seed: int) -> Path:
    """The folder of a run, which is called after its cases, or after their being all."""
    numbered = folder_of(folder, arm, cases, seed)
    return numbered if numbered.is_dir() else folder_of(folder, arm, None, seed)


def _ran(folder: Path, row: Mapping[str, str]) -> Ran:
    cases = int(row["cases"])
    run = place_of(folder, row["arm"], cases, int(row["seed"])) / "run"
    time_s = float(row.get("time_s") or math.nan)
    if not (run / PROVENANCE).is_file():
        return Ran(row["arm"], cases, None, time_s, UNKNOWN, "")
    made = read_provenance(run, "finetune")
    updates, logged_s = _logged(run)
    start = str(made.arguments.get(GIVEN_OPTIONS, {}).get("from_", ""))
    return Ran(row["arm"], cases, updates, logged_s if math.isnan(time_s) else time_s, where(made), start)


def _logged(run: Path) -> tuple[int | None, float]:
    """Read the updates and seconds from the last line of a run's log."""
    try:
        log = Log.read(run / "log.csv")
    except DataError:
        return None, math.nan
    seconds = log.points(("time_s",))[1]
    return int(log.columns["step"].max()), float(seconds[-1]) if len(seconds) else math.nan


def where(made: Provenance) -> str:
    """The machine and program of a provenance file, in words."""
    program = f"modelsgenesis {made.version}" + (f" at {made.commit[:10]}" if made.commit else "")
    machine = made.arguments.get(MACHINE)
    return f"{machine_words(machine) if isinstance(machine, Mapping) else f'machine {UNKNOWN}'}; {program}"


def machine_words(machine: Mapping[str, Any]) -> str:
    """A machine as `training.devices.describe_machine` gives it, in words."""
    cores = f"{machine['processor']}, {machine['cores']} cores of which a run used {machine['threads']}"
    device = [] if machine["device"] == "cpu" else [str(machine["device"])]
    several = [f"{machine['processes']} processes"] if machine["processes"] != 1 else []
    rest = [f"precision {machine['precision']}", f"torch {machine['torch']}", str(machine["system"])]
    return ", ".join([*device, *several, cores, *rest])


def time_rows(ran: Sequence[Ran]) -> list[Row]:
    """The rows of the table of times: one for each arm and budget, in their order."""
    groups: dict[tuple[str, int], list[Ran]] = {}
    for one in ran:
        groups.setdefault((one.arm, one.cases), []).append(one)
    rows: list[Row] = []
    for (arm, cases), some in groups.items():
        times = [one.time_s for one in some if math.isfinite(one.time_s)]
        updates = sorted({one.updates for one in some if one.updates is not None})
        rows.append(
            (
                arm,
                str(cases),
                str(len(some)),
                " to ".join(f"{each:,}" for each in dict.fromkeys((*updates[:1], *updates[-1:]))) or UNKNOWN,
                f"{duration(sum(times) / len(times))} ({duration(min(times))} to {duration(max(times))})"
                if times
                else UNKNOWN,
                duration(sum(times)) if times else UNKNOWN,
            )
        )
    return rows


def where_rows(ran: Sequence[Ran]) -> list[Row]:
    """The rows of the table of machines, with how many runs were finished on each."""
    return [(str(num), words) for words, num in Counter(one.where for one in ran).most_common()]


def start_rows(ran: Sequence[Ran]) -> list[Row]:
    """A row an arm that was pre-trained: what that took, as far as its folder is still there."""
    starts = {one.arm: one.start for one in ran if one.start not in ("", SCRATCH)}
    return [(arm, *_start(Path(start))) for arm, start in starts.items()]


def _start(start: Path) -> Row:
    run = start if start.is_dir() else start.parent
    if not (run / PROVENANCE).is_file() or not (run / "log.csv").is_file():
        return str(start), UNKNOWN, UNKNOWN, UNKNOWN
    updates, time_s = _logged(run)
    return str(start), f"{updates:,}" if updates else UNKNOWN, duration(time_s), where(lineage(run)[0][1])


def total_words(ran: Sequence[Ran]) -> str:
    """A sentence on how long all runs took."""
    times = [one.time_s for one in ran if math.isfinite(one.time_s)]
    return (
        f"{many(len(ran), 'run')}, {duration(sum(times))} of training together. Times are of the training alone, "
        "without "
        "reading, predicting and scoring; runs that shared a machine slowed each other."
    )
