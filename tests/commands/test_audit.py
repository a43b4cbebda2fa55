"""The audit finds test cases among what a network was trained on, however they were saved."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from tests.balls import blob, write_image

import modelsgenesis as mg
from modelsgenesis.benchmarking.leakage_audit import Hit, Searched, audit, stop_at
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.core.tables import write_table
from modelsgenesis.data.case import Case
from modelsgenesis.data.fingerprints import Fingerprint
from modelsgenesis.data.patient_names import with_raw_patients
from modelsgenesis.data.store.store import Store
from modelsgenesis.reports.benchmark_page import audit_rows
from modelsgenesis.tasks import Task, folder
from modelsgenesis.tasks.case_tables import write_cases
from modelsgenesis.tasks.splitting import CaseSplit, split_cases
from modelsgenesis.weights.registry import resolve

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pre-training scans."""
    place = tmp_path_factory.mktemp("scans")
    for number in range(3):
        write_image(place / "known" / f"scan{number}.nii.gz", blob(number)[0])
    return place


@pytest.fixture(scope="module")
def run(scans: Path) -> Path:
    """Something that was pre-trained on them, by its provenance."""
    return pretrained(scans / "known", scans / "ours")


def pretrained(source: Path, into: Path, **options: Any) -> Path:
    """What stands for a run: a store and the provenance of a pre-training on it."""
    store = mg.prepare(source, into / "store", quiet=True, workers=0, **{"modality": "MR", **options})
    write_provenance(into / "run", "pretrain", {}, inputs=[store])
    return into / "run"


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV's rows."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


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
    """Its bytes identify it."""
    (tmp_path / "images").mkdir()
    copy = shutil.copy(scans / "known" / "scan1.nii.gz", tmp_path / "images" / "innocent.nii.gz")
    hits = audit("genesis", run, [case_of(Path(copy))])
    assert [(hit.arm, hit.case) for hit in hits] == [("genesis", "innocent")]
    assert "the file is in the store" in hits[0].why


def test_store_of_several_arms_is_searched_once(scans: Path, run: Path, tmp_path: Path) -> None:
    """What was found there for one network counts for the next one that learned from it, by its own name."""
    (tmp_path / "images").mkdir()
    case = case_of(Path(shutil.copy(scans / "known" / "scan1.nii.gz", tmp_path / "images")))
    write_provenance(tmp_path / "second", "pretrain", {}, inputs=[run.parent / "store"])
    searched = Searched()
    first = audit("first", run, [case], searched=searched)
    assert audit("second", tmp_path / "second", [case], searched=searched) == [replace(first[0], arm="second")]
    (store,) = searched
    assert store == run.parent / "store"
    searched[store] = [(case, "remembered")], ()
    assert [hit.why for hit in audit("third", run, [case], searched=searched)] == ["remembered"]


def turned(image: sitk.Image) -> sitk.Image:
    """The same voxels, other axes of the file."""
    return sitk.Flip(sitk.PermuteAxes(image, [1, 0, 2]), [True, False, True])


