"""Places that are known in pictures of a store, to hold what a network finds against."""

from pathlib import Path
from typing import Any

import numpy as np

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.image_size import image_size_of
from modelsgenesis.data.store.store import Store

Points = dict[str, np.ndarray[Any, Any]]  # by name, in pixels of the store


def read_landmarks(table: Path, store: Store) -> dict[str, Points]:
    """Read a table of landmarks, of those pictures that the store holds.

    Args:
        table: CSV with `image`, a path from the table's folder, and NAME_x and NAME_y of each landmark: pixels of the
            file, the first one's middle being 0. Empty where a picture has no such landmark.
        store: made by prepare of these files.
    Returns:
        Of each scan by id its points.
    Raises:
        DataError: volumes, pictures without their borders, a table without such columns or numbers, or of no picture of
            the store.
    """
    if store.axes == 3 or read_provenance(store.path, "prepare").arguments.get("crop_borders"):
        raise DataError(f"landmarks are for pictures with their borders, and {store.path} holds others")
    rows = read_rows(table)
    columns = list(rows[0]) if rows else []
    names = [column[:-2] for column in columns if column.endswith("_x") and f"{column[:-2]}_y" in columns]
    if "image" not in columns or not names:
        raise DataError(f"{table}: needs the columns image, NAME_x and NAME_y, has {', '.join(columns) or 'no rows'}")
    given = {(table.parent / row["image"]).resolve(): row for row in rows}
    sizes = {scan.id: scan.size for scan in store.scans}
    known = {}
    for id_, source in store.sources.items():
        row = given.get(source.path.resolve())
        if row is not None and id_ in sizes:
            smaller = np.array(sizes[id_]) / image_size_of(source).size
            known[id_] = {name: (place + 0.5) * smaller - 0.5 for name, place in points_of(row, names, table).items()}
    if not known:
        raise DataError(f"{table}: names no picture of {store.path}, or the store's sources have moved")
    return known


def points_of(row: dict[str, str], names: list[str], table: Path) -> Points:
    """The points of one row in pixels of the file; empty ones are left out."""
    texts = {name: (row[f"{name}_x"], row[f"{name}_y"]) for name in names}
    try:
        return {name: np.array([float(text) for text in pair]) for name, pair in texts.items() if all(pair)}
    except ValueError as error:
        raise DataError(f"{table}: a landmark of {row['image']} is no number ({error})") from error
