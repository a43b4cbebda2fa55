"""Predicting: masks on their sources, one failure at a time, stopped and gone on, by one network or several."""

import csv
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage
from tests.data.scan_files import make_ct, make_image, write_ct, write_series
from tests.inference.runs import ORGANS, make_run, mean_classifier, thresholding_unet

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.core.errors import DataError, GenesisError, WeightsError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.labels import Label
from modelsgenesis.core.lease import held
from modelsgenesis.core.naming import describe, described_at_first
from modelsgenesis.core.provenance import read_provenance, write_provenance
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.data.images import Reading, corners_mm
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import find_sources
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.finetuned_networks import find_fine_tuned
from modelsgenesis.inference.predict import SETTINGS
from modelsgenesis.nets import UNet3D
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.targets.regression import Regression
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.weights.files import save_network

quietly = functools.partial(mg.predict, quiet=True, accelerator="cpu", precision="32-true")
REAL = Path(__file__).parents[3] / "shared" / "data" / "ct" / "chest_lungpetctdx_dicom" / "A0002_B40f"
LOW, HIGH = -599.76, 200.24  # HU, of the thresholds that made runs have


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that finds what lies above two thresholds."""
    return make_run(tmp_path_factory.mktemp("runs") / "run")


def read(path: Path) -> np.ndarray:
    """A file's voxels, in its own axes."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def expected(hu: np.ndarray) -> np.ndarray:
    """What the made run says of a CT, with the labels' own values."""
    return np.where(hu > HIGH, 7, np.where(hu > LOW, 3, 0))


ORIENTATIONS = {
    "LPS": np.eye(3),
    "RAS": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.eye(3)[:, [1, 2, 0]] * [1, -1, 1],
    "oblique": np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, -1]]),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_mask_overlays_its_source(run: Path, tmp_path: Path, name: str, ending: str) -> None:
    """Voxel for voxel what the network says, on the very grid of the file, in its own axes."""
    hu = make_ct(1) + np.random.default_rng(0).integers(0, 900, (24, 20, 18)).astype(np.int16)
    image = make_image(hu, (1.5, 2.0, 3.0))
    image.SetDirection(ORIENTATIONS[name].ravel().tolist())
    image.SetOrigin((-31.5, 7.0, 101.25))
    sitk.WriteImage(image, str(tmp_path / f"ct{ending}"))
    out = quietly(run, tmp_path / f"ct{ending}", tmp_path / "out", format="source")
    np.testing.assert_array_equal(read(out / f"ct{ending}"), expected(hu))
    mask, source = sitk.ReadImage(str(out / f"ct{ending}")), sitk.ReadImage(str(tmp_path / f"ct{ending}"))
    assert mask.GetSize() == source.GetSize()
    for ask in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(mask, ask)(), getattr(source, ask)(), atol=1e-6)


def with_forms(path: Path, hu: np.ndarray, forms: str) -> np.ndarray:
    """Write a NIfTI file whose header says where it lies in one way or another; its affine as nibabel reads it."""
    affine = np.diag([-1.5, -2.0, 3.0, 1.0])
    sheared = affine.copy()
    sheared[1, 2] = 0.9 if forms == "sheared" else 0.01
    sform, s_code, qform, q_code = {
        "none": (None, 0, None, 0),
        "two": (np.diag([1.5, -2.0, 3.0, 1.0]), 2, affine, 1),
        "rounded": (sheared, 2, affine, 1),
        "sheared": (sheared, 1, affine, 1),
    }[forms]
    image = nib.Nifti1Image(hu, None)
    image.header.set_zooms((1.5, 2.0, 3.0))
    image.set_sform(sform, s_code)
    image.set_qform(qform, q_code)
    nib.save(image, path)
    return np.asarray(nib.load(path).affine)