CHANGES: dict[str, Callable[[sitk.Image], sitk.Image]] = {
    "format": lambda image: image,
    "scaled": lambda image: image * 3.5 + 7,
    "int16": lambda image: sitk.Cast(image + 0.5, sitk.sitkInt16),
    "turned": turned,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("store", ["as it is", "resampled"])
def test_copy_that_was_saved_anew_is_found(scans: Path, tmp_path: Path, change: str, store: str) -> None:
    """Another format, another unit, rounded, or with its axes turned: the grey levels as read identify it."""
    options = {"spacing": (1.5, 1.3, 2.0)} if store == "resampled" else {}
    run = pretrained(scans / "known", tmp_path / "ours", **options)
    image = sitk.ReadImage(scans / "known" / "scan2.nii.gz")
    (tmp_path / "images").mkdir()
    sitk.WriteImage(CHANGES[change](image), tmp_path / "images" / "other.nrrd")
    hits = audit("genesis", run, [case_of(tmp_path / "images" / "other.nrrd")])
    assert len(hits) == 1
    assert "the same voxels, saved anew" in hits[0].why


def test_copy_of_eight_bits_is_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """Its levels are rounded to 256, but what is bright lies in the same place."""
    image = sitk.ReadImage(scans / "known" / "scan2.nii.gz")
    (tmp_path / "images").mkdir()
    sitk.WriteImage(sitk.Cast(sitk.RescaleIntensity(image), sitk.sitkUInt8), tmp_path / "images" / "other.nrrd")
    assert len(audit("genesis", run, [case_of(tmp_path / "images" / "other.nrrd")])) == 1


@pytest.mark.parametrize("axes", ["reversed", "turned"])
def test_bare_array_of_a_scan_is_found(scans: Path, run: Path, tmp_path: Path, axes: str) -> None:
    """A .npy has lost which axis is which and which way it runs."""
    values = sitk.GetArrayFromImage(sitk.ReadImage(scans / "known" / "scan2.nii.gz"))  # (Z, Y, X)
    np.save(tmp_path / "other.npy", values if axes == "reversed" else values[::-1].transpose(1, 0, 2))
    (tmp_path / "cases.csv").write_text("image,label\nother.npy,2\n")
    hits = audit("genesis", run, folder(tmp_path / "cases.csv", kind="regression").cases)
    assert ["the same voxels" in hit.why for hit in hits] == [True]


@pytest.mark.parametrize("spacing", [None, (2.0, 2.0, 2.0)])
def test_masks_are_known_by_their_outer_shape(tmp_path: Path, spacing: tuple[float, float, float] | None) -> None:
    """As 0 and 255 in place of 0 and 1 it is found, another is not; whatever the store's spacing."""
    masks = [(blob(number)[1] > 0).astype(np.uint8) for number in (0, 1, 2)]
    for number, mask in enumerate(masks[:2]):
        write_image(tmp_path / "known" / f"mask{number}.nii.gz", mask)
    (tmp_path / "known.csv").write_text("image\nknown/mask0.nii.gz\nknown/mask1.nii.gz\n")
    run = pretrained(tmp_path / "known.csv", tmp_path / "ours", spacing=spacing)
    write_image(tmp_path / "copy" / "images" / "new.nii.gz", masks[1] * 255)
    write_image(tmp_path / "stranger" / "images" / "new.nii.gz", masks[2])
    copy, stranger = (
        audit("genesis", run, [case_of(tmp_path / name / "images" / "new.nii.gz")]) for name in ("copy", "stranger")
    )
    assert ["the same voxels, saved anew" in hit.why for hit in copy] == [True]
    assert stranger == []


def test_store_that_was_made_anew_is_reported(scans: Path, tmp_path: Path) -> None:
    """Whoever prepares it again without the test case after the training has hidden nothing."""
    shutil.copytree(scans / "known", tmp_path / "known")
    run = pretrained(tmp_path / "known", tmp_path / "ours")
    shutil.rmtree(tmp_path / "ours" / "store")
    (tmp_path / "known" / "scan2.nii.gz").unlink()
    mg.prepare(tmp_path / "known", tmp_path / "ours" / "store", modality="MR", workers=0, quiet=True)
    (tmp_path / "images").mkdir()
    copy = Path(shutil.copy(scans / "known" / "scan2.nii.gz", tmp_path / "images"))
    hits = audit("genesis", run, [case_of(copy)])
    assert [(hit.case, "was made anew" in hit.why and "nobody can know" in hit.why) for hit in hits] == [("", True)]


def test_official_cubes_are_said_to_name_no_scan(tmp_path: Path) -> None:
    """Their scans, of which they are pieces, cannot be looked up."""
    (tmp_path / "known").mkdir()
    np.save(tmp_path / "known" / "bat_32_s_8x8x8_0.npy", np.random.default_rng(0).random((4, 8, 8, 8)))
    hits = audit("genesis", pretrained(tmp_path / "known", tmp_path / "ours", modality=None), [])
    assert ["official cubes" in hit.why and "nobody can know" in hit.why for hit in hits] == [True]


def test_another_scan_of_a_patient_is_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """By the patient's salted name, as long as the store has its salt."""
    write_image(tmp_path / "images" / "new.nii.gz", blob(9)[0])
    hits = audit("genesis", run, [case_of(tmp_path / "images" / "new.nii.gz", patient="scan0.nii.gz")])
    assert "its patient is in the store" in hits[0].why


def test_lineage_that_leads_nowhere_is_reported(scans: Path, tmp_path: Path) -> None:
    """No provenance, or a store that is gone: nobody can know."""
    assert "no provenance says" in audit("official", tmp_path / "weights.pt", [])[0].why
    write_provenance(tmp_path / "run", "pretrain", {}, inputs=[tmp_path / "store"])
    hit = audit("genesis", tmp_path / "run", [])[0]
    assert hit.case == ""
    assert f"its store {tmp_path / 'store'} is no longer there" in hit.why


@pytest.mark.parametrize("name", ["weights.safetensors", "last.pt", "model.pt"])
def test_file_that_merely_lies_in_a_run_has_no_lineage(run: Path, tmp_path: Path, name: str) -> None:
    """Anybody may copy weights into a folder; only the networks that its stage writes there are its own."""
    shutil.copytree(run, tmp_path / "run")
    for each in (name, "last.safetensors"):
        (tmp_path / "run" / each).touch()
    assert ["no provenance says" in hit.why for hit in audit("genesis", tmp_path / "run" / name, [])] == [True]
    assert audit("genesis", tmp_path / "run" / "last.safetensors", []) == []


def test_start_of_a_fine_tuning_is_followed_from_a_file(scans: Path, run: Path, tmp_path: Path) -> None:
    """Of a run's own network it is the run; of any other file nobody can know."""
    task, _ = tuned_on_two(tmp_path, run)
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "seen" / "images").mkdir(parents=True)
    copy = Path(shutil.copy(scans / "known" / "scan2.nii.gz", tmp_path / "seen" / "images"))
    found = {}
    for name in ("model.safetensors", "strange.safetensors"):
        (tmp_path / "run" / name).touch()
        write_provenance(tmp_path / "tuned", "finetune", {}, inputs=[task.place, tmp_path / "run" / name])
        found[name] = [hit.why for hit in audit("tuned", tmp_path / "tuned", [case_of(copy)])]
    assert ["in the store" in why for why in found["model.safetensors"]] == [True]
    assert ["no provenance says what" in why for why in found["strange.safetensors"]] == [True]


