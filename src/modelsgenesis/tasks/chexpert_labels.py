"""Labels as CheXpert's labeler writes them: 1, 0, -1 where the report is uncertain, nothing where it is silent."""

from collections.abc import Mapping, Sequence
from typing import Literal

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.problems import UnreadableError

Uncertain = Literal["ones", "zeros", "ignore"]
POLICIES: Mapping[str, float] = {"ones": 1.0, "zeros": 0.0, "ignore": float("nan")}

FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip


def check_policy(uncertain: str) -> None:
    """Refuse a policy that is none.

    Raises:
        DataError: it is none of ones, zeros and ignore.
    """
    if uncertain not in POLICIES:
        raise DataError(f"uncertain is {uncertain!r}; it takes {', '.join(POLICIES)}")


def values_in(row: Mapping[str, str], columns: Sequence[str], uncertain: Uncertain) -> tuple[float, ...]:
    """Read the labels of a row: what is not mentioned is not there.

    Args:
        row: of a table.
        columns: of the labels, in their order.
        uncertain: what -1 becomes: 1, 0, or an unknown label, NaN, of which nothing is learned.
    Raises:
        UnreadableError: an entry is none of 1, 0, -1 and nothing.
    """
    known = {"1": 1.0, "0": 0.0, "": 0.0, "-1": POLICIES[uncertain]}
    entries = [row[column].removesuffix(".0") for column in columns]
    if strange := [column for column, entry in zip(columns, entries, strict=True) if entry not in known]:
        raise UnreadableError(f"its {strange[0]} is {row[strange[0]]!r}", "write 1, 0, -1 or nothing")
    return tuple(known[entry] for entry in entries)
