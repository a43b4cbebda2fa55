"""A hospital with ten labelled scans: teach, predict, evaluate, from the command line, on made-up torsos."""

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.cli import main
from modelsgenesis.phantom import LABELS, write_phantoms

TURNED = (0, 1, 0, -1, 0, 0, 0, 0, -1)  # a direction that no file of the training has


@pytest.fixture(scope="module")
def torsos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six torsos with their lungs as masks; one lies in its file in another direction, at another spacing."""
    folder = tmp_path_factory.mktemp("torsos")
    paths = write_phantoms(folder / "made", 6, size=(48, 36, 32), with_labels=True)
    lungs = [value for value, name in LABELS.items() if "lung" in name]
    for number, path in enumerate(paths):
        scan, labels = sitk.ReadImage(path), sitk.ReadImage(folder / "made" / "labels" / path.name)
        mask = sitk.GetImageFromArray(np.isin(sitk.GetArrayFromImage(labels), lungs).astype(np.uint8))
        mask.CopyInformation(scan)
        for part, image, how in (("images", scan, sitk.sitkLinear), ("labels", mask, sitk.sitkNearestNeighbor)):
            (folder / part).mkdir(exist_ok=True)
            sitk.WriteImage(turned(image, how) if number == 1 else image, folder / part / path.name)
    (folder / "labels.json").write_text('{"lungs": 1}')
    return folder


def turned(image: sitk.Image, how: int) -> sitk.Image:
    """The same body on a finer grid whose axes run elsewhere."""
    frame = np.array(TURNED, float).reshape(3, 3)
    far = np.array(image.TransformIndexToPhysicalPoint([side - 1 for side in image.GetSize()]))
    corners = np.stack([np.array(image.GetOrigin()), far])
    spacing = np.array([4.0, 6.0, 7.0])
    along = corners @ frame
    size = np.round(np.abs(along[1] - along[0]) / spacing).astype(int) + 1
    origin = frame @ along.min(axis=0)
    return sitk.Resample(
        image,
        size.tolist(),
        sitk.Transform(),
        how,
        origin.tolist(),
        spacing.tolist(),
        TURNED,
        -1000 if how == sitk.sitkLinear else 0,
    )


def test_few_labels_to_scored_masks(torsos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """finetune -> predict -> evaluate: masks on the very voxels of their scans, lungs found, numbers in the tables."""
    run, masks, scores = (str(tmp_path / name) for name in ("run", "masks", "scores"))
    teach = (
        f"finetune {torsos} {run} --like small --width 4 --cases 4 --steps 60 --lr 0.02 --batch-size 2 --size 48 32 32"
    )
    assert main(teach.split()) == 0
    assert main(["predict", run, f"{run}/unused.csv", masks]) == 0
    assert main(["evaluate", masks, f"{run}/unused.csv", scores]) == 0
    held_out = list(csv.DictReader((tmp_path / "run" / "unused.csv").read_text().splitlines()))
    assert "torso-001" in [row["id"] for row in held_out]  # the turned one; another --seed draws others
    for row in held_out:
        scan, mask = sitk.ReadImage(row["image"]), sitk.ReadImage(tmp_path / "masks" / f"{row['id']}.nii.gz")
        for known in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(mask, known)(), getattr(scan, known)(), atol=1e-5)
        truth = sitk.GetArrayFromImage(sitk.ReadImage(row["label"])) > 0
        found = sitk.GetArrayFromImage(mask) > 0
        assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.7
    rows = list(csv.DictReader((tmp_path / "scores" / "summary.csv").read_text().splitlines()))
    assert rows
    assert (tmp_path / "scores" / "report.html").stat().st_size > 10_000
    # Once more: nothing is done twice, and nothing changes.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "masks").glob("*.nii.gz")}
    for again in (teach.split(), ["predict", run, f"{run}/unused.csv", masks]):
        assert main(again) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "masks").glob("*.nii.gz")}
    assert "lungs" in capsys.readouterr().err
