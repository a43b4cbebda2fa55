"""Patients go by salted names in every table; one secret table leads back, and without it nothing breaks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.data.scan_files import make_ct, write_series

import modelsgenesis as mg
from modelsgenesis.benchmarking.findings import read_findings
from modelsgenesis.benchmarking.leakage_audit import audit
from modelsgenesis.commands.benchmark import benchmark
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.patient_names import PATIENTS, SALTED, find_names, keep_names, with_raw_patients
from modelsgenesis.data.store.store import Store
from modelsgenesis.nets import UNet3D
from modelsgenesis.tasks import folder
from modelsgenesis.weights.files import save_network

TINY = {"steps": 1, "batch_size": 2, "size": (16, 16, 16), "precision": "32-true", "seeds": 2, "spacing": (1, 1, 1)}


def make_data(place: Path) -> Path:
    """Six DICOM series of three patients, with a class each."""
    rows = ["image,label"]
    for number in range(6):
        values = make_ct(number, (18, 20, 16))
        uid = f"1.2.826.0.1.3680043.8.498.7.{number}"
        write_series(place / f"s{number}", values, SeriesInstanceUID=uid, PatientID=f"MRN-77{number // 2}")
        rows.append(f"s{number},{'ill' if number % 2 else 'well'}")
    (place / "cases.csv").write_text("\n".join(rows) + "\n")
    return place / "cases.csv"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labelled cases."""
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of a tiny network on them."""
    place = tmp_path_factory.mktemp("bench")
    save_network(place / "given.safetensors", UNet3D(width=1))
    arms = (f"ours={place / 'given.safetensors'}",)
    return benchmark(data, place / "out", from_=arms, allow=("ours",), cases=("all",), test=0.3, **TINY)


def test_names_are_one_to_one_and_lead_back(tmp_path: Path) -> None:
    """The same in every folder below; a case's own name and a salted one stay as they are."""
    patients = [("MRN 1", "a"), ("MRN 1", "b"), ("Zoë", "c"), ("d", "d"), ("", "e")]
    names = keep_names(tmp_path, patients)
    below = keep_names(tmp_path / "runs" / "x", [("MRN 2", "f")])
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [PATIENTS]
    assert (tmp_path / PATIENTS).stat().st_mode & 0o777 == 0o600
    salted = [names.salted(*each) for each in patients]
    assert salted[0] == salted[1] != salted[2]
    assert salted[3:] == ["d", ""]
    assert all(SALTED.fullmatch(name) for name in salted[:3])
    assert below.salted("MRN 1") == salted[0]
    assert below.salted(salted[0]) == salted[0]
    rows = [{"patient": below.salted(patient, case), "case": case} for patient, case in [*patients, ("MRN 2", "f")]]
    back = with_raw_patients(rows, tmp_path / "runs" / "t.csv")
    assert [(row["patient"], row["case"]) for row in back] == [*patients, ("MRN 2", "f")]


