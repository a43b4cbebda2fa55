"""Evaluation: masks, classes and numbers against the truth, with nothing left out in silence."""

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import make_image

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.lease import held
from modelsgenesis.core.naming import describe
from modelsgenesis.core.provenance import read_provenance, write_provenance
from modelsgenesis.data.patient_names import with_raw_patients
from modelsgenesis.targets.segmentation import Segmentation

SIZE, SPACING = (14, 12, 10), (1.0, 1.5, 2.0)
CASES = [f"case{number:02d}" for number in range(11)]
ORGANS = Segmentation((Label("liver", (1,)), Label("tumour", (2,))))


def truth_of(number: int) -> np.ndarray:
    """A label map: a box of 1 with a smaller one of 2 in it, elsewhere in each case."""
    mask = np.zeros(SIZE, np.uint8)
    x, y, z = 2 + number % 4, 2 + number % 3, 2
    mask[x : x + 7, y : y + 6, z : z + 5] = 1
    mask[x + 2 : x + 5, y + 2 : y + 4, z + 1 : z + 4] = 2
    return mask


def predicted_of(number: int) -> np.ndarray:
    """The truth, moved by none or one voxel along each axis."""
    return np.roll(truth_of(number), (number % 2, number % 3 == 0, number % 5 == 0), (0, 1, 2))