@pytest.mark.parametrize("forms", ["none", "two", "rounded", "sheared"])
def test_mask_lies_on_its_source_in_nibabel_too(run: Path, tmp_path: Path, forms: str) -> None:
    """Both forms and codes are the source's, which is told where they are doubtful; a mask from its affine agrees."""
    hu = ndimage.gaussian_filter(make_ct(1) + np.random.default_rng(0).integers(0, 900, (24, 20, 18)), 2)
    hu = ((hu - hu.mean()) * 8 - 200).astype(np.int16)
    affine = with_forms(tmp_path / "ct.nii.gz", hu, forms)
    out = quietly(run, tmp_path / "ct.nii.gz", tmp_path / "out")
    printed = table(out / "failures.csv")[0]
    assert printed["severity"] == "warning"
    words = {"none": "neither orientation", "two": "qform and its sform", "rounded": "nearest", "sheared": "tilted"}
    assert words[forms] in " ".join(row["problem"] for row in table(out / "failures.csv"))
    source, mask = nib.load(tmp_path / "ct.nii.gz"), nib.load(out / "ct.nii.gz")
    for field in ("qform_code", "sform_code", "pixdim", "quatern_b", "quatern_c", "srow_x", "srow_y", "srow_z"):
        np.testing.assert_array_equal(mask.header[field], source.header[field], err_msg=field)
    agrees = np.asarray(mask.dataobj) == expected(hu)
    assert agrees.all() if forms != "sheared" else agrees.mean() > 0.9
    (tmp_path / "truth").mkdir()
    nib.save(nib.Nifti1Image(expected(hu).astype(np.uint8), affine), tmp_path / "truth" / "ct.nii.gz")
    scores = mg.evaluate(out, tmp_path / "truth", tmp_path / "scores", workers=0, quiet=True, resamples=10)
    dice = [float(row["dice"]) for row in table(scores / "cases.csv")]
    assert min(dice) > (0.7 if forms == "sheared" else 0.999)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_resampled_mask_overlays_its_source(tmp_path: Path, name: str) -> None:
    """A network of another spacing: the mask lies on the file's grid, and on what it is of, to a voxel of either."""
    spacing, place = (1.5, 2.0, 3.0), np.stack(np.meshgrid(*map(np.arange, (34, 30, 22)), indexing="ij"))
    far_mm = np.sqrt(sum(((place[axis] - at) * spacing[axis]) ** 2 for axis, at in enumerate((12, 16, 9))))
    hu = np.where(far_mm < 14, 100, -1000).astype(np.int16)
    image = make_image(hu, spacing)
    image.SetDirection(ORIENTATIONS[name].ravel().tolist())
    image.SetOrigin((-31.5, 7.0, 101.25))
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"))
    run = make_run(tmp_path / "run", reading=Reading(spacing_mm=(2.2, 2.2, 2.2)))
    mask = read(quietly(run, tmp_path / "ct.nrrd", tmp_path / "out") / "ct.nii.gz")
    assert mask.shape == hu.shape
    assert not mask[far_mm > 14 + 3.2].any()
    assert mask[far_mm < 14 - 3.2].all()
    centre_mm = np.argwhere(mask > 0).mean(axis=0) * spacing
    np.testing.assert_allclose(centre_mm, np.array((12, 16, 9)) * spacing, atol=0.25)


