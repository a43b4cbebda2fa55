"""Whether two checkouts give the same numbers under one seed: losses, weights, masks, tables, a benchmark's runs.

    python benchmarks/same_bytes.py BEFORE AFTER

Each walks the line on the same made-up scans in a process of its own, in 32 bits on one thread: a store; pre-training
by restoration, by its ablation, with the authors' settings and by three rivals; fine-tuning of a segmentation, a
classification and a regression, from scratch and pre-trained, predictions and scores; a benchmark of two arms. What
differs is printed, and the exit status says so. Columns of logs that were renamed are compared under their old names.
"""

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TIMES = ("time_s", "cubes_per_s", "waiting")  # columns that differ from run to run
RENAMED = {"identity_baseline": "unchanged", "mean_baseline": "grey", "std_ratio": "spread"}
TINY = {"workers": 0, "precision": "32-true", "batch_size": 2}


def write_scans(folder: Path) -> None:
    """Write eight blobs, their masks of two labels, and tables of classes and numbers."""
    import SimpleITK as sitk
    from tests.conftest import write_blobs

    for part in ("scans", "labelled/images", "labelled/labels"):
        (folder / part).mkdir(parents=True)
    rows = ["image,kind,age,patient"]
    for number in range(8):
        scan = folder / "scans" / f"s{number}.nii.gz"
        write_blobs(scan, number)
        image = sitk.ReadImage(str(scan))
        image.SetSpacing((2.0, 2.0, 3.0 if number % 2 else 2.0))
        mask = sitk.Cast(image > 100, sitk.sitkUInt8) + sitk.Cast(image > 400, sitk.sitkUInt8)
        sitk.WriteImage(image, str(folder / "labelled" / "images" / scan.name))
        sitk.WriteImage(mask, str(folder / "labelled" / "labels" / scan.name))
        rows.append(f"{scan},{'ab'[number % 2]},{1.5 * number},p{number}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def weights_of(run: Path) -> dict[str, str]:
    """Hash each tensor of a run's last network."""
    from safetensors.numpy import load_file

    tensors = load_file(run / "last.safetensors")
    return {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in tensors.items()}


def rows_of(path: Path, *left_out: str) -> list[dict[str, str]]:
    """Read a table without some columns, under the old names of the others."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def old(name: str) -> str:
        for new, before in RENAMED.items():
            name = name.replace(new, before)
        return name

    return [{old(name): value for name, value in sorted(row.items()) if name not in left_out} for row in rows]


def run_of(run: Path) -> dict[str, Any]:
    """What a run gave: weights, and the lines of its log."""
    return {"weights": weights_of(run), "log": rows_of(run / "log.csv", *TIMES)}


def pretrained(into: Path, store: Path) -> dict[str, Any]:
    """Pre-train in six ways."""
    import modelsgenesis as mg

    settings = {**TINY, "val_cubes": 4, "seed": 3}
    small = {**settings, "steps": 12, "validate_every": 6, "size": (16, 16, 16)}
    official = {**small, "width": 4, "rule": "anywhere", "lr": 0.01}
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "genesis": ("small", small),
        "auto-encoder": ("small", {**small, "arm": "none"}),
        "official": ("chest-ct-official", official),
    }
    for method in ("mae", "rotation", "rubiks-cube"):
        ways[method] = ("small", {**settings, "steps": 4, "validate_every": 4, "method": method})
    if any(scan.fold not in range(7) for scan in mg.Store.open(store).scans):
        ways["official"][1].update(train_folds=(0, 1, 2, 3, 4, 5), val_folds=(6, 7, 8, 9))
    return {name: run_of(mg.pretrain(recipe, store, into / name, **said)) for name, (recipe, said) in ways.items()}


def fine_tuned(into: Path, scans: Path, task: str, start: str) -> dict[str, Any]:
    """Fine-tune, predict and evaluate one task from one start."""
    import SimpleITK as sitk

    import modelsgenesis as mg

    tables: dict[str, dict[str, Any]] = {
        "classes": {"label": "kind"},
        "numbers": {"label": "age", "kind": "regression"},
    }
    labels = tables.get(task, {})
    data = scans / ("table.csv" if labels else "labelled")
    width = {"width": 4} if start == "scratch" else {}
    run = mg.finetune(
        data, into / "run", from_=start, steps=8, size=(16, 16, 16), seed=2, test=0.25, val=1, validate_every=4,
        val_cubes=2, modality="CT", quiet=True, **TINY, **labels, **width,
    )  # fmt: skip
    masks = mg.predict(run, run / "test.csv", into / "predictions", quiet=True, precision="32-true")
    scores = mg.evaluate(masks, run / "test.csv", into / "scores", resamples=50, quiet=True, workers=0)
    voxels = {path.name: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in sorted(masks.glob("*.nii.gz"))}
    return {
        **run_of(run),
        "masks": {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in voxels.items()},
        "predictions": rows_of(masks / "predictions.csv", "image"),
        "scores": json.loads((scores / "summary.json").read_text(encoding="utf-8"))["lines"],
    }


def walk(scans: Path, into: Path) -> dict[str, Any]:
    """Walk the line with the checkout that is imported."""
    import modelsgenesis as mg

    store = mg.prepare(scans / "scans", into / "store", modality="CT", salt="same", workers=0, quiet=True)
    found: dict[str, Any] = {"store": rows_of(store / "manifest.csv", "notes"), **pretrained(into, store)}
    starts = {"scratch": "scratch", "pre-trained": str(into / "genesis")}
    for task in ("masks", "classes", "numbers"):
        for name, start in starts.items():
            found[f"{task}, {name}"] = fine_tuned(into / f"{task}-{name}", scans, task, start)
    folder = mg.benchmark(
        scans / "labelled", into / "benchmark", from_=("scratch", f"genesis={into / 'genesis'}"), allow=("genesis",),
        cases=("3", "all"), seeds=2, steps=4, batch_size=1, size=(16, 16, 16), modality="CT", precision="32-true",
    )  # fmt: skip
    found["benchmark"] = {name: rows_of(folder / f"{name}.csv", "time_s") for name in ("runs", "cases")}
    return found


def walked(checkout: Path, scans: Path, into: Path) -> dict[str, Any]:
    """Walk the line in a process that imports a checkout."""
    command = [sys.executable, __file__, "--walk", str(scans), str(into)]
    environment = {"PYTHONPATH": f"{checkout / 'src'}:{checkout}", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    subprocess.run(command, env=environment, cwd=checkout, check=True, stderr=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads((into / "found.json").read_text(encoding="utf-8"))
    return found


def differences(before: Any, after: Any, at: str) -> list[str]:
    """Name the leaves that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = dict.fromkeys([*before, *after])
        return [each for name in names for each in differences(before.get(name), after.get(name), f"{at}/{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [each for k in range(len(before)) for each in differences(before[k], after[k], f"{at}/{k}")]
    return [] if before == after else [f"{at}: {before} before, {after} after"]


def main() -> int:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("places", type=Path, nargs=2)
    parser.add_argument("--walk", action="store_true", help="walk the line: SCANS INTO")
    given = parser.parse_args()
    if given.walk:
        scans, into = given.places
        (into / "found.json").write_text(json.dumps(walk(scans, into)), encoding="utf-8")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path.insert(0, str(given.places[1].resolve()))
        write_scans(folder / "made-up")
        found = []
        for which, checkout in zip(("before", "after"), given.places, strict=True):
            (folder / which).mkdir()
            found.append(walked(checkout.resolve(), folder / "made-up", folder / which))
    differing = differences(*found, "")
    print("\n".join(differing) or f"the same in all of {len(found[0])} parts: {', '.join(found[0])}")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
