"""Through how many of our files and functions things pass: a source, a cube, a case, a prediction, a score.

Counted by a profiler on made-up scans, after a first run has loaded and compiled all: the functions of the package that
are called, and the files they lie in. What runs at import is left out, and so are lambdas and comprehensions.

Run: python benchmarks/paths.py                                   this checkout
     python benchmarks/paths.py --src ../other/src src            several, side by side
     python benchmarks/paths.py --list prepare                    the files of one path, in the order they are entered
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
PATHS = {
    "prepare": "a source, from `prepare` to the store",
    "pretrain": "a cube in `pretrain`, from the store through its views to the loss",
    "finetune": "two cases in `finetune`, all of the verb",
    "predict": "a scan in `predict`, all of the verb",
    "evaluate": "a mask in `evaluate`, all of the verb",
}
OF_A_CUBE = ("__getitem__", "views", "losses")  # what is called of our classes for one


class Profiler:
    """The functions of the package that are called, in the order in which they first are.

    Args:
        package: its folder.
        below: names of functions; only what they call, and they, counts; all does by default.
    """

    def __init__(self, package: Path, below: Collection[str] = ()) -> None:
        self.package, self.below = f"{package}{os.sep}", below
        self.called: dict[CodeType, None] = {}
        self._inside = 0

    def __enter__(self) -> "Profiler":
        threading.setprofile(self._see)
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(self.package):
            return
        opens = code.co_name in self.below
        self._inside += opens * (1 if event == "call" else -1)
        counts = self._inside or not self.below
        if event == "call" and counts and not code.co_name.startswith("<"):
            self.called.setdefault(code)

    def files(self) -> list[str]:
        """The files, below the package's folder."""
        return list(dict.fromkeys(code.co_filename.removeprefix(self.package) for code in self.called))


def write_blob(path: Path, number: int, *, mask: bool = False) -> None:
    """Write a made-up CT with a bright ball in it, or the mask of the ball."""
    import numpy as np
    import SimpleITK as sitk

    grid = np.stack(np.meshgrid(*[np.arange(side) - side / 2 for side in (40, 44, 36)], indexing="ij"))
    ball = (grid**2).sum(axis=0) < (8 + number) ** 2
    noise = np.random.default_rng(number).normal(0, 60, ball.shape)
    values = ball.astype(np.uint8) if mask else (noise - 600 + 700 * ball).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(image, str(path))


def walks(home: Path) -> dict[str, tuple[Callable[[str], Any], tuple[str, ...]]]:
    """What to call, once to warm up and once to count, with a name for what is written; and below what to count."""
    import modelsgenesis as mg
    from modelsgenesis.recipes import small

    plan = {"steps": 2, "batch_size": 1, "validate_every": 2, "val_cubes": 1, "warmup_steps": 1, "workers": 0}
    recipe = small().but(cubes={"size": (16, 16, 16)}, backbone_args={"width": 2}, plan=plan)
    short = {"steps": 2, "batch_size": 1, "validate_every": 2, "warmup_steps": 1, "workers": 0, "precision": "32-true"}
    tiny = {"like": "small", "width": 2, "size": (16, 16, 16), "quiet": True}

    def prepare(name: str, scans: str = "one") -> Path:
        return Path(mg.prepare(home / scans, home / name, modality="CT", workers=0, salt="s", quiet=True))

    return {
        "prepare": (lambda name: prepare(name), ()),
        "pretrain": (lambda name: mg.pretrain(recipe, prepare(f"{name}-store", "scans"), home / name), OF_A_CUBE),
        "finetune": (lambda name: mg.finetune(home / "task", home / name, val=1, **tiny, **short), ()),
        "predict": (lambda name: mg.predict(home / "finetune-warm", home / "one", home / name, quiet=True), ()),
        "evaluate": (
            lambda name: mg.evaluate(
                home / "predict-warm", home / "task", home / name, only_predicted=True, quiet=True
            ),
            (),
        ),
    }


def count(home: Path) -> dict[str, dict[str, Any]]:
    """Count in this process, {path: {"files": their names, "functions": how many}}."""
    for number in range(4):
        write_blob(home / "scans" / f"{number}.nii.gz", number)
        write_blob(home / "task" / "images" / f"{number}.nii.gz", number)
        write_blob(home / "task" / "labels" / f"{number}.nii.gz", number, mask=True)
    write_blob(home / "one" / "0.nii.gz", 0)
    import modelsgenesis

    package = Path(modelsgenesis.__file__).parent
    found: dict[str, dict[str, Any]] = {}
    for name, (walk, below) in walks(home).items():
        walk(f"{name}-warm")
        with Profiler(package, below) as profiler:
            walk(f"{name}-counted")
        found[name] = {"files": profiler.files(), "functions": len(profiler.called)}
    return found


def counted(src: Path) -> dict[str, dict[str, Any]]:
    """Count in a process of its own, with another checkout's source."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--count", str(Path(folder) / "found.json")]
        environment = {**os.environ, "PYTHONPATH": str(src.resolve()), "OMP_NUM_THREADS": "1"}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return json.loads((Path(folder) / "found.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def main() -> None:
    """Print a table, a row a path and two columns a checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--src", type=Path, nargs="+", default=[ROOT / "src"], help="checkouts' source folders")
    parser.add_argument("--names", nargs="+", help="of the checkouts, for the table")
    parser.add_argument("--list", choices=PATHS, help="name the files of this path too")
    parser.add_argument("--count", type=Path, help=argparse.SUPPRESS)  # in this process, into this file
    options = parser.parse_args()
    if options.count:
        with tempfile.TemporaryDirectory() as home:
            options.count.write_text(json.dumps(count(Path(home))), encoding="utf-8")
        return
    found = [counted(src) for src in options.src]
    names = options.names or [src.resolve().parent.name for src in options.src]
    print("| | " + " | ".join(f"{name}: files | functions" for name in names) + " |")
    print("|---|" + "---:|" * 2 * len(names))
    for path, words in PATHS.items():
        cells = (f"{len(one[path]['files'])} | {one[path]['functions']}" for one in found)
        print(f"| {words} | " + " | ".join(cells) + " |")
    if options.list:
        for name, one in zip(names, found, strict=True):
            print(f"\n{name}, {options.list}: " + ", ".join(one[options.list]["files"]))


if __name__ == "__main__":
    main()
