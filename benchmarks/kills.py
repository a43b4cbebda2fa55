"""Whether a command that is killed at any moment, or whose disk is full, ends with the same bytes when it is run again.

    python benchmarks/kills.py --work FOLDER [--verbs prepare predict] [--kills 100] [--disks 25]

Each verb runs on made-up scans alone and with workers, once whole. Then, on the same path, it is begun again and again
with kill -9 of its process group, half of the kills at a random time, half before a random change of a file, and then
run to its end; the folders are compared. Likewise it runs on a disk (a tmpfs, which needs the right to mount) of random
size, which must end with the one line that says so, and goes on when there is space. All is drawn from a seed. What was
done is kept in FOLDER: the same command goes on after it was stopped. Folders that differ are kept in FOLDER/faults.

Exempt are: the date in made.json and pages, and the hash of another folder's made.json, which holds a date; seconds,
and numbers made of seconds, in log.csv, runs.csv and resume.pt, whose other content is compared; durations in pages,
and whole numbers in their tables, among which are seconds, and which are compared in runs.csv; and dates, host and
process in the names and lines of TensorBoard's events, whose numbers are compared as it shows them.
"""

import argparse
import csv
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import made_up
from benchmarks.made_up import TINY, VERBS

from modelsgenesis.core.provenance import package_commit

IN_A_ROW = 4  # kills before a run to its end
SECONDS = ("time_s", "cubes_per_s", "waiting", "seconds")
DURATION = re.compile(rb"\b\d+ (s|min|h)\b|<td[^>]*>\d+(?=<)")
DATE = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\+00:00)?")

WATCH = """
import atexit, os, sys
seen = 0
under, limit, told = (os.environ.get(name, "") for name in ("WATCH_UNDER", "WATCH_LIMIT", "WATCH_TOLD"))
def watch(event, arguments):
    global seen
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
        if str(arguments[0]).startswith(under):
            seen += 1
            if str(seen) == limit:
                os.killpg(0, 9)
if under:
    sys.addaudithook(watch)
if told:
    parent = os.getpid()
    atexit.register(lambda: parent == os.getpid() and open(told, "a").write(f"{seen}\\n"))
"""


@dataclass(frozen=True)
class Trial:
    """What came of one folder: a line of trials.csv."""

    verb: str
    way: str
    test: str  # kills or disk
    number: int
    kills: int  # or disks that were full
    verdict: str  # equal, or what is wrong
    seconds: float


