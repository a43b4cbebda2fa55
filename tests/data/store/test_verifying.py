"""What is stored is what was written: every flipped bit is found, and every source that was corrected in place."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.data.scan_files import write_ct

from modelsgenesis.commands.inspect import inspect
from modelsgenesis.commands.prepare import prepare
from modelsgenesis.commands.pretrain import pretrain
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.store import verifying
from modelsgenesis.data.store.store import Store, scan_file
from modelsgenesis.data.store.verifying import BackgroundCheck, damage_of, find_damage

NUM_FLIPS = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scans and the store of four CTs."""
    folder = tmp_path_factory.mktemp("made")
    for seed in range(4):
        write_ct(folder / "scans" / f"{seed}.nii.gz", seed, size=(40, 36, 30))
    prepare(folder / "scans", folder / "store", workers=0, quiet=True, salt="test")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def flip(file: Path, bit: int) -> None:
    """Flip one bit of a file, which keeps its times."""
    times, content = file.stat(), bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_manifest_names_the_checksum_of_each_file(made: Path) -> None:
    """As sha256sum prints it."""
    for row in read_rows(made / "store" / "manifest.csv"):
        assert row["stored_sha256"] == sha256(made / "store" / "scans" / f"{row['id']}.b2nd")


def test_every_flipped_bit_is_found(place: Path) -> None:
    """Wherever in the file it is."""
    store = Store.open(place / "store")
    scan = store.scans[1]
    file = scan_file(store.path, scan.id)
    for bit in np.random.default_rng(0).integers(0, 8 * file.stat().st_size, NUM_FLIPS):
        flip(file, int(bit))
        assert damage_of(scan, store) == f"{file}: is not what was written; delete it and run genesis prepare again"
        flip(file, int(bit))
    assert damage_of(scan, store) == ""


@pytest.mark.parametrize("workers", [0, 2])
def test_inspect_names_each_damaged_file(place: Path, workers: int) -> None:
    """One flipped, one gone; the rest is not named. Deleted and prepared again, the store is as it was."""
    store, manifest = place / "store", (place / "store" / "manifest.csv").read_bytes()
    assert "4 files: every byte is as it was written" in str(inspect(store, verify=True, workers=workers))
    first, second, *others = sorted((store / "scans").iterdir())
    flip(first, 8 * (first.stat().st_size - 9))
    second.unlink()
    with pytest.raises(DataError) as caught:
        inspect(store, verify=True, workers=workers, quiet=True)
    said = str(caught.value)
    assert f"{first}: is not what was written" in said
    assert f"{second}: cannot be read" in said
    assert not any(str(other) in said for other in others)
    first.unlink()
    prepare(place / "scans", store, workers=0, quiet=True)
    assert find_damage(Store.open(store), workers=0) == []
    assert (store / "manifest.csv").read_bytes() == manifest


def test_preparing_again_does_not_hide_damage(place: Path) -> None:
    """The checksum of the first time stays."""
    store = place / "store"
    first = min((store / "scans").iterdir())
    flip(first, 8 * (first.stat().st_size - 9))
    prepare(place / "scans", store, workers=0, quiet=True)
    assert len(find_damage(Store.open(store), workers=0)) == 1


def test_store_without_checksums_opens_and_gets_them(place: Path) -> None:
    """A manifest of an earlier version has no such column."""
    store, manifest = place / "store", (place / "store" / "manifest.csv").read_bytes()
    lines = [line.split(",") for line in manifest.decode().splitlines()]
    column = lines[0].index("stored_sha256")
    (store / "manifest.csv").write_text("\n".join(",".join(row[:column] + row[column + 1 :]) for row in lines) + "\n")
    assert "4 files without one: run genesis prepare again" in str(inspect(store, verify=True, workers=0))
    prepare(place / "scans", store, workers=0, quiet=True)
    assert (store / "manifest.csv").read_bytes() == manifest


def test_training_stops_at_a_damaged_scan(place: Path, tmp_path: Path) -> None:
    """By name, and without weights that learned from it."""
    store = place / "store"
    first = min((store / "scans").iterdir())
    flip(first, 8 * (first.stat().st_size - 9))  # in the coarse maps at the end, which decompress all the same
    with pytest.raises(DataError, match=f"{first.name}: is not what was written"):
        pretrain(
            "any", store, tmp_path / "run", size=(16, 16, 16), width=2, steps=2, batch_size=1, validate_every=1,
            val_cubes=1, workers=0,
        )  # fmt: skip
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_large_store_is_sampled(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many scans as hold so many bytes, and a line that says so."""
    store = Store.open(made / "store")
    monkeypatch.setattr(verifying, "MOST_BYTES", 1)
    check = BackgroundCheck(store, store.scans)
    check.raise_if_damaged(wait=True)
    assert len(check.chosen) == 1
    assert check.in_words(4).startswith("the checksums of 1 of 4 scans are compared while the run begins; ")
    monkeypatch.undo()
    assert BackgroundCheck(store, store.scans).in_words(4) == ""


def test_verify_is_for_stores(made: Path) -> None:
    """Labelled cases have no checksums."""
    with pytest.raises(DataError, match="is no store, and only a store has checksums"):
        inspect(made / "scans", verify=True)


def test_source_corrected_in_place_is_taken_anew(place: Path) -> None:
    """Also where it keeps its size; one that was only touched is not prepared again."""
    store, source, touched = place / "store", place / "scans" / "0.npy", place / "scans" / "1.nii.gz"
    np.save(source, np.zeros((30, 30, 30), np.int16) + np.arange(30, dtype=np.int16) * 40 - 600)
    prepare(place / "scans", store, workers=0, quiet=True)
    before = {file: (file.read_bytes(), file.stat().st_ino) for file in (store / "scans").iterdir()}
    values = np.load(source)
    values[3:9, 4:20, 5:25] = 333
    np.save(source, values)
    touched.touch()
    prepare(place / "scans", store, workers=0, quiet=True)
    after = {file: (file.read_bytes(), file.stat().st_ino) for file in (store / "scans").iterdir()}
    assert len([file for file in before if before[file] != after[file]]) == 1
    assert any(333 in Store.open(store).read(scan, (0, 0, 0), scan.size) for scan in Store.open(store).scans)
