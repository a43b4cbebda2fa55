"""Bare folders: images, and masks of the same names."""

from pathlib import Path

import numpy as np
import pytest
from tests.data.scan_files import make_ct, write_series
from tests.tasks.task_files import SIZE, make_pairs, write, write_image, write_json, write_mask

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.tasks import folder
from modelsgenesis.tasks.task import NoCaseError


@pytest.mark.parametrize("masks", ["labels", "masks"])
def test_masks_are_found_by_name(tmp_path: Path, masks: str) -> None:
    """Whatever the endings, image and mask of one name are a case; their values are the labels."""
    place = make_pairs(tmp_path / "organs", masks=masks)
    write_image(place / "images" / "other.nrrd")
    write_mask(place / masks / "other.mha", values=(2, 7))
    task = folder(place)
    assert task.name == "organs"
    assert task.target.labels == (Label("1", (1,)), Label("2", (2,)), Label("7", (7,)))
    assert [case.id for case in task.cases] == ["case0", "case1", "case2", "other"]
    assert [case.masks[0].path.name for case in task.cases][-1] == "other.mha"
    assert task.problems == ()


def test_a_folder_of_monai_label_has_its_final_masks(tmp_path: Path) -> None:
    """Images lie in the folder itself, what a person accepted in labels/final; drafts of a model are no masks."""
    for number in range(3):
        write_image(tmp_path / f"ct{number}.nii.gz", number)
        write_mask(tmp_path / "labels" / "original" / f"ct{number}.nii.gz", values=(3,))
    for number in range(2):
        write_mask(tmp_path / "labels" / "final" / f"ct{number}.nii.gz", values=(1, 2))
    write_json(tmp_path / "datastore_v2.json", {"objects": {}})
    task = folder(tmp_path)
    assert [case.id for case in task.cases] == ["ct0", "ct1"]
    masks = [case.masks[0].path.relative_to(tmp_path).as_posix() for case in task.cases]
    assert masks == ["labels/final/ct0.nii.gz", "labels/final/ct1.nii.gz"]
    assert task.target.labels == (Label("1", (1,)), Label("2", (2,)))
    assert [case.id for case in task.unlabelled] == ["ct2"]
    assert task.problems == ()


def test_labels_json_names_the_values(tmp_path: Path) -> None:
    """Declared labels are taken as they are, and regions may overlap."""
    place = make_pairs(tmp_path)
    write_json(place / "labels.json", {"liver": [1, 2], "tumour": 2})
    task = folder(place)
    assert task.target.labels == (Label("liver", (1, 2)), Label("tumour", (2,)))
    assert isinstance(task.target, MultilabelSegmentation)


def test_white_masks_beside_others_are_told(tmp_path: Path) -> None:
    """255 as a drawing program writes it, and 1: they are two labels, unless labels.json has them as one."""
    place = make_pairs(tmp_path)
    for number, value in enumerate((1, 255, 255)):
        write_mask(place / "labels" / f"case{number}.nii.gz", values=(value,))
    task = folder(place)
    assert task.target.names == ("1", "255")
    assert len(task.cases) == 3
    (problem,) = task.problems
    assert (problem.severity, problem.path) == ("warning", place / "labels")
    assert problem.problem == "2 of 3 masks hold 255 alone, a label of its own, where others hold 1"
    write_json(place / "labels.json", {"organ": [1, 255]})
    assert (folder(place).target.names, folder(place).problems) == (("organ",), ())
    (place / "labels.json").unlink()
    write_mask(place / "labels" / "case0.nii.gz", values=(1, 255))
    assert folder(place).problems == ()


def test_numbered_images_are_channels(tmp_path: Path) -> None:
    """Without a description too, if all images are named so and the masks are not."""
    for number in range(3):
        for channel in range(2):
            write_image(tmp_path / "imagesTr" / f"case{number}_{channel:04d}.nii.gz", 10 * number + channel)
        write_mask(tmp_path / "labelsTr" / f"case{number}.nii.gz")
    (tmp_path / "imagesTr" / "case1_0000.nii.gz").unlink()
    task = folder(tmp_path)
    assert task.channels == ("channel 0", "channel 1")
    assert [[source.path.name[:10] for source in case.images] for case in task.cases] == [
        ["case0_0000", "case0_0001"],
        ["case2_0000", "case2_0001"],
    ]
    assert [problem.problem for problem in task.problems] == ["it has channels 0001 where others have 2"]


def test_patients_are_those_of_headers_and_folders(tmp_path: Path) -> None:
    """A DICOM series knows its patient, a BIDS folder names it; otherwise each case is a patient of its own."""
    place = make_pairs(tmp_path, cases=1)
    write_series(place / "images" / "ct", make_ct(0, SIZE))
    write_mask(place / "labels" / "ct.nii.gz")
    write_image(place / "images" / "sub-07" / "anat.nii.gz")
    write_mask(place / "labels" / "sub-07" / "anat.nii.gz")
    patients = {case.id: case.patient for case in folder(place).cases}
    assert patients == {"case0": "case0", "ct": "SECRET-ID-42", "sub-07_anat": "sub-07"}


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    """An image without a mask, a mask without an image, two images of one name, and files that cannot be read."""
    place = make_pairs(tmp_path, cases=5)
    (place / "labels" / "case0.nii.gz").unlink()
    (place / "images" / "case1.nii.gz").unlink()
    write_image(place / "images" / "case2.nrrd")
    write(place / "labels" / "case3.nii.gz", np.full(SIZE, 0.3, np.float32))
    task = folder(place)
    assert [case.id for case in task.cases] == ["case2", "case4"]
    assert {problem.path.relative_to(place).as_posix(): problem.problem for problem in task.problems} == {
        "images/case0.nii.gz": "no mask of its name in labels/",
        "labels/case1.nii.gz": "no image of its name in images/",
        "images/case2.nrrd": "two files of one name: the other is case2.nii.gz",
        "labels/case3.nii.gz": "a mask of numbers that are not whole",
    }


def test_only_empty_masks_are_refused(tmp_path: Path) -> None:
    """There is nothing to learn."""
    place = make_pairs(tmp_path, cases=0)
    write_image(place / "images" / "a.nii.gz")
    write_mask(place / "labels" / "a.nii.gz", values=())
    with pytest.raises(DataError, match="every mask is empty"):
        folder(place)


def test_no_readable_mask_names_why(tmp_path: Path) -> None:
    """An image taken for a mask is the first problem."""
    place = make_pairs(tmp_path, cases=0)
    write_image(place / "images" / "a.nii.gz")
    write(place / "labels" / "a.nii.gz", make_ct(0, SIZE).astype(np.float32) + 0.5)
    with pytest.raises(NoCaseError, match=r"labels/a.nii.gz: a mask of numbers that are not whole"):
        folder(place)


def test_too_many_values_are_no_labels(tmp_path: Path) -> None:
    """The same scans given twice: as images and as masks."""
    place = make_pairs(tmp_path, cases=0)
    for part in ("images", "labels"):
        write_image(place / part / "a.nii.gz")
    with pytest.raises(DataError, match=r"hold \d+ different values; are they masks"):
        folder(place)