def write(path: Path, values: np.ndarray, origin_mm: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Path:
    """Write a mask or an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = make_image(values, SPACING)
    image.SetOrigin(origin_mm)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of eleven patients."""
    folder = tmp_path / "data"
    for number, name in enumerate(CASES):
        noise = np.random.default_rng(number).normal(0, 20, SIZE).astype(np.int16)
        write(folder / "images" / f"{name}.nii.gz", noise + 60 * truth_of(number).astype(np.int16))
        write(folder / "labels" / f"{name}.nii.gz", truth_of(number))
    (folder / "labels.json").write_text(json.dumps({"background": 0, "liver": 1, "tumour": 2}))
    return folder


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A prediction of each case, as others write them."""
    for number, name in enumerate(CASES):
        write(tmp_path / "predictions" / f"{name}.nii.gz", predicted_of(number))
    return tmp_path / "predictions"


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def evaluate(predictions: Path, truth: Path, into: Path, **settings: object) -> tuple[list[dict[str, str]], str]:
    """The rows of cases.csv, and the page."""
    settings = {"quiet": True, "workers": 0, "resamples": 100, "worst": 1, **settings}
    out = mg.evaluate(predictions, truth, into, **settings)  # type: ignore[arg-type]
    return rows(out / "cases.csv"), (out / "report.html").read_text(encoding="utf-8")


def line(out: Path, label: str, metric: str) -> dict[str, str]:
    """A row of summary.csv."""
    return next(row for row in rows(out / "summary.csv") if (row["label"], row["metric"]) == (label, metric))


def test_each_case_and_label_has_its_row(data: Path, predictions: Path, tmp_path: Path) -> None:
    """In the order of the truth, with the Dice that counting gives; volumes in ml by voxels of 3 mm3."""
    found, page = evaluate(predictions, data, tmp_path / "scores")
    assert [(row["id"], row["label"]) for row in found] == [(name, lab) for name in CASES for lab in ORGANS.names]
    for number, name in enumerate(CASES):
        for value, label in enumerate(ORGANS.names, start=1):
            one, other = predicted_of(number) == value, truth_of(number) == value
            row = next(row for row in found if (row["id"], row["label"]) == (name, label))
            assert row["status"] == "compared"
            assert float(row["dice"]) == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()), abs=1e-6)
            assert float(row["truth_ml"]) == pytest.approx(other.sum() * 3e-3)
    assert page.count("<img") == 2
    assert "every case has a prediction and a truth" in page


def test_summary_is_of_the_cases(data: Path, predictions: Path, tmp_path: Path) -> None:
    """Mean, interval and mean of labels; the same in summary.json, which says the rules too."""
    found, _ = evaluate(predictions, data, tmp_path / "scores", tolerance=1.5)
    liver, tumour, both = (line(tmp_path / "scores", label, "dice") for label in (*ORGANS.names, "mean of labels"))
    dice = [float(row["dice"]) for row in found if row["label"] == "liver"]
    assert float(liver["value"]) == pytest.approx(np.mean(dice), abs=1e-5)
    assert float(liver["low95"]) < float(liver["value"]) < float(liver["high95"])
    assert float(both["value"]) == pytest.approx((float(liver["value"]) + float(tumour["value"])) / 2, abs=1e-5)
    summary = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert summary["rules"]["tolerance_mm"] == 1.5
    assert summary["lines"][0]["value"] == float(liver["value"])


def test_rounded_header_costs_no_score(tmp_path: Path) -> None:
    """The very masks, one with a spacing of four digits: Dice 1, and a note."""
    mask = np.zeros((300, 300, 4), np.uint8)
    mask[100:200, 50:90] = 1
    for folder, step in (("truth", 0.703125), ("predictions", 0.7031)):
        (tmp_path / folder).mkdir()
        sitk.WriteImage(make_image(mask, (step, step, 5.0)), str(tmp_path / folder / "a.nrrd"))
    (row,), _ = evaluate(tmp_path / "predictions", tmp_path / "truth", tmp_path / "scores")
    assert (row["status"], float(row["dice"])) == ("compared", 1.0)
    assert row["note"].startswith("prediction and truth lie up to 0.011 mm apart, 0.01 of a voxel")


def test_twice_gives_the_same_bytes(data: Path, predictions: Path, tmp_path: Path) -> None:
    """In this process or in another; but for the dates of the provenance."""
    for name, workers in (("one", 0), ("two", 1)):
        evaluate(predictions, data, tmp_path / name, workers=workers)
    for file in ("cases.csv", "summary.csv", "summary.json", "report.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_missing_predictions_are_reported(
    data: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mean of zeros for scans that nobody predicted should surprise no one."""
    evaluate(predictions, data, tmp_path / "all", quiet=False)
    assert "missing" not in capsys.readouterr().err
    (predictions / f"{CASES[0]}.nii.gz").unlink()
    evaluate(predictions, data, tmp_path / "scores", quiet=False)
    assert "evaluate: of 11 cases 1 missing" in capsys.readouterr().err


def test_a_missing_prediction_counts_as_empty(data: Path, predictions: Path, tmp_path: Path) -> None:
    """Dice 0, the diagonal for a distance, and a line on the page; with --only-predicted it is left out."""
    (predictions / "case03.nii.gz").unlink()
    found, page = evaluate(predictions, data, tmp_path / "scores")
    lost = [row for row in found if row["id"] == "case03"]
    assert [(row["status"], float(row["dice"])) for row in lost] == [("missing", 0), ("missing", 0)]
    diagonal = math.hypot(*(side * step for side, step in zip(SIZE, SPACING, strict=True)))
    assert float(lost[0]["hd95_mm"]) == pytest.approx(diagonal, abs=1e-5)
    assert "<td>case03</td><td>missing</td>" in page
    found, page = evaluate(predictions, data, tmp_path / "predicted", only_predicted=True)
    assert "case03" not in {row["id"] for row in found}
    assert "because of --only-predicted: 1." in page


def other_grid(path: Path) -> None:
    """A mask of the right size in the wrong place."""
    write(path, predicted_of(4), origin_mm=(0.0, 0.0, 2.0))


def other_size(path: Path) -> None:
    """A mask of one slice more."""
    write(path, np.zeros((14, 12, 11), np.uint8))


def unknown_value(path: Path) -> None:
    """A mask with a value that no label has."""
    write(path, predicted_of(4) * 3)


def broken(path: Path) -> None:
    """A file cut short."""
    path.write_bytes(path.read_bytes()[:100])


def empty_file(path: Path) -> None:
    """A file of nothing."""
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (other_grid, "lie up to 2 mm apart"),
        (other_size, "different sizes"),
        (unknown_value, "the mask holds 3"),
        (broken, ""),
        (empty_file, "the file is empty"),
    ],
)
def test_a_prediction_that_does_not_fit_is_named_and_counts_as_empty(
    spoil: Callable[[Path], None], why: str, data: Path, predictions: Path, tmp_path: Path
) -> None:
    """Whatever is wrong with it: the reason is in cases.csv and on the page, and the others are compared."""
    spoil(predictions / "case04.nii.gz")
    found, page = evaluate(predictions, data, tmp_path / "scores")
    lost = [row for row in found if row["id"] == "case04"]
    assert [(row["status"], float(row["dice"])) for row in lost] == [("unreadable", 0), ("unreadable", 0)]
    assert why in lost[0]["note"]
    assert lost[0]["note"]
    assert "<td>case04</td><td>unreadable</td>" in page
    assert {row["status"] for row in found if row["id"] != "case04"} == {"compared"}


def test_a_truth_that_cannot_be_read_is_in_no_number(data: Path, predictions: Path, tmp_path: Path) -> None:
    """It has its rows, without scores, and the page counts it."""
    write(data / "labels" / "case05.nii.gz", truth_of(5) * 3)
    found, page = evaluate(predictions, data, tmp_path / "scores")
    lost = [row for row in found if row["id"] == "case05"]
    assert [(row["status"], row["dice"]) for row in lost] == [("no truth", ""), ("no truth", "")]
    assert line(tmp_path / "scores", "liver", "dice")["n"] == "10"
    assert "cases left out: their truth cannot be read" in page


