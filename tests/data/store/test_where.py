"""Conditions on scans: a small language over the manifest's columns, for a million rows at once."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity_statistics import PERCENTILES
from modelsgenesis.data.store.columns import Columns, Scans
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.where import select


def scan(number: int) -> Scan:
    """A made-up scan; its numbers follow from its own."""
    return Scan(
        id=f"{number:016x}", patient=f"{number // 2:016x}", series=f"{number:016x}", site=f"{number % 3 + 1:016x}",
        modality=("CT", "MR", "XR", "unknown")[number % 4], fold=number % 10, shape=(1, 40 + number, 50, 60),
        spacing_mm=(1.0, 1.0, 0.5 * (number % 8 + 1)), dtype="int16", slope=1.0, intercept=0.0,
        minimum=-1000.0 - number, maximum=100.0 * number, foreground=0.0,
        percentiles=dict.fromkeys(PERCENTILES, float(number)), num_cubes=1, cubes_per_scan=1,
        source_bytes=7, sha256="",
    )  # fmt: skip


SCANS = [scan(number) for number in range(24)]
TABLE = Scans.of(SCANS)

CONDITIONS: dict[str, Callable[[Scan], bool]] = {
    "modality == 'CT' and spacing_z < 3": lambda one: one.modality == "CT" and one.spacing_mm[2] < 3,
    "not (modality in ('CT', 'MR')) or fold > 7": lambda one: one.modality not in ("CT", "MR") or one.fold > 7,
    "1 <= spacing_z < 3 <= fold": lambda one: 1 <= one.spacing_mm[2] < 3 <= one.fold,
    "'XR' != modality": lambda one: one.modality != "XR",
    "size_x * spacing_x / 2 - 1 >= 27.5": lambda one: one.size[0] / 2 - 1 >= 27.5,
    "minimum < -1010 or maximum == 2e2": lambda one: one.minimum < -1010 or one.maximum == 200,
    "fold not in [1, 2, 3]": lambda one: one.fold not in (1, 2, 3),
    "patient == '0000000000000003'": lambda one: one.patient == f"{3:016x}",
    "site in ('0000000000000001',) and channels == 1": lambda one: one.site == f"{1:016x}",
    "  p99 < -(-2) + num_cubes ": lambda one: one.percentiles[99] < 3,
    "fold / 0 > 1": lambda one: one.fold > 0,  # of floats, as numpy has it: infinite, or no number
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_means_what_it_means_in_python(condition: str) -> None:
    """Scan by scan, by Python's own operators."""
    assert select(TABLE, condition).tolist() == [CONDITIONS[condition](one) for one in SCANS]


@given(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.floats(-3, 12, allow_nan=False), st.booleans())
def test_comparisons_are_those_of_python(op: str, number: float, turned: bool) -> None:
    """Of a column with a number, either way round."""
    condition = f"{number!r} {op} fold" if turned else f"fold {op} {number!r}"
    assert select(TABLE, condition).tolist() == [eval(condition, {"fold": one.fold}) for one in SCANS]


WRONG = {
    "spacing < 3": "there is no column 'spacing'; there are: modality, id, patient, series, site, fold,",
    "modality == 'CTA'": "there is no modality 'CTA'; there are: CT, MR, XR, unknown",
    "patient == 'ann'": "'ann' is no id of 16 hexadecimal digits",
    "modality < 'CT'": "modality holds words; compare it by == or !=",
    "modality == 3": "modality holds words",
    "fold == '3'": "\"'3'\" is no number to compare with",
    "fold": "is true or false of no scan",
    "1 < 2": "is true or false of no scan",
    "fold and spacing_z > 1": "'fold' is neither true nor false",
    "fold + modality > 1": "'modality' is no number to calculate with",
    "(fold == 1) == (fold == 2)": "'fold == 1' is no number to compare with",
    "fold is 3": "is and is not are not part of the language",
    "fold in spacing_z": "in is followed by values in brackets",
    "fold == True": "True is neither a number nor a word",
    "__import__('os').system('true') == 0": "is not part of the language",
    "fold.real == 1": "is not part of the language",
    "(lambda: 1)() == fold": "is not part of the language",
    "fold ** 9 ** 9 > 1": "is not part of the language",
    "[one for one in fold] == 1": "is not part of the language",
    "fold == 1; fold": "cannot be understood",
    "fold ==": "cannot be understood",
    "": "cannot be understood",
    "fold == 1" + "0" * 400: "cannot be understood",
    "fold == 1\0": "cannot be understood",
    "-" * 1900 + "1 < fold": "cannot be understood",
    "fold == 1 or " * 200 + "fold == 2": "of 2609 letters is too long",
}


@pytest.mark.parametrize("condition", WRONG, ids=lambda condition: str(condition)[:30])
def test_what_is_no_condition_is_refused_in_words(condition: str) -> None:
    """Nothing runs, and the message says what there is instead."""
    with pytest.raises(DataError, match=r"^--where ") as refused:
        select(TABLE, condition)
    assert WRONG[condition] in str(refused.value)


def test_a_million_scans_take_less_than_a_second() -> None:
    """Whole columns are compared at once; the seconds of three tries are of one that nothing else disturbed."""
    row = Columns.of([scan(5)])
    numbers = {name: np.repeat(values, 10**6, axis=0) for name, values in row.numbers.items()}
    many = Scans(Columns(numbers, row.texts))
    seconds = []
    for _ in range(3):
        begun = time.thread_time()
        assert select(many, "modality == 'MR' and spacing_z <= 3 and size_x * spacing_x > 20 or fold in (1, 2)").all()
        seconds.append(time.thread_time() - begun)
    assert min(seconds) < 1
