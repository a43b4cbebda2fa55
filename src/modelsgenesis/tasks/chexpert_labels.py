"""Labels as CheXpert's labeler writes them: 1, 0, -1 where the report is uncertain, nothing where it is silent."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import bytes_of
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.problems import UnreadableError

Uncertain = Literal["ones", "zeros", "ignore", "soft"]
POLICIES: Mapping[str, float] = {"ones": 1.0, "zeros": 0.0, "ignore": float("nan")}
SOFT = (0.55, 0.85)  # between which "soft" draws a label

FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip


def check_policy(uncertain: str) -> None:
    """Refuse a policy that is none.

    Raises:
        DataError: it is none of ones, zeros, ignore and soft.
    """
    if uncertain not in (*POLICIES, "soft"):
        raise DataError(f"uncertain is {uncertain!r}; it takes {', '.join(POLICIES)}, soft")


def values_in(row: Mapping[str, str], columns: Sequence[str], uncertain: Uncertain, name: str) -> tuple[float, ...]:
    """Read the labels of a row: what is not mentioned is not there.

    Args:
        row: of a table.
        columns: of the labels, in their order.
        uncertain: what -1 becomes: 1, 0, an unknown label, NaN, of which nothing is learned, or a number between 0.55
            and 0.85, which is drawn once.
        name: of the image or study, by which that number is drawn.
    Raises:
        UnreadableError: an entry is none of 1, 0, -1 and nothing.
    """
    known = {"1": 1.0, "0": 0.0, "": 0.0, "-1": POLICIES.get(uncertain, 1.0)}
    entries = [row[column].removesuffix(".0") for column in columns]
    if strange := [column for column, entry in zip(columns, entries, strict=True) if entry not in known]:
        raise UnreadableError(f"its {strange[0]} is {row[strange[0]]!r}", "write 1, 0, -1 or nothing")
    if uncertain == "soft" and "-1" in entries:
        drawn = generator_for(0, zlib.crc32(bytes_of(name)), "soft labels").uniform(*SOFT, len(entries))
        return tuple(float(soft) if entry == "-1" else known[entry] for entry, soft in zip(entries, drawn, strict=True))
    return tuple(known[entry] for entry in entries)
