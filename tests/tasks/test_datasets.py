"""Data sets that describe themselves: nnU-Net, new and old, and the Medical Segmentation Decathlon."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.data.scan_files import make_ct
from tests.tasks.task_files import SIZE, make_nnunet, write_image, write_json, write_mask, write_volumes

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_json
from modelsgenesis.core.labels import Label
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth, Percentiles
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.inference.cases import find_cases
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.tasks import folder
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.datasets import dataset, modality_of
from modelsgenesis.tasks.splitting import cross_validation_splits, split_cases
from modelsgenesis.tasks.task import NoCaseError


def describe(place: Path, **changes: Any) -> Path:
    """Change entries of a data set's description; None takes one out."""
    description = read_json(place / "dataset.json") | changes
    write_json(place / "dataset.json", {name: value for name, value in description.items() if value is not None})
    return place


def make_decathlon(place: Path, *, cases: int = 2) -> Path:
    """Write a data set of two MRI channels in 4D files, as the Decathlon's brain tumours are."""
    for number in range(cases):
        channels = [make_ct(10 * number + channel, SIZE) + 2000 for channel in range(2)]
        write_volumes(place / "imagesTr" / f"BRATS_{number:03d}.nii.gz", channels)
        write_mask(place / "labelsTr" / f"BRATS_{number:03d}.nii.gz")
    write_volumes(place / "imagesTs" / "BRATS_900.nii.gz", [make_ct(7, SIZE)] * 2)
    names = [f"BRATS_{number:03d}.nii.gz" for number in range(cases)]
    description = {
        "name": "BRATS",
        "modality": {"0": "FLAIR", "1": "t1gd"},
        "labels": {"0": "background", "1": "edema", "2": "tumour"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "test": ["./imagesTs/BRATS_900.nii.gz"],
    }
    write_json(place / "dataset.json", description)
    return place


def test_nnunet_cases_have_all_their_channels(tmp_path: Path) -> None:
    """Channels come in order, each with the modality its name means; the background is no label."""
    task = folder(make_nnunet(tmp_path / "Dataset007_Liver", channels=("CT", "PET")))
    assert task.name == "Dataset007_Liver"
    assert task.target.labels == (Label("liver", (1,)), Label("tumour", (2,)))
    assert isinstance(task.target, Segmentation)
    assert [case.id for case in task.cases] == ["case0", "case1", "case2"]
    assert task.channels == ("CT", "PET")
    first = task.cases[0]
    assert [source.path.name for source in first.images] == ["case0_0000.nii.gz", "case0_0001.nii.gz"]
    assert [source.modality for source in first.images] == ["CT", "unknown"]
    assert [source.path.name for source in first.masks] == ["case0.nii.gz"]
    assert (task.problems, task.unlabelled) == ((), ())


def test_folds_of_nnunet_are_taken(tmp_path: Path) -> None:
    """Each case validates in the fold that its splits_final.json says; cross-validation then has those folds."""
    for number in range(6):
        write_image(tmp_path / "imagesTr" / f"liver_{number}_0000.nii.gz", number)
        write_mask(tmp_path / "labelsTr" / f"liver_{number}.nii.gz", (1,))
    write_json(tmp_path / "dataset.json", {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}})
    folds = [["liver_4", "liver_1"], ["liver_0", "liver_5"], ["liver_2", "liver_3"]]
    every = [f"liver_{number}" for number in range(6)]
    splits = [{"train": [name for name in every if name not in fold], "val": fold} for fold in folds]
    write_json(tmp_path / "splits_final.json", splits)
    task = dataset(tmp_path)
    assert {case.id: case.fold for case in task.cases} == {name: k for k, fold in enumerate(folds) for name in fold}
    divisions = cross_validation_splits(split_cases(task), 3)
    assert [{case.id for case in division.val} for division in divisions] == [set(fold) for fold in folds]
    write_json(tmp_path / "splits_final.json", [*splits, splits[0]])
    task = dataset(tmp_path)
    assert {case.fold for case in task.cases} == {None}
    assert any("2 cases validate in more than one split" in problem.problem for problem in task.problems)
    write_json(tmp_path / "splits_final.json", splits[:2])
    task = dataset(tmp_path)
    assert {case.fold for case in task.cases} == {None}
    assert any("2 of 6 cases validate in none of its splits, the first liver_2" in p.problem for p in task.problems)
    write_json(tmp_path / "splits_final.json", {"train": [], "val": []})
    with pytest.raises(DataError, match="is no list of splits"):
        dataset(tmp_path)


