"""A task from a folder or file, whatever its layout."""

from collections.abc import Mapping
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import load_module, members
from modelsgenesis.core.target import Kind, find_target
from modelsgenesis.tasks import datasets
from modelsgenesis.tasks.chexpert_labels import Uncertain
from modelsgenesis.tasks.datasets import dataset
from modelsgenesis.tasks.medmnist import medmnist
from modelsgenesis.tasks.pairs import IMAGES, find_pair, pairs
from modelsgenesis.tasks.table import LabelOptions, table
from modelsgenesis.tasks.task import Task

LAYOUTS = (
    "a folder with images/ and labels/ or masks/, one of MONAI Label, "
    "one with dataset.json (nnU-Net, Medical Segmentation Decathlon), "
    "a CSV with the columns image and label, a .npz of MedMNIST, or a published set of chest X-rays as it comes"
)


def folder(
    path: Path | str,
    *,
    kind: Kind | None = None,
    label: str | None = None,
    classes: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    uncertain: Uncertain | None = None,
) -> Task:
    """Read a target task from a folder, a table or a file, whatever its layout.

    Args:
        path: of a folder with `dataset.json` (nnU-Net, old or new, or Medical Segmentation Decathlon); of a folder
            with `images/` and `labels/` or `masks/` of the same names, or images and `labels/final/` as MONAI Label
            has them; of a CSV of images and labels, or a folder with
            one; of a `.npz` of MedMNIST, or a folder with one; or of a published set of chest X-rays as it comes.
        kind: of the task, where a table's labels could mean two: whole numbers are classes unless it is "regression".
        label: the column of a table that is the label, or several with commas between; `label` by default.
        classes: {class: values}, to name the values of a column or to cut it: {"benign": "<3", "malignant": ">3"}
            leaves out 3.
        columns: {what: column of a table}, where columns are called otherwise: {"image": "Path", "patient": "ID"}.
        uncertain: what -1 counts as in a table, or a published set, whose labels are 1, 0, -1 or nothing: ones, zeros,
            ignore or soft.
    Raises:
        DataError: it is none of these, or holds no case.
    Example: >>> folder("nodules/", label="malignancy", classes={"benign": "<3", "malignant": ">3"})
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such folder or file; is it spelled right?")
    options = LabelOptions(kind, label, classes, columns, uncertain)
    if path.suffix.lower() == ".csv":
        return table(path, options)
    if path.suffix.lower() == ".npz":
        return medmnist(path, kind=kind, classes=classes)
    if not path.is_dir():
        raise DataError(f"{path}: is no task; give {LAYOUTS}")
    return _in_folder(path, options)


def _in_folder(path: Path, options: LabelOptions) -> Task:
    """The task of a folder: masks if it has some, unless a table's labels are wanted."""
    of_masks = options.kind is None or issubclass(find_target(options.kind), MaskTarget)
    if options.label is None and options.classes is None and options.columns is None and of_masks:
        if (path / datasets.FILE).is_file():
            return dataset(path)
        if find_pair(path):
            return pairs(path)
    if options in (LabelOptions(), LabelOptions(uncertain=options.uncertain)) and (name := published_set(path)):
        settings = {"uncertain": options.uncertain} if options.uncertain else {}
        try:
            task: Task = getattr(load_module(f"{__package__}.{name}"), name)(path, **settings)
        except TypeError as error:
            raise DataError(f"{path}: the labels of {name} are never uncertain; leave the policy out") from error
        return task
    found = _only_one(path, ".csv")
    if found:
        images = next((path / name for name in IMAGES if (path / name).is_dir()), None)
        return table(found, options, images=images)
    found = _only_one(path, ".npz")
    if found:
        return medmnist(found, kind=options.kind, classes=options.classes)
    raise DataError(f"{path}: no task is recognised here; give {LAYOUTS}")


def published_set(path: Path) -> str:
    """The name of the published set whose folder this is, or "".

    Raises:
        DataError: it may be two.
    """
    modules = {name: load_module(f"{__package__}.{name}") for name in members("tasks")}
    found = [name for name, module in modules.items() if hasattr(module, "recognise") and module.recognise(path)]
    if len(found) > 1:
        raise DataError(f"{path}: may be {' or '.join(found)}; say which with --task")
    return found[0] if found else ""


def _only_one(path: Path, ending: str) -> Path | None:
    """The only file with an ending in a folder; None where there is none."""
    found = sorted(each for each in path.iterdir() if each.suffix.lower() == ending and not each.name.startswith("."))
    if len(found) > 1:
        raise DataError(f"{path}: holds {len(found)} {ending} files; name one of them: {found[0]}")
    return found[0] if found else None
