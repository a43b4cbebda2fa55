"""Made-up inputs of any number, and the commands that work on them: what `kills.py` and `soak.py` share."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests.data.scan_files import write_ct
from tests.inference.runs import make_run, thresholding_unet
from tests.tasks.task_files import write_image, write_mask

ROOT = Path(__file__).parents[1]
VERBS = ("prepare", "pretrain", "finetune", "predict", "evaluate", "benchmark")
TINY = "--size 16 16 16 --width 2 --batch-size 2 --precision 32-true --accelerator cpu"
WHOLE = "whole"  # a file beside inputs that were written to their end


def made_once(folder: Path) -> bool:
    """Whether a folder was filled to its end; if not, it is there now, to be filled."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder.with_name(f"{folder.name}.{WHOLE}").is_file()


def finished(folder: Path) -> Path:
    """Remember that a folder was filled to its end."""
    folder.with_name(f"{folder.name}.{WHOLE}").touch()
    return folder


def scans(folder: Path, number: int, size: tuple[int, ...] = (40, 36, 32)) -> Path:
    """Scans without labels."""
    if not made_once(folder):
        for seed in range(number):
            write_ct(folder / f"scan{seed:05d}.nii.gz", seed, size)
    return finished(folder)


def cases(folder: Path, number: int) -> Path:
    """Labelled cases: images/, the same as .nrrd in nrrd/, and labels/; predicted/ holds masks that lack a label."""
    if not made_once(folder):
        for seed in range(number):
            name = f"case{seed:05d}"
            write_image(folder / "images" / f"{name}.nii.gz", seed)
            write_image(folder.parent / "nrrd" / f"{name}.nrrd", seed)
            write_mask(folder / "labels" / f"{name}.nii.gz")
            write_mask(folder.parent / "predicted" / f"{name}.nii.gz", (1, 0) if seed % 2 else (1, 2))
    return finished(folder)


def tuned(folder: Path) -> Path:
    """A fine-tuned run for such cases."""
    if not made_once(folder):
        make_run(folder, thresholding_unet(0.20012, 0.60012))
    return finished(folder)


def environment(**more: str) -> dict[str, str]:
    """Of a process that runs this checkout on one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "160", **more}


def genesis(*words: object) -> list[str]:
    """The command line of a verb, which ends with the process that starts it where the system can see to that."""
    no_ghost = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return [*no_ghost, sys.executable, "-m", "modelsgenesis", *map(str, words)]


def size_of(folder: Path) -> int:
    """Bytes that the files of a folder take on a disk of pages of 4,096."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return int(sum(np.ceil(np.array([1, *sizes]) / 4096)) * 4096)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown, numbers to the right."""
    head = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return "\n".join([*head, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])