def test_predictions_of_no_case_are_listed(data: Path, predictions: Path, tmp_path: Path) -> None:
    """They change no number."""
    write(predictions / "stranger.nii.gz", predicted_of(0))
    found, page = evaluate(predictions, data, tmp_path / "scores")
    assert len(found) == 22
    assert "Predictions of no case of the truth: 1" in page
    assert "<td>stranger</td>" in page


def test_empty_on_both_sides_is_undefined_or_perfect(data: Path, predictions: Path, tmp_path: Path) -> None:
    """By default n is one less; with the option the case counts as 1; a prediction that is missing is never perfect."""
    for number in (0, 1):
        without = np.where(truth_of(number) == 2, 1, truth_of(number)).astype(np.uint8)
        write(data / "labels" / f"{CASES[number]}.nii.gz", without)
        write(predictions / f"{CASES[number]}.nii.gz", without)
    (predictions / "case01.nii.gz").unlink()
    found, _ = evaluate(predictions, data, tmp_path / "undefined")
    assert [row["dice"] for row in found if row["label"] == "tumour"][:2] == ["", ""]
    assert line(tmp_path / "undefined", "tumour", "dice")["n"] == "9"
    found, page = evaluate(predictions, data, tmp_path / "perfect", empty="perfect")
    assert [row["dice"] for row in found if row["label"] == "tumour"][:2] == ["1.0", ""]
    assert line(tmp_path / "perfect", "tumour", "dice")["n"] == "10"
    assert "--empty perfect" in page


def test_a_single_case_has_no_interval(data: Path, predictions: Path, tmp_path: Path) -> None:
    """The page says why."""
    for name in CASES[1:]:
        (predictions / f"{name}.nii.gz").unlink()
    _, page = evaluate(predictions, data, tmp_path / "scores", only_predicted=True)
    assert line(tmp_path / "scores", "liver", "dice")["low95"] == ""
    assert "no interval: too few patients" in page


def test_cases_of_a_table_keep_their_patients(data: Path, predictions: Path, tmp_path: Path) -> None:
    """Eleven cases of six patients are six patients."""
    table = data / "cases.csv"
    lines = [f"images/{name}.nii.gz,labels/{name}.nii.gz,p{k // 2},{name}" for k, name in enumerate(CASES)]
    table.write_text("\n".join(["image,label,patient,id", *lines]) + "\n")
    found, _ = evaluate(predictions, table, tmp_path / "scores")
    back = with_raw_patients(found[:6], tmp_path / "scores")
    assert [row["patient"] for row in back] == ["p0", "p0", "p0", "p0", "p1", "p1"]
    assert not {row["patient"] for row in found} & {row["patient"] for row in back}
    assert line(tmp_path / "scores", "liver", "dice")["patients"] == "6"


def test_overlapping_labels_are_a_mask_each(data: Path, tmp_path: Path) -> None:
    """Truth by columns label_NAME, predictions by files ID__NAME; a lacking one makes the case unreadable."""
    lines = ["image,label_whole,label_core,id"]
    for number, name in enumerate(CASES[:3]):
        for label, least in (("whole", 1), ("core", 2)):
            write(data / "truth" / f"{name}-{label}.nii.gz", (truth_of(number) >= least).astype(np.uint8))
            found = (predicted_of(number) >= least).astype(np.uint8)
            write(tmp_path / "predictions" / f"{name}__{label}.nii.gz", found)
        lines.append(f"images/{name}.nii.gz,truth/{name}-whole.nii.gz,truth/{name}-core.nii.gz,{name}")
    (data / "regions.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "predictions" / "case02__core.nii.gz").unlink()
    found, page = evaluate(tmp_path / "predictions", data / "regions.csv", tmp_path / "scores")
    one, other = predicted_of(1) >= 1, truth_of(1) >= 1
    whole = next(row for row in found if (row["id"], row["label"]) == ("case01", "whole"))
    assert float(whole["dice"]) == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()), abs=1e-6)
    assert [row["status"] for row in found[4:]] == ["unreadable", "unreadable"]
    assert "no mask of core" in page


def test_nnunet_s_folders_are_understood(data: Path, predictions: Path, tmp_path: Path) -> None:
    """labelsTs beside a dataset.json that names the labels, predictions called after the cases; no images needed."""
    raw = tmp_path / "Dataset001_Made"
    (raw / "imagesTr").mkdir(parents=True)
    (data / "labels").rename(raw / "labelsTs")
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(description))
    found, page = evaluate(predictions, raw / "labelsTs", tmp_path / "scores")
    assert {row["label"] for row in found} == set(ORGANS.names)
    assert {row["status"] for row in found} == {"compared"}
    assert "Black where no image" in page