def test_labels_of_the_old_form_are_read(tmp_path: Path) -> None:
    """nnU-Net v1 said modality, turned labels around, and listed images without the number of their channel."""
    place = make_nnunet(tmp_path, cases=2)
    listed = [{"image": f"./imagesTr/case{n}.nii.gz", "label": f"./labelsTr/case{n}.nii.gz"} for n in range(2)]
    turned = {"0": "background", "1": "liver", "2": "tumour"}
    task = folder(describe(place, channel_names=None, modality={"0": "CT"}, labels=turned, training=listed))
    assert task.target.labels == (Label("liver", (1,)), Label("tumour", (2,)))
    assert len(task.cases) == 2
    assert task.modality == "CT"


def test_regions_overlap(tmp_path: Path) -> None:
    """Regions that share a value are labels of their own; regions that share none exclude each other."""
    nested = folder(make_nnunet(tmp_path / "a", labels={"background": 0, "whole": [1, 2], "core": [2]}))
    assert nested.target.labels == (Label("whole", (1, 2)), Label("core", (2,)))
    assert isinstance(nested.target, MultilabelSegmentation)
    apart = folder(make_nnunet(tmp_path / "b", labels={"background": 0, "organs": [1, 2], "bone": 3}))
    assert isinstance(apart.target, Segmentation)


def test_images_for_testing_are_cases_only_with_labels(tmp_path: Path) -> None:
    """imagesTs alone are unlabelled; those with labelsTs are cases of the makers' test split."""
    place = make_nnunet(tmp_path)
    write_image(place / "imagesTs" / "new0_0000.nii.gz")
    assert [case.id for case in folder(place).unlabelled] == ["new0"]
    write_mask(place / "labelsTs" / "new0.nii.gz")
    task = folder(place)
    assert [(case.id, case.split) for case in task.cases][-1] == ("new0", "test")
    assert task.unlabelled == ()


def test_files_listed_by_the_description_are_taken(tmp_path: Path) -> None:
    """nnU-Net's own list of images and labels may point anywhere."""
    place = make_nnunet(tmp_path / "set", cases=0)
    image, mask = write_image(tmp_path / "elsewhere" / "i.nrrd"), write_mask(tmp_path / "elsewhere" / "m.nrrd")
    entries = {
        "one": {"images": [str(image)], "label": "../elsewhere/m.nrrd"},
        "two": {"images": ["gone.nii.gz"], "label": str(mask)},
        "three": {"label": str(mask)},
    }
    task = folder(describe(place, dataset=entries))
    assert [(case.id, case.images[0].path, case.masks[0].path.name) for case in task.cases] == [
        ("one", image, "m.nrrd")
    ]
    assert [problem.problem for problem in task.problems] == [
        "it is named, but it is not there",
        "its entry three lacks images or a label",
    ]


def test_decathlon_channels_are_volumes_of_one_file(tmp_path: Path) -> None:
    """Channel k is the k-th volume; images are read as the file has them, and the test images have no label."""
    task = folder(make_decathlon(tmp_path))
    assert (task.name, task.channels, task.modality) == ("BRATS", ("FLAIR", "t1gd"), "MR")
    assert task.target.names == ("edema", "tumour")
    case = task.cases[1]
    values = read_image(case.images, Reading(Percentiles())).values
    np.testing.assert_array_equal(values, [make_ct(10, SIZE) + 2000, make_ct(11, SIZE) + 2000])
    assert case.masks[0].path.name == "BRATS_001.nii.gz"
    assert [case.id for case in task.unlabelled] == ["BRATS_900"]


def make_datalist(place: Path) -> Path:
    """Write a list as MONAI's Auto3DSeg has it: a file a channel, folds, and labelled cases to validate and test on."""
    cases: dict[str, list[dict[str, Any]]] = {"training": [], "validation": [], "testing": []}
    for number, part in enumerate(["training", "training", "training", "validation", "testing", "testing"]):
        files = [f"p{number}/{name}.nii.gz" for name in ("flair", "t1ce")]
        for channel, file in enumerate(files):
            write_image(place / file, 10 * number + channel)
        write_mask(place / f"p{number}/seg.nii.gz", (1,))
        cases[part].append({"image": files, "label": f"p{number}/seg.nii.gz"})
        if part == "training":
            cases[part][-1]["fold"] = number % 2
    del cases["testing"][1]["label"]
    write_json(place / "dataset.json", {"modality": {"0": "FLAIR", "1": "T1ce"}, "labels": {"1": "tumour"}, **cases})
    return place