@pytest.mark.parametrize("resamples", [False, True])
def test_scan_of_quite_another_spacing_is_warned_of(
    tmp_path: Path, resamples: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the network does not resample: anatomy has another size in voxels there than it was trained on."""
    for name, spacing in (("same", (2.0, 2.0, 3.0)), ("near", (1.5, 2.4, 3.0)), ("far", (2.0, 2.0, 1.9))):
        write_ct(tmp_path / "scans" / f"{name}.nii.gz", size=(20, 20, 16), spacing_mm=spacing)
    reading = Reading(spacing_mm=(2.0, 2.0, 3.0) if resamples else None)
    run = make_run(tmp_path / "run", reading=reading, training_spacing_mm=(2.0, 2.0, 3.0))
    rows = table(mg.predict(run, tmp_path / "scans", tmp_path / "out") / "failures.csv")
    printed = capsys.readouterr().err
    if resamples:
        assert not rows
        assert "warnings" not in printed
        return
    assert [(Path(row["path"]).name, row["severity"]) for row in rows] == [("far.nii.gz", "warning")]
    assert rows[0]["problem"] == (
        "its voxels are 2 x 2 x 1.9 mm, but the network was trained on 2 x 2 x 3 mm and does not resample"
    )
    assert "3 cases in" in printed
    assert "1 with warnings" in printed


def test_swapped_arguments_are_understood(run: Path, tmp_path: Path) -> None:
    """A run where scans are wanted: the message gives the order."""
    scan = write_ct(tmp_path / "scans" / "a.nii.gz")
    with pytest.raises(DataError, match="is a run, not data; the order is genesis predict RUN SCANS OUT"):
        quietly(scan.parent, run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scan_smaller_than_a_window(run: Path, tmp_path: Path) -> None:
    """It is padded, and the mask is as small as the scan."""
    write_ct(tmp_path / "small.nii.gz", 1, size=(9, 20, 5))
    out = quietly(run, tmp_path / "small.nii.gz", tmp_path / "out")
    np.testing.assert_array_equal(read(out / "small.nii.gz"), expected(make_ct(1, (9, 20, 5))))


def test_folder_of_every_format(run: Path, tmp_path: Path) -> None:
    """One mask a scan, a SEG for the series, a line for what cannot be predicted; the rest goes on."""
    scans = tmp_path / "scans"
    write_ct(scans / "a.nii.gz", 1)
    write_ct(scans / "deep" / "b.nrrd", 2)
    write_series(scans / "series", make_ct(4))
    cut = write_ct(scans / "cut.nii", 5)
    cut.write_bytes(cut.read_bytes()[:-100])
    sitk.WriteImage(make_image((make_ct(1) > 0).astype(np.uint8)), str(scans / "labels.nii.gz"))
    sitk.WriteImage(make_image((make_ct(1) + 1000).astype(np.uint16)), str(scans / "mr.nii.gz"))
    out = quietly(run, scans, tmp_path / "out")
    rows = {row["id"]: row for row in table(out / "predictions.csv")}
    done = {name for name, row in rows.items() if row["status"] == "predicted"}
    assert done == {"a", "b", "series"}
    assert all((out / rows[name]["prediction"]).is_file() for name in done)
    assert Path(rows["b"]["image"]) == (scans / "deep" / "b.nrrd").absolute()
    failures = {Path(row["path"]).name: row for row in table(out / "failures.csv")}
    assert set(failures) == {"cut.nii", "labels.nii.gz", "mr.nii.gz"}
    assert "cut off" in failures["cut.nii"]["problem"]
    assert "label map" in failures["labels.nii.gz"]["problem"]
    assert "Hounsfield units" in failures["mr.nii.gz"]["problem"]
    assert all(row["remedy"] for row in failures.values())
    np.testing.assert_array_equal(read(out / "series.nii.gz"), expected(make_ct(4)))
    seg = hd.seg.segread(out / "series.dcm")
    found = [np.count_nonzero(seg.get_volume(segment_numbers=[number]).array) for number in (1, 2)]
    assert found == [np.count_nonzero(expected(make_ct(4)) == value) for value in (3, 7)]
    made = read_provenance(out, "predict")
    assert made.arguments["cases"] == 3
    assert made.arguments["target"] == describe(ORGANS)
    assert set(made.inputs) == {str(run), str(scans)}


def test_ct_in_raw_units_is_named(run: Path, tmp_path: Path) -> None:
    """A network of HU refuses it for what it is where it is guessed, and warns where it is declared a CT."""
    hu = np.full((24, 20, 18), -1000.0)
    hu[4:20, 4:16] = 40
    raw = (hu + np.random.default_rng(0).normal(0, 9, hu.shape) + 1024).clip(0).astype(np.int16)
    sitk.WriteImage(make_image(raw), tmp_path / "raw.nii.gz")
    with pytest.raises(DataError, match="none of the scans"):
        quietly(run, tmp_path / "raw.nii.gz", tmp_path / "guessed")
    (refused,) = table(tmp_path / "guessed" / "failures.csv")
    assert "reads Hounsfield units, but it looks like a CT in raw units" in refused["problem"]
    (tmp_path / "list.csv").write_text("image,modality\nraw.nii.gz,CT\n")
    (warned,) = table(quietly(run, tmp_path / "list.csv", tmp_path / "declared") / "failures.csv")
    assert (warned["severity"], "CT in raw units" in warned["problem"]) == ("warning", True)


def test_pet_in_dicom_is_no_ct(run: Path, tmp_path: Path) -> None:
    """Its header says so; in Hounsfield units uptake is bone or nothing. What says OT but has air is read as before."""
    uptake = (
        np.random.default_rng(0).integers(-1000, 2000, (20, 18, 16)).astype(np.int16)
    )  # 1024 above that in the file
    write_series(tmp_path / "scans" / "pet", uptake, Modality="PT", SeriesInstanceUID="1.2.3.1", RescaleIntercept=0)
    write_series(tmp_path / "scans" / "other", make_ct(1), Modality="OT", SeriesInstanceUID="1.2.3.2")
    out = quietly(run, tmp_path / "scans", tmp_path / "out")
    (refused,) = (row for row in table(out / "failures.csv") if row["severity"] == "error")
    assert "reads Hounsfield units, but this is no CT by its header" in refused["problem"]
    assert [row["id"] for row in table(out / "predictions.csv") if row["prediction"]] == ["other"]


def test_tilted_series_gets_a_mask_and_a_line(run: Path, tmp_path: Path) -> None:
    """No DICOM-SEG fits straightened slices; the NIfTI file is there, and the table says why."""
    write_series(tmp_path / "scans" / "tilted", make_ct(4), step_mm=(0, 0.7, 2))
    out = quietly(run, tmp_path / "scans", tmp_path / "out")
    assert (out / "tilted.nii.gz").is_file()
    assert not (out / "tilted.dcm").exists()
    problems = [row["problem"] for row in table(out / "failures.csv")]
    assert any("no DICOM-SEG was written: its slices were straightened" in problem for problem in problems)
    assert {row["severity"] for row in table(out / "failures.csv")} == {"warning"}
    before = (out / "failures.csv").read_bytes()
    quietly(run, tmp_path / "scans", out)
    assert (out / "failures.csv").read_bytes() == before


def test_no_seg_writes_none(run: Path, tmp_path: Path) -> None:
    """On request; asked for later, it is added."""
    write_series(tmp_path / "scans" / "series", make_ct(4))
    out = quietly(run, tmp_path / "scans", tmp_path / "out", seg=False)
    assert not (out / "series.dcm").exists()
    quietly(run, tmp_path / "scans", out)
    assert (out / "series.dcm").is_file()


def test_table_of_cases(run: Path, tmp_path: Path) -> None:
    """Ids are the table's, paths are seen from it, other columns do not matter; a bad row is a line."""
    write_ct(tmp_path / "images" / "a.nii.gz", 1)
    write_ct(tmp_path / "images" / "b.nii.gz", 2)
    (tmp_path / "cases.csv").write_text(
        "id,image,label,modality\nfirst case,images/a.nii.gz,x.nii.gz,CT\n,images/b.nii.gz,,\nthird,gone.nii.gz,,\n"
        "fourth,,,\nfifth,images/a.nii.gz,,PET\n"
    )
    out = quietly(run, tmp_path / "cases.csv", tmp_path / "out")
    assert [row["id"] for row in table(out / "predictions.csv")] == ["first_case", "b"]
    np.testing.assert_array_equal(read(out / "first_case.nii.gz"), expected(make_ct(1)))
    problems = [row["problem"] for row in table(out / "failures.csv")]
    assert [any(word in problem for problem in problems) for word in ("not there", "no image", "modality")] == [
        True
    ] * 3


def test_rows_of_an_array_and_volumes_of_a_file(run: Path, tmp_path: Path) -> None:
    """As the tables of a run name them: `file#array:row` of a .npz, `file#volume` of a 4D image."""
    hu = [make_ct(seed) for seed in (1, 2)]
    np.savez(tmp_path / "set.npz", test_images=np.stack(hu))
    sitk.WriteImage(sitk.JoinSeries([make_image(each) for each in hu]), str(tmp_path / "both.nii.gz"))
    (tmp_path / "t.csv").write_text("id,image\nrow,set.npz#test_images:1\nvolume,both.nii.gz#1\n")
    out = quietly(run, tmp_path / "t.csv", tmp_path / "out")
    assert {row["severity"] for row in table(out / "failures.csv")} == {"warning"}  # an array has no spacing
    for name in ("row", "volume"):
        np.testing.assert_array_equal(read(out / f"{name}.nii.gz"), expected(hu[1]))


def test_boxes_of_one_file_find_their_truth_again(run: Path, tmp_path: Path) -> None:
    """In a table without ids too: the predictions say which box each is of, so that evaluate takes the same table."""
    hu = make_ct()
    sitk.WriteImage(make_image(hu), str(tmp_path / "ct.nii.gz"))
    sitk.WriteImage(make_image(expected(hu).astype(np.uint8)), str(tmp_path / "mask.nii.gz"))
    middle = [side // 2 for side in hu.shape]
    centres = [tuple(map(float, (*middle[:2], middle[2] + by))) for by in (-2, 2)]
    image = make_image(hu)
    boxes = ["@{},{},{}@8x8x8".format(*image.TransformContinuousIndexToPhysicalPoint(at)) for at in centres]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "label"), *((f"ct.nii.gz{box}", f"mask.nii.gz{box}") for box in boxes)])
    named = {label.name: label.values[0] for label in ORGANS.labels}
    (tmp_path / "labels.json").write_text(json.dumps(named), encoding="utf-8")
    out = quietly(run, tmp_path / "t.csv", tmp_path / "out")
    images = [row["image"] for row in table(out / "predictions.csv")]
    assert images == [f"{tmp_path / 'ct.nii.gz'}{box}" for box in boxes]
    scores = mg.evaluate(out, tmp_path / "t.csv", tmp_path / "scores", quiet=True)
    assert {row["status"] for row in table(scores / "cases.csv")} == {"compared"}


