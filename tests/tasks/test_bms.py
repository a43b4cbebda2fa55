"""Brain tumours, as BraTS and the Decathlon lay them out."""

from pathlib import Path

import numpy as np
import pytest
from tests.tasks.task_files import SIZE, write, write_json, write_mask, write_volumes

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import MinMax
from modelsgenesis.tasks import read
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.splitting import split_cases


def make_mr(seed: int) -> np.ndarray:
    """A picture with nothing around the brain."""
    values = np.zeros(SIZE, np.int16)
    values[2:-2, 2:-2, 2:-2] = np.random.default_rng(seed).integers(50, 900, [side - 4 for side in SIZE])
    return values


def make_brats(root: Path, high: int = 6, low: int = 3) -> Path:
    """BraTS 2018: four pictures and a segmentation a patient, in folders of the grades."""
    for grade, count in (("HGG", high), ("LGG", low)):
        for number in range(count):
            name = f"Brats18_{grade}_{number}_1"
            for place, part in enumerate(("flair", "t1", "t1ce", "t2")):
                write(
                    root / grade / name / f"{name}_{part}.nii.gz",
                    make_mr(100 * (grade == "LGG") + 10 * number + place),
                    (1, 1, 1),
                )
            mask = np.zeros(SIZE, np.uint8)
            for value in (1, 2, 4):
                mask[3 * value : 3 * value + 3, 4:9, 6:10] = value
            write(root / grade / name / f"{name}_seg.nii.gz", mask, (1, 1, 1))
    return root


def test_whole_tumour_in_flair(tmp_path: Path) -> None:
    """One channel, one label of all values; three folds with as many of either grade."""
    task = mg.tasks.bms(make_brats(tmp_path))
    assert (task.name, task.modality, task.channels, task.target.names) == ("bms", "MR", ("FLAIR",), ("whole tumour",))
    assert all(case.images[0].path.name.endswith("_flair.nii.gz") for case in task.cases)
    assert [len([case for case in task.cases if case.fold == fold]) for fold in range(3)] == [3, 3, 3]
    for fold in range(3):
        assert sum("LGG" in case.id for case in task.cases if case.fold == fold) == 1
    checked = check(task, workers=0)
    assert not checked.problems
    assert {finding.voxels for finding in checked.findings} == {(180,)}


def test_patients_are_scaled_by_their_own_least_and_greatest(tmp_path: Path) -> None:
    """And 100 x 100 x 50 voxels of 1 mm become 64 x 64 x 32."""
    task = mg.tasks.bms(make_brats(tmp_path, 1, 0))
    known = task.published
    assert known is not None
    assert (known.size, known.intensity) == ((64, 64, 32), MinMax())
    assert known.spacing_mm is not None
    assert [round(side * step) for side, step in zip((64, 64, 32), known.spacing_mm, strict=True)] == [100, 100, 50]
    image = read_image(task.cases[0].images, Reading(MinMax()))
    assert image.limits == ((0, image.values.max()),)
    np.testing.assert_allclose((image.scaled().min(), image.scaled().max()), (0, 1), atol=1e-6)


def test_brats_of_2013(tmp_path: Path) -> None:
    """MetaImage, a folder a picture; patients of both grades have the same numbers."""
    for grade in ("HG", "LG"):
        home = tmp_path / "Image_Data" / grade / "0001"
        write(home / "VSD.Brain.XX.O.MR_Flair" / "VSD.Brain.XX.O.MR_Flair.684.mha", make_mr(1))
        write(home / "VSD.Brain.XX.O.MR_T1" / "VSD.Brain.XX.O.MR_T1.685.mha", make_mr(2))
        write_mask(home / "VSD.Brain_3more.XX.XX.OT" / "VSD.Brain_3more.XX.XX.OT.6560.mha", (1, 2, 3, 4))
    task = mg.tasks.bms(tmp_path)
    assert [case.id for case in task.cases] == ["HGG_0001", "LGG_0001"]
    assert {finding.voxels for finding in check(task, workers=0).findings} == {(240,)}