def test_a_list_of_monai_says_which_cases_train_validate_and_test(tmp_path: Path) -> None:
    """Parts, folds and channels are those that MONAI's load_decathlon_datalist gives of the same file."""
    task = folder(make_datalist(tmp_path))
    found = [(case.id, case.split, case.fold) for case in task.cases]
    trained = [("p0_flair", "", 0), ("p1_flair", "", 1), ("p2_flair", "", 0)]
    assert found == [*trained, ("p3_flair", "val", None), ("p4_flair", "test", None)]
    for number, case in enumerate((*task.cases, *task.unlabelled)):
        files = [source.path.relative_to(tmp_path).as_posix() for source in (*case.images, *case.masks)]
        assert files == [f"p{number}/{name}.nii.gz" for name in ("flair", "t1ce", "seg")][: 3 if number < 5 else 2]
    assert (len(task.unlabelled), task.problems) == (1, ())
    divided = split_cases(task)
    assert [len(part) for part in (divided.train, divided.val, divided.test)] == [3, 1, 1]
    listed = read_json(tmp_path / "dataset.json")
    listed["training"][0]["fold"], listed["training"][1]["image"] = "one", ["p1/flair.nii.gz", "p1/t1.nii.gz"]
    write_json(tmp_path / "dataset.json", listed)
    problems = {problem.path.name: problem.problem for problem in folder(tmp_path).problems}
    assert set(problems) == {"seg.nii.gz", "t1.nii.gz"}
    assert problems["seg.nii.gz"] == "its fold is 'one'"


def test_decathlon_of_one_channel_is_read(tmp_path: Path) -> None:
    """3D files are images of one channel."""
    write_image(tmp_path / "imagesTr" / "a.nii.gz")
    write_mask(tmp_path / "labelsTr" / "a.nii.gz")
    listed = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
    description = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    write_json(tmp_path / "dataset.json", description | {"training": listed})
    task = folder(tmp_path)
    assert task.target.names == ("Anterior", "Posterior")
    assert task.cases[0].images[0].index is None
    assert task.modality == "MR"


def problems_of(place: Path) -> dict[str, str]:
    """What is wrong with which file."""
    return {problem.path.name: problem.problem for problem in folder(place).problems}


def test_incomplete_cases_are_named(tmp_path: Path) -> None:
    """A missing channel, label or image, a name without a channel, a broken file: each costs its case alone."""
    place = make_nnunet(tmp_path, cases=6, channels=("T1", "T2"))
    (place / "imagesTr" / "case1_0001.nii.gz").unlink()
    (place / "labelsTr" / "case2.nii.gz").unlink()
    for channel in range(2):
        (place / "imagesTr" / f"case3_000{channel}.nii.gz").unlink()
    write_image(place / "imagesTr" / "stray.nii.gz")
    (place / "imagesTr" / "case4_0000.nii.gz").write_bytes(b"")
    assert [case.id for case in folder(place).cases] == ["case0", "case5"]
    assert problems_of(place) == {
        "case1_0000.nii.gz": "it has channels 0000 where dataset.json declares 2",
        "case2_0000.nii.gz": "it has no label labelsTr/case2",
        "case3.nii.gz": "it has no image imagesTr/case3_0000",
        "stray.nii.gz": "its name does not end in the number of its channel",
        "case4_0000.nii.gz": "the file is empty",
        "case4_0001.nii.gz": "it has channels 0001 where dataset.json declares 2",
    }


