"""The manifest of very many scans: a file of Arrow, uncompressed, that every process maps and none has to parse.

Any program that reads Arrow's IPC files, also called Feather, reads it: Polars, pandas, DuckDB. Ids are 64 bits, which
are shown in hexadecimal elsewhere; checksums are their 32 bytes.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import check_regular, written_aside
from modelsgenesis.data.occupancy import NUMBERS_OF
from modelsgenesis.data.store.columns import IDS, SHAPED, TEXTS, Columns
from modelsgenesis.data.store.scan import DTYPES, MODALITIES, NUMBERS

SUMS = ("sha256", "stored_sha256")
SUM_BYTES = 32
WRONG = "is damaged, or no manifest; run genesis prepare again"


def write_mapped(path: Path, columns: Columns) -> None:
    """Write columns, whole or not at all.

    Raises:
        DataError: the disk is full or the folder cannot be written; or a checksum is none of SHA-256.
    """
    import pyarrow as pa

    unused = () if columns.numbers["site"].any() else ("site",)
    plain = {name: values for name, values in columns.numbers.items() if name not in ("modality", "dtype", *unused)}
    arrays = {name: _numbers_to(pa, values) for name, values in plain.items()}
    for name, words in (("modality", MODALITIES), ("dtype", DTYPES)):
        arrays[name] = pa.DictionaryArray.from_arrays(columns.numbers[name], list(words))
    for name in TEXTS:
        texts = map(columns.texts[name], range(len(columns)))
        arrays[name] = _sums_to(pa, list(texts)) if name in SUMS else pa.array(texts, pa.large_string())
    batch = pa.record_batch(arrays)
    with written_aside(path) as aside, pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as file:
        file.write_batch(batch)


def _numbers_to(pa: Any, values: NDArray[Any]) -> Any:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _sums_to(pa: Any, texts: list[str]) -> Any:
    """Checksums as their bytes; one that is not known is missing."""
    try:
        return pa.array([bytes.fromhex(text) or None for text in texts], pa.binary(SUM_BYTES))
    except (ValueError, pa.ArrowInvalid) as error:
        raise DataError(f"a checksum in the manifest is none of SHA-256 ({error}); prepare again") from error


def read_mapped(path: Path) -> Columns:
    """Map the columns of a manifest; what is used whole is looked through, the rest when a scan is made of it.

    Raises:
        DataError: it is damaged, or a number in it cannot be.
    """
    import pyarrow as pa

    with blamed_on(path, DataError, WRONG):
        batch = _only_batch(pa, path)
        numbers = {name: batch[name].to_numpy() for name in (*IDS, *NUMBERS)}
        numbers |= {name: _numbers_from(batch[name]) for name in SHAPED}
        known = "site" in batch.schema.names
        numbers["site"] = batch["site"].to_numpy() if known else np.broadcast_to(np.uint64(0), len(numbers["id"]))
        for name, words in (("modality", MODALITIES), ("dtype", DTYPES)):
            if batch[name].dictionary.to_pylist() != list(words):
                raise ValueError(f"other words for {name}")
            numbers[name] = batch[name].indices.to_numpy()
        texts = {name: functools.partial(_sum_at if name in SUMS else _text_at, batch[name]) for name in TEXTS}
    if wrong := _wrong_in(numbers):
        raise DataError(f"{path}: holds {wrong}; prepare again")
    return Columns(numbers, texts, functools.partial(read_mapped, path))


def _only_batch(pa: Any, path: Path) -> Any:
    file = pa.ipc.open_file(pa.memory_map(str(check_regular(path))))
    if file.num_record_batches != 1:
        raise ValueError(f"{file.num_record_batches} batches of rows")
    batch = file.get_batch(0)
    batch.validate(full=False)
    return batch


def _numbers_from(column: Any) -> NDArray[Any]:
    width = column.type.list_size
    numbers: NDArray[Any] = column.values.to_numpy().reshape(len(column), width)
    return numbers


def _text_at(column: Any, row: int) -> str:
    return str(column[row].as_py())


def _sum_at(column: Any, row: int) -> str:
    held = column[row].as_py()
    return held.hex() if held else ""


def _wrong_in(numbers: dict[str, NDArray[Any]]) -> str:
    """What cannot be in the columns that are used whole; "" if nothing is wrong. A scan is checked when it is made."""
    shape, spacing = numbers["shape"], numbers["spacing_mm"]
    if shape.shape[1] not in (3, 4) or spacing.shape[1] != shape.shape[1] - 1:
        return f"shapes of {shape.shape[1]} numbers with spacings of {spacing.shape[1]}"
    if len(shape) and min(numbers[name].min() for name in ("num_cubes", "cubes_per_scan", "shape")) < 1:
        return "a scan of no cube, or without a voxel"
    if numbers["occupancy"].shape[1] != NUMBERS_OF[spacing.shape[1]]:
        return f"an occupancy of {numbers['occupancy'].shape[1]} numbers"
    return ""