def test_no_table_without_a_patient(tmp_path: Path) -> None:
    """Who is called after the case needs no secret; a folder that has none gets none."""
    keep_names(tmp_path, [("a", "a"), ("", "b")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["[]", '{"salt": 1, "patients": {}}', '{"salt": "x"}', "{"])
def test_broken_table_names_itself(tmp_path: Path, text: str) -> None:
    """No names are made up in the place of those that cannot be read."""
    (tmp_path / PATIENTS).write_text(text)
    with pytest.raises(DataError, match=PATIENTS):
        find_names(tmp_path)


def test_no_patient_is_named_in_a_benchmark(done: Path) -> None:
    """Nor a SeriesDescription, nor a name: but for the one secret table, with all that was made below it."""
    files = [path for path in done.rglob("*") if path.is_file() and path.name != PATIENTS]
    assert len(files) > 20
    for secret in (b"MRN-77", b"Doe^Jane", b"private words"):
        assert [path for path in files if secret in path.read_bytes()] == []
    assert [path.parent for path in done.rglob(PATIENTS)] == [done]
    names = find_names(done)
    assert names is not None
    assert sorted(names.raw.values()) == ["MRN-770", "MRN-771", "MRN-772"]
    tables = [
        done / "cases.csv",
        *done.rglob("run/cases.csv"),
        *done.rglob("run/test.csv"),
        *done.rglob("scores/cases.csv"),
    ]
    seen = {row["patient"] for path in tables if path.is_file() for row in read_rows(path)}
    assert seen == set(names.raw)


def test_benchmark_goes_on_without_its_secret(data: Path, done: Path, tmp_path: Path) -> None:
    """A further seed names patients anew; one case still has one patient, and the report is written."""
    out = Path(shutil.copytree(done, tmp_path / "out"))
    (out / PATIENTS).unlink()
    arms = (f"ours={done.parent / 'given.safetensors'}",)
    benchmark(data, out, from_=arms, allow=("ours",), cases=("all",), test=0.3, **{**TINY, "seeds": 3})
    (found,) = read_findings(out)
    assert found.table.seeds == (0, 1, 2)
    assert not list(done.glob("runs/*/*/*/" + PATIENTS))
    assert [path.parent for path in out.rglob(PATIENTS)] == [out]


def test_held_out_patients_are_left_out_with_and_without_the_secret(data: Path, done: Path, tmp_path: Path) -> None:
    """By the table, else by the headers of the images, else by their bytes, which says what it could not look up."""
    run = next(done.rglob("run/test.csv")).parent
    held = {row["id"] for row in read_rows(run / "test.csv")}
    scans = tmp_path / "scans"
    shutil.copytree(data.parent, scans)
    shared = tmp_path / "shared"
    shared.mkdir()
    shutil.copy(run / "test.csv", shared)
    stores = {
        "table": mg.prepare(scans, tmp_path / "table", leave_out=(run / "test.csv",), quiet=True, workers=0),
        "header": mg.prepare(scans, tmp_path / "header", leave_out=(shared / "test.csv",), quiet=True, workers=0),
    }
    assert {len(Store.open(store).scans) for store in stores.values()} == {4}
    assert len(held) == 2


def test_left_out_of_an_unknown_patient_by_the_bytes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The image has no header to name anyone: its copies stay out, and prepare says that the patient is unknown."""
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", make_ct(number).astype(np.float32))
    shutil.copytree(tmp_path, tmp_path / "scans", ignore=shutil.ignore_patterns("scans"))
    (tmp_path / "test.csv").write_text("image,patient\n0.npy,patient-0123456789abcdef\n")
    store = mg.prepare(tmp_path / "scans", tmp_path / "store", leave_out=(tmp_path / "test.csv",), workers=0)
    assert {scan.sha256 for scan in Store.open(store).scans} == {sha256(tmp_path / f"{n}.npy") for n in (1, 2)}
    assert "names the patients of 1 case by salted names" in capfd.readouterr().err.replace("\n", " ")


def test_audit_finds_patients_by_salted_names_and_says_where_it_cannot(data: Path, done: Path, tmp_path: Path) -> None:
    """Another series of a patient that was fine-tuned on; without both tables, and without a header, it is a doubt."""
    run = next(done.rglob("run/cases.csv")).parent
    trained = {row["id"] for row in read_rows(run / "cases.csv") if row["role"] == "train"}
    with_raw = {case.id: case for case in folder(data).cases}
    other = tmp_path / "other"
    write_series(
        other / "s9", make_ct(9, (18, 20, 16)), SeriesInstanceUID="1.2.9", PatientID=with_raw[min(trained)].patient
    )
    (other / "cases.csv").write_text("image,label\ns9,1.5\n")
    (case,) = folder(other / "cases.csv").cases
    hits = [hit for hit in audit("tuned", run, [case]) if hit.case]  # nobody knows what its start has seen
    assert ["its patient is among the cases" in hit.why for hit in hits] == [True]
    shutil.copytree(run, tmp_path / "shared")
    found = [(hit.case, f"is without its {PATIENTS}" in hit.why) for hit in audit("tuned", tmp_path / "shared", [case])]
    assert sorted(found) == [("", False), ("", True)]
