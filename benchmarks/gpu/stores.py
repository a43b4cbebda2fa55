"""Stores that travel: small enough to carry, and as `genesis prepare` made them once they are there."""

import argparse
import csv
import os
import tempfile
from pathlib import Path

import blosc2

MOST_BYTES = 25 * 2**20  # of all stores together
OPEN = ("A", "A*")  # tiers of licence that may travel


def recode(store: Path, *, dense: bool) -> None:
    """Compress a store's scans anew, as small as may be or as fast as `prepare` does; voxels and notes stay."""
    codec, filter_ = (
        (blosc2.Codec.ZSTD, blosc2.Filter.SHUFFLE) if dense else (blosc2.Codec.LZ4, blosc2.Filter.BITSHUFFLE)
    )
    for path in sorted((store / "scans").glob("*.b2nd")):
        array = blosc2.open(str(path), mode="r")
        aside = path.with_suffix(".part.b2nd")
        array.copy(
            urlpath=str(aside), contiguous=True, chunks=array.chunks, blocks=array.blocks,
            cparams=blosc2.CParams(
                codec=codec, clevel=9 if dense else 1, filters=[filter_], filters_meta=[0],
                typesize=array.dtype.itemsize,
            ),
        )  # fmt: skip
        os.replace(aside, path)


def num_bytes(folder: Path) -> int:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def made_up(into: Path) -> Path:
    """A store of made-up torsos, for rehearsals."""
    import modelsgenesis as mg
    from modelsgenesis.phantom.files import write_phantoms

    with tempfile.TemporaryDirectory() as name:
        write_phantoms(Path(name), 3, size=(64, 64, 48), seed=0)
        return mg.prepare(Path(name) / "scans", into, modality="CT", workers=0, quiet=True, salt="rehearsal")


def hippocampus(data: Path, into: Path) -> Path:
    """The images of all but the 42 test patients of docs/results/hippocampus."""
    import modelsgenesis as mg

    cases = data / "mr" / "hippocampus"
    with tempfile.TemporaryDirectory() as name:
        first = mg.finetune(cases, Path(name) / "first", like="any", width=8, test=0.2, cases=25, steps=1, quiet=True)
        mg.prepare(cases / "images", into, leave_out=(first / "test.csv",), modality="MR", quiet=True)
    recode(into, dense=True)
    return into


def chest(data: Path, into: Path, most_bytes: int) -> list[str]:
    """The chest CTs of open licence at 2 mm, those that take least room first, as many as fit; return the others."""
    with open(data / "ct_scans.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["tier"] in OPEN and row["image"].startswith("ct/chest")]
    with tempfile.TemporaryDirectory() as name:
        taken = sorted((_prepared(data, [row], Path(name) / row["patient"]), row["patient"]) for row in rows)
    room, fit = most_bytes - 2**18, set[str]()  # a quarter of a MiB for the tables
    for size, patient in taken:
        if size <= room:
            fit.add(patient)
            room -= size
    _prepared(data, [row for row in rows if row["patient"] in fit], into)
    return [row["patient"] for row in rows if row["patient"] not in fit]


def _prepared(data: Path, rows: list[dict[str, str]], into: Path) -> int:
    """Prepare some scans; return the store's bytes."""
    import modelsgenesis as mg

    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "scans.csv"
        with open(table, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "patient", "modality"])
            writer.writerows([str((data / row["image"]).resolve()), row["patient"], row["modality"]] for row in rows)
        mg.prepare(table, into, spacing=(2.0, 2.0, 2.0), quiet=True)
    recode(into, dense=True)
    return num_bytes(into)


def main() -> None:
    """Make both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("into", type=Path)
    given = parser.parse_args()
    hippocampus(given.data, given.into / "hippocampus")
    left_out = chest(given.data, given.into / "chest", MOST_BYTES - num_bytes(given.into))
    for salt in given.into.glob("*/salt"):
        salt.unlink()  # secret
    names = ", ".join(f"{path.name} {num_bytes(path) / 2**20:.1f} MiB" for path in sorted(given.into.iterdir()))
    print(f"stores: {names}; no room for {', '.join(left_out) or 'none'}")


if __name__ == "__main__":
    main()
