"""Checks before training: every problem with its file and its remedy, and the cases that are left."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tests.data.scan_files import make_ct, make_image
from tests.tasks.task_files import (
    SIZE,
    SPACING_MM,
    make_nnunet,
    make_pairs,
    make_table,
    write,
    write_csv,
    write_image,
    write_json,
    write_mask,
    write_volumes,
)

from modelsgenesis.tasks import Task, folder
from modelsgenesis.tasks.checks import Checked, check, label_counts


def checked(place: Path) -> tuple[Task, Checked]:
    """A task and what is found in it, read in this process."""
    task = folder(place)
    return task, check(task, workers=0)


def problems_of(found: Checked, severity: str) -> dict[str, str]:
    """What is wrong with which file."""
    return {problem.path.name: problem.problem for problem in found.problems if problem.severity == severity}


def test_ct_in_raw_units_is_noticed(tmp_path: Path) -> None:
    """A CT stored 1024 above its HU would pass for MRI; the one in HU beside it is in order."""
    data = make_pairs(tmp_path, cases=2)
    hu = np.full(SIZE, -1000.0)
    hu[4:20, 4:16] = 40
    write(
        data / "images" / "case0.nii.gz",
        (hu + np.random.default_rng(0).normal(0, 9, SIZE) + 1024).clip(0).astype(np.int16),
    )
    warned = problems_of(checked(data)[1], "warning")
    assert "CT in raw units" in warned["case0.nii.gz"]
    assert "case1.nii.gz" not in warned


def test_findings_say_what_a_case_holds(tmp_path: Path) -> None:
    """Size, spacing, modality, range and the voxels of each label, and no problem where there is none."""
    task, found = checked(make_nnunet(tmp_path))
    assert (found.problems, found.usable) == ((), task.cases)
    first = found.findings[0]
    values = make_ct(0, SIZE)
    assert (first.id, first.size, first.spacing_mm, first.modality) == ("case0", SIZE, SPACING_MM, "CT")
    assert first.ranges == ((values.min(), values.max()),)
    assert first.voxels == (60, 60)
    assert label_counts(task.target, found.findings) == (3, 3)


def test_overlapping_labels_are_counted_each(tmp_path: Path) -> None:
    """A voxel of two regions counts in both."""
    _, found = checked(make_nnunet(tmp_path, labels={"background": 0, "whole": [1, 2], "core": 2}))
    assert found.findings[0].voxels == (120, 60)


def test_bad_masks_cost_their_case(tmp_path: Path) -> None:
    """Another grid, an undeclared value, numbers between, a file cut off; an empty mask is only a warning."""
    place = make_nnunet(tmp_path, cases=8)
    masks = [place / "labelsTr" / f"case{number}.nii.gz" for number in range(8)]
    write_mask(masks[0], size=(20, 18, 15))
    moved = sitk.ReadImage(str(masks[1]))
    moved.SetOrigin((3.0, 0.0, 4.0))
    sitk.WriteImage(moved, str(masks[1]))
    write_mask(masks[2], values=(1, 9))
    write(masks[3], np.full(SIZE, 0.4, np.float32))
    masks[4].unlink()
    cut = write_mask(masks[4].with_suffix(""))
    cut.write_bytes(cut.read_bytes()[:-40])
    write_mask(masks[5], values=())
    _, found = checked(place)
    assert [case.id for case in found.usable] == ["case5", "case6", "case7"]
    assert problems_of(found, "error") == {
        "case0.nii.gz": "mask and image have different sizes, (20, 18, 15) and (20, 18, 16)",
        "case1.nii.gz": "mask and image lie up to 5 mm apart though both have (20, 18, 16) voxels",
        "case2.nii.gz": "the mask holds 9 (60 voxels); declared are 0, 1, 2",
        "case3.nii.gz": "a mask of numbers that are not whole",
        "case4.nii": "the file is cut off: 6072 bytes where its header claims 6112",
    }
    assert problems_of(found, "warning") == {"case5.nii.gz": "its mask is empty"}
    assert all(problem.remedy for problem in found.problems)


def test_bad_images_cost_their_case(tmp_path: Path) -> None:
    """A constant image, a damaged one, channels that lie apart; a missing voxel is repaired with a warning."""
    place = make_nnunet(tmp_path, cases=5, channels=("CT", "PET"))
    images = [place / "imagesTr" / f"case{number}_0001.nii.gz" for number in range(5)]
    write(images[0], np.full(SIZE, 7, np.int16))
    images[1].write_bytes(images[1].read_bytes()[:-40])
    write(images[2], make_ct(1, SIZE), (1.0, 1.5, 2.5))
    holes = make_ct(1, SIZE).astype(np.float32)
    holes[3, 4, 5] = np.nan
    write(images[3], holes)
    write(place / "imagesTr" / "case3_0000.nii.gz", holes - 1)
    _, found = checked(place)
    assert [case.id for case in found.usable] == ["case3", "case4"]
    assert [finding.id for finding in found.findings] == ["case3", "case4"]
    errors = problems_of(found, "error")
    assert errors["case0_0001.nii.gz"] == "every voxel is 7"
    assert "cut off" in errors["case1_0001.nii.gz"]
    assert errors["case2_0001.nii.gz"].startswith("its channels lie up to 7.5 mm apart")
    for channel in range(2):
        assert problems_of(found, "warning")[f"case3_000{channel}.nii.gz"].startswith("1 voxels are NaN or infinite")


def test_volumes_must_be_as_many_as_the_channels(tmp_path: Path) -> None:
    """A 4D image of three volumes where two channels are declared, and one of a single volume."""
    names = []
    for number, count in enumerate((2, 3, 1)):
        volumes = [make_ct(10 * number + channel, SIZE) for channel in range(count)]
        names.append(write_volumes(tmp_path / f"images/{number}.nii.gz", volumes).name)
        write_mask(tmp_path / f"labels/{number}.nii.gz")
    listed = [{"image": f"images/{name}", "label": f"labels/{name}"} for name in names]
    labels = {"0": "background", "1": "a", "2": "b"}
    write_json(tmp_path / "dataset.json", {"modality": {"0": "T1", "1": "T2"}, "labels": labels, "training": listed})
    _, found = checked(tmp_path)
    assert [case.id for case in found.usable] == ["0"]
    errors = problems_of(found, "error")
    assert errors["1.nii.gz"] == "it holds 3 volumes where 2 channels are declared"
    assert errors["2.nii.gz"].startswith("channel 1 is wanted of an image of 1")


def test_one_scan_under_two_names_is_named(tmp_path: Path) -> None:
    """A copy of an image, and one image in two rows, would be learned and tested."""
    place = make_pairs(tmp_path / "pairs", cases=3)
    shutil.copy(place / "images" / "case0.nii.gz", place / "images" / "case2.nii.gz")
    _, found = checked(place)
    assert [case.id for case in found.usable] == ["case0", "case1"]
    assert problems_of(found, "error")["case2.nii.gz"].startswith("byte for byte the same as")
    rows = [{"image": "a.nrrd", "label": "x", "id": "one"}, {"image": "a.nrrd", "label": "y", "id": "two"}]
    write_image(tmp_path / "a.nrrd")
    _, found = checked(write_csv(tmp_path / "t.csv", *rows))
    assert [case.id for case in found.usable] == ["one"]
    assert problems_of(found, "error") == {"a.nrrd": "two cases have this image: the other is one"}


def test_volumes_of_one_file_are_no_copies(tmp_path: Path) -> None:
    """Two cases may be two volumes of a 4D image; twice the same volume is one case too many."""
    write_volumes(tmp_path / "all.nii.gz", [make_ct(seed, SIZE) for seed in range(2)])
    rows = [{"image": f"all.nii.gz#{n % 2}", "label": "ab"[n % 2], "id": f"case{n}"} for n in range(3)]
    _, found = checked(write_csv(tmp_path / "t.csv", *rows))
    assert [case.id for case in found.usable] == ["case0", "case1"]
    assert problems_of(found, "error") == {"all.nii.gz": "two cases have this image: the other is case0"}


def test_what_was_found_before_is_reported_again(tmp_path: Path) -> None:
    """Missing masks, and patients in two folds, stand beside what reading shows."""
    table = make_table(tmp_path, ["a", "b", "a", "b"], patient=["p", "p", "q", "r"], fold=[0, 1, 0, 0])
    task, found = checked(table)
    assert len(task.cases) == 3
    assert "its patient is in fold 0" in problems_of(found, "error")["scan1.nii.gz"]


def test_rare_classes_are_named(tmp_path: Path) -> None:
    """A class of one case, a label of one and a label of none."""
    _, found = checked(make_table(tmp_path / "table", ["a", "a", "b"]))
    assert problems_of(found, "warning") == {"cases.csv": "classes that occur in 1 of 3 cases: b"}
    place = make_nnunet(tmp_path / "set", labels={"background": 0, "liver": 1, "tumour": 2, "gland": 3})
    for number in range(2):
        write_mask(place / "labelsTr" / f"case{number}.nii.gz", values=(1,))
    _, found = checked(place)
    assert [problem.problem for problem in found.problems] == [
        "labels that occur in 0 of 3 cases: gland",
        "labels that occur in 1 of 3 cases: tumour",
    ]


def test_uneven_voxels_are_named(tmp_path: Path) -> None:
    """The remedy is the median spacing."""
    place = make_pairs(tmp_path)
    for part, values in (("images", make_ct(7, SIZE)), ("labels", np.ones(SIZE, np.uint8))):
        write(place / part / "thick.nii.gz", values, (1.0, 1.5, 5.0))
    _, found = checked(place)
    (problem,) = found.problems
    assert (problem.problem, problem.severity) == ("voxels are from 2 to 5 mm along Z", "warning")
    assert problem.remedy == "finetune resamples all to one; the middle is --spacing 1 1.5 2"


def test_ct_beside_others_is_named(tmp_path: Path) -> None:
    """A scan without a value below zero is not read as CT."""
    place = make_pairs(tmp_path)
    write_image(place / "images" / "mr.nii.gz")
    write(place / "images" / "mr.nii.gz", make_ct(9, SIZE) + np.int16(1000))
    write_mask(place / "labels" / "mr.nii.gz")
    _, found = checked(place)
    assert [problem.problem for problem in found.problems] == ["modalities differ: CT in 3 (as case0), MR in 1 (as mr)"]


def test_processes_find_the_same(tmp_path: Path) -> None:
    """With workers, the same in the same order; progress counts every case."""
    place = make_nnunet(tmp_path, cases=4)
    write_mask(place / "labelsTr" / "case1.nii.gz", values=(5,))
    task = folder(place)
    done: list[int] = []
    assert check(task, workers=2, progress=done.append) == check(task, workers=0)
    assert done == [1, 2, 3, 4]


def test_a_case_without_its_mask_is_named(tmp_path: Path) -> None:
    """A task made by hand is checked too."""
    task = folder(make_pairs(tmp_path))
    found = check(replace(task, cases=(replace(task.cases[0], masks=()), *task.cases[1:])), workers=0)
    assert problems_of(found, "error") == {"case0.nii.gz": "it has no mask"}
    assert found.usable == task.cases[1:]


def test_a_mask_on_an_image_that_is_turned(tmp_path: Path) -> None:
    """Grids are compared in space, not by the order of the file's axes: a turned mask is another grid."""
    place = make_pairs(tmp_path, cases=1)
    mask = make_image(np.ones(SIZE, np.uint8), SPACING_MM)
    mask.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(mask, str(place / "labels" / "case0.nii.gz"))
    _, found = checked(place)
    assert found.usable == ()
    assert "mask and image lie up to" in problems_of(found, "error")["case0.nii.gz"]
