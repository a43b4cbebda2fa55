"""Points in mm: drawn as heat maps, found again, and scored; and the whole line from the command line."""

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from modelsgenesis.cli import main
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.case import Case
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.points import to_voxels, to_world
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.volume import Geometry
from modelsgenesis.metrics.radial_error import error_scores, radial_errors
from modelsgenesis.targets.landmarks import Landmarks, heat_map
from modelsgenesis.tasks.folder import folder

TIPS = Landmarks((Label("bright"), Label("dark")))
TURNED = Geometry((24, 20, 18), (1.0, 1.5, 2.0), (-20.0, 30.0, 11.0), (0, -1.0, 0, -1.0, 0, 0, 0, 0, 1.0))


def image_of(geometry: Geometry, spacing_mm: tuple[float, ...], size: tuple[int, ...]) -> Image:
    """An empty image on a grid of its own."""
    return Image(np.zeros((1, *size), np.float32), ((0.0, 1.0),), spacing_mm, geometry)


def test_points_lie_where_the_file_says() -> None:
    """SimpleITK knows where a voxel is; the grid in LPS has its own axes, and both ways undo each other."""
    scan = sitk.Image(TURNED.size, sitk.sitkUInt8)
    scan.SetSpacing(TURNED.spacing_mm)
    scan.SetOrigin(TURNED.origin_mm)
    scan.SetDirection(TURNED.direction)
    values = np.zeros(TURNED.size, np.uint8)
    values[3, 14, 7] = 1
    (there,) = np.argwhere(TURNED.to_lps(values))
    world = np.array([scan.TransformIndexToPhysicalPoint((3, 14, 7))])
    size, spacing_mm = (20, 24, 18), (1.5, 1.0, 2.0)
    np.testing.assert_allclose(to_voxels(world, TURNED, size, spacing_mm), [there], atol=1e-9)
    finer = ((30, 24, 36), (1.0, 1.0, 1.0))
    back = to_world(to_voxels(world, TURNED, *finer), TURNED, *finer)
    np.testing.assert_allclose(back, world, atol=1e-9)


@pytest.mark.parametrize("spacing_mm", [(1.5, 1.0, 2.0), (1.0, 1.0, 1.0)])
def test_points_are_found_again_in_their_own_heat_maps(spacing_mm: tuple[float, float, float]) -> None:
    """To a twentieth of a voxel, on any grid; what network and sliding window would give is given part by part."""
    size = tuple(round(side / step) for side, step in zip((30, 24, 36), spacing_mm, strict=True))
    image = image_of(TURNED, spacing_mm, size)
    places = np.array([[8.3, 12.6, 7.25], [11.0, 5.5, 9.75]])
    world = to_world(places, TURNED, size, spacing_mm)
    case = Case("one", (), values=tuple(world.ravel()))
    heat = torch.from_numpy(TIPS.read_voxels(case, image, Reading())).float() / 255
    found = TIPS.gathered(iter(heat.split(5, dim=1)), image)
    assert radial_errors(found[None], world.reshape(1, -1)).max() < 0.05 * max(spacing_mm)


def test_unknown_points_have_no_heat_and_no_error() -> None:
    """A case may lack a point: it teaches nothing, and is in no score."""
    assert not heat_map(np.full(3, np.nan), (6, 6, 6)).any()
    truth = np.array([[0.0, 0, 0, np.nan, np.nan, np.nan], [0, 0, 0, 9, 9, 9]])
    found = np.array([[3.0, 0, 0, 1, 1, 1], [0, 0, 1, 9, 9, 9]])
    scores = TIPS.scores(found, truth)
    assert scores["bright"] == {"mean_radial_error_mm": 2, "within_2mm": 0.5, "within_4mm": 1, "within_8mm": 1}
    assert scores["dark"]["mean_radial_error_mm"] == 0
    assert scores["all labels"]["mean_radial_error_mm"] == pytest.approx(4 / 3)
    assert np.isnan(error_scores(np.full(2, np.nan))["within_2mm"])


