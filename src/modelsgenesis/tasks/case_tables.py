"""Cases as tables again: what a run did with each, and those it has not seen, ready to predict and to evaluate."""

from collections.abc import Sequence
from pathlib import Path

from modelsgenesis.core.files import write_json
from modelsgenesis.core.tables import write_table
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store.scan import MODALITIES
from modelsgenesis.tasks.labels import FILE as LABELS
from modelsgenesis.tasks.splitting import CaseSplit

CASES = "cases.csv"
UNTAUGHT = ("val", "test", "unused")  # roles; each has a table of its own, such as test.csv


def write_cases(into: Path, division: CaseSplit, target: Target) -> None:
    """Write what became of each case: its row, and its role train, val, unused or test."""
    _write(into / CASES, division.roles(), target)


def write_untaught(into: Path, division: CaseSplit, target: Target) -> None:
    """Write the cases that a run is not taught on, by role, as tables that predict, evaluate and finetune take.

    The names of a map's labels lie beside them, in labels.json.
    """
    for asked in UNTAUGHT:
        if some := [(role, case) for role, case in division.roles() if role == asked]:
            _write(into / f"{asked}.csv", some, target)
    if target.kind == "segmentation" and target.exclusive:
        values = {label.name: label.values for label in target.labels}
        write_json(into / LABELS, {name: some[0] if len(some) == 1 else some for name, some in values.items()})


def _write(path: Path, roles: Sequence[tuple[str, Case]], target: Target) -> None:
    num_channels = max((len(case.images) for _, case in roles), default=1)
    images = ["image"] if num_channels == 1 else [f"image_{number}" for number in range(num_channels)]
    labels = label_columns(target)
    columns = ["id", *images, *labels, "patient", "modality", "role"]
    rows = []
    for role, case in roles:
        named = [spell(source) for source in case.images] + [""] * (num_channels - len(case.images))
        cells = [case.id, *named, *label_entries(case, target), case.patient, modality_of(case), role]
        rows.append(dict(zip(columns, cells, strict=False)))
    write_table(path, columns, rows)


def modality_of(case: Case) -> str:
    """The modality that was given for all channels of a case, or ""."""
    given = {source.modality for source in case.images}
    return given.pop() if len(given) == 1 and given <= set(MODALITIES) else ""


def label_columns(target: Target) -> list[str]:
    """The columns that hold what is known of a case: one, or one a label."""
    if target.exclusive and (target.kind != "regression" or target.names == ("label",)):
        return ["label"]
    return [f"label_{name}" for name in target.names]


def label_entries(case: Case, target: Target) -> list[str]:
    """What is known of a case, as a table holds it."""
    if target.kind == "segmentation":
        return [spell(source) for source in case.masks]
    if target.kind == "classification" and target.exclusive:
        return [target.names[int(case.values[0])]]
    return [f"{value:g}" for value in case.values]


def spell(source: Source) -> str:
    """A source as a table names it: its path, the volume of several after a number sign, a box after an at sign."""
    place, box = source.path.resolve().as_posix(), str(source.box or "")
    if source.kind == "outlines" and source.dicom is not None:
        return f"{source.dicom.folder.resolve().as_posix()}#{place}{box}"
    if source.index is None:
        return place + box
    return f"{place}#{source.array}:{source.index}" if source.array else f"{place}#{source.index}{box}"
