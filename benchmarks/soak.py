"""Whether long runs need more memory, files or time the longer they run.

    python benchmarks/soak.py --work FOLDER [--parts prepare predict] [--share 1] [--minutes 120]

Prepares 3,000 small scans, pre-trains for 20,000 tiny steps with two loader workers, runs a benchmark of 100 tiny runs,
evaluates 2,000 cases and predicts 500, or a share of all that. Twice a second it asks the system for the resident
memory and the open files of the process and of its children. Growth is what the median of the last tenth of the samples
exceeds that of the second tenth by, while units are being done: what is loaded to draw the page at the end does not
count. It is none up to 32 MiB of memory (of the process, and of its children together) and 4 open files.

All is kept in FOLDER: after --minutes, or when it was stopped, the same command goes on. Growth is that of the longest
stretch without a stop. Prints the table of benchmarks/results/soak.md; the status says whether nothing grew.
"""

import argparse
import csv
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import made_up
from benchmarks.made_up import TINY

EVERY_S = 0.5
MOST_MIB, MOST_FILES = 32, 4  # that count as no growth
FEWEST = 20  # samples of a stretch whose growth says anything


@dataclass(frozen=True)
class Sample:
    """What a process and its children held at a moment: a line of FOLDER/PART.csv."""

    stretch: int  # from one start to the next
    seconds: float  # since this start
    done: int  # units, as far as its files say
    mib: float
    children: int
    children_mib: float
    files: int


@dataclass(frozen=True)
class Part:
    """A verb, how much it does, and how far it is.

    Attributes:
        name: of its verb.
        unit: what it does many of.
        number: of units.
        words: of the command.
        out: the folder that it writes.
        done: how many units are done, as files and lines in its folder say.
    """

    name: str
    unit: str
    number: int
    words: list[str]
    out: Path
    done: Callable[[Path], int]


def stored(out: Path) -> int:
    """Scans in a store."""
    return sum(name.endswith(".b2nd") and name[0] != "." for name in listed(out / "scans"))


def predicted(out: Path) -> int:
    """Cases with a record."""
    return sum(name.endswith(".json") and name[0] != "." for name in listed(out / "records"))


def scored(out: Path) -> int:
    """Runs of a benchmark that were scored."""
    return sum(1 for _ in out.glob("runs/*/*/*/scores/made.json"))


def compared(out: Path) -> int:
    """Cases that evaluate told of, among its latest lines."""
    told = re.findall(r"evaluate: (\d+) of", (out.parent / f"{out.name}.err").read_text(encoding="utf-8"))
    return int(told[-1]) if told else 0


def steps(out: Path) -> int:
    """Steps in a log."""
    lines = (out / "log.csv").read_text(encoding="utf-8").splitlines() if (out / "log.csv").is_file() else []
    number = lines[-1].partition(",")[0] if len(lines) > 1 else "0"
    return int(number) if number.isdecimal() else 0


def listed(folder: Path) -> list[str]:
    """The names in a folder that may not be there yet."""
    return os.listdir(folder) if folder.is_dir() else []


def make_part(name: str, work: Path, share: float) -> Part:
    """A part on made-up inputs, which are made here."""
    inputs, out = work / "inputs", work / name
    units = {"prepare": 3000, "pretrain": 20000, "benchmark": 100, "evaluate": 2000, "predict": 500}
    number = max(int(units[name] * share), 4)
    if name == "prepare":
        scans = made_up.scans(inputs / "scans", number)
        line = f"prepare {scans} {out} --salt test --modality CT --workers 2"
        return Part(name, "scan", number, line.split(), out, stored)
    if name == "pretrain":
        store = inputs / "store"
        words = f"prepare {made_up.scans(inputs / 'few', 8)} {store} --salt test --modality CT --workers 0"
        subprocess.run(made_up.genesis(*words.split()), env=made_up.environment(), check=True, capture_output=True)
        often = f"--validate-every {max(number // 40, 1)} --val-cubes 2"
        line = f"pretrain small {store} {out} {TINY} --steps {number} {often} --workers 2"
        return Part(name, "step", number, line.split(), out, steps)
    if name == "benchmark":
        tiny = TINY.replace("--width 2 ", "")
        few = made_up.cases(inputs / "few" / "cases", 8)
        line = f"benchmark {few} {out} --from scratch --like small --cases 2 --seeds {number} --test 0.4 {tiny}"
        return Part(name, "run", number, [*line.split(), "--steps", "2"], out, scored)
    many = made_up.cases(inputs / f"many{number}" / "cases", number)
    if name == "evaluate":
        line = f"evaluate {many.parent / 'predicted'} {many} {out} --workers 2"
        return Part(name, "case", number, line.split(), out, compared)
    line = f"predict {made_up.tuned(inputs / 'run')} {many.parent / 'nrrd'} {out}"
    return Part(name, "case", number, line.split(), out, predicted)


