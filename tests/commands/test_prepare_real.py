"""Preparing real scans, where they are at hand: every format, label maps among them."""

import csv
from pathlib import Path

import pytest

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.store.store import Store

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real scans are not beside the repository (../shared/data)"
)


def errors_of(store: Path) -> list[dict[str, str]]:
    """The sources that were not prepared."""
    with open(store / "problems.csv", newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["severity"] == "error"]


@needs_data
def test_sixteen_real_cts_are_prepared(tmp_path: Path) -> None:
    """NIfTI, NRRD, MHD, MHA and DICOM from a CSV; each reaches down to air and gives cubes."""
    path = prepare(DATA / "ct_scans.csv", tmp_path / "store", workers=2, quiet=True)
    store = Store.open(path)
    assert len(store.scans) == 16
    assert errors_of(path) == []
    assert {scan.modality for scan in store.scans} == {"CT"}
    assert all(-2100 <= scan.minimum <= -900 and scan.maximum > 900 for scan in store.scans)
    assert CubeSampler(store, CubeSpec(size=(32, 32, 16), rule="not_mostly_air")).left_out == {}


@needs_data
def test_label_maps_among_real_scans_are_noticed(tmp_path: Path) -> None:
    """Of the hippocampus folder all images are taken and all labels are left out; values up to 1.7e6 are kept."""
    path = prepare(DATA / "mr" / "hippocampus", tmp_path / "store", workers=2, quiet=True)
    store = Store.open(path)
    assert len(store.scans) == 208
    errors = errors_of(path)
    assert len(errors) == 208
    assert all("/labels/" in row["path"] and "label map" in row["problem"] for row in errors)
    assert {scan.modality for scan in store.scans} == {"MR"}
    assert max(scan.maximum for scan in store.scans) > 1e6
