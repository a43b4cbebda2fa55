"""How long preparing takes against SimpleITK merely reading the same files, and how much memory it needs.

Run: python benchmarks/prepare.py
Prints, from one run, for each format: seconds to read (SimpleITK, one thread), seconds to prepare one scan in one
process, their ratio; and the peak memory of a fresh process that prepares it, against the size of the volume as int16.
Times are of the processor, so that a busy machine does not blur them; the least of some, with the files in the system's
cache: the harder case, for reading from a disk takes longer.
"""

import argparse
import gzip
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.cubes import SIZE, make_scan
from tests.data.scan_files import write_series

from modelsgenesis.data.sources import find_sources
from modelsgenesis.data.store.preparing import Settings, prepare_scan
from modelsgenesis.data.store.store import SCANS

FORMATS = ("usual.nii.gz", "fast.nii.gz", "a.nrrd", "a.mha", "dicom", "dicom_rle", "a.nii")


def write_all(folder: Path) -> None:
    """Write one scan in every format: usual.nii.gz at gzip's usual level 6, fast ones at SimpleITK's level 1."""
    make_scan(folder / "a.nii", SIZE)
    image = sitk.ReadImage(str(folder / "a.nii"))
    (folder / "usual.nii.gz").write_bytes(gzip.compress((folder / "a.nii").read_bytes(), 6))
    for name in ("fast.nii.gz", "a.nrrd", "a.mha"):
        sitk.WriteImage(image, str(folder / name), useCompression=True, compressionLevel=1)
    values = sitk.GetArrayViewFromImage(image).T
    write_series(folder / "dicom", np.maximum(values, -1024), step_mm=(0, 0, 1.25))
    import pydicom
    from pydicom.uid import RLELossless

    (folder / "dicom_rle").mkdir()
    for path in (folder / "dicom").iterdir():
        file = pydicom.dcmread(path)
        file.compress(RLELossless, generate_instance_uid=False)
        file.save_as(folder / "dicom_rle" / path.name)


def merely_read(path: Path) -> None:
    """Read as a user of SimpleITK does."""
    if path.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        reader.Execute()
    else:
        sitk.ReadImage(str(path))


def prepare_one(path: Path, into: Path) -> None:
    """Find, read, describe and store one scan."""
    (source,), problems = find_sources(path)
    if problems:
        raise SystemExit(problems)
    (into / SCANS).mkdir(exist_ok=True, parents=True)
    prepare_scan(source, into, Settings("benchmark"), path)


def measure_peak(path: Path, into: Path, work: bool, answer: "multiprocessing.Queue[float]") -> None:
    """Answer with the peak memory of this process, in MiB, with or without preparing a scan."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    if work:
        prepare_one(path, into)
    # Not getrusage: its greatest resident size is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    answer.put(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024)


def peak_of(path: Path, into: Path, work: bool) -> float:
    """The peak memory of a fresh process, in MiB."""
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[float] = context.Queue()
    process = context.Process(target=measure_peak, args=(path, into, work, answer))
    process.start()
    peak = answer.get()
    process.join()
    return peak


def best_time(what: object, *arguments: object, repeats: int) -> float:
    """The least of some times, in seconds."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        what(*arguments)  # type: ignore[operator]
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_all(folder)
        volume = np.prod(SIZE) * 2 / 2**20
        idle = peak_of(folder / FORMATS[0], folder / "store", False)
        print(f"one scan of {SIZE}: {volume:.0f} MiB as int16; a process that does nothing takes {idle:.0f} MiB")
        print(f"{'format':12s} {'read s':>7s} {'prepare s':>9s} {'ratio':>6s} {'peak MiB':>9s} {'above idle':>11s}")
        for kind in FORMATS:
            read = best_time(merely_read, folder / kind, repeats=options.repeats)
            whole = best_time(prepare_one, folder / kind, folder / "store", repeats=options.repeats)
            peak = peak_of(folder / kind, folder / "store", True)
            ratio = f"{(peak - idle) / volume:.2f}"
            print(f"{kind:12s} {read:7.2f} {whole:9.2f} {whole / read:6.2f} {peak:9.0f} {ratio:>11s}")


if __name__ == "__main__":
    main()