def test_names_distinguish_cases(run: Path, tmp_path: Path) -> None:
    """Files of one name are called after their folders too, others keep the short name."""
    for place in ("p1/ct.nii.gz", "p2/ct.nii.gz", "p2/Ct.nrrd", "p3/other scan.nii.gz"):
        write_ct(tmp_path / "scans" / place, 1, size=(8, 8, 8))
    out = quietly(run, tmp_path / "scans", tmp_path / "out")
    ids = [row["id"] for row in table(out / "predictions.csv")]
    assert ids == ["p1_ct", "p2_Ct", "p2_ct-2", "other_scan"]


def test_channels_of_a_case(tmp_path: Path) -> None:
    """In files named as nnU-Net does, in a 4D file, or in columns of a table; too few are a line."""
    run = make_run(tmp_path / "run", thresholding_unet(0.20012, 0.60012, channels=2), channels=2)
    hu = [make_ct(seed) for seed in (1, 2)]
    for case in ("one", "two"):
        for channel in range(2):
            write_ct(tmp_path / "parted" / f"{case}_{channel:04d}.nii.gz", channel + 1)
    write_ct(tmp_path / "parted" / "three_0000.nii.gz", 1)
    out = quietly(run, tmp_path / "parted", tmp_path / "out1")
    assert [row["id"] for row in table(out / "predictions.csv")] == ["one", "two"]
    np.testing.assert_array_equal(read(out / "one.nii.gz"), expected(hu[0]))
    (failure,) = table(out / "failures.csv")
    assert failure["problem"] == "it has channels 0000 where the network takes 2"
    (tmp_path / "whole").mkdir()
    sitk.WriteImage(sitk.JoinSeries([make_image(each) for each in hu]), str(tmp_path / "whole" / "both.nii.gz"))
    write_ct(tmp_path / "whole" / "alone.nii.gz", 1)
    out = quietly(run, tmp_path / "whole", tmp_path / "out2")
    np.testing.assert_array_equal(read(out / "both.nii.gz"), expected(hu[0]))
    (failure,) = table(out / "failures.csv")
    assert "it has 1 channel, but the network takes 2" in failure["problem"]
    (tmp_path / "t.csv").write_text("id,image_0,image_1\nx,parted/one_0000.nii.gz,parted/one_0001.nii.gz\n")
    assert (quietly(run, tmp_path / "t.csv", tmp_path / "out3") / "x.nii.gz").is_file()