def test_a_bare_folder_takes_its_labels_from_the_masks(data: Path, predictions: Path, tmp_path: Path) -> None:
    """Named as their values when nobody names them."""
    found, _ = evaluate(predictions, data / "labels", tmp_path / "scores")
    assert {row["label"] for row in found} == {"1", "2"}


def test_masks_named_like_images_are_found(data: Path, predictions: Path, tmp_path: Path) -> None:
    """An id says CASE, a file CASE_0000: the mask's or the image's name will do where it is unique."""
    lines = ["image,label,id"]
    for name in CASES:
        (data / "images" / f"{name}.nii.gz").rename(data / "images" / f"{name}_0000.nii.gz")
        (data / "labels" / f"{name}.nii.gz").rename(data / "labels" / f"truth-{name}.nii.gz")
        lines.append(f"images/{name}_0000.nii.gz,labels/truth-{name}.nii.gz,subject-{name}")
    (data / "cases.csv").write_text("\n".join(lines) + "\n")
    found, _ = evaluate(predictions, data / "cases.csv", tmp_path / "scores")
    assert {row["status"] for row in found} == {"compared"}


def test_equal_file_names_are_not_mixed_up(data: Path, tmp_path: Path) -> None:
    """patient1/mask and patient2/mask belong to their patients' cases, or to none; never to another's."""
    for number in (0, 1):
        write(tmp_path / "truth" / f"p{number}" / "mask.nii.gz", truth_of(number))
        write(tmp_path / "predictions" / f"p{number}" / "mask.nii.gz", truth_of(number))
        write(tmp_path / "elsewhere" / f"q{number}" / "mask.nii.gz", truth_of(number))
    found, _ = evaluate(tmp_path / "predictions", tmp_path / "truth", tmp_path / "scores")
    assert {row["dice"] for row in found} == {"1.0"}
    with pytest.raises(DataError, match="holds no prediction of a case"):
        evaluate(tmp_path / "elsewhere", tmp_path / "truth", tmp_path / "none")


def test_prediction_of_another_file_of_the_name_is_not_the_case_s(
    data: Path, predictions: Path, tmp_path: Path
) -> None:
    """Where predictions.csv names the very file of one case, what it says of a file elsewhere is of no case."""
    first, second = CASES[:2]
    said = [(first, tmp_path / "elsewhere" / f"{first}.nii.gz"), (second, data / "images" / f"{second}.nii.gz")]
    lines = [f"{name},{image},{name}.nii.gz" for name, image in said]
    table(predictions / "predictions.csv", "id,image,prediction", lines)
    lines = [f"images/{name}.nii.gz,labels/{name}.nii.gz" for name in (first, second)]
    truth = table(data / "truth.csv", "image,label", lines)
    found, _ = evaluate(predictions, truth, tmp_path / "scores")
    status = {(row["id"], row["status"]) for row in found}
    assert status == {(f"images_{first}", "missing"), (f"images_{second}", "compared")}


def test_predictions_of_a_run_tell_its_labels(data: Path, predictions: Path, tmp_path: Path) -> None:
    """The provenance of predict names them; only files in its table are masks, so probabilities are none."""
    (data / "labels.json").unlink()
    write_provenance(predictions, "predict", {"target": describe(ORGANS)}, inputs=[])
    lines = [f"{name},x,{name}.nii.gz,predicted" for name in CASES]
    (predictions / "predictions.csv").write_text("\n".join(["id,image,prediction,status", *lines]) + "\n")
    for name in CASES:
        write(predictions / "probabilities" / f"{name}__liver.nii.gz", np.full(SIZE, 0.5, np.float32))
    found, page = evaluate(predictions, data, tmp_path / "scores")
    assert {(row["label"], row["status"]) for row in found} == {("liver", "compared"), ("tumour", "compared")}
    assert "genesis predict" in page
    assert "probabilities" not in page


def test_labels_that_swapped_their_values_are_refused(data: Path, predictions: Path, tmp_path: Path) -> None:
    """A truth where the liver is 2 is not compared, value by value, with a network's tumour."""
    write_provenance(predictions, "predict", {"target": describe(ORGANS)}, inputs=[])
    (data / "labels.json").write_text(json.dumps({"liver": 2, "tumour": 1}))
    with pytest.raises(DataError, match="liver is 2, but the network was trained on masks in which it is 1"):
        evaluate(predictions, data, tmp_path / "scores")


