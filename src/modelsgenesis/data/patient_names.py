"""Patients go by salted names in every table that is written; one secret table, kept apart, leads back."""

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import read_object, write_secret
from modelsgenesis.core.tables import NO_VALUE
from modelsgenesis.data.store.scan import hashed

PATIENTS = "patients.secret.json"  # the salt, and {salted name: raw name}; its owner alone may read it
SALTED = re.compile(r"patient-[0-9a-f]{16}")

Row = Mapping[str, str]


@dataclass(frozen=True)
class PatientNames:
    """The salted names of patients, and what they stand for.

    Attributes:
        salt: secret.
        raw: {salted name: raw name}.
    """

    salt: str
    raw: dict[str, str] = field(default_factory=dict)

    def salted(self, patient: str, case: str = "") -> str:
        """The name of a patient in a table; one who is called after the case, or who has a salted name, keeps it."""
        kept = patient in ("", case) or is_salted(patient)
        return patient if kept else f"patient-{hashed(self.salt, 'patient', patient)}"


def is_salted(patient: str) -> bool:
    """Whether a patient's name is one that this package wrote."""
    return SALTED.fullmatch(patient) is not None


def find_names(place: Path) -> PatientNames | None:
    """Find the names of the nearest secret table in a folder or above it; None where there is none.

    Raises:
        DataError: it is there, and cannot be read.
    """
    path = _find_table(place)
    return None if path is None else _read(path)


def keep_names(into: Path, patients: Iterable[tuple[str, str]], *, of: Path | None = None) -> PatientNames:
    """Find or make the names of patients, and see that a secret table leads back from each.

    It is the table in the folder or above it, so that all runs of a benchmark have one, else a new one in the folder.

    Args:
        into: the folder that tables are written to.
        patients: with their cases, as `PatientNames.salted` takes them.
        of: a folder or file whose names are taken where there are none yet, such as the run that is evaluated.
    Raises:
        DataError: the table cannot be read or written.
    """
    path = _find_table(into)
    names = _read(path) if path else (of and find_names(of)) or PatientNames(secrets.token_hex(16))
    named = {names.salted(patient, case): patient for patient, case in patients}
    new = {name: patient for name, patient in named.items() if name != patient and name not in names.raw}
    if new:
        names.raw.update(new)
        text = json.dumps({"salt": names.salt, "patients": names.raw}, indent=2)
        write_secret(path or into / PATIENTS, text + "\n")
    return names


def with_raw_patients(rows: Sequence[Row], place: Path) -> list[dict[str, str]]:
    """Rows of a table with the raw names of patients, as far as a secret table in its folder or above leads back.

    Args:
        rows: with or without the column `patient`.
        place: of the table, or its folder.
    """
    salted = any(is_salted(row.get("patient", "")) for row in rows)
    names = find_names(place) if salted else None
    raw = names.raw if names else {}
    return [
        {**row, "patient": raw.get(row["patient"], _known(row["patient"]))} if "patient" in row else dict(row)
        for row in rows
    ]


def _known(patient: str) -> str:
    """Nobody, where a program wrote that it does not know: all those would be one patient, in one fold."""
    return "" if patient.casefold() in NO_VALUE else patient


def _find_table(place: Path) -> Path | None:
    place = place.absolute()
    return next((each / PATIENTS for each in (place, *place.parents) if (each / PATIENTS).is_file()), None)


def _read(path: Path) -> PatientNames:
    with blamed_on(path, DataError, "holds no names of patients; move it away, or put the right one there"):
        found = read_object(path)
        salt, raw = found["salt"], found["patients"]
        if not (isinstance(salt, str) and all(isinstance(name, str) for name in raw.values())):
            raise TypeError("its salt and names are no texts")
        return PatientNames(salt, dict(raw))
