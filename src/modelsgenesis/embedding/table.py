"""The folder of embeddings: a Parquet table for programs, an .npy a scan, and reading them again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError, refusal
from modelsgenesis.core.files import written_aside
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import Provenance, read_provenance

TABLE, VECTORS, RECORDS = "embeddings.parquet", "vectors", "records"


@dataclass(frozen=True)
class Embeddings:
    """The vectors of scans by one network.

    Attributes:
        folder: that holds them.
        made: how.
        ids: of the scans, one a vector.
        images: the files of the scans, likewise.
        vectors: (scans, length).
    """

    folder: Path
    made: Provenance
    ids: list[str]
    images: list[str]
    vectors: NDArray[np.float32]

    @property
    def network(self) -> str:
        """What they were made by: a run or file, or raw, size or like:RECIPE."""
        return str(self.made.arguments["network"])


def write_embeddings(into: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the table of all vectors: id, region ("" of a whole scan), image, vector.

    Args:
        into: the folder, with the vectors of each scan.
        records: of the scans, in order.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows = [(one, region, place) for one in records for place, region in enumerate(one["regions"])]
    loaded = {one["id"]: np.atleast_2d(np.load(into / VECTORS / f"{one['id']}.npy")) for one in records}
    table = pa.table(
        {
            "id": pa.array([one["id"] for one, _, _ in rows], pa.string()),
            "region": pa.array([region for _, region, _ in rows], pa.string()),
            "image": pa.array([one["image"] for one, _, _ in rows], pa.string()),
            "vector": pa.array([loaded[one["id"]][place] for one, _, place in rows], pa.list_(pa.float32())),
        }
    )
    with written_aside(into / TABLE) as aside:
        parquet.write_table(table, aside)


def read_embeddings(folder: Path, region: str | None = None) -> Embeddings:
    """Read a folder of `genesis embed`.

    Args:
        folder: to read.
        region: whose vectors are taken, where there are several a scan.
    Raises:
        DataError: it is no such folder, or holds no or several vectors a scan of that region.
    """
    import pyarrow as pa
    from pyarrow import parquet

    made = read_provenance(folder, "embed")
    try:
        rows = parquet.read_table(folder / TABLE).to_pylist()
    except (OSError, pa.ArrowException) as error:
        why = refusal(error) or f"cannot be read ({error}); run genesis embed again"
        raise DataError(f"{folder / TABLE}: {why}") from error
    known = sorted({row["region"] for row in rows})
    if region is None and len(known) > 1:
        raise DataError(f"{folder} has vectors of {len(known)} regions; choose one with --region: {', '.join(known)}")
    rows = [row for row in rows if region is None or row["region"] == region]
    if not rows:
        raise DataError(f"{folder} has no vectors of region {region!r}; it has those of {', '.join(known) or 'none'}")
    vectors = np.array([row["vector"] for row in rows], np.float32)
    return Embeddings(folder, made, [row["id"] for row in rows], [row["image"] for row in rows], vectors)


def is_embeddings(folder: Path) -> bool:
    """Whether a folder is a finished one of `genesis embed`."""
    return (folder / PROVENANCE).is_file() and (folder / TABLE).is_file()