def follow(part: Part, work: Path, until: float) -> bool:
    """Run a part until it is done or the time is over, with samples; whether it is done."""
    whole = work / f"{part.name}.done"
    if whole.is_file():
        return True
    before = read_samples(work / f"{part.name}.csv")
    stretch = max((one.stretch for one in before), default=-1) + 1
    with open(work / f"{part.name}.err", "ab") as errors:
        process = subprocess.Popen(
            made_up.genesis(*part.words), env=made_up.environment(), stdout=errors, stderr=errors
        )
    begin, code = time.monotonic(), None
    with open(work / f"{part.name}.csv", "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        if not before:
            writer.writeheader()
        while (code := process.poll()) is None and time.monotonic() < until:
            if sample := look(process.pid, part, stretch, time.monotonic() - begin):
                writer.writerow(asdict(sample))
                file.flush()
            time.sleep(EVERY_S)
    if code is None:
        stop(process)
        return False
    if code:
        raise SystemExit(f"{part.name} ended with status {code}; {work / part.name}.err says why")
    whole.touch()
    return True


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, then end it."""
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def look(pid: int, part: Part, stretch: int, seconds: float) -> Sample | None:
    """Take a sample; None when the process has just ended."""
    try:
        main = psutil.Process(pid)
        mib, files = main.memory_info().rss / 2**20, main.num_fds()
        children = main.children(recursive=True)
    except psutil.Error:
        return None
    held = []
    for child in children:
        try:
            held.append((child.memory_info().rss / 2**20, child.num_fds()))
        except psutil.Error:  # it has just ended
            continue
    memory = round(sum(rss for rss, _ in held), 1)
    return Sample(
        stretch,
        round(seconds, 2),
        part.done(part.out),
        round(mib, 1),
        len(held),
        memory,
        files + sum(n for _, n in held),
    )


def read_samples(path: Path) -> list[Sample]:
    """The samples of a part; a line that was cut off by a stop is left out."""
    if not path.is_file():
        return []
    names = [field.name for field in fields(Sample)]
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if all(row.get(name) for name in names)]
    kinds = {field.name: int if field.type is int else float for field in fields(Sample)}
    return [Sample(**{name: kinds[name](row[name]) for name in names}) for row in rows]


def under_way(part: Part, samples: list[Sample]) -> list[Sample]:
    """The samples of the longest stretch, while units are being done."""
    longest = max({one.stretch for one in samples}, key=lambda n: sum(one.stretch == n for one in samples), default=0)
    mine = [one for one in samples if one.stretch == longest and one.mib > 0]
    first = mine[0].done if mine else 0
    return [one for one in mine if first < one.done < part.number]


def growth(samples: list[Sample]) -> dict[str, float]:
    """What the last tenth has more than the second."""
    tenth = max(len(samples) // 10, 1)
    early, late = samples[tenth : 2 * tenth], samples[-tenth:]

    def median(some: list[Sample], name: str) -> float:
        return float(np.median([getattr(one, name) for one in some]))

    return {name: median(late, name) - median(early, name) for name in ("mib", "children_mib", "files")}


def thirds(samples: list[Sample]) -> tuple[str, str]:
    """Milliseconds a unit in each third, and memory at the end of each, of the process and its children."""
    marks = [samples[(len(samples) - 1) * part // 3] for part in range(4)]
    pairs = list(itertools.pairwise(marks))
    times = [1000 * (b.seconds - a.seconds) / (b.done - a.done) if b.done > a.done else float("nan") for a, b in pairs]
    memory = [f"{one.mib:.0f} + {one.children_mib:.0f}" for one in marks[1:]]
    return ", ".join(f"{each:.1f}" for each in times).replace("nan", "-"), ", ".join(memory)


def row_of(part: Part, samples: list[Sample]) -> tuple[list[object], bool]:
    """A line of the table, and whether nothing grew."""
    work = under_way(part, samples)
    stretches = len({one.stretch for one in samples})
    seconds = sum(max(one.seconds for one in samples if one.stretch == n) for n in {one.stretch for one in samples})
    start: list[object] = [part.name, f"{part.number} {part.unit}s", stretches, f"{seconds / 60:.1f}"]
    if len(work) < FEWEST:
        return [*start, "-", "-", "-", "-", "-", f"too short: {len(work)} samples"], True
    grown = growth(work)
    well = max(grown["mib"], grown["children_mib"]) <= MOST_MIB and grown["files"] <= MOST_FILES
    numbers = [f"{grown['mib']:+.1f}", f"{grown['children_mib']:+.1f}", f"{grown['files']:+.0f}"]
    return [*start, *thirds(work), *numbers, "none" if well else "it grows"], well


def main(words: list[str] | None = None) -> int:
    """Do what is left to do in the time there is, and print the table; the status says whether nothing grew."""
    names = ("prepare", "predict", "evaluate", "benchmark", "pretrain")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder that keeps what was done")
    parser.add_argument("--parts", nargs="+", default=list(names), choices=names)
    parser.add_argument("--share", type=float, default=1.0, help="of all units")
    parser.add_argument("--minutes", type=float, default=120.0, help="after which it stops; the same command goes on")
    given = parser.parse_args(words)
    work, until = given.work.resolve(), time.monotonic() + 60 * given.minutes
    work.mkdir(parents=True, exist_ok=True)
    rows, good = [], True
    for name in given.parts:
        if time.monotonic() > until:
            print("stopped; the same command goes on from there", file=sys.stderr)
            break
        part = make_part(name, work, given.share)
        done = follow(part, work, until)
        row, well = row_of(part, read_samples(work / f"{name}.csv"))
        rows.append(row if done else [*row[:-1], "not done yet"])
        good = good and well
    print(f"    python benchmarks/soak.py {' '.join(sys.argv[1:] if words is None else words)}\n")
    columns = ("part", "n", "starts", "minutes", "ms a unit by thirds", "MiB, own + children, after thirds")
    print(made_up.table((*columns, "grown MiB", "of children", "open files", "growth"), rows))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