def test_points_outside_the_scan_are_refused() -> None:
    """Most often they are of another world: RAS."""
    world = to_world(np.array([[1.0, 2, 3], [1, 2, 30]]), TURNED, (20, 24, 18), (1.5, 1.0, 2.0))
    with pytest.raises(UnreadableError, match=r"its point dark at \(.* mm lies outside the scan; .*RAS"):
        TIPS.examine(Case("one", (), values=tuple(world.ravel())), TURNED)


def make_scans(root: Path, num: int = 10) -> Path:
    """Scans of a bright and a dark ball, and the table of their centres; the last lacks the dark one."""
    rows = []
    for number in range(num):
        rng = generator_for(5, number, "landmarks")
        centres = np.array([[8.0, 10, 9], [22, 18, 17]]) + rng.uniform(-3, 3, (2, 3))
        grid = np.stack(np.meshgrid(*[np.arange(side) for side in (32, 28, 26)], indexing="ij"), axis=-1)
        values = rng.normal(100, 5, grid.shape[:3])
        for centre, height in zip(centres, (120, -80), strict=True):
            values += height * np.exp(-np.square(grid - centre).sum(-1) / (2 * 2.5**2))
        scan = sitk.GetImageFromArray(np.ascontiguousarray(values.T.astype(np.float32)))
        scan.SetSpacing((1.5, 1.5, 2.0))
        scan.SetOrigin((-30.0, 12.0, 100.0))
        (root / "scans").mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(scan, str(root / "scans" / f"scan{number}.nii.gz"))
        world = centres * (1.5, 1.5, 2.0) + (-30.0, 12.0, 100.0)
        dark = world[1] if number < num - 1 else ("", "", "")
        rows.append((f"scans/scan{number}.nii.gz", *world[0], *dark))
    with open(root / "points.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *TIPS.value_columns])
        writer.writerows(rows)
    return root / "points.csv"


def test_tables_of_points_are_read(tmp_path: Path) -> None:
    """Three columns a point; an empty place is an unknown point, half a place an error."""
    table = make_scans(tmp_path, 3)
    task = folder(table, kind="landmarks")
    assert task.target == TIPS
    assert len(task.cases) == 3
    assert np.isnan(task.cases[-1].values[3:]).all()
    table.write_text("image,tip_x,tip_y,tip_z\nscans/scan0.nii.gz,1,,3\n")
    with pytest.raises(DataError, match="the point tip is at 1, , 3; write three numbers in mm, or nothing"):
        folder(table, kind="landmarks")
    table.write_text("image,label\nscans/scan0.nii.gz,1\n")
    with pytest.raises(DataError, match="landmarks need the columns NAME_x, NAME_y and NAME_z"):
        folder(table, kind="landmarks")


def test_whole_line_runs_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inspect, fine-tune, predict and evaluate: points are found within a few millimetres after some hundred steps."""
    table, run, out, scores = (str(tmp_path / name) for name in ("points.csv", "run", "out", "scores"))
    make_scans(tmp_path)
    few = ["--norm", "instance", "--width", "4", "--size", "16", "16", "16", "--lr", "0.01", "--accelerator", "cpu"]
    few += ["--precision", "32-true", "--steps", "150", "--batch-size", "4", "--no-augment", "--mirror", "none"]
    assert main(["inspect", table, "--kind", "landmarks", "--into", str(tmp_path / "page.html")]) == 0
    assert main(["finetune", table, run, "--kind", "landmarks", "--test", "0.3", *few, "--quiet"]) == 0
    assert main(["predict", run, f"{run}/test.csv", out, "--accelerator", "cpu", "--quiet"]) == 0
    assert main(["evaluate", out, f"{run}/test.csv", scores, "--resamples", "20"]) == 0
    printed = capsys.readouterr()
    assert "landmarks: bright, dark" in printed.err
    with open(f"{out}/predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "image", *TIPS.value_columns]
    with open(f"{scores}/summary.csv", encoding="utf-8", newline="") as file:
        best = {(row["label"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}
    assert best["all labels", "mean_radial_error_mm"] < 4
    assert best["all labels", "within_8mm"] == 1
    page = Path(scores, "report.html").read_text(encoding="utf-8")
    assert "mean radial error, mm" in page
    assert "Filled: the prediction. Line: the truth." in page