def tuned_on_two(place: Path, run: Path) -> tuple[Task, CaseSplit]:
    """A task of four cases, and in `tuned` what stands for a run that was fine-tuned on two of them."""
    for number in range(10, 14):
        image, mask = blob(number)
        write_image(place / "images" / f"b{number}.nii.gz", image)
        write_image(place / "labels" / f"b{number}.nii.gz", mask)
    task = folder(place)
    division = split_cases(task, cases=2)
    write_cases(place / "tuned", division, task.target)
    write_provenance(place / "tuned", "finetune", {}, inputs=[place, run])
    return task, division


def test_cases_of_an_earlier_fine_tuning_are_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """A start that was fine-tuned on a test case has seen its label too; one that left it out has not."""
    _, division = tuned_on_two(tmp_path, run)
    trained, left = (
        audit("tuned", tmp_path / "tuned", division.train),
        audit("tuned", tmp_path / "tuned", division.unused),
    )
    assert {hit.case for hit in trained} == {case.id for case in division.train}
    assert left == []


def test_copies_of_what_a_fine_tuning_saw_are_found(scans: Path, run: Path, tmp_path: Path) -> None:
    """Another format, or another scan of a patient whom a table names; cases of one name are not of one patient."""
    _, division = tuned_on_two(tmp_path / "task", run)
    rows = rows_of(tmp_path / "task" / "tuned" / "cases.csv")
    for row in rows:
        row["patient"] = "anna" if row["id"] == division.train[0].id else row["patient"]
    write_table(tmp_path / "task" / "tuned" / "cases.csv", list(rows[0]), rows)
    (tmp_path / "images").mkdir()
    sitk.WriteImage(sitk.ReadImage(division.train[1].images[0].path), tmp_path / "images" / "new.nrrd")
    write_image(tmp_path / "other" / "images" / f"{division.train[1].id}.nii.gz", blob(9)[0])
    copy = case_of(tmp_path / "images" / "new.nrrd")
    stranger = case_of(tmp_path / "other" / "images" / f"{division.train[1].id}.nii.gz", division.train[1].id)
    found = {
        name: [hit.why for hit in audit("tuned", tmp_path / "task" / "tuned", [case])]
        for name, case in (("copy", copy), ("anna", replace(stranger, patient="anna")), ("stranger", stranger))
    }
    assert ["the same voxels, saved anew, are among the cases of" in why for why in found["copy"]] == [True]
    assert ["its patient is among the cases of" in why for why in found["anna"]] == [True]
    assert found["stranger"] == []


@pytest.mark.parametrize("gone", ["all", "one"])
def test_fine_tuning_whose_cases_were_moved_is_reported(run: Path, tmp_path: Path, gone: str) -> None:
    """What it saw can no longer be looked up, or not all of it."""
    _, division = tuned_on_two(tmp_path, run)
    for case in division.train if gone == "all" else division.train[:1]:
        case.images[0].path.unlink()
    (hit,) = audit("tuned", tmp_path / "tuned", division.unused)
    assert (hit.case, hit.why.partition(" of the 2 cases")[0]) == ("", "2" if gone == "all" else "1")
    assert "nobody can know" in hit.why