def test_unfinished_predictions_are_refused(data: Path, predictions: Path, tmp_path: Path) -> None:
    """What is still missing would count as empty."""
    (predictions / "records").mkdir()
    with pytest.raises(DataError, match="has not finished it; run the same command again"):
        evaluate(predictions, data, tmp_path / "scores")


def test_another_stage_s_folder_is_refused(data: Path, predictions: Path, tmp_path: Path) -> None:
    """A store is no folder of predictions."""
    write_provenance(predictions, "prepare", {}, inputs=[])
    with pytest.raises(DataError, match="made by `genesis prepare`"):
        evaluate(predictions, data, tmp_path / "scores")


def test_nothing_to_compare_is_refused(data: Path, predictions: Path, tmp_path: Path) -> None:
    """With the first name of either side, so that it can be mended."""
    for name in CASES:
        (predictions / f"{name}.nii.gz").rename(predictions / f"other-{name}.nii.gz")
    with pytest.raises(DataError, match="the first case is case00, the first file other-case00"):
        evaluate(predictions, data, tmp_path / "scores")
    with pytest.raises(DataError, match="no case of the split test"):
        evaluate(predictions, data, tmp_path / "scores", split="test")
    assert not (tmp_path / "scores").exists()


def test_what_of_the_truth_is_no_case_is_listed(data: Path, predictions: Path, tmp_path: Path) -> None:
    """A mask without an image cannot be left out in silence."""
    (data / "images" / "case06.nii.gz").unlink()
    found, page = evaluate(predictions, data, tmp_path / "scores")
    assert "case06" not in {row["id"] for row in found}
    assert "Entries of the truth that are no case: 1" in page
    assert "no image of its name" in page


def test_a_folder_of_another_stage_is_not_written_to(data: Path, predictions: Path, tmp_path: Path) -> None:
    """Its own may be evaluated again, with other settings."""
    (tmp_path / "run").mkdir()
    write_provenance(tmp_path / "run", "finetune", {}, inputs=[])
    with pytest.raises(DataError, match="made by `genesis finetune`"):
        evaluate(predictions, data, tmp_path / "run")
    for tolerance in (1.0, 3.0):
        evaluate(predictions, data, tmp_path / "scores", tolerance=tolerance, worst=0)
    assert float(line(tmp_path / "scores", "liver", "surface_dice")["value"]) == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tolerance": -1.0}, "tolerance must be 0 mm or more"),
        ({"tolerance": math.nan}, "tolerance must be 0 mm or more"),
        ({"resamples": 0}, "resamples must be 1 or more"),
        ({"seed": -1}, "seed 0 or more"),
        ({"worst": -1}, "worst cannot be negative"),
        ({"workers": -1}, "workers cannot be negative"),
    ],
)
def test_settings_out_of_range_are_refused(
    settings: dict[str, object], why: str, data: Path, predictions: Path, tmp_path: Path
) -> None:
    """Before anything is read."""
    with pytest.raises(DataError, match=why):
        evaluate(predictions, data, tmp_path / "scores", **settings)
    with pytest.raises(DataError, match="no such folder"):
        evaluate(tmp_path / "nowhere", data, tmp_path / "scores")


