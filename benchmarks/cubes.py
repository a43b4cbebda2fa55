"""How fast random cubes come from the store, and what a loader's memory does when the store grows.

Run: python benchmarks/cubes.py
Prints, from one run: milliseconds for a 64x64x32 int16 cube on one thread, by rule; the ratio to Blosc2's own read of
the same regions, memory-mapped; the same with 100 scans; resident memory with 1 and 100 copies of a scan. Times are of
the processor, so that a busy machine does not blur them.
"""

import argparse
import dataclasses
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path

import blosc2
import numpy as np
import psutil
import SimpleITK as sitk
from scipy import ndimage

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.store.manifest import write_manifest
from modelsgenesis.data.store.store import SCANS, Store

SIZE = (512, 512, 300)
CUBE = (64, 64, 32)


def make_scan(path: Path, size: tuple[int, ...], seed: int = 0) -> None:
    """Write a chest-like CT: two air-filled lungs in tissue in air, with noise as a scanner's."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in size), indexing="ij", sparse=True)
    body = (x / 0.9) ** 2 + (y / 0.65) ** 2 < 1
    lungs = sum(((x - side * 0.42) / 0.36) ** 2 + (y / 0.48) ** 2 + (z / 0.9) ** 2 < 1 for side in (-1, 1)) > 0
    values = np.where(body, np.where(lungs, -860, 40), -1000).astype(np.float32)
    values += ndimage.gaussian_filter(rng.standard_normal(size, dtype=np.float32), 0.7) * 60
    image = sitk.GetImageFromArray(np.clip(values, -1024, 3071).astype(np.int16).T)
    image.SetSpacing((0.7, 0.7, 1.25))
    sitk.WriteImage(image, str(path))


def copy_scans(store: Path, into: Path, count: int) -> Path:
    """Make a store of many copies of a store's only scan, each a file of its own."""
    shutil.rmtree(into, ignore_errors=True)
    (into / SCANS).mkdir(parents=True)
    (scan,) = Store.open(store).scans
    copies = [dataclasses.replace(scan, id=f"{number:016x}") for number in range(count)]
    for one in copies:
        shutil.copyfile(store / SCANS / f"{scan.id}.b2nd", into / SCANS / f"{one.id}.b2nd")
    write_manifest(into, copies)
    shutil.copyfile(store / "made.json", into / "made.json")
    return into


def time_cubes(sampler: CubeSampler, count: int) -> np.ndarray:
    """Milliseconds of each of some cubes."""
    times = []
    for index in range(count):
        begin = time.process_time()
        sampler.sample(generator_for(0, index))
        times.append((time.process_time() - begin) * 1000)
    return np.array(times)


def time_bare(path: Path, sampler: CubeSampler, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of Blosc2's own read of the very regions that the sampler cuts, and of a cube beside it."""
    array = blosc2.open(str(path), mode="r", mmap_mode="r", dparams={"nthreads": 1})
    bare, whole = [], []
    for index in range(count):
        begin = time.process_time()
        cube = sampler.sample(generator_for(0, index))
        middle = time.process_time()
        space = tuple(slice(low, low + side) for low, side in zip(cube.lower, CUBE, strict=True))
        array[(slice(0, 1), slice(0, 1), *space)]
        whole.append((middle - begin) * 1000)
        bare.append((time.process_time() - middle) * 1000)
    return np.array(bare), np.array(whole)


def measure_memory(store: Path, count: int, answer: "multiprocessing.Queue[tuple[float, float]]") -> None:
    """Read cubes in a fresh process; answer with its resident and its own (not file-backed) memory in MiB."""
    sampler = CubeSampler(Store.open(store), CubeSpec(size=CUBE, rule="anywhere"))
    for index in range(count):
        sampler.sample(generator_for(0, index))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
    answer.put((psutil.Process().memory_info().rss / 2**20, own / 2**10))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cubes", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scans").mkdir()
        make_scan(folder / "scans" / "a.nii", SIZE)
        prepare(folder / "scans", folder / "store", workers=0, quiet=True, salt="benchmark", modality="CT")
        store = Store.open(folder / "store")
        (scan,) = store.scans
        path = folder / "store" / SCANS / f"{scan.id}.b2nd"
        print(f"one scan of {SIZE}, {path.stat().st_size / 2**20:.0f} MiB stored, {options.cubes} cubes of {CUBE}")
        for rule in ("anywhere", "not_mostly_air", "lung"):
            sampler = CubeSampler(store, CubeSpec(size=CUBE, rule=rule))
            time_cubes(sampler, 50)
            bare, whole = time_bare(path, sampler, options.cubes)
            print(
                f"  {rule:15s} median {np.median(whole):.2f} ms, 95 % under {np.percentile(whole, 95):.2f} ms; "
                f"Blosc2 alone {np.median(bare):.2f} ms; ratio {np.median(whole) / np.median(bare):.2f}"
            )
        compare_stores(folder, options.copies, options.cubes)


def compare_stores(folder: Path, copies: int, cubes: int) -> None:
    """Print time and memory for 1 and many copies of a scan."""
    many = copy_scans(folder / "store", folder / "many", copies)
    sampler = CubeSampler(Store.open(many), CubeSpec(size=CUBE, rule="lung"))
    times = time_cubes(sampler, cubes)
    print(f"  lung, {copies} scans     median {np.median(times):.2f} ms, 95 % under {np.percentile(times, 95):.2f} ms")
    context = multiprocessing.get_context("spawn")
    found = []
    for store in (folder / "store", many):
        answer: multiprocessing.Queue[tuple[float, float]] = context.Queue()
        process = context.Process(target=measure_memory, args=(store, cubes, answer))
        process.start()
        found.append(answer.get())
        process.join()
    (one_rss, one_own), (many_rss, many_own) = found
    print(f"memory of a loader after {cubes} cubes, MiB: 1 copy {one_rss:.0f} resident, {one_own:.0f} its own")
    print(f"{'':37s}{copies} copies {many_rss:.0f} resident, {many_own:.0f} its own")


if __name__ == "__main__":
    main()