class Subject:
    """A verb with one of its ways to work, its path, and what it gives when nobody disturbs it."""

    def __init__(self, work: Path, verb: str, way: str, words: list[str]) -> None:
        self.work, self.verb, self.way, self.words = work, verb, way, words
        self.out = work / "disk" / "out"
        self.kept = work / "whole" / f"{verb}-{way}.json"

    def whole(self) -> dict[str, object]:
        """Run it undisturbed, once for all: its files, seconds, first write, changes of files and bytes."""
        if not self.kept.is_file():
            told = self.work / "told"
            told.unlink(missing_ok=True)
            self.clear()
            begin = time.monotonic()
            process = self.start(WATCH_TOLD=str(told))
            while process.poll() is None and not self.out.exists():
                time.sleep(0.01)
            first = time.monotonic() - begin
            error = process.communicate()[1]
            if process.returncode:
                raise SystemExit(f"{self.verb}, {self.way}, fails undisturbed:\n{error.decode()}")
            counts = max(int(line) for line in told.read_text().split())
            data = {"first": first, "seconds": time.monotonic() - begin, "changes": counts}
            shutil.copytree(self.out, self.kept.with_suffix(""), dirs_exist_ok=True)
            data = {**data, "bytes": made_up.size_of(self.out), "files": contents(self.out)}
            self.kept.write_text(json.dumps(data), encoding="utf-8")
        return dict(json.loads(self.kept.read_text(encoding="utf-8")))

    def clear(self) -> None:
        """Begin with nothing."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.parent.mkdir(parents=True, exist_ok=True)

    def start(self, **watched: str) -> "subprocess.Popen[bytes]":
        """Begin in a process group of its own, whose Python processes count changes of files."""
        path = f"{self.work / 'watch'}{os.pathsep}{made_up.ROOT / 'src'}"
        env = made_up.environment(PYTHONPATH=path, WATCH_UNDER=str(self.out), **watched)
        command = made_up.genesis(*self.words)
        quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
        return subprocess.Popen(command, env=env, stdout=quiet, stderr=pipe, start_new_session=True)

    def killed(self, rng: np.random.Generator, before: int) -> bool:
        """Begin and kill it; whether it lived until then. The more kills before, the sooner: there is less to do."""
        whole = self.whole()
        at_change = rng.random() < 0.5
        change = str(rng.integers(1, int(str(whole["changes"])) // (before + 1) + 2))
        first, seconds = (float(str(whole[name])) for name in ("first", "seconds"))
        moment = first + rng.uniform(0, seconds - first) / (before + 1)
        process = self.start(**({"WATCH_LIMIT": change} if at_change else {}))
        try:
            process.communicate(timeout=self.patience() if at_change else moment)
        except subprocess.TimeoutExpired:
            end(process)
        return process.returncode == -signal.SIGKILL

    def patience(self) -> float:
        """Seconds after which a run hangs."""
        return 60 + 10 * float(str(self.whole()["seconds"]))

    def to_the_end(self) -> str:
        """Run it to its end; what is wrong then, or nothing."""
        process = self.start()
        try:
            error = process.communicate(timeout=self.patience())[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            end(process)
            return "hangs"
        return f"status {process.returncode}: {error[-2000:]}" if process.returncode else ""

    def compared(self) -> str:
        """What differs from the undisturbed run."""
        wanted, found = dict(self.whole()["files"]), contents(self.out)  # type: ignore[call-overload]
        differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        how = {name: "differs" if {name} <= wanted.keys() & found.keys() else "lacks" for name in differing}
        return ", ".join(f"{name} {'is new' if name not in wanted else how[name]}" for name in differing) or "equal"

    def trial_of_kills(self, rng: np.random.Generator) -> tuple[int, str]:
        """Kill it some times in a row, run it to its end, and compare."""
        self.clear()
        kills = 0
        while kills < IN_A_ROW and self.killed(rng, kills):
            kills += 1
        return kills, self.to_the_end() or self.compared()

    def trial_of_disk(self, rng: np.random.Generator) -> tuple[int, str]:
        """Run it on a disk that is too small, then on the same with space, and compare."""
        self.clear()
        size = int(rng.uniform(0.02, 1.0) * float(str(self.whole()["bytes"]))) // 4096 * 4096 + 8192
        disk = self.out.parent
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
        try:
            wrong = self.to_the_end()
            full = bool(wrong)
            if full and ("Traceback" in wrong or "full" not in wrong):
                return 1, f"disk of {size}: {wrong}"
            subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
            verdict = self.to_the_end() or self.compared()
            if verdict != "equal":
                self.keep(f"disk-{size}")
            return int(full), verdict
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def keep(self, name: str) -> None:
        """Keep the folder for whoever looks into it."""
        place = self.work / "faults" / f"{self.verb}-{self.way}-{name}"
        if self.out.is_dir() and not place.exists():
            shutil.copytree(self.out, place)


def end(process: "subprocess.Popen[bytes]") -> None:
    """kill -9 of a process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def contents(folder: Path) -> dict[str, str]:
    """A hash of each file of a folder, without what may differ from run to run."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "tensorboard")
    found = {str(path.relative_to(folder)): hashlib.sha256(lasting(path)).hexdigest() for path in files}
    return found | {str(path.relative_to(folder)): events(path) for path in sorted(folder.rglob("tensorboard"))}


def lasting(path: Path) -> bytes:
    """What of a file is the same in each run."""
    if path.name in ("log.csv", "runs.csv"):
        with open(path, newline="", encoding="utf-8") as file:
            rows = [{name: row[name] for name in row if name not in SECONDS} for row in csv.DictReader(file)]
        return json.dumps(rows).encode()
    if path.name == "resume.pt":
        return repr(sorted(flat(torch.load(path, weights_only=True)))).encode()
    if path.name == "made.json":
        made = json.loads(path.read_bytes())
        inputs = {name: was for name, was in made["inputs"].items() if not Path(name, "made.json").is_file()}
        return json.dumps({**made, "inputs": inputs, "finished": ""}).encode()
    if path.suffix in (".html", ".md"):
        return DURATION.sub(b"TIME", DATE.sub(b"DATE", path.read_bytes()))
    return path.read_bytes()


def flat(data: object, name: str = "") -> list[tuple[str, str]]:
    """The content of a checkpoint, name by name, but for seconds; a tensor as a hash."""
    if isinstance(data, torch.Tensor):
        return [(name, hashlib.sha256(data.numpy().tobytes()).hexdigest())]
    if not isinstance(data, dict | list | tuple):
        return [(name, repr(data))]
    parts = data.items() if isinstance(data, dict) else enumerate(data)
    return [pair for key, part in parts if key not in SECONDS for pair in flat(part, f"{name}.{key}")]


def events(folder: Path) -> str:
    """A hash of the numbers that TensorBoard shows of a run."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells that the run went on
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    tags = sorted(tag for tag in shown.Tags()["scalars"] if tag.rpartition("/")[2] not in SECONDS)
    numbers = {tag: [(one.step, one.value) for one in shown.Scalars(tag)] for tag in tags}
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()


