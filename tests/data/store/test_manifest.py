"""The manifest of very many scans: the same scans from a mapped file as from a CSV, shared, and checked."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.data.scan_files import write_ct

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.store import manifest
from modelsgenesis.data.store.columns import Columns
from modelsgenesis.data.store.manifest import MANIFEST, MAPPED, read_manifest, write_manifest
from modelsgenesis.data.store.mapped import read_mapped, write_mapped
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of three scans, one of which was repaired on the way in."""
    for number in range(3):
        write_ct(tmp_path / "scans" / f"{number}.nii.gz", size=(24, 20, 16 + number), seed=number)
    return prepare(tmp_path / "scans", tmp_path / "store", workers=0, quiet=True, modality="CT", salt="s")


@pytest.fixture
def mapped(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same store, as if its three scans were too many for a CSV."""
    scans = [replace(scan, notes=("a | note", "and another")) for scan in Store.open(store).scans]
    monkeypatch.setattr(manifest, "MOST_IN_CSV", 2)
    write_manifest(store, scans)
    return store


def test_a_mapped_manifest_holds_what_the_csv_held(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field of every scan, in the same order; there is one manifest at a time, and a CSV again if scans go."""
    before = list(read_manifest(store))
    monkeypatch.setattr(manifest, "MOST_IN_CSV", 2)
    assert write_manifest(store, before[::-1]) == store / MAPPED
    assert not (store / MANIFEST).exists()
    assert list(read_manifest(store)) == before
    write_manifest(store, before[:2])
    assert not (store / MAPPED).exists()
    assert list(read_manifest(store)) == before[:2]


def test_prepare_goes_on_with_a_mapped_manifest(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared again and past the bound, the same scans stand in the other file, with the checksums of before."""
    before = list(Store.open(store).scans)
    assert all(scan.stored_sha256 for scan in before)
    monkeypatch.setattr(manifest, "MOST_IN_CSV", 2)
    prepare(store.parent / "scans", store, workers=0, quiet=True, modality="CT", salt="s")
    assert list(Store.open(store).scans) == before
    assert (store / MAPPED).is_file()


def test_a_store_of_pictures_is_mapped_too(tmp_path: Path) -> None:
    """Two axes, and levels that a header states, come back; a checksum that is not known stays unknown."""
    one = Scan(
        **dict.fromkeys(("id", "patient", "series"), "0123456789abcdef"),
        modality="XR",
        fold=3,
        shape=(1, 24, 20),
        spacing_mm=(0.2, 0.2),
        dtype="uint8",
        slope=1.0,
        intercept=0.0,
        minimum=0.0,
        maximum=200.0,
        foreground=9.5,
        percentiles=dict(read_percentiles()),
        num_cubes=1,
        cubes_per_scan=1,
        source_bytes=77,
        sha256="ab" * 32,
        levels=(0.0, 255.0),
    )
    write_mapped(tmp_path / MAPPED, Columns.of([one, replace(one, id="f" * 16, levels=None)]))
    first, second = (read_mapped(tmp_path / MAPPED).scan(row) for row in (0, 1))
    assert (first, second) == (one, replace(one, id="f" * 16, levels=None))
    assert first.stored_sha256 == ""


def read_percentiles() -> dict[float, float]:
    """Percentiles of no image in particular."""
    from modelsgenesis.data.intensity_statistics import PERCENTILES

    return {p: 2 * p for p in PERCENTILES}


def test_the_same_cubes_come_from_either(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler over a mapped manifest cuts what one over the CSV cuts, voxel for voxel."""
    spec = CubeSpec(size=(12, 12, 12), rule="not_mostly_air")
    first = CubeSampler(Store.open(store), spec)
    monkeypatch.setattr(manifest, "MOST_IN_CSV", 2)
    write_manifest(store, list(first.store.scans))
    second = CubeSampler(Store.open(store), spec)
    for index in range(6):
        one, two = first.sample(generator_for(1, index)), second.sample(generator_for(1, index))
        assert (one.scan, one.lower) == (two.scan, two.lower)
        np.testing.assert_array_equal(one.image, two.image)


def test_nothing_mapped_travels_with_a_pickle(mapped: Path) -> None:
    """A worker that is started anew maps the file for itself: a sampler's pickle holds no column."""
    scans = Store.open(mapped).scans
    data = pickle.dumps(scans)
    assert len(data) < 1500
    assert list(pickle.loads(data)) == list(scans)
    assert scans.columns.numbers["id"].base is not None


def test_other_programs_read_it(mapped: Path) -> None:
    """It is a file of Arrow's IPC format, whose columns are those of the CSV."""
    with pa.memory_map(str(mapped / MAPPED)) as source:
        table = pa.ipc.open_file(source).read_all()
        assert table["shape"].to_pylist() == [list(scan.shape) for scan in Store.open(mapped).scans]
        assert table["modality"].to_pylist() == ["CT"] * 3
        assert [f"{number:016x}" for number in table["id"].to_pylist()] == [s.id for s in Store.open(mapped).scans]


def test_a_damaged_one_is_refused(mapped: Path) -> None:
    """Cut short, no Arrow at all, or empty: one line that names the file."""
    whole = (mapped / MAPPED).read_bytes()
    for data in (whole[: len(whole) // 2], b"id,patient\n", b""):
        (mapped / MAPPED).write_bytes(data)
        with pytest.raises(DataError, match=MAPPED):
            Store.open(mapped)


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_cubes", 0), ("shape", -1), ("slope", np.nan), ("spacing_mm", np.inf), ("fold", -1)],
)
def test_numbers_that_cannot_be_are_refused(mapped: Path, name: str, value: float) -> None:
    """A manifest of somebody else's: what a CSV would be refused for is refused here, before a voxel is read."""
    columns = Columns.of(list(Store.open(mapped).scans))
    columns.numbers[name][...] = value
    write_mapped(mapped / MAPPED, columns)
    with pytest.raises(DataError, match=r"no cube|is broken"):
        _ = Store.open(mapped).scans[0]