def test_command_line_prints_a_table(
    data: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores on stderr, the folder on stdout."""
    words = ["evaluate", str(predictions), str(data), str(tmp_path / "scores"), "--resamples", "50", "--tolerance", "2"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'scores'}\n"
    assert all(word in printed.err for word in ("liver", "tumour", "mean of labels", "Dice", "95 % interval"))


CLASSES = ("benign", "malignant", "normal")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Twelve images."""
    for number in range(12):
        values = np.random.default_rng(number).normal(0, 20, (6, 5, 4)).astype(np.int16)
        write(tmp_path / "scans" / f"s{number:02d}.nii.gz", values)
    return tmp_path / "scans"


def table(path: Path, head: str, lines: list[str]) -> Path:
    """Write a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def probabilities(number: int) -> list[float]:
    """Of the three classes; right in three cases of four."""
    p = [0.1, 0.1, 0.1]
    p[number % 3 if number % 4 else (number + 1) % 3] = 0.8
    return p


def write_classes(scans: Path, names: tuple[str, ...] = CLASSES, leave_out: tuple[int, ...] = ()) -> tuple[Path, Path]:
    """A table of true classes, and predictions whose columns come in the order of the names."""
    truth = [f"s{n:02d}.nii.gz,{CLASSES[n % 3]},p{n}" for n in range(12)]
    rows = [
        f"s{n:02d},{','.join(str(probabilities(n)[CLASSES.index(name)]) for name in names)}"
        for n in range(12)
        if n not in leave_out
    ]
    predictions = table(
        scans.parent / "predictions" / "predictions.csv", "id," + ",".join(f"p_{n}" for n in names), rows
    )
    return predictions.parent, table(scans / "truth.csv", "image,label,patient", truth)


@pytest.mark.parametrize("names", [CLASSES, CLASSES[::-1]])
def test_classes_are_matched_by_their_names(names: tuple[str, ...], scans: Path, tmp_path: Path) -> None:
    """In whatever order the columns come, accuracy is 9 of 12."""
    found, page = evaluate(*write_classes(scans, names), tmp_path / "scores", worst=6)
    assert [row["truth"] for row in found[:3]] == list(CLASSES)
    assert found[4]["class"] == "normal"
    assert float(line(tmp_path / "scores", "all labels", "accuracy")["value"]) == 0.75
    assert line(tmp_path / "scores", "all labels", "auc")["low95"]
    assert page.count("<img") == 2
    assert "true: benign; predicted: malignant" in page


def test_a_class_without_a_prediction_is_in_no_number_and_listed(scans: Path, tmp_path: Path) -> None:
    """It is counted in summary.csv as undefined, and so is what are no probabilities."""
    predictions, truth = write_classes(scans, leave_out=(1, 2))
    with open(predictions / "predictions.csv", "a", encoding="utf-8") as file:
        file.write("s01,0.9,0.9,0.9\n")
    found, page = evaluate(predictions, truth, tmp_path / "scores")
    assert [row["status"] for row in found[:4]] == ["compared", "unreadable", "missing", "compared"]
    accuracy = line(tmp_path / "scores", "all labels", "accuracy")
    assert (accuracy["n"], accuracy["undefined"]) == ("10", "2")
    assert "<td>s02</td><td>missing</td>" in page
    assert "probabilities that sum to 2.7, not 1" in page


def test_one_prediction_is_not_given_to_two_images_of_a_name(scans: Path, tmp_path: Path) -> None:
    """Nobody knows whose it is: both cases are without a prediction."""
    for folder in ("a", "b"):
        write(scans / folder / "ct.nii.gz", np.random.default_rng(0).normal(0, 20, (6, 5, 4)).astype(np.int16))
    lines = ["a/ct.nii.gz,benign", "b/ct.nii.gz,normal", "s00.nii.gz,malignant"]
    truth = table(scans / "t.csv", "image,label", lines)
    predictions = table(
        tmp_path / "said.csv", "id,p_benign,p_malignant,p_normal", ["ct,0.8,0.1,0.1", "s00,0.1,0.8,0.1"]
    )
    found, _ = evaluate(predictions, truth, tmp_path / "scores")
    assert [row["status"] for row in found] == ["missing", "missing", "compared"]
    rows = [f"ct,{scans / 'b' / 'ct.nii.gz'},0.8,0.1,0.1", f"s00,{scans / 's00.nii.gz'},0.1,0.8,0.1"]
    predictions = table(tmp_path / "named.csv", "id,image,p_benign,p_malignant,p_normal", rows)
    truth = table(scans / "t.csv", "image,label", [lines[0], lines[2]])
    found, _ = evaluate(predictions, truth, tmp_path / "one")
    assert [(row["id"], row["status"]) for row in found] == [("a_ct", "missing"), ("s00", "compared")]
    found, _ = evaluate(predictions, table(scans / "t.csv", "image,label", lines), tmp_path / "both")
    assert [(row["id"], row["status"]) for row in found][1:] == [("b_ct", "compared"), ("s00", "compared")]


def test_images_of_a_table_of_predictions_are_seen_from_its_folder(scans: Path) -> None:
    """Relative paths and absolute ones, and regions of one file, are the cases of the truth that have these images."""
    images = ["s00.nii.gz", str(scans / "s01.nii.gz"), '"s02.nii.gz@0,0,0@2x2x2"', '"s02.nii.gz@1.0,1,1@2x2x2"']
    truth = table(scans / "t.csv", "image,label", [f"{image},{'ab'[n % 2]}" for n, image in enumerate(images)])
    said = table(
        scans / "said.csv", "image,p_a,p_b", [f"{image},0.{n + 1},0.{9 - n}" for n, image in enumerate(images)]
    )
    found, _ = evaluate(said, truth, scans / "scores")
    assert [(row["status"], row["p_a"]) for row in found] == [("compared", f"0.{number}") for number in range(1, 5)]


def cells(page: str, title: str) -> list[list[str]]:
    """The table of a section, row by row."""
    section = page.partition(f"<h2>{title}</h2>")[2].partition("</table>")[0]
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in section.split("<tr>")[1:]]


def test_what_was_predicted_as_what_is_counted(scans: Path, tmp_path: Path) -> None:
    """The confusion matrix of twelve cases, three wrong by one class; and the cases of each bin of the calibration."""
    _, page = evaluate(*write_classes(scans), tmp_path / "scores")
    assert cells(page, "Confusion matrix") == [
        ["true", *CLASSES, "cases"],
        ["benign", "3", "1", "0", "4"],
        ["malignant", "0", "3", "1", "4"],
        ["normal", "1", "0", "3", "4"],
    ]
    bins = cells(page, "Cases behind the calibration")
    assert bins[1] == ["benign", "0", "8", "0", "0", "0", "0", "0", "0", "4", "0"]
    assert "6 of the 6 bins that hold any hold fewer than 10 cases" in page


def test_overlapping_labels_are_counted_each(scans: Path, tmp_path: Path) -> None:
    """True and predicted, only one of both, neither: of a label predicted wherever p is 0.5 and above."""
    truth = table(
        scans / "t.csv", "image,label_a,label_b", [f"s{n:02d}.nii.gz,{n % 2},{int(n > 5)}" for n in range(12)]
    )
    rows = [f"s{n:02d},{0.5 if n < 4 else 0.4},{0.9 * (n > 7)}" for n in range(12)]
    _, page = evaluate(table(tmp_path / "p.csv", "id,p_a,p_b", rows), truth, tmp_path / "scores")
    assert cells(page, "Confusion")[1:] == [["a", "2", "4", "2", "4"], ["b", "4", "2", "0", "6"]]


def test_positive_class_can_be_named(scans: Path, tmp_path: Path) -> None:
    """Average precision and Brier score of all labels are of the class that is named; AUC of two is one number."""
    truth = table(scans / "t.csv", "image,label", [f"s{n:02d}.nii.gz,{('no', 'yes')[n % 3 == 0]}" for n in range(12)])
    p = np.random.default_rng(0).random(12).round(3)
    said = table(tmp_path / "p.csv", "id,p_no,p_yes", [f"s{n:02d},{1 - p[n]:.3f},{p[n]}" for n in range(12)])
    for positive, own in ((None, "yes"), ("yes", "yes"), ("no", "no")):
        out = tmp_path / f"scores-{positive}"
        _, page = evaluate(said, truth, out, positive=positive)
        assert f"{own} is the positive one" in page
        for metric in ("average_precision", "auc", "brier"):
            assert line(out, "all labels", metric)["value"] == line(out, own, metric)["value"]
    assert "--positive no" in command("scores", read_provenance(tmp_path / "scores-no", "evaluate"))
    with pytest.raises(DataError, match="one of two classes; there are no, yes, got 'maybe'"):
        evaluate(said, truth, tmp_path / "other", positive="maybe")
    with pytest.raises(DataError, match="one of two classes; there are benign, malignant, normal"):
        evaluate(*write_classes(scans), tmp_path / "three", positive="normal")


def test_masks_have_no_positive_class(data: Path, predictions: Path, tmp_path: Path) -> None:
    """It is refused before anything is compared."""
    with pytest.raises(DataError, match="--positive names one of two classes, and masks have none"):
        evaluate(predictions, data, tmp_path / "scores", positive="liver")


def test_a_truth_of_one_class_has_no_auc(scans: Path, tmp_path: Path) -> None:
    """It is empty, not 0.5; accuracy is still there."""
    predictions, _ = write_classes(scans)
    truth = table(scans / "benign.csv", "image,label", [f"s{n:02d}.nii.gz,benign" for n in range(12)])
    evaluate(predictions, truth, tmp_path / "scores")
    assert line(tmp_path / "scores", "all labels", "auc")["value"] == ""
    assert line(tmp_path / "scores", "all labels", "accuracy")["value"] != ""


def test_overlapping_classes_are_scored_each(scans: Path, tmp_path: Path) -> None:
    """Any number of labels a case; perfect predictions have AUC 1."""
    truth = [f"s{n:02d}.nii.gz,{n % 2},{int(n > 5)}" for n in range(12)]
    rows = [f"s{n:02d},{0.6 + 0.2 * (n > 5)},{0.4 + 0.2 * (n % 2)}" for n in range(12)]
    predictions = table(tmp_path / "predictions.csv", "id,p_b,p_a", rows)
    found, _ = evaluate(predictions, table(scans / "t.csv", "image,label_a,label_b", truth), tmp_path / "scores")
    assert (found[7]["truth"], found[7]["class"]) == ("a | b", "a | b")
    assert {line(tmp_path / "scores", name, "auc")["value"] for name in "ab"} == {"1.0"}
    assert float(line(tmp_path / "scores", "b", "specificity")["value"]) == 0


def test_patients_of_several_cases_have_an_auc_of_their_own(scans: Path, tmp_path: Path) -> None:
    """A patient is as suspicious as the worst of his cases; where each has one, there is nothing to add."""
    cases = [
        ("a", 1, 0.9), ("a", 0, 0.8), ("b", 1, 0.3), ("b", 0, 0.2),
        ("c", 0, 0.4), ("c", 0, 0.1), ("d", 0, 0.15), ("e", 0, 0.05),
    ]  # fmt: skip
    truth = [f"s{n:02d}.nii.gz,{('no', 'yes')[label]},{who}" for n, (who, label, _) in enumerate(cases)]
    rows = [f"s{n:02d},{1 - p:.2f},{p:.2f}" for n, (_, _, p) in enumerate(cases)]
    truths = table(scans / "t.csv", "image,label,patient", truth)
    _, page = evaluate(table(tmp_path / "p.csv", "id,p_no,p_yes", rows), truths, tmp_path / "scores")
    found = line(tmp_path / "scores", "all labels", "auc_patient")
    # Sick a (0.9) and b (0.3) against healthy c (0.4), d and e: five of six pairs.
    assert (float(found["value"]), found["n"]) == (pytest.approx(5 / 6, abs=1e-6), "5")
    # By case, those of 0.9 and 0.3 against six: 0.9 beats all, 0.3 all but 0.8 and 0.4.
    assert float(line(tmp_path / "scores", "all labels", "auc")["value"]) == pytest.approx(10 / 12, abs=1e-6)
    assert "AUC by patient" in page
    evaluate(tmp_path / "p.csv", table(scans / "t.csv", "image,label", [row[:-2] for row in truth]), tmp_path / "again")
    assert "auc_patient" not in (tmp_path / "again" / "summary.csv").read_text()


def test_numbers_are_scored_as_numbers(scans: Path, tmp_path: Path) -> None:
    """A table without p_ columns predicts numbers, even where the truth looks like classes."""
    truth = table(scans / "ages.csv", "image,label", [f"s{n:02d}.nii.gz,{n}" for n in range(12)])
    predictions = table(
        tmp_path / "ages.csv", "image,label", [f"elsewhere/s{n:02d}.nii.gz,{n + 2 * (n % 2)}" for n in range(12)]
    )
    found, page = evaluate(predictions, truth, tmp_path / "scores")
    assert (found[3]["true label"], found[3]["predicted label"], found[3]["error label"]) == ("3.0", "5.0", "2.0")
    assert float(line(tmp_path / "scores", "label", "mae")["value"]) == 1
    assert "s01   label: true 1.000, predicted 3.000" in page


def test_tables_that_lack_the_cases_are_refused(scans: Path, tmp_path: Path) -> None:
    """Other classes, two rows of a case, no id, and a folder without a table."""
    predictions, truth = write_classes(scans)
    out = tmp_path / "scores"
    others = table(tmp_path / "others.csv", "id,p_good,p_bad", ["s00,0.5,0.5"])
    with pytest.raises(
        DataError, match="the truth knows benign, malignant, normal, but the predictions are of good, bad"
    ):
        evaluate(others, truth, out)
    twice = table(tmp_path / "twice.csv", "id,p_benign,p_malignant,p_normal", ["s00,1,0,0", "s00,0,1,0"])
    with pytest.raises(DataError, match="two rows of the predictions are of s00"):
        evaluate(twice, truth, out)
    nameless = table(tmp_path / "nameless.csv", "p_benign,p_malignant,p_normal", ["1,0,0"])
    with pytest.raises(DataError, match="no column `id` or `image`"):
        evaluate(nameless, truth, out)
    (predictions / "predictions.csv").unlink()
    with pytest.raises(DataError, match=r"has no predictions\.csv"):
        evaluate(predictions, truth, out)


def test_provenance_says_the_command(data: Path, predictions: Path, tmp_path: Path) -> None:
    """What is not the default is an option, so that a report can print how the folder was made."""
    evaluate(predictions, data, tmp_path / "scores", tolerance=2.5, only_predicted=True, worst=0, resamples=2000)
    spelled = command("scores", read_provenance(tmp_path / "scores", "evaluate"))
    assert spelled == f"genesis evaluate {predictions} {data} scores --tolerance 2.5 --only-predicted --worst 0"


def test_two_never_fill_one_folder(data: Path, predictions: Path, tmp_path: Path) -> None:
    """The second is refused."""
    with held(tmp_path / "out", "evaluate"), pytest.raises(DataError, match="another genesis evaluate works on"):
        evaluate(predictions, data, tmp_path / "out")