def subjects(work: Path, verbs: list[str], *, only_alone: bool = False) -> list[Subject]:
    """The verbs' ways to work on made-up inputs, which are made here."""
    inputs = work / "inputs"
    scans, cases = made_up.scans(inputs / "scans", 8, (64, 64, 48)), made_up.cases(inputs / "cases", 8)
    run, store, out = made_up.tuned(inputs / "run"), inputs / "store", work / "disk" / "out"
    prepared = made_up.genesis("prepare", scans, store, "--salt", "test", "--modality", "CT", "--workers", 0)
    subprocess.run(prepared, env=made_up.environment(), check=True, capture_output=True)
    learn = f"{TINY} --steps 8"
    often = "--validate-every 2 --val-cubes 2"
    lines = {
        ("prepare", "alone"): f"prepare {scans} {out} --salt test --modality CT --workers 0",
        ("prepare", "2 workers"): f"prepare {scans} {out} --salt test --modality CT --workers 2",
        ("pretrain", "alone"): f"pretrain small {store} {out} {learn} {often} --workers 0",
        ("pretrain", "2 workers"): f"pretrain small {store} {out} {learn} {often} --workers 2",
        ("finetune", "alone"): f"finetune {cases} {out} --like small {learn} {often} --val 2 --test 0.2 --workers 0",
        ("finetune", "2 workers"): f"finetune {cases} {out} --like small {learn} {often} --folds 2 --workers 2",
        ("predict", "alone"): f"predict {run} {cases / 'images'} {out} --pictures --probabilities",
        ("predict", "reader"): f"predict {run} {inputs / 'nrrd'} {out}",
        ("evaluate", "alone"): f"evaluate {inputs / 'predicted'} {cases} {out} --workers 0",
        ("evaluate", "2 workers"): f"evaluate {inputs / 'predicted'} {cases} {out} --workers 2",
    }
    tiny = TINY.replace("--width 2 ", "")
    for way, workers in (("alone", 0), ("2 workers", 2)):
        task = f"benchmark {cases} {out} --from scratch --like small --cases 2 all --seeds 1 --test 0.4"
        lines["benchmark", way] = f"{task} {tiny} --steps 2 --workers {workers}"
    ways = {"alone"} if only_alone else {way for _, way in lines}
    return [Subject(work, *name, line.split()) for name, line in lines.items() if name[0] in verbs and name[1] in ways]