def raw_patients(rows: list[dict[str, str]], place: Path) -> list[str]:
    """The patients of a table by the secret beside it, none of whom it names itself."""
    back = [row["patient"] for row in with_raw_patients(rows, place)]
    assert not set(back) & {row["patient"] for row in rows} - {""}
    return back


@pytest.mark.parametrize("allow", [(), ("ours",), ("ours", "theirs")])
def test_every_hit_is_in_a_table(tmp_path: Path, allow: tuple[str, ...]) -> None:
    """Those beyond what an error can name, and those that are allowed."""
    hits = [Hit("ours", f"case{number}", "Zoë", "it is there, twice") for number in range(7)]
    hits += [Hit("theirs", "", "", "nobody can know")]
    if "theirs" in allow:
        stop_at(hits, tmp_path / "out", arms=("ours", "theirs"), allow=allow)
    else:
        with pytest.raises(DataError, match=r"reasons? not to trust .*audit\.csv.*--allow"):
            stop_at(hits, tmp_path / "out", arms=("ours", "theirs"), allow=allow)
    rows = rows_of(tmp_path / "out" / "audit.csv")
    rows = [{**row, "patient": name} for row, name in zip(rows, raw_patients(rows, tmp_path / "out"), strict=True)]
    assert [Hit(**{name: row[name] for name in ("arm", "case", "patient", "why")}) for row in rows] == hits
    assert [row["allowed"] for row in rows] == ["yes" if hit.arm in allow else "no" for hit in hits]


def test_clean_audit_leaves_an_empty_table(tmp_path: Path) -> None:
    """So that it can be known later that there was one."""
    stop_at([], tmp_path / "out", arms=("ours",), allow=())
    assert (tmp_path / "out" / "audit.csv").read_text(encoding="utf-8") == "arm,case,patient,why,allowed\n"


def test_what_was_found_of_other_arms_stays(tmp_path: Path) -> None:
    """Arms of an earlier command are still in the tables, so what was allowed of them is too."""
    for arm in ("ours", "theirs", "ours"):
        stop_at([Hit(arm, "", "", "nobody can know")], tmp_path / "out", arms=(arm,), allow=(arm,))
    assert [row["arm"] for row in rows_of(tmp_path / "out" / "audit.csv")] == ["theirs", "ours"]


def test_cases_that_chose_a_network_were_seen_too(run: Path, tmp_path: Path) -> None:
    """A validation case of an earlier fine-tuning decided which network was kept; only its test cases are strangers."""
    task, _ = tuned_on_two(tmp_path, run)
    division = split_cases(task, test=0.25, val=0.25)
    write_cases(tmp_path / "tuned", division, task.target)
    found = {
        role: ["among the cases of" in hit.why for hit in audit("tuned", tmp_path / "tuned", cases)]
        for role, cases in (("train", division.train), ("val", division.val), ("test", division.test))
    }
    assert found == {"train": [True, True], "val": [True], "test": []}


def test_store_without_its_salt_is_a_doubt(scans: Path, tmp_path: Path) -> None:
    """Patients are looked up by it: a scan of a known one is not found then, so none of the others is called clean."""
    write_image(tmp_path / "task" / "images" / "new.nii.gz", blob(9)[0])
    case = case_of(tmp_path / "task" / "images" / "new.nii.gz", patient="scan0.nii.gz")
    run = pretrained(scans / "known", tmp_path / "ours")
    assert [hit.case for hit in audit("genesis", run, [case])] == ["new"]
    (tmp_path / "ours" / "store" / "salt").unlink()
    (hit,) = audit("genesis", run, [case])
    assert (hit.case, "by patient" in hit.why, "nobody can know" in hit.why) == ("", True, True)
    with pytest.raises(DataError, match="salt is gone"):
        stop_at([hit], tmp_path / "out", arms=("genesis",), allow=())
    stop_at([hit], tmp_path / "out", arms=("genesis",), allow=("genesis",))
    assert audit_rows(tmp_path / "out") == [("genesis", "", hit.why, "yes")]


