"""A condition on scans, such as "modality == 'CT' and spacing_z < 3": read as a small language, never run as Python."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity_statistics import PERCENTILES
from modelsgenesis.data.store.columns import IDS, Scans
from modelsgenesis.data.store.scan import HASHED, ID_LENGTH, MODALITIES, NUMBERS

MOST_LETTERS = 2000
AXES = "xyz"
ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
SUMS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
GRAMMAR = "there are < <= > >= == != in, and or not, + - * /, numbers, words in quotes and columns"
Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Words:
    """A column of words, kept as numbers.

    Attributes:
        name: of the column.
        codes: (N,), the number of each scan's word.
        number_of: the number of a word.
    """

    name: str
    codes: NDArray[Any]
    number_of: Callable[[str], int]


def select(scans: Scans, condition: str) -> Truth:
    """Find the scans that a condition holds for.

    Its columns are modality, id, patient, series and site, which are words; fold, minimum, maximum, num_cubes and the
    other numbers of the manifest, percentiles such as p5; spacing_x, size_x and so on, in mm and voxels; channels.

    Args:
        scans: to choose from.
        condition: in Python's words: comparisons, `in`, and, or, not, + - * /, numbers, words in quotes.
    Returns:
        (N,), for which of them it holds.
    Raises:
        DataError: it cannot be understood, or names a column that there is not.
    """
    try:
        if len(condition) > MOST_LETTERS:
            raise DataError(f"of {len(condition)} letters is too long; {MOST_LETTERS} are the most")
        tree = ast.parse(condition.strip(), mode="eval")
        with np.errstate(all="ignore"):  # what is divided by 0 compares as false
            held = _Condition(scans).value(tree.body)
        if not (isinstance(held, np.ndarray) and held.dtype == np.bool_):
            raise DataError("is true or false of no scan; compare a column, as in \"modality == 'CT'\"")
    except DataError as error:
        raise DataError(f"--where {condition[:200]!r}: {error}") from error
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise DataError(f"--where {condition[:200]!r}: cannot be understood ({error}); {GRAMMAR}") from error
    return held


class _Condition:
    """The values of the parts of a condition: truths or numbers a scan, Words, single numbers, and words."""

    def __init__(self, scans: Scans) -> None:
        self.scans = scans
        self.kinds: dict[type[ast.expr], Callable[[Any], Any]] = {
            ast.BoolOp: self._joined, ast.UnaryOp: self._signed, ast.Compare: self._compared,
            ast.BinOp: self._summed, ast.Name: self._column, ast.Constant: self._constant,
        }  # fmt: skip

    def value(self, node: ast.expr) -> Any:
        """The value of a part, by its kind."""
        kind = self.kinds.get(type(node))
        if kind is None:
            raise DataError(f"{ast.unparse(node)[:80]!r} is not part of the language; {GRAMMAR}")
        return kind(node)

    def _joined(self, node: ast.BoolOp) -> Truth:
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        held: Truth = join.reduce([self._truth(part) for part in node.values])
        return held

    def _signed(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return ~self._truth(node.operand)
        if isinstance(node.op, ast.USub):
            return -self._number(node.operand)
        raise DataError(f"{ast.unparse(node)[:80]!r} is not part of the language; {GRAMMAR}")

    def _compared(self, node: ast.Compare) -> Truth:
        """Every pair of neighbours, as Python has it: 1 < spacing_z < 3."""
        sides = [node.left, *node.comparators]
        pairs = zip(sides, node.ops, sides[1:], strict=False)
        held: Truth = np.logical_and.reduce([np.asarray(self._pair(left, op, right)) for left, op, right in pairs])
        return held

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(right, (ast.Tuple, ast.List, ast.Set)) or not right.elts:
                raise DataError("in is followed by values in brackets, as in \"modality in ('CT', 'MR')\"")
            held = np.logical_or.reduce([np.asarray(self._pair(left, ast.Eq(), one)) for one in right.elts])
            return held if isinstance(op, ast.In) else ~held
        if type(op) not in ORDER:
            raise DataError(f"is and is not are not part of the language; {GRAMMAR}")
        first, second = self.value(left), self.value(right)
        if isinstance(first, str) and isinstance(second, Words):
            first, second = second, first
        if isinstance(first, Words) and isinstance(second, str) and isinstance(op, (ast.Eq, ast.NotEq)):
            return ORDER[type(op)](first.codes, first.number_of(second))
        for side, value in ((left, first), (right, second)):
            if isinstance(value, Words):
                raise DataError(f"{value.name} holds words; compare it by == or != with one in quotes, or by in")
            if isinstance(value, str) or _is_truth(value):
                raise DataError(f"{ast.unparse(side)[:80]!r} is no number to compare with")
        return ORDER[type(op)](first, second)

    def _summed(self, node: ast.BinOp) -> Any:
        if type(node.op) not in SUMS:
            raise DataError(f"{ast.unparse(node)[:80]!r} is not part of the language; {GRAMMAR}")
        return SUMS[type(node.op)](self._number(node.left), self._number(node.right))

    def _constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float, str)):
            raise DataError(f"{node.value!r} is neither a number nor a word")
        return node.value if isinstance(node.value, str) else np.float64(node.value)

    def _column(self, node: ast.Name) -> Any:
        columns = columns_of(self.scans)
        if node.id not in columns:
            raise DataError(f"there is no column {node.id!r}; there are: {', '.join(columns)}")
        return columns[node.id]()

    def _truth(self, node: ast.expr) -> Truth:
        value = self.value(node)
        if not _is_truth(value):
            raise DataError(f"{ast.unparse(node)[:80]!r} is neither true nor false; compare it with something")
        truth: Truth = value
        return truth

    def _number(self, node: ast.expr) -> Any:
        value = self.value(node)
        if isinstance(value, (str, Words)) or _is_truth(value):
            raise DataError(f"{ast.unparse(node)[:80]!r} is no number to calculate with")
        return value


def _is_truth(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.bool_)) and value.dtype == np.bool_


def columns_of(scans: Scans) -> dict[str, Callable[[], Any]]:
    """The columns that a condition may name, and what reads each, (N,) numbers or Words."""
    axes = AXES[: scans.axes]
    modality = {"modality": lambda: Words("modality", scans.column("modality"), _modality)}
    ids = {name: lambda name=name: Words(name, scans.column(name), _id) for name in (*IDS, "site")}
    plain = {name: lambda name=name: scans.column(name).astype(np.float64) for name in NUMBERS}
    nested = {
        **{f"p{p:g}": ("percentiles", index) for index, p in enumerate(PERCENTILES)},
        **{f"spacing_{axis}": ("spacing_mm", index) for index, axis in enumerate(axes)},
        "channels": ("shape", 0),
        **{f"size_{axis}": ("shape", index + 1) for index, axis in enumerate(axes)},
    }
    parts = {
        name: lambda of=of, index=index: scans.column(of)[:, index].astype(np.float64)
        for name, (of, index) in nested.items()
    }
    return {**modality, **ids, **plain, **parts}


def _modality(word: str) -> int:
    if word not in MODALITIES:
        raise DataError(f"there is no modality {word!r}; there are: {', '.join(MODALITIES)}")
    return MODALITIES.index(word)


def _id(word: str) -> int:
    if not HASHED.fullmatch(word):
        raise DataError(f"{word!r} is no id of {ID_LENGTH} hexadecimal digits")
    return int(word, 16)
