"""Published tasks are found by the names of their files, and bring the settings of their papers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.tasks.task_files import SIZE, make_nnunet, make_pairs, write, write_image, write_json, write_mask

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.finetuning.config import make_config
from modelsgenesis.finetuning.initialization import choose_initialization
from modelsgenesis.tasks import Published, Task, find_reader, names, read
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.published import scores

NOTHING: dict[str, dict[str, object]] = {
    name: {} for name in ("reading", "plan", "layer_rates", "augmentation", "config")
}  # fmt: skip


def make_decathlon(folder: Path, cases: int = 3) -> Path:
    """Write Task04_Hippocampus as the Decathlon lists it."""
    listed = []
    for number in range(cases):
        write_image(folder / "imagesTr" / f"hippocampus_{number:03d}.nii.gz", number)
        write_mask(folder / "labelsTr" / f"hippocampus_{number:03d}.nii.gz")
        listed.append({part: f"./{place}Tr/hippocampus_{number:03d}.nii.gz" for part, place in (
            ("image", "images"), ("label", "labels"))})  # fmt: skip
    description = {
        "name": "Hippocampus",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": listed,
        "test": [],
    }
    write_json(folder / "dataset.json", description)
    return folder


def settled(task: Task, *, validates: bool = False, **options: dict[str, object]):
    """What fine-tuning decides, and nothing said but these options."""
    start = choose_initialization("scratch", task, like="any", width=2)
    return make_config(task, start, task.cases, validates=validates, options={**NOTHING, **options})


def test_every_name_is_a_function_and_a_protocol() -> None:
    """Each can be called as mg.tasks.NAME, and says what papers did."""
    assert "hippocampus" in names()
    for name in names():
        assert find_reader(name) is getattr(mg.tasks, name)
        assert find_reader(name).__doc__


def test_decathlon_hippocampus_is_read(tmp_path: Path) -> None:
    """Both parts, called as the makers call them; the name is the task's own."""
    task = read(make_decathlon(tmp_path), task="hippocampus")
    assert (task.name, task.target.names, task.modality) == ("hippocampus", ("Anterior", "Posterior"), "MR")
    assert [case.id for case in task.cases] == [f"hippocampus_{number:03d}" for number in range(3)]
    assert task.published == Published("dice")


def test_paper_s_settings_are_the_defaults_and_options_override_them(tmp_path: Path) -> None:
    """Patience counts epochs and needs cases that validate."""
    known = Published("iou", (), (16, 16, 8), Percentiles(0, 100), (1.0, 1.0, 1.0), 2, 3e-4, 0.0, 30)
    task = replace(read(make_pairs(tmp_path)), published=known)
    found = settled(task, validates=True)
    assert (found.size, found.reading.intensity, found.reading.spacing_mm) == (
        (16, 16, 8), Percentiles(0, 100), (1.0, 1.0, 1.0)
    )  # fmt: skip
    plan = found.plan
    assert (plan.batch_size, plan.lr, plan.weight_decay, plan.patience, plan.validate_every) == (2, 3e-4, 0.0, 30, 2)
    assert settled(task).plan.patience is None
    assert settled(task, validates=True, plan={"batch_size": 1}).plan.validate_every == len(task.cases) == 3
    other = settled(task, plan={"lr": 1.0}, reading={"spacing_mm": (2.0, 2.0, 2.0)}, config={"size": (8, 8, 8)})
    assert (other.plan.lr, other.plan.batch_size) == (1.0, 2)
    assert (other.reading.spacing_mm, other.reading.intensity) == ((2.0, 2.0, 2.0), Percentiles(0, 100))
    assert other.size == (8, 8, 8)


def test_paper_that_names_no_spacing_leaves_scans_their_own(tmp_path: Path) -> None:
    """Where ours would take the middle one."""
    for number, spacing in enumerate(((1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (1.0, 1.0, 5.0))):
        values = np.random.default_rng(number).integers(0, 100, SIZE).astype(np.int16)
        write(tmp_path / "images" / f"{number}.nii.gz", values, spacing)
        write(tmp_path / "labels" / f"{number}.nii.gz", (values > 50).astype(np.uint8), spacing)
    task = read(tmp_path)
    assert settled(task).reading.spacing_mm == (1.0, 1.0, 3.0)
    assert settled(replace(task, published=Published("dice"))).reading.spacing_mm is None


def test_strange_names_and_settings_are_refused(tmp_path: Path) -> None:
    """With what there is."""
    with pytest.raises(GenesisError, match=r"no task 'hipocampus'; there are: .*hippocampus"):
        read(tmp_path, task="hipocampus")
    with pytest.raises(GenesisError, match="no task 'folder'"):
        find_reader("folder")
    with pytest.raises(GenesisError, match="has no setting 'folds=3'; it takes none"):
        read(tmp_path, task="hippocampus,folds=3")
    with pytest.raises(GenesisError, match="task hippocampus decides what its labels mean"):
        read(tmp_path, task="hippocampus", kind="segmentation")
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "gone", task="hippocampus")
    with pytest.raises(GenesisError, match="cannot import nowhere"):
        find_reader("nowhere:task")
    with pytest.raises(GenesisError, match="is no function that reads a Task"):
        find_reader("tests.tasks.test_lookup:NOTHING")


def test_task_from_outside_takes_settings(tmp_path: Path) -> None:
    """package.module:function, with numbers and words."""
    make_nnunet(tmp_path)
    task = read(tmp_path, task="tests.tasks.test_lookup:mine,times=2,mark=new")
    assert task.name == "2 new"


def mine(folder: Path, *, times: int = 1, mark: str = "") -> Task:
    """A task of somebody else's."""
    return replace(mg.tasks.folder(folder), name=f"{times} {mark}")


def test_published_scores_are_kept_as_ours_are_counted() -> None:
    """Percents become shares; a percent by mistake is refused."""
    rows = Published("auc", scores("a table", {"scratch": (94.25, 5.07), "other": (95.8, None)})).to_json("ncc")
    assert rows == {
        "task": "ncc",
        "metric": "auc",
        "rows": [
            {"start": "scratch", "mean": 0.9425, "sd": 0.0507, "source": "a table"},
            {"start": "other", "mean": 0.958, "sd": None, "source": "a table"},
        ],
    }
    with pytest.raises(DataError, match="divide percents by 100"):
        scores("a table", {"scratch": (9425, 507)})


def test_paper_s_spacing_is_no_warning(tmp_path: Path) -> None:
    """Scans of different spacing are warned of where ours would resample them, not where a paper decides."""
    for number, spacing in enumerate(((1.0, 1.0, 1.0), (1.0, 1.0, 3.0))):
        write(tmp_path / "images" / f"{number}.nii.gz", np.random.default_rng(number).normal(0, 9, SIZE), spacing)
        write(tmp_path / "labels" / f"{number}.nii.gz", np.ones(SIZE, np.uint8), spacing)
    task = read(tmp_path)
    (problem,) = check(task, workers=0).problems
    assert "finetune resamples" in problem.remedy
    assert not check(replace(task, published=Published("dice")), workers=0).problems