def test_patients_scanned_again_stay_in_one_fold(tmp_path: Path) -> None:
    """BraTS 2015 has several times of some patients, after their numbers."""
    for name in ("pat105_0001", "pat149_0001", "pat153_0002", "pat153_0109", "pat153_0165", "pat153_0181"):
        home = tmp_path / "HGG" / f"brats_tcia_{name}"
        write(home / "VSD.Brain.XX.O.MR_Flair.3" / "VSD.Brain.XX.O.MR_Flair.3.mha", make_mr(1))
        write_mask(home / "VSD.Brain_3more.XX.O.OT.4" / "VSD.Brain_3more.XX.O.OT.4.mha", (1, 2, 3, 4))
    task = mg.tasks.bms(tmp_path)
    assert [case.id for case in task.cases][2] == "HGG_brats_tcia_pat153_0002"
    assert {case.patient for case in task.cases[2:]} == {"brats_tcia_pat153"}
    assert len({case.fold for case in task.cases[2:]}) == 1
    assert {case.fold for case in task.cases} == {0, 1, 2}


def test_decathlon_s_tumours_are_the_same_task(tmp_path: Path) -> None:
    """Task01_BrainTumour: the FLAIR of four volumes in one file."""
    listed = []
    for number in range(3):
        name = f"BRATS_{number:03d}.nii.gz"
        write_volumes(tmp_path / "imagesTr" / name, [make_mr(4 * number + k) for k in range(4)])
        write_mask(tmp_path / "labelsTr" / name, (1, 2, 3))
        listed.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    description = {
        "modality": {"0": "T1w", "1": "FLAIR", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
        "training": listed,
        "test": [],
    }
    write_json(tmp_path / "dataset.json", description)
    task = read(tmp_path, task="bms,test_fold=2")
    assert task.channels == ("FLAIR",)
    np.testing.assert_array_equal(read_image(task.cases[1].images, Reading(MinMax())).values[0], make_mr(5))
    assert sorted(case.split for case in task.cases) == ["test", "train", "train"]
    checked = check(task, workers=0)
    assert not checked.problems
    assert {finding.voxels for finding in checked.findings} == {(180,)}
    write_json(tmp_path / "dataset.json", {**description, "modality": {"0": "T1", "1": "T2", "2": "PD", "3": "T1w"}})
    with pytest.raises(DataError, match="names no channel FLAIR, but T1, T2, PD, T1w"):
        mg.tasks.bms(tmp_path)


def test_hostile_folders(tmp_path: Path) -> None:
    """A patient without a segmentation is reported; another value, or nothing at all, is refused."""
    root = make_brats(tmp_path / "brats", 3, 0)
    (root / "HGG" / "Brats18_HGG_1_1" / "Brats18_HGG_1_1_seg.nii.gz").unlink()
    write_mask(root / "HGG" / "Brats18_HGG_2_1" / "Brats18_HGG_2_1_seg.nii.gz", (1, 9))
    task = mg.tasks.bms(root)
    assert [case.id for case in task.cases] == ["Brats18_HGG_0_1", "Brats18_HGG_2_1"]
    assert task.problems[0].problem == "its patient has no ..._seg.nii.gz"
    checked = check(task, workers=0)
    assert [case.id for case in checked.usable] == ["Brats18_HGG_0_1"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="name the folder above HGG and LGG"):
        mg.tasks.bms(tmp_path / "none")


def test_benchmark_begins_with_the_paper_s_settings(tmp_path: Path) -> None:
    """One step an arm; the paper's scores lie beside ours, and the metric is the paper's."""
    into = mg.benchmark(
        make_brats(tmp_path / "brats", 3, 0), tmp_path / "out", task="bms,test_fold=0", cases=("1",), seeds=1,
        like="any", steps=1, batch_size=1, size=(16, 16, 16), precision="32-true",
    )  # fmt: skip
    assert '"start": "Models Genesis"' in (into / "published.json").read_text()
    assert (into / "runs.csv").read_text().splitlines()[1].startswith("bms,scratch,1,0,iou,")
    assert split_cases(read(tmp_path / "brats", task="bms,test_fold=0")).test