def test_one_channel_of_nnunet(run: Path, tmp_path: Path) -> None:
    """CASE_0000 alone is the case CASE, as its label is called."""
    write_ct(tmp_path / "imagesTs" / "lung_001_0000.nii.gz", 1)
    out = quietly(run, tmp_path / "imagesTs", tmp_path / "out")
    assert [row["id"] for row in table(out / "predictions.csv")] == ["lung_001"]


def test_numbered_scans_are_cases_of_their_own(run: Path, tmp_path: Path) -> None:
    """Channels are counted from 0000; a data set that counts its cases from 0001 is none of channels."""
    for number in (1, 2):
        write_ct(tmp_path / "scans" / f"amos_{number:04d}.nii.gz", number)
    out = quietly(run, tmp_path / "scans", tmp_path / "out")
    assert [row["id"] for row in table(out / "predictions.csv")] == ["amos_0001", "amos_0002"]


def test_overlapping_labels_get_a_mask_each(tmp_path: Path) -> None:
    """Binary masks, named after the labels; the table names them all."""
    target = MultilabelSegmentation((Label("all"), Label("in side")))
    run = make_run(tmp_path / "run", thresholding_unet(0.20012, 0.60012, background=False), target=target)
    write_ct(tmp_path / "a.nii.gz", 1)
    out = quietly(run, tmp_path / "a.nii.gz", tmp_path / "out")
    np.testing.assert_array_equal(read(out / "a__all.nii.gz"), make_ct(1) > LOW)
    np.testing.assert_array_equal(read(out / "a__in_side.nii.gz"), make_ct(1) > HIGH)
    assert table(out / "predictions.csv")[0]["prediction"] == "a__all.nii.gz;a__in_side.nii.gz"


