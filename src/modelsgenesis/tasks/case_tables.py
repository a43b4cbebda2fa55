"""Cases as tables again: what a run did with each, and those it has not seen, ready to predict and to evaluate."""

from collections.abc import Sequence
from pathlib import Path

from modelsgenesis.core.files import write_json
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.tables import write_table
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import spell
from modelsgenesis.data.patient_names import PatientNames, keep_names
from modelsgenesis.data.store.scan import MODALITIES
from modelsgenesis.tasks.labels import FILE as LABELS
from modelsgenesis.tasks.splitting import CaseSplit

CASES = "cases.csv"
HELD_OUT_ROLES = ("val", "test", "unused")  # roles; each has a table of its own, such as test.csv


def write_cases(into: Path, division: CaseSplit, target: Target) -> None:
    """Write what became of each case: its row, and its role train, val, unused or test."""
    _write(into / CASES, division.roles(), target, _names(into, division))


def write_held_out(into: Path, division: CaseSplit, target: Target) -> None:
    """Write the cases that a run is not trained on, by role, as tables that predict, evaluate and finetune take.

    The names of a map's labels lie beside them, in labels.json.
    """
    names = _names(into, division)
    for name in HELD_OUT_ROLES:
        if some := [(role, case) for role, case in division.roles() if role == name]:
            _write(into / f"{name}.csv", some, target, names)
    if isinstance(target, MaskTarget) and target.label_map.one_file:
        values = {label.name: label.values for label in target.labels}
        write_json(into / LABELS, {name: some[0] if len(some) == 1 else some for name, some in values.items()})


def _names(into: Path, division: CaseSplit) -> PatientNames:
    return keep_names(into, [(case.patient, case.id) for _, case in division.roles()])


def _write(path: Path, roles: Sequence[tuple[str, Case]], target: Target, names: PatientNames) -> None:
    num_channels = max((len(case.images) for _, case in roles), default=1)
    images = ["image"] if num_channels == 1 else [f"image_{number}" for number in range(num_channels)]
    columns = ["id", *images, *target.label_columns, "patient", "modality", "role"]
    rows = []
    for role, case in roles:
        named = [spell(source) for source in case.images] + [""] * (num_channels - len(case.images))
        patient = names.salted(case.patient, case.id)
        cells = [case.id, *named, *label_entries(case, target), patient, modality_of(case), role]
        rows.append(dict(zip(columns, cells, strict=True)))
    write_table(path, columns, rows)


def modality_of(case: Case) -> str:
    """The modality that was given for all channels of a case, or ""."""
    given = {source.modality for source in case.images}
    return given.pop() if len(given) == 1 and given <= set(MODALITIES) else ""


def label_entries(case: Case, target: Target) -> tuple[str, ...]:
    """Write the labels of a case for a table: the names of its masks, or its values."""
    return tuple(map(spell, case.masks)) or target.label_entries(case.values)
