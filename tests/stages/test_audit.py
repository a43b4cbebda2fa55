"""The audit finds test cases among what a network was taught on, however they were saved."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.stages.balls import blob, write_image

import modelsgenesis as mg
from modelsgenesis.core.made import certify
from modelsgenesis.data.case import Case
from modelsgenesis.stages._audit import audit
from modelsgenesis.tasks import folder
from modelsgenesis.tasks.dividing import divide
from modelsgenesis.tasks.writing import write_cases


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pre-training scans."""
    place = tmp_path_factory.mktemp("scans")
    for number in range(3):
        write_image(place / "known" / f"scan{number}.nii.gz", blob(number)[0])
    return place


@pytest.fixture(scope="module")
def run(scans: Path) -> Path:
    """Something that was pre-trained on them, by its certificates."""
    store = mg.prepare(scans / "known", scans / "store", modality="MR", quiet=True)
    certify(scans / "run", "pretrain", {}, inputs=[store])
    return scans / "run"


def case_of(place: Path, patient: str = "somebody") -> Case:
    """The case of one image."""
    labels = place.parent.parent / "labels"
    image = sitk.ReadImage(place)
    write_image(labels / place.name, np.ones(image.GetSize(), np.uint8))
    return replace(folder(place.parent.parent).cases[0], patient=patient)


def test_strangers_are_not_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """Another image of the same size, of another patient."""
    write_image(tmp_path / "images" / "new.nii.gz", blob(9)[0])
    assert audit("genesis", run, [case_of(tmp_path / "images" / "new.nii.gz")]) == []


def test_same_file_under_another_name_is_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """Its bytes tell."""
    (tmp_path / "images").mkdir()
    copy = shutil.copy(scans / "known" / "scan1.nii.gz", tmp_path / "images" / "innocent.nii.gz")
    hits = audit("genesis", run, [case_of(Path(copy))])
    assert [(hit.arm, hit.case) for hit in hits] == [("genesis", "innocent")]
    assert "the file is in the store" in hits[0].why


@pytest.mark.parametrize("change", ["format", "scaled", "int16", "turned"])
def test_copy_that_was_saved_anew_is_found(scans: Path, run: Path, tmp_path: Path, change: str) -> None:
    """Another format, another unit, rounded, or with its axes turned: the grey levels tell."""
    image = sitk.ReadImage(scans / "known" / "scan2.nii.gz")
    changed = {
        "format": image, "scaled": image * 3.5 + 7, "int16": sitk.Cast(image + 0.5, sitk.sitkInt16),
        "turned": sitk.Flip(sitk.PermuteAxes(image, [1, 0, 2]), [True, False, False]),
    }[change]  # fmt: skip
    (tmp_path / "images").mkdir()
    sitk.WriteImage(changed, tmp_path / "images" / "other.nrrd")
    hits = audit("genesis", run, [case_of(tmp_path / "images" / "other.nrrd")])
    assert len(hits) == 1
    assert "the same voxels, saved anew" in hits[0].why


def test_another_scan_of_a_patient_is_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """By the patient's salted name, as long as the store has its salt."""
    write_image(tmp_path / "images" / "new.nii.gz", blob(9)[0])
    hits = audit("genesis", run, [case_of(tmp_path / "images" / "new.nii.gz", patient="scan0.nii.gz")])
    assert "the patient scan0.nii.gz is in the store" in hits[0].why


def test_lineage_that_leads_nowhere_is_said(scans: Path, tmp_path: Path) -> None:
    """No certificate, or a store that is gone: nobody can tell."""
    assert "no certificate says" in audit("official", tmp_path / "weights.pt", [])[0].why
    certify(tmp_path / "run", "pretrain", {}, inputs=[tmp_path / "store"])
    hit = audit("genesis", tmp_path / "run", [])[0]
    assert hit.case == ""
    assert f"its store {tmp_path / 'store'} is no longer there" in hit.why


def test_cases_of_an_earlier_fine_tuning_are_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """A start that was fine-tuned on a test case has seen its label too; one that left it out has not."""
    for number in range(10, 14):
        image, mask = blob(number)
        write_image(tmp_path / "images" / f"b{number}.nii.gz", image)
        write_image(tmp_path / "labels" / f"b{number}.nii.gz", mask)
    task = folder(tmp_path)
    division = divide(task, cases=2)
    write_cases(tmp_path / "tuned", division, task.target)
    certify(tmp_path / "tuned", "finetune", {}, inputs=[tmp_path, run])
    taught, left = (
        audit("tuned", tmp_path / "tuned", division.train),
        audit("tuned", tmp_path / "tuned", division.unused),
    )
    assert {hit.case for hit in taught} == {case.id for case in division.train}
    assert left == []


def test_box_of_a_scan_is_held_against_the_scan(scans: Path, run: Path, tmp_path: Path) -> None:
    """A candidate in a copy of a scan that pre-training saw; its own voxels alone would tell nothing."""
    image = sitk.ReadImage(scans / "known" / "scan2.nii.gz")
    sitk.WriteImage(image, tmp_path / "other.nrrd")
    write_image(tmp_path / "new.nii.gz", blob(9)[0])
    rows = [f"{name},somebody-{name},10,11,9,{k}" for k, name in enumerate(("other.nrrd", "new.nii.gz"))]
    (tmp_path / "candidates.csv").write_text("\n".join(["image,patient,x,y,z,label", *rows]))
    cases = mg.tasks.ecc(tmp_path / "candidates.csv").cases
    hits = audit("genesis", run, cases)
    assert [hit.case for hit in hits] == ["other_2"]
    assert "the same voxels, saved anew" in hits[0].why


def test_rows_of_one_array_are_different_scans(tmp_path: Path) -> None:
    """A network that was fine-tuned on some volumes of a file has not seen the others."""
    volumes = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 8), np.uint8)
    np.savez(tmp_path / "some.npz", train_images=volumes, train_labels=np.array([[0], [1], [0], [1]]))
    task = folder(tmp_path / "some.npz")
    division = divide(task, cases=2)
    write_cases(tmp_path / "tuned", division, task.target)
    certify(tmp_path / "tuned", "finetune", {}, inputs=[tmp_path / "some.npz"])
    seen = [hit.case for hit in audit("tuned", tmp_path / "tuned", task.cases) if hit.case]
    assert sorted(seen) == sorted(case.id for case in division.train)


def test_rows_of_one_name_in_two_archives_are_strangers(tmp_path: Path) -> None:
    """MedMNIST numbers the volumes of every set from 0; only a row's own bytes say that it was seen."""
    volumes = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 8), np.uint8)
    for name, rows in (("one", volumes[:2]), ("other", volumes[1:])):
        np.savez(tmp_path / f"{name}.npz", train_images=rows, train_labels=np.arange(len(rows)) % 2)
    store = mg.prepare(tmp_path / "one.npz", tmp_path / "store", quiet=True)
    certify(tmp_path / "run", "pretrain", {}, inputs=[store])
    hits = audit("genesis", tmp_path / "run", folder(tmp_path / "other.npz").cases)
    assert [(hit.case, "the file is in the store" in hit.why) for hit in hits] == [("train_0", True)]