def test_incomplete_list_is_named(tmp_path: Path) -> None:
    """In a Decathlon list too, what is not there costs its case alone."""
    place = make_decathlon(tmp_path, cases=3)
    (place / "imagesTr" / "BRATS_000.nii.gz").unlink()
    listed = read_json(place / "dataset.json")["training"]
    listed[1] = {"image": listed[1]["image"]}
    assert [case.id for case in folder(describe(place, training=listed)).cases] == ["BRATS_002"]
    assert problems_of(place) == {
        "BRATS_000.nii.gz": "it is named, but it is not there",
        "BRATS_001.nii.gz": "it is listed without a label",
    }


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({"labels": None}, "its labels are None"),
    "labels as a list": ({"labels": ["liver"]}, "its labels are"),
    "label as a text": ({"labels": {"liver": "one"}}, "label 'liver' is 'one'"),
    "label as a fraction": ({"labels": {"liver": 1.5}}, r"label 'liver' is 1\.5"),
    "region with background": ({"labels": {"all": [0, 1]}}, "label 'all'"),
    "only background": ({"labels": {"background": 0}}, "no label beside the background"),
    "two labels of one value": ({"labels": {"liver": 1, "spleen": 1}}, "two labels have the same values"),
    "ignore": ({"labels": {"background": 0, "liver": 1, "ignore": 2}}, "`ignore` cannot be left out"),
    "no channels": ({"channel_names": None}, "channel_names are None"),
    "channels from one": ({"channel_names": {"1": "CT"}}, "channel_names are"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_description_is_refused(tmp_path: Path, name: str) -> None:
    """Each says what is there and what should be."""
    changes, words = BAD[name]
    place = describe(make_nnunet(tmp_path, cases=1), **changes)
    with pytest.raises(DataError, match=words):
        folder(place)


def test_broken_description_is_refused(tmp_path: Path) -> None:
    """No JSON, and JSON that is no object."""
    place = make_nnunet(tmp_path, cases=1)
    (place / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        folder(place)
    write_json(place / "dataset.json", [])
    with pytest.raises(DataError, match="no description of a data set"):
        folder(place)


def test_data_set_without_cases_names_why(tmp_path: Path) -> None:
    """The error names the first problem and holds them all."""
    place = make_nnunet(tmp_path, cases=2)
    for number in range(2):
        (place / "labelsTr" / f"case{number}.nii.gz").unlink()
    with pytest.raises(NoCaseError, match=r"first of 2 problems: .*case0_0000.nii.gz: it has no label") as caught:
        folder(place)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("name", ["MRI", "mr", "T1", "T1w", "t1gd", "T1ce", "T2", "FLAIR", "ADC", "MR T2", "DWI"])
def test_names_of_sequences_are_mri(name: str) -> None:
    """As data sets write them."""
    assert modality_of(name) == "MR"


@given(st.sampled_from(["PETER", "US", "noNorm", "image", "Tumour", "CTA", "T3", "adrenal", ""]))
def test_other_names_tell_nothing(name: str) -> None:
    """A name that is no modality leaves the values to tell."""
    assert modality_of(name) == ""
    assert modality_of("ct") == "CT"
    assert modality_of("PET") == modality_of("PT_SUV") == "unknown"  # no CT, whatever its values look like


def make_colours(place: Path) -> dict[str, np.ndarray]:
    """Write a data set of nnU-Net's NaturalImage2DIO: one PNG in colours a case, whose colours are the channels."""
    rng = np.random.default_rng(3)
    pictures = {f"road{number}": rng.integers(0, 256, (9, 12, 3)).astype(np.uint8) for number in range(2)}
    for folder_ in ("imagesTr", "labelsTr"):
        (place / folder_).mkdir(parents=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(place / "imagesTr" / f"{name}_0000.png")
        Image.fromarray((pixels[..., 0] > 99).astype(np.uint8)).save(place / "labelsTr" / f"{name}.png")
    channels = {"0": "R", "1": "G", "2": "B"}
    write_json(place / "dataset.json", {"channel_names": channels, "labels": {"background": 0, "road": 1}})
    return pictures


def test_colours_of_a_picture_are_the_channels_that_nnunet_declares(tmp_path: Path) -> None:
    """As nnU-Net reads them: one file for three channels, its red, green and blue, in training and after."""
    pictures = make_colours(tmp_path / "roads")
    task = folder(tmp_path / "roads")
    assert [case.id for case in task.cases] == list(pictures)
    assert not check(task).problems
    found, problems = find_cases(tmp_path / "roads" / "imagesTr", 3, tmp_path, pictures=True)
    for name, pixels in pictures.items():  # what is to be predicted may be called in another way
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "cases.csv").write_text("image\n" + "".join(f"{name}.png\n" for name in pictures), encoding="utf-8")
    listed, wrong = find_cases(tmp_path / "cases.csv", 3, tmp_path, pictures=True)
    assert problems == wrong == []
    for case in (*task.cases, *found, *listed):
        seen = read_image(case.images, Reading(BitDepth()))
        np.testing.assert_array_equal(seen.values, pictures[case.id].transpose(2, 1, 0))  # (rows, columns, colours)
        np.testing.assert_allclose(seen.scaled(), seen.values / np.float32(255), atol=1e-6)
    Image.fromarray(pictures["road0"][..., 0]).save(tmp_path / "road0.png")
    with pytest.raises(UnreadableError, match="a grey picture, where red, green and blue are wanted"):
        read_image(listed[0].images, Reading(BitDepth()))