def test_probabilities_and_pictures(tmp_path: Path) -> None:
    """A float file a label on the source's grid, the classes' probabilities; and a sheet a case."""
    net = UNet3D(1, 3, width=1, activation="identity")
    run = make_run(tmp_path / "run", net)
    write_ct(tmp_path / "a.nii.gz", 1)
    out = quietly(run, tmp_path / "a.nii.gz", tmp_path / "out", probabilities=True, pictures=True)
    soft, dense = (read(out / "probabilities" / f"a__p_{name}.nii.gz") for name in ("soft", "dense"))
    ground, mask = 1 - soft - dense, read(out / "a.nii.gz")
    assert soft.dtype == np.float32
    clear = np.ptp(np.sort([ground, soft, dense], axis=0)[1:], axis=0) > 2e-3
    winner = np.choose(np.argmax([ground, soft, dense], axis=0), [0, 3, 7])
    np.testing.assert_array_equal(mask[clear], winner[clear])
    assert (out / "pictures" / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_folds_and_more_runs_are_an_ensemble(tmp_path: Path) -> None:
    """Three networks, in folds and in another run: the majority's threshold wins."""
    write_ct(tmp_path / "a.nii.gz", 1)
    nets = [thresholding_unet(at, 0.9) for at in (0.10012, 0.20012, 0.30012)]
    folds = make_run(tmp_path / "folds", *nets)
    out = quietly(folds, tmp_path / "a.nii.gz", tmp_path / "out1")
    np.testing.assert_array_equal(read(out / "a.nii.gz") > 0, make_ct(1) > LOW)
    one, more = make_run(tmp_path / "one", nets[0]), make_run(tmp_path / "more", *nets[1:])
    for number, given in enumerate([[one, more], [more, one]]):
        again = quietly(given, tmp_path / "a.nii.gz", tmp_path / f"list{number}")
        assert sha256(again / "a.nii.gz") == sha256(out / "a.nii.gz")
    also = quietly(one, tmp_path / "a.nii.gz", tmp_path / "also", also=(more,))
    assert sha256(also / "a.nii.gz") == sha256(out / "a.nii.gz")


def test_mirroring_changes_nothing_for_a_symmetric_network(run: Path, tmp_path: Path) -> None:
    """A network that looks at one voxel at a time gives the same mask from all eight sides."""
    write_ct(tmp_path / "a.nii.gz", 1)
    out = quietly(run, tmp_path / "a.nii.gz", tmp_path / "out", mirror=True, overlap=0.25, batch_size=2)
    np.testing.assert_array_equal(read(out / "a.nii.gz"), expected(make_ct(1)))


def test_windows_are_mirrored_as_the_network_was_trained(tmp_path: Path) -> None:
    """Left and right that were kept apart in training stay apart; an ensemble mirrors what all its networks know."""
    runs = []
    for name, axes in (("a", [1, 2]), ("b", [0, 2]), ("none", [])):
        notes = {
            "target": describe(ORGANS), "reading": describe(Reading()), "patch": [16, 16, 16], "channels": 1,
            "approach": {"augmentation": {"mirror": axes}},
        }  # fmt: skip
        runs.append(tmp_path / f"{name}.safetensors")
        save_network(runs[-1], thresholding_unet(0.2, 0.6), notes)
    assert [find_fine_tuned([run]).mirror for run in runs] == [(1, 2), (0, 2), ()]
    assert find_fine_tuned(runs[:2]).mirror == (2,)
    write_ct(tmp_path / "a.nii.gz", 1)
    with pytest.raises(DataError, match="trained without mirrored patches"):
        quietly(runs[2], tmp_path / "a.nii.gz", tmp_path / "out", mirror=True)


@pytest.mark.parametrize("kind", [Classification, MultilabelClassification])
def test_classes_are_a_table(tmp_path: Path, kind: type[TableTarget]) -> None:
    """One row a scan: its class, or classes above a half, and the probability of each; no files beside."""
    target = kind((Label("benign"), Label("malignant")))
    run = make_run(tmp_path / "run", mean_classifier(-1.0, 1.0), target=target)
    write_ct(tmp_path / "scans" / "a.nii.gz", 1)
    write_ct(tmp_path / "scans" / "b.nii.gz", 2).write_bytes(b"")
    out = quietly(run, tmp_path / "scans", tmp_path / "out")
    (row,) = table(out / "predictions.csv")
    assert list(row) == ["id", "image", "class", "p_benign", "p_malignant"]
    p = [float(row["p_benign"]), float(row["p_malignant"])]
    assert row["class"] == "malignant"
    assert p[0] < 0.5 < p[1]
    assert sum(p) == pytest.approx(1, abs=1e-5)  # the logits are opposite, so the sigmoids add up to 1 too
    assert {path.name for path in out.iterdir()} == {
        "failures.csv", "predictions.csv", "made.json", "records", "settings.json",
    }  # fmt: skip


@pytest.mark.parametrize("target", [Classification((Label("no"), Label("yes"))), Regression((Label("a"), Label("b")))])
def test_what_is_no_mask_is_pictured_too(
    tmp_path: Path, target: TableTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scan in three planes under what was predicted, also where the case was done without; drawn once."""
    run = make_run(tmp_path / "run", mean_classifier(-1.0, 1.0), target=target)
    write_ct(tmp_path / "a.nii.gz", 1)
    quietly(run, tmp_path / "a.nii.gz", tmp_path / "out")
    drawn = []
    for _ in range(2):
        out = quietly(run, tmp_path / "a.nii.gz", tmp_path / "out", pictures=True, probabilities=True, quiet=False)
        drawn.append((out / "pictures" / "a.png").stat().st_mtime_ns)
    assert drawn[0] == drawn[1]
    assert len(table(out / "predictions.csv")) == 1
    with Image.open(out / "pictures" / "a.png") as picture:
        assert picture.width > 900
        coloured = np.ptp(np.asarray(picture.convert("RGB")).astype(int), axis=2) > 60
        assert (coloured.mean() > 0.01) == isinstance(target, Classification)  # what speaks for "yes" glows
    assert "--probabilities is of masks" in capsys.readouterr().err


def test_numbers_are_a_table(tmp_path: Path) -> None:
    """A column for each number of a regression."""
    target = Regression((Label("age"), Label("dose")))
    run = make_run(tmp_path / "run", mean_classifier(10.0, -20.0), target=target)
    write_ct(tmp_path / "a.nii.gz", 1)
    (row,) = table(quietly(run, tmp_path / "a.nii.gz", tmp_path / "out") / "predictions.csv")
    assert list(row) == ["id", "image", "age", "dose"]
    assert 0 < float(row["age"]) < 10
    assert float(row["dose"]) == pytest.approx(-2 * float(row["age"]), rel=1e-5)


def test_second_run_does_nothing_and_a_new_scan_is_added(run: Path, tmp_path: Path) -> None:
    """What is done is skipped; a changed source, a lost file and a new scan are predicted."""
    for seed, name in enumerate("abc"):
        write_ct(tmp_path / "scans" / f"{name}.nii.gz", seed)
    out = quietly(run, tmp_path / "scans", tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    made = (out / "made.json").read_bytes()
    quietly(run, tmp_path / "scans", out)
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert (out / "made.json").read_bytes() == made
    write_ct(tmp_path / "scans" / "a.nii.gz", 7)
    (out / "b.nii.gz").unlink()
    write_ct(tmp_path / "scans" / "d.nii.gz", 8)
    quietly(run, tmp_path / "scans", out)
    np.testing.assert_array_equal(read(out / "a.nii.gz"), expected(make_ct(7)))
    np.testing.assert_array_equal(read(out / "d.nii.gz"), expected(make_ct(8)))
    assert (out / "b.nii.gz").is_file()
    assert times[out / "c.nii.gz"] == (out / "c.nii.gz").stat().st_mtime_ns
    assert read_provenance(out, "predict").arguments["cases"] == 4


def test_windows_without_body_are_background(tmp_path: Path) -> None:
    """It is said how many were computed; everywhere computes all; a scan without a body too, with a line."""
    hu = np.full((64, 40, 40), -1000, np.int16)
    hu[:20, 4:20, 4:20] = 40
    run = make_run(tmp_path / "run", thresholding_unet(-1, 0.2))  # finds its first label in air
    air = np.random.default_rng(0).normal(-1000, 9, (20, 20, 20)).astype(np.int16)
    (tmp_path / "scans").mkdir()
    for name, values in (("ct", hu), ("air", air)):
        sitk.WriteImage(make_image(values), str(tmp_path / "scans" / f"{name}.nii.gz"))
    out = quietly(run, tmp_path / "scans", tmp_path / "out")
    rows = {row["id"]: row["windows"] for row in table(out / "predictions.csv")}
    computed, of = (int(number) for number in rows["ct"].split(" of "))
    assert (computed, of) == (4 * 4 * 4, 7 * 4 * 4)  # the body and its margin end at the 28th voxel
    assert rows["air"] == "8 of 8"
    assert "no body" in table(out / "failures.csv")[0]["problem"]
    whole = quietly(run, tmp_path / "scans", tmp_path / "whole", everywhere=True)
    assert {row["windows"] for row in table(whole / "predictions.csv")} == {"112 of 112", "8 of 8"}
    assert not table(whole / "failures.csv")
    mask, everything = (read(folder / "ct.nii.gz") for folder in (out, whole))
    assert everything.all()
    assert not mask[40:].any()
    np.testing.assert_array_equal(mask[hu > 0], everything[hu > 0])
    of_company = make_run(tmp_path / "of-company", UNet3D(1, 3, width=1, norm="batch_stats", activation="identity"))
    all_of_it = quietly(of_company, tmp_path / "scans" / "ct.nii.gz", tmp_path / "all")
    assert [row["windows"] for row in table(all_of_it / "predictions.csv")] == ["112 of 112"]
    with pytest.raises(DataError, match="everywhere is True there, False now"):
        quietly(run, tmp_path / "scans", whole)


def test_other_settings_or_weights_are_refused(run: Path, tmp_path: Path) -> None:
    """A folder holds predictions of one kind; what differs is named."""
    write_ct(tmp_path / "a.nii.gz", 1)
    out = quietly(run, tmp_path / "a.nii.gz", tmp_path / "out")
    with pytest.raises(DataError, match=r"overlap is 0\.5 there, 0\.25 now"):
        quietly(run, tmp_path / "a.nii.gz", out, overlap=0.25)
    write_ct(tmp_path / "elsewhere" / "a.nii.gz", 2)
    with pytest.raises(DataError, match=r"scans is .*/a\.nii\.gz there, .*/elsewhere now"):
        quietly(run, tmp_path / "elsewhere", out)
    other = make_run(tmp_path / "other", thresholding_unet(0.5, 0.7))
    with pytest.raises(DataError, match="predictions of other networks"):
        quietly(other, tmp_path / "a.nii.gz", out)
    with pytest.raises(DataError, match="holds no predictions; choose a new folder"):
        quietly(run, tmp_path / "a.nii.gz", run.parent)
    with pytest.raises(DataError, match="was made by `genesis finetune`"):
        quietly(run, tmp_path / "a.nii.gz", run)


def test_bad_runs_are_refused(run: Path, tmp_path: Path) -> None:
    """What is no finished fine-tuned run, or does not go with the others, is named before a scan is read."""
    write_ct(tmp_path / "a.nii.gz", 1)
    ask = functools.partial(quietly, scans=tmp_path / "a.nii.gz", into=tmp_path / "out")
    with pytest.raises(WeightsError, match="no such run"):
        ask(tmp_path / "nowhere")
    (tmp_path / "unfinished").mkdir()
    with pytest.raises(DataError, match="no finished folder of `genesis finetune`"):
        ask(tmp_path / "unfinished")
    pretrained = tmp_path / "pretrained"
    pretrained.mkdir()
    save_network(pretrained / "model.safetensors", UNet3D(width=1))
    with pytest.raises(WeightsError, match=r"was not fine-tuned \(its notes lack target"):
        ask(pretrained / "model.safetensors")
    write_provenance(pretrained, "pretrain", {}, inputs=[])
    with pytest.raises(DataError, match="was made by `genesis pretrain`"):
        ask(pretrained)
    other = make_run(tmp_path / "other", reading=Reading(Percentiles()))
    with pytest.raises(WeightsError, match="was trained on something else"):
        ask([run, other])
    wrong = make_run(tmp_path / "wrong", UNet3D(1, 2, width=1))
    with pytest.raises(WeightsError, match="not the one that its notes describe"):
        ask(wrong)
    with pytest.raises(GenesisError, match="needs every side to divide by 8"):
        ask(make_run(tmp_path / "odd", patch=(12, 16, 16)))
    with pytest.raises(DataError, match=r"overlap must be in \[0, 1\)"):
        ask(run, overlap=1.0)
    with pytest.raises(DataError, match="batch_size must be 1 or more"):
        ask(run, batch_size=0)
    assert not (tmp_path / "out" / "made.json").exists()


def test_nothing_to_predict_is_an_error(run: Path, tmp_path: Path) -> None:
    """No folder, an empty folder, and a folder of nothing that can be read; the last has its reasons written."""
    with pytest.raises(DataError, match="no such folder, file or CSV"):
        quietly(run, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="no scan in"):
        quietly(run, tmp_path / "empty", tmp_path / "out1")
    write_ct(tmp_path / "bad" / "a.nii.gz").write_bytes(b"broken")
    with pytest.raises(DataError, match="could be predicted; "):
        quietly(run, tmp_path / "bad", tmp_path / "out2")
    assert len(table(tmp_path / "out2" / "failures.csv")) == 1
    assert not (tmp_path / "out2" / "made.json").exists()
    (tmp_path / "t.csv").write_text("name\nx\n")
    with pytest.raises(DataError, match="has no column `image`"):
        quietly(run, tmp_path / "t.csv", tmp_path / "out3")


@pytest.mark.parametrize("engine", ["torch", pytest.param("openvino", marks=pytest.mark.openvino)])
def test_killed_run_goes_on_where_it_was(run: Path, tmp_path: Path, engine: str) -> None:
    """Killed without warning: no half file is taken for a whole one, and the rest is predicted the next time."""
    for seed in range(8):
        write_ct(tmp_path / "scans" / f"{seed:02d}.nii.gz", seed, size=(40, 40, 40))
    code = (
        "import modelsgenesis as mg; "
        f"mg.predict({str(run)!r}, {str(tmp_path / 'scans')!r}, {str(tmp_path / 'out')!r}, quiet=True, "
        f"accelerator='cpu', precision='32-true', engine={engine!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    end = time.monotonic() + 120
    while len(list((tmp_path / "out").glob("records/*.json"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    out = tmp_path / "out"
    done = {json.loads(path.read_text())["row"]["id"] for path in (out / "records").glob("*.json")}
    assert 2 <= len(done) < 8
    assert not (out / "made.json").exists()
    times = {name: (out / f"{name}.nii.gz").stat().st_mtime_ns for name in done}
    (out / ".killed.part").mkdir()
    assert json.loads((out / SETTINGS).read_text())["engine"] == engine
    quietly(run, tmp_path / "scans", out)
    assert times == {name: (out / f"{name}.nii.gz").stat().st_mtime_ns for name in done}
    assert len(list(out.glob("*.nii.gz"))) == 8
    assert not list(out.rglob(".*"))


def test_done_by_an_earlier_version_stays_as_it_was(run: Path, tmp_path: Path) -> None:
    """The provenance describes the target by its old name, and says who predicted when: nothing is written anew."""
    write_ct(tmp_path / "a.nii.gz", 1)
    made = quietly(run, tmp_path / "a.nii.gz", tmp_path / "out", everywhere=True) / "made.json"
    there = json.loads(made.read_text())
    there["arguments"]["target"] = described_at_first(find_fine_tuned([run]).target)
    assert there["arguments"].pop("engine") == "torch"  # there was no other
    assert there["arguments"].pop("everywhere") is True  # nor a choice
    settings = json.loads((tmp_path / "out" / SETTINGS).read_text())
    (tmp_path / "out" / SETTINGS).write_text(
        json.dumps({k: v for k, v in settings.items() if k not in ("engine", "everywhere")})
    )
    made.write_text(json.dumps({**there, "commit": "before"}))
    before = made.read_bytes()
    quietly(run, tmp_path / "a.nii.gz", tmp_path / "out")
    assert made.read_bytes() == before


def test_two_at_once_are_one_too_many(run: Path, tmp_path: Path) -> None:
    """A second process does not write into the first one's folder."""
    write_ct(tmp_path / "a.nii.gz", 1)
    out = quietly(run, tmp_path / "a.nii.gz", tmp_path / "out")
    with held(out, "predict"), pytest.raises(DataError, match="another genesis predict works on"):
        quietly(run, tmp_path / "a.nii.gz", out)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real DICOM series is not beside the repository (../shared/data)")
def test_real_series(tmp_path: Path) -> None:
    """A scanner's series: the NIfTI mask and the DICOM-SEG lie on it, voxel for voxel, and hold the same."""
    target = Segmentation((Label("body", (1,)),))
    run = make_run(tmp_path / "run", thresholding_unet(0.25012), target=target, patch=(256, 256, 16))
    out = quietly(run, REAL, tmp_path / "out", overlap=0.0)
    (source,), _ = find_sources(REAL)
    volume = read_volume(source)
    body = volume.values[0] > -499.76
    image, geometry = sitk.ReadImage(str(out / f"{REAL.name}.nii.gz")), volume.geometry
    np.testing.assert_array_equal(geometry.to_lps(read(out / f"{REAL.name}.nii.gz")), body)
    for ask, meant in (
        ("Spacing", geometry.spacing_mm),
        ("Origin", geometry.origin_mm),
        ("Direction", geometry.direction),
    ):
        np.testing.assert_allclose(getattr(image, f"Get{ask}")(), meant, atol=1e-4)
    seg = sitk.ReadImage(str(out / f"{REAL.name}.dcm"))
    there = sitk.Resample(seg, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(there) > 0, sitk.GetArrayFromImage(image) > 0)
    found = hd.seg.segread(out / f"{REAL.name}.dcm").get_volume(combine_segments=True)
    corner = found.map_indices_to_reference(np.array([[0, 0, 0], np.array(found.spatial_shape) - 1])).round(2)
    lps = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    assert {tuple(place) for place in corner} <= {tuple(place) for place in corners_mm(lps).round(2)}


def test_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same words in the same order; an error is one line."""
    write_ct(tmp_path / "a.nii.gz", 1)
    out = tmp_path / "out"
    words = ["predict", str(run), str(tmp_path / "a.nii.gz"), str(out), "--accelerator", "cpu", "--overlap", "0.25"]
    assert main([*words, "--mirror", "--no-seg", "--also", str(run)]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(out)
    assert "predict: 1 case in" in printed.err
    assert main(words) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("predict: ")
    assert printed.err.count("\n") == 1
