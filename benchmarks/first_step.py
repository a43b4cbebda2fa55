"""Seconds of the processor until a verb does what it is for, of two builds side by side.

    python benchmarks/first_step.py BEFORE/src AFTER/src [--verbs finetune predict] [--repeats 7] [--store STORE]

`pretrain` and `finetune` end when their optimiser has stepped once, `predict` when the network has computed its first
window. Each start is a process of its own; builds take turns. What is counted is user and system time of that process
and its children, so that a busy machine counts little. Without a store, one of made-up scans is prepared first; the
labelled cases and the fine-tuned run are made by the build before, since the one after reads them too. A first start of
each, which compiles and caches, is not counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

VERBS = ("pretrain", "finetune", "predict")
SIDE, CASES = 48, 6  # voxels, and labelled cases

START = """
import importlib, os, resource, sys

def done(*_):
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print("seconds", sum(used.ru_utime + used.ru_stime for used in both), flush=True)
    os._exit(0)

def watched(*given, load=importlib.import_module, **named):
    module = load(*given, **named)
    if given[0].rpartition(".")[2] == sys.argv[1]:
        if sys.argv[1] == "predict":
            from torch.nn.modules.module import register_module_forward_hook
            register_module_forward_hook(lambda module, *_: done() if hasattr(module, "stride") and callable(getattr(
                module, "encode", None)) else None)
        else:
            from torch.optim.optimizer import register_optimizer_step_post_hook
            register_optimizer_step_post_hook(done)
    return module

importlib.import_module = watched  # nothing of torch is imported before the command line asks for it
from modelsgenesis.cli import main
sys.exit(main(sys.argv[1:]))
"""


def environment(source: Path) -> dict[str, str]:
    """Of a process that runs a build, on one thread."""
    return {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}


def seconds(source: Path, words: list[str]) -> float:
    """Of the processor, until a build has done what the verb is for, in a folder of its own that OUT stands for."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-c", START, *(word.replace("OUT", f"{name}/out") for word in words)]
        done = subprocess.run(command, env=environment(source), check=True, capture_output=True, text=True)
    return float(done.stdout.rpartition("seconds ")[2])


def genesis(source: Path, *words: str) -> None:
    """Run a verb to its end."""
    command = [sys.executable, "-m", "modelsgenesis", *words]
    subprocess.run(command, env=environment(source), check=True, capture_output=True)


def made_up(folder: Path) -> Path:
    """Scans of made-up torsos."""
    from modelsgenesis.phantom.files import write_phantoms

    write_phantoms(folder, 3, seed=0)
    return folder / "scans"


def labelled(folder: Path) -> Path:
    """Cases of a bright ball each, with its mask."""
    rng = np.random.default_rng(0)
    for number in range(CASES):
        centre = rng.uniform(SIDE / 3, 2 * SIDE / 3, 3)
        far = np.linalg.norm(np.indices((SIDE,) * 3) - centre[:, None, None, None], axis=0)
        image = rng.normal(0, 100, (SIDE,) * 3) + 400 * (far < SIDE / 5)
        for kind, values in (("images", image.astype(np.float32)), ("labels", (far < SIDE / 5).astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(values), folder / kind / f"case{number}.nii.gz")
    return folder


def commands(verbs: list[str], store: Path | None, folder: Path, before: Path) -> dict[str, list[str]]:
    """The words of each verb, OUT in place of the folder that it writes."""
    words: dict[str, list[str]] = {}
    if "pretrain" in verbs:
        if store is None:
            store = folder / "store"
            genesis(before, "prepare", str(made_up(folder)), str(store), "--workers", "0", "--modality", "CT")
        words["pretrain"] = ["pretrain", "small", str(store), "OUT"]
    if {"finetune", "predict"} & {*verbs}:
        data, run = labelled(folder / "data"), folder / "run"
        start = ["--like", "small", "--steps", "2", "--batch-size", "2", "--size", "32", "32", "32"]
        genesis(before, "finetune", str(data), str(run), *start)
        words["finetune"] = ["finetune", str(data), "OUT", *start]
        words["predict"] = ["predict", str(run), str(data / "images"), "OUT", "--batch-size", "1"]
    return {verb: words[verb] for verb in verbs}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the src of one build")
    parser.add_argument("after", type=Path, help="the src of another")
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    builds = [given.before.resolve(), given.after.resolve()]
    with tempfile.TemporaryDirectory() as name:
        store = given.store.resolve() if given.store else None
        for verb, words in commands(given.verbs, store, Path(name), builds[0]).items():
            for build in builds:
                seconds(build, words)
            taken = [[seconds(build, words) for build in builds] for _ in range(given.repeats)]
            before, after = (statistics.median(column) for column in zip(*taken, strict=True))
            ratios = [late / early for early, late in taken]
            print(
                f"{verb}: processor seconds, medians of {given.repeats}: before {before:.2f}, after {after:.2f}; "
                f"ratio {after / before:.2f}, of each turn {min(ratios):.2f} to {max(ratios):.2f}"
            )


if __name__ == "__main__":
    main()
