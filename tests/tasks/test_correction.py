"""The loop of a correction: predicted masks to Slicer and nnU-Net, corrected, back into finetune, counted."""

import functools
import shutil
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import make_ct, make_image
from tests.inference.runs import make_run, mean_classifier

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_json
from modelsgenesis.core.labels import Label
from modelsgenesis.core.tables import read_rows
from modelsgenesis.targets.classification import Classification
from modelsgenesis.tasks.correction import take_back

quietly = functools.partial(mg.predict, quiet=True, accelerator="cpu", precision="32-true", engine="torch")
SIZE = (20, 18, 16)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two oblique CTs, predicted to be corrected."""
    folder = tmp_path_factory.mktemp("correction")
    (folder / "scans").mkdir()
    for number in range(2):
        image = make_image(make_ct(number, SIZE))
        image.SetSpacing((1.5, 0.75, 2.0))
        image.SetOrigin((10, -20, 30))
        sitk.WriteImage(image, folder / "scans" / f"ct{number}.nii.gz")
    return quietly(make_run(folder / "run"), folder / "scans", folder / "out", for_correction=True)


@pytest.fixture
def folder(predicted: Path, tmp_path: Path) -> Path:
    """A copy of the folder to correct, by itself."""
    shutil.copytree(predicted / "correction", tmp_path / "correction")
    return tmp_path / "correction"


def test_slicer_finds_named_and_coloured_segments_on_the_scan(predicted: Path) -> None:
    """Read by pynrrd, which knows nothing of us: names, colours, values, extent, and the place in LPS."""
    values, header = nrrd.read(str(predicted / "correction" / "segmentations" / "ct0.seg.nrrd"))
    scan = sitk.ReadImage(str(predicted.parent / "scans" / "ct0.nii.gz"))
    assert header["space"] == "left-posterior-superior"
    np.testing.assert_allclose(header["space origin"], scan.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(header["space directions"], axis=1), scan.GetSpacing(), rtol=1e-5)
    assert [header[f"Segment{k}_Name"] for k in (0, 1)] == ["soft", "dense"]
    assert [header[f"Segment{k}_LabelValue"] for k in (0, 1)] == ["1", "2"]
    assert header["Segment0_ID"] != header["Segment1_ID"]
    colours = [np.array(header[f"Segment{k}_Color"].split(), float) for k in (0, 1)]
    np.testing.assert_allclose(colours[0] * 255, [0x56, 0xB4, 0xE9], atol=0.01)
    assert np.abs(colours[0] - colours[1]).max() > 0.1
    assert header["Segment0_Extent"] == "0 19 0 17 0 15"
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(predicted / "ct0.nii.gz"))).T
    assert {int(value) for value in np.unique(mask)} == {0, 3, 7}
    np.testing.assert_array_equal(values, np.select([mask == 3, mask == 7], [1, 2]))


def test_folder_is_a_raw_data_set_of_nnunet(predicted: Path) -> None:
    """Consecutive labels, channels by number, images and labels on one grid, the scan's own values."""
    folder = predicted / "correction"
    described = read_json(folder / "dataset.json")
    assert described["labels"] == {"background": 0, "soft": 1, "dense": 2}
    assert described["numTraining"] == 2
    assert described["file_ending"] == ".nii.gz"
    assert sorted(path.name for path in (folder / "imagesTr").iterdir()) == ["ct0_0000.nii.gz", "ct1_0000.nii.gz"]
    image, label = (nib.load(folder / name) for name in ("imagesTr/ct1_0000.nii.gz", "labelsTr/ct1.nii.gz"))
    np.testing.assert_allclose(image.affine, label.affine)
    scan = nib.load(predicted.parent / "scans" / "ct1.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(scan.dataobj))
    assert set(np.unique(np.asarray(label.dataobj))) == {0, 1, 2}
    task = mg.tasks.read(folder)
    assert (len(task.cases), task.target.names) == (2, ("soft", "dense"))


def test_folder_keeps_the_rules_that_nnunet_verifies(predicted: Path) -> None:
    """Those of nnUNetv2_plan_and_preprocess --verify_dataset_integrity 2.8.1, which accepts such a folder."""
    folder = predicted / "correction"
    described = read_json(folder / "dataset.json")
    assert {"labels", "channel_names", "numTraining", "file_ending"} <= described.keys()
    ending, numbers = described["file_ending"], sorted(described["labels"].values())
    assert numbers == list(range(len(numbers)))
    assert described["labels"]["background"] == 0
    channels = [f"_{int(number):04d}" for number in described["channel_names"]]
    assert channels == [f"_{number:04d}" for number in range(len(channels))]
    labels = sorted((folder / "labelsTr").iterdir())
    assert len(labels) == described["numTraining"]
    ids = [path.name.removesuffix(ending) for path in labels]
    wanted = sorted(f"{id_}{channel}{ending}" for id_ in ids for channel in channels)
    assert sorted(path.name for path in (folder / "imagesTr").iterdir()) == wanted
    for id_ in ids:
        label = sitk.ReadImage(str(folder / "labelsTr" / f"{id_}{ending}"))
        assert set(np.unique(sitk.GetArrayViewFromImage(label))) <= set(numbers)
        for channel in channels:
            image = sitk.ReadImage(str(folder / "imagesTr" / f"{id_}{channel}{ending}"))
            assert np.isfinite(sitk.GetArrayViewFromImage(image)).all()
            assert image.GetSize() == label.GetSize()
            for place in ("GetSpacing", "GetOrigin", "GetDirection"):
                np.testing.assert_allclose(getattr(image, place)(), getattr(label, place)(), atol=1e-6)


def test_correction_in_slicer_goes_back_into_finetune_counted(folder: Path, tmp_path: Path) -> None:
    """Slicer saves a smaller extent, other values and an order of its own; 60 voxels become dense, 12 of them soft."""
    place = folder / "segmentations" / "ct0.seg.nrrd"
    values, header = nrrd.read(str(place))
    corrected = values.copy()
    corrected[2:7, 3:7, 5:8] = 2
    added = int(((corrected == 2) & (values != 2)).sum())
    from_soft = int(((corrected == 2) & (values == 1)).sum())
    stored = np.select([corrected == 1, corrected == 2], [9, 4]).astype(np.uint8)[:, :, 1:]
    header["Segment0_Name"], header["Segment1_Name"] = "dense", "soft"
    header["Segment0_LabelValue"], header["Segment1_LabelValue"] = "4", "9"
    header["space origin"] = header["space origin"] + header["space directions"][2]
    lost = {k: int((corrected[:, :, 0] == k).sum()) for k in (1, 2)}
    nrrd.write(str(place), stored, header)
    run = mg.finetune(
        folder,
        tmp_path / "run",
        like="small",
        steps=1,
        batch_size=1,
        size=(16, 16, 16),
        precision="32-true",
        quiet=True,
    )
    rows = {(row["id"], row["label"]): row for row in read_rows(run / "corrections.csv")}
    assert (int(rows["ct0", "dense"]["added"]), int(rows["ct0", "soft"]["removed"])) == (added, from_soft + lost[1])
    assert int(rows["ct0", "dense"]["removed"]) == lost[2]
    assert [rows["ct1", label][what] for label in ("soft", "dense") for what in ("added", "removed")] == ["0"] * 4
    label = np.asarray(nib.load(folder / "labelsTr" / "ct0.nii.gz").dataobj)
    np.testing.assert_array_equal(label[:, :, 1:], corrected[:, :, 1:])
    assert take_back(folder).words().startswith("1 of 2 cases were corrected: ")


def test_correction_of_the_label_map_alone_is_counted_too(folder: Path) -> None:
    """As nnU-Net's users do; a case that was deleted is left out; both files of a case changed is refused."""
    place = folder / "labelsTr" / "ct1.nii.gz"
    image = sitk.ReadImage(str(place))
    values = sitk.GetArrayFromImage(image)
    dense = int((values == 2).sum())
    erased = sitk.GetImageFromArray(np.where(values == 2, 0, values).astype(np.uint8))
    erased.CopyInformation(image)
    sitk.WriteImage(erased, str(place))
    (folder / "labelsTr" / "ct0.nii.gz").unlink()
    corrections = take_back(folder)
    assert corrections.words() == f"1 of 1 case were corrected: {dense} voxels of labels were added or removed"
    assert {row["id"] for row in corrections.rows} == {"ct1"}
    segmentation = folder / "segmentations" / "ct1.seg.nrrd"
    stored, header = nrrd.read(str(segmentation))
    nrrd.write(str(segmentation), np.zeros_like(stored), header)
    with pytest.raises(DataError, match="were both changed"):
        take_back(folder)


def test_segment_of_another_name_is_refused(folder: Path) -> None:
    """With the names there are."""
    place = folder / "segmentations" / "ct0.seg.nrrd"
    values, header = nrrd.read(str(place))
    header["Segment1_Name"] = "Segment_2"
    nrrd.write(str(place), values, header)
    with pytest.raises(DataError, match="a segment is called 'Segment_2'; rename it to one of soft, dense"):
        take_back(folder)


def test_case_before_the_one_that_was_refused_is_taken_when_that_is_mended(folder: Path) -> None:
    """The first case was taken when the second was refused; renamed, both are counted as if nothing had been wrong."""
    places = [folder / "segmentations" / f"ct{number}.seg.nrrd" for number in range(2)]
    soft = 0
    for place in places:
        values, header = nrrd.read(str(place))
        soft += int((values == 1).sum())
        header["Segment1_Name"] = "dense" if place == places[0] else "Segment_2"
        nrrd.write(str(place), np.where(values == 1, 2, values).astype(np.uint8), header)
    with pytest.raises(DataError, match=r"ct1\.seg\.nrrd: a segment is called 'Segment_2'"):
        take_back(folder)
    values, header = nrrd.read(str(places[1]))
    header["Segment1_Name"] = "dense"
    nrrd.write(str(places[1]), values, header)
    assert f"2 of 2 cases were corrected: {2 * soft} voxels" in take_back(folder).words()


def test_numbers_cannot_be_corrected(predicted: Path, tmp_path: Path) -> None:
    """Nor classes: there is no mask."""
    target = Classification((Label("a"), Label("b")))
    run = make_run(tmp_path / "run", mean_classifier(0.0, 1.0), target=target)
    with pytest.raises(DataError, match="--for-correction writes masks, and this is a classification"):
        quietly(run, predicted.parent / "scans", tmp_path / "out", for_correction=True)


def test_predicting_again_keeps_what_was_corrected(predicted: Path, tmp_path: Path) -> None:
    """The same command does nothing twice, and knows yet what was predicted."""
    shutil.copytree(predicted, tmp_path / "out")
    place = tmp_path / "out" / "correction" / "segmentations" / "ct0.seg.nrrd"
    values, header = nrrd.read(str(place))
    nrrd.write(str(place), np.where(values == 1, 2, values).astype(np.uint8), header)
    before = place.read_bytes()
    quietly(predicted.parent / "run", predicted.parent / "scans", tmp_path / "out", for_correction=True)
    assert place.read_bytes() == before
    soft = int((values == 1).sum())
    assert f"{2 * soft} voxels" in take_back(tmp_path / "out" / "correction").words()