def check_commit(work: Path) -> None:
    """Refuse to compare what one commit wrote with what another does: made.json and reports name it."""
    (known := work / "commit").touch()
    now = package_commit() or "none"
    if (before := known.read_text(encoding="utf-8")) not in ("", now):
        raise SystemExit(f"{work} is of commit {before}, and this is {now}; use another folder, or that commit")
    known.write_text(now, encoding="utf-8")


def may_mount(work: Path) -> str:
    """Why no small disk can be mounted here, or nothing; one that is left of a run that was killed is taken away."""
    (disk := work / "disk").mkdir(parents=True, exist_ok=True)
    while os.path.ismount(disk):
        subprocess.run(["umount", disk], check=True)
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True)
    if tried.returncode:
        return tried.stderr.strip()
    subprocess.run(["umount", disk], check=True)
    return ""


def read_trials(path: Path) -> list[Trial]:
    """What was done before."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Trial(**{**row, "number": int(row["number"]), "kills": int(row["kills"]), "seconds": float(row["seconds"])})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        ]


def add(path: Path, trial: Trial) -> None:
    """Remember what was done."""
    new = not path.is_file()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Trial)])
        if new:
            writer.writeheader()
        writer.writerow(asdict(trial))


def test(subject: Subject, name: str, wanted: int, path: Path, seed: int) -> None:
    """Do the trials of a subject that are not done yet, until there were so many kills or full disks."""
    what: Callable[[np.random.Generator], tuple[int, str]]
    what = subject.trial_of_kills if name == "kills" else subject.trial_of_disk
    key = (subject.verb, subject.way, name)
    done = [one for one in read_trials(path) if (one.verb, one.way, one.test) == key]
    kills, number = sum(one.kills for one in done), len(done)
    subject.whole()
    while kills < wanted and number < 4 * wanted:
        begin = time.monotonic()
        rng = np.random.default_rng([seed, number, *"".join(key).encode()])
        more, verdict = what(rng)
        if verdict != "equal" and name == "kills":
            subject.keep(str(number))
        trial = Trial(*key, number, more, verdict, round(time.monotonic() - begin, 1))
        add(path, trial)
        print(f"{', '.join(key)}, {number}: {more} in {trial.seconds:.0f} s, {verdict}", file=sys.stderr, flush=True)
        kills, number = kills + more, number + 1


def report(trials: list[Trial]) -> str:
    """A line for each verb, way and test."""
    keys = list(dict.fromkeys((one.verb, one.way, one.test) for one in trials))
    rows = []
    for key in keys:
        mine = [one for one in trials if (one.verb, one.way, one.test) == key]
        verdicts = Counter(one.verdict.splitlines()[-1] for one in mine if one.verdict != "equal")
        wrong = "; ".join(f"{num} x {what}" for what, num in verdicts.most_common())
        rows.append((*key, sum(one.kills for one in mine), len(mine), len(mine) - verdicts.total(), wrong))
    return made_up.table(("verb", "way", "test", "times", "folders", "equal", "else"), rows)


def main(words: list[str] | None = None) -> int:
    """Do what is left to do, and print the table; the status says whether all are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder that keeps what was done")
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--alone", action="store_true", help="not with workers")
    parser.add_argument("--kills", type=int, default=50, help="of each verb, alone and with workers")
    parser.add_argument("--disks", type=int, default=10, help="that are full, of each verb, alone and with workers")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    work = given.work.resolve()
    for name in ("watch", "whole", "faults"):
        (work / name).mkdir(parents=True, exist_ok=True)
    check_commit(work)
    (work / "watch" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    no_disk = may_mount(work)
    trials = work / "trials.csv"
    for subject in subjects(work, given.verbs, only_alone=given.alone):
        test(subject, "kills", given.kills, trials, given.seed)
        if not no_disk:
            test(subject, "disk", given.disks, trials, given.seed)
    done = [one for one in read_trials(trials) if one.verb in given.verbs]
    print(f"    python benchmarks/kills.py {' '.join(sys.argv[1:] if words is None else words)}\n")
    print(report(done))
    if no_disk:
        print(f"\nno full disk was tried: {no_disk}")
    return int(any(one.verdict != "equal" for one in done))


if __name__ == "__main__":
    sys.exit(main())