def test_patients_of_joined_stores_are_found_by_each_stores_salt(scans: Path, tmp_path: Path) -> None:
    """Also one who went by another name in the second store, shown by a scan that both hold; or it is a doubt."""
    for name, copied in (("north", {"scan0": "scan0"}), ("south", {"scan0": "other", "scan1": "scan1"})):
        (tmp_path / name).mkdir()
        for number, new in copied.items():
            shutil.copy(scans / "known" / f"{number}.nii.gz", tmp_path / name / f"{new}.nii.gz")
    stores = [
        mg.prepare(tmp_path / name, tmp_path / f"{name}-store", quiet=True, workers=0, modality="MR", salt=name)
        for name in ("north", "south")
    ]
    joined = mg.prepare(tuple(stores), tmp_path / "joined", join=True, quiet=True)
    write_provenance(tmp_path / "run", "pretrain", {}, inputs=[joined])
    write_image(tmp_path / "task" / "images" / "new.nii.gz", blob(9)[0])
    for patient, found in (("scan0", 1), ("other", 1), ("scan1", 1), ("scan2", 0)):
        case = case_of(tmp_path / "task" / "images" / "new.nii.gz", patient=f"{patient}.nii.gz")
        assert len(audit("genesis", tmp_path / "run", [case])) == found, patient
    (stores[1] / "salt").unlink()
    (hit,) = audit("genesis", tmp_path / "run", [case])
    assert (f"{stores[1]}/salt is gone" in hit.why, "nobody can know" in hit.why) == (True, True)
    assert {source.path.name for source in Store.open(joined).sources.values()} == {"scan0.nii.gz"}


def test_box_of_a_scan_is_held_against_the_scan(scans: Path, run: Path, tmp_path: Path) -> None:
    """A candidate in a copy of a scan that pre-training saw; its own voxels alone would not identify it."""
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
    division = split_cases(task, cases=2)
    write_cases(tmp_path / "tuned", division, task.target)
    write_provenance(tmp_path / "tuned", "finetune", {}, inputs=[tmp_path / "some.npz"])
    seen = [hit.case for hit in audit("tuned", tmp_path / "tuned", task.cases)]  # from scratch: nothing else was seen
    assert sorted(seen) == sorted(case.id for case in division.train)


def test_rows_of_one_name_in_two_archives_are_strangers(tmp_path: Path) -> None:
    """MedMNIST numbers the volumes of every set from 0; only a row's own bytes say that it was seen."""
    volumes = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 8), np.uint8)
    for name, rows in (("one", volumes[:2]), ("other", volumes[1:])):
        np.savez(tmp_path / f"{name}.npz", train_images=rows, train_labels=np.arange(len(rows)) % 2)
    store = mg.prepare(tmp_path / "one.npz", tmp_path / "store", workers=0, quiet=True)
    write_provenance(tmp_path / "run", "pretrain", {}, inputs=[store])
    hits = audit("genesis", tmp_path / "run", folder(tmp_path / "other.npz").cases)
    assert [(hit.case, "the file is in the store" in hit.why) for hit in hits] == [("train_0", True)]


def test_weights_of_the_package_come_with_the_list_of_their_scans(tmp_path: Path) -> None:
    """Ten scans, each known by its file and its image: no stranger is among them, and a copy of one is found."""
    weights = resolve("genesis-small-ct")
    listed = rows_of(weights.with_suffix(".csv"))
    assert len(listed) == 10
    assert all(len(row["sha256"]) == 64 and Fingerprint.read(row["print"]).identifies for row in listed)
    write_image(tmp_path / "images" / "new.nii.gz", blob(9)[0])
    assert audit("ours", weights, [case_of(tmp_path / "images" / "new.nii.gz")]) == []


@pytest.mark.skipif(
    not (SHARED / "ct").is_dir(), reason="the real scans are not beside the repository (../shared/data)"
)
def test_scan_that_the_weights_of_the_package_learned_from_is_found_however_it_is_saved(tmp_path: Path) -> None:
    """By its bytes, and saved anew by its voxels."""
    scan, weights = SHARED / "ct/torso_totalseg/images/example_ct.nii.gz", resolve("genesis-small-ct")
    (tmp_path / "images").mkdir()
    shutil.copy(scan, tmp_path / "images" / "copy.nii.gz")
    (hit,) = audit("ours", weights, [case_of(tmp_path / "images" / "copy.nii.gz")])
    assert hit.why == "the file is among the scans that genesis-small-ct learned from"
    (tmp_path / "again" / "images").mkdir(parents=True)
    sitk.WriteImage(sitk.ReadImage(scan), tmp_path / "again" / "images" / "copy.mha")
    (hit,) = audit("ours", weights, [case_of(tmp_path / "again" / "images" / "copy.mha")])
    assert hit.why == "the same voxels, saved anew, are among the scans that genesis-small-ct learned from"
