"""The store: opened cheaply, read in any process."""

import json
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.data.scan_files import make_ct, write_ct

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError, ShapeError
from modelsgenesis.data.store.arrays import MOST_OPEN
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import Store


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of five CTs of five patients."""
    folder = tmp_path_factory.mktemp("made")
    for seed in range(5):
        write_ct(folder / "scans" / f"{seed}.nii.gz", seed, size=(40, 36, 30))
    return prepare(folder / "scans", folder / "store", workers=0, quiet=True, salt="test")


def read_corner(store: Store) -> np.ndarray:
    """A region of the first scan; in another process, from a pickle."""
    return store.read(store.scans[0], (1, 2, 3), (8, 9, 10))


def test_region_is_read_in_physical_units(path: Path) -> None:
    """(C, *size), float32, in its own memory."""
    store = Store.open(path)
    cube = read_corner(store)
    assert (cube.shape, cube.dtype) == ((1, 8, 9, 10), np.float32)
    candidates = [make_ct(seed, (40, 36, 30))[1:9, 2:11, 3:13] for seed in range(5)]
    assert sum(np.array_equal(cube[0], one) for one in candidates) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_store_works_in_other_processes(path: Path, method: str) -> None:
    """LoadedWeights and read before, then used in a forked or spawned worker."""
    store = Store.open(path)
    here = read_corner(store)
    with multiprocessing.get_context(method).Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(read_corner, (store,)), here)


def test_pickle_holds_no_open_file(path: Path) -> None:
    """A store that has read is as small to send as one that has not."""
    fresh, used = Store.open(path), Store.open(path)
    read_corner(used)
    assert len(pickle.dumps(used)) == len(pickle.dumps(fresh))


def test_open_files_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many scans there are, only so many files are kept."""
    monkeypatch.setattr("modelsgenesis.data.store.arrays.MOST_OPEN", 2)
    store = Store.open(path)
    for scan in [*store.scans, *store.scans]:
        store.read(scan, (0, 0, 0), (4, 4, 4))
        assert len(store._open._open) <= 2
    assert MOST_OPEN >= 32


def test_region_outside_is_refused(path: Path) -> None:
    """A cube never wraps around or shrinks silently."""
    store = Store.open(path)
    for lower, size in (((-1, 0, 0), (4, 4, 4)), ((0, 0, 28), (4, 4, 4))):
        with pytest.raises(ShapeError, match="leaves scan"):
            store.read(store.scans[0], lower, size)


def test_missing_and_unfinished_stores_are_refused(path: Path, tmp_path: Path) -> None:
    """The message says what to run."""
    with pytest.raises(DataError, match="genesis prepare"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match="genesis prepare"):
        Store.open(tmp_path)


def test_damage_is_named(path: Path, tmp_path: Path) -> None:
    """A missing file and a broken manifest are data errors, found when used."""
    import shutil

    shutil.copytree(path, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    (tmp_path / "store" / "scans" / f"{store.scans[0].id}.b2nd").unlink()
    with pytest.raises(DataError, match="missing or damaged"):
        read_corner(store)
    manifest = tmp_path / "store" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("int16,1.0", "int16,one"))
    with pytest.raises(DataError, match="is broken"):
        Store.open(tmp_path / "store")


@given(st.lists(st.text(min_size=1), max_size=3).map(tuple))
@example(("the gantry was tilted by 20.0 degrees; straightened by resampling", "2 duplicate slices were left out"))
@example(("a | b", "||", "| c;"))
def test_notes_survive_the_manifest_whatever_they_hold(path: Path, notes: tuple[str, ...]) -> None:
    """Also what is between them there: ours have semicolons."""
    scan = replace(Store.open(path).scans[0], notes=notes)
    assert Scan.from_row(scan.to_row()).notes == notes


def test_record_survives_manifest_and_json(path: Path) -> None:
    """Every number comes back exactly."""
    for scan in Store.open(path).scans:
        assert Scan.from_row(scan.to_row()) == scan
        of_file = replace(scan, stored_sha256="")  # which the file cannot hold
        assert Scan.from_json(json.loads(json.dumps(scan.to_json()))) == of_file
