"""What a store of very many scans costs before the first step: to open, to divide by patient, to admit, and a batch.

Run: python benchmarks/scale.py [--rows N ...] [--workers 2]
The rows are made up; the few scans that the first batches draw are one small scan. Of each number of rows a fresh
process is measured: processor seconds from the opened interpreter to the first batch of 8 cubes, and the most memory
that it held, with Python, PyTorch and all; then milliseconds a batch of the following ones, and what a loader's worker
process holds for itself. The last line is "rows seconds MiB" of the last number of rows.
"""

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.cubes import make_scan

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.sampling.stream import CubeStream, Range, load_batches
from modelsgenesis.data.store.columns import Columns, Scans
from modelsgenesis.data.store.manifest import MAPPED, MOST_IN_CSV, write_manifest
from modelsgenesis.data.store.mapped import write_mapped
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import SCANS, Store, scan_file
from modelsgenesis.recipes import find_recipe
from modelsgenesis.recipes.recipe import split

ROWS = (10**3, 10**4, 10**5, 10**6, 10**7)
BATCH, BATCHES = 8, 20
RECIPE = "small"


def make_template(folder: Path) -> Path:
    """A store of one made-up scan."""
    (folder / "one").mkdir(parents=True)
    make_scan(folder / "one" / "scan.nii.gz", (160, 128, 64))
    return prepare(folder / "one", folder / "template", workers=0, quiet=True, modality="CT")


def make_store(rows: int, template: Path, into: Path) -> None:
    """A store of so many rows, every patient with two scans, in ten folds."""
    (into / SCANS).mkdir(parents=True)
    (scan,) = Store.open(template).scans
    if rows <= MOST_IN_CSV:
        write_manifest(into, list(Scans(_columns(scan, rows))))
    else:
        write_mapped(into / MAPPED, _columns(scan, rows))
    write_provenance(into, "prepare", {"scans": rows}, inputs=[])


def _columns(scan: Scan, rows: int) -> Columns:
    """One scan as so many, with ids and patients of their own."""
    one = Columns.of([scan])
    numbers = {name: np.repeat(values, rows, axis=0) for name, values in one.numbers.items()}
    rng = np.random.default_rng(0)
    numbers["id"] = np.sort(rng.integers(0, 2**64, rows, np.uint64))
    numbers["series"] = rng.integers(0, 2**64, rows, np.uint64)
    patients = rng.integers(0, 2**64, -(-rows // 2), np.uint64)
    numbers["patient"] = np.repeat(patients, 2)[:rows]
    numbers["fold"] = (numbers["patient"] % 10).astype(np.int64)
    texts = {name: (lambda text: lambda row: text)(text_at(0)) for name, text_at in one.texts.items()}
    return Columns(numbers, texts)


def link_drawn(store: Path, template: Path) -> None:
    """Give the scans that the first batches draw their voxels."""
    (scan,) = Store.open(template).scans
    _, stream = start(store)
    for index in range(BATCH * BATCHES):
        while True:
            try:
                stream[index]
                break
            except DataError as error:
                missing = re.search(r"([0-9a-f]{16})\.b2nd", str(error))
                if missing is None:
                    raise
                scan_file(store, missing[1]).symlink_to(scan_file(template, scan.id))


def start(store: Path) -> tuple[Store, CubeStream]:
    """What `pretrain` does before its first step: open, divide by patient, admit."""
    recipe = replace(find_recipe(RECIPE), val_folds=None)
    opened = Store.open(store)
    sampler, _ = (CubeSampler(opened, recipe.cubes, scans) for scans in split(opened, recipe))
    return opened, CubeStream(sampler, lambda arrays, rng: dict(arrays), seed=0)


def measure(store: Path, workers: int) -> dict[str, float]:
    """Open a store and read its first batches, in this process."""
    begun = time.process_time()
    _, stream = start(store)
    batches = iter(load_batches(stream, Range(0, BATCHES, BATCH)))
    next(batches)
    first = time.process_time() - begun
    peak = peak_mib()
    begun = time.process_time()
    following = sum(1 for _ in batches)
    each = (time.process_time() - begun) / following
    loaded = iter(load_batches(stream, Range(0, BATCHES, BATCH), workers=workers)) if workers else iter(())
    held = [0.0]
    if workers:
        next(loaded)
        held = [child.memory_full_info().uss / 2**20 for child in psutil.Process().children()]
    return {"seconds": first, "mib": peak, "batch_ms": 1000 * each, "worker_mib": max(held)}


def peak_mib() -> float:
    """The most memory that this program held; what `getrusage` says counts the one before it in the same process."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Measure each number of rows, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        template = make_template(Path(folder))
        print("rows, seconds, MiB; milliseconds a later batch; MiB of a worker's own")
        for rows in options.rows:
            store = Path(folder) / "store"
            make_store(rows, template, store)
            link_drawn(store, template)
            command = [sys.executable, __file__, "--measure", str(store), "--workers", str(options.workers)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"{rows}: {found['batch_ms']:.1f} ms a batch, {found['worker_mib']:.0f} MiB a worker")
            print(f"{rows} {found['seconds']:.2f} {found['mib']:.0f}", flush=True)
            shutil.rmtree(store)


if __name__ == "__main__":
    main()
