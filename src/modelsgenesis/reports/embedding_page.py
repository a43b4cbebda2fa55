"""A map of embeddings, as a page of its own or on the page of the network that made them."""

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from modelsgenesis.choosing.strategy import comparable
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.provenance import CommandLine, lineage, package_version
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.words import many
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.embedding.table import Embeddings, read_embeddings
from modelsgenesis.figures.embedding_map import (
    Colouring,
    EmbeddingMap,
    colouring,
    neighbours_of,
    projections,
    thumbnail,
)
from modelsgenesis.figures.page import Code, Page, Paragraph, Part
from modelsgenesis.figures.planes import cut_plane, middle_channel, names
from modelsgenesis.tasks.case_finder import rows_by_file_and_name

MOST_THUMBNAILS = 1000  # which take about 2 MB of the page
NAMING = ("id", "image", "image_0", "file", "filename", "case")
NOT_SHOWN = (*NAMING, "patient")  # whom no page should name
HEADING = "What looks alike to it"
HOW = (
    "A point is a scan, and those with like vectors lie together. Vectors are standardised and brought to one length. "
    "The two principal components have {share:.0%} of their variance: what the plane cannot show is in the neighbours, "
    "which are the nearest by cosine in all {length} dimensions."
)

WITHOUT_UMAP = (
    "UMAP, a second way to lay it out, is not installed: in the clone of modelsgenesis, "
    "pip install -c constraints.txt '.[umap]', and make the page again."
)


def write_report(folder: Path, into: Path, table: Path | None, *, command: CommandLine) -> Path:
    """Write the page of a folder of embeddings.

    Args:
        folder: of genesis embed.
        into: the page.
        table: whose columns colour the map.
        command: What spells the command that made a folder.
    """
    found = read_embeddings(folder)
    page = Page(f"{many(len(found.ids), 'scan')} as {found.network} sees them", "A map of frozen vectors.")
    page.section(HEADING, *map_parts(found, table))
    page.section("Where it comes from", Code("\n".join(command(at, made) for at, made in reversed(lineage(folder)))))
    return page.write(into, f"Made by genesis report, modelsgenesis {package_version()}.")


def map_parts(found: Embeddings, table: Path | None) -> list[Part]:
    """The map of embeddings, and how to read it.

    Args:
        found: the embeddings, two or more.
        table: whose columns colour it, rows found by the scans' ids or files; None colours all alike.
    Raises:
        DataError: there is one scan alone, or no row of the table is one of them.
    """
    if len(found.ids) < 2:
        raise DataError(f"{found.folder}: a map needs two scans or more, and here is {len(found.ids)}")
    vectors = comparable(found.vectors)
    places, share = projections(vectors)
    values = columns_of(found, table) if table else {}
    colourings = [colouring(name, column) for name, column in values.items()]
    plain = [Colouring("nothing", [colouring("", ["a"]).fills[0]] * len(found.ids), [])]
    shown = found.images[:MOST_THUMBNAILS]
    small = dict(work_through(small_picture, shown, 1))
    thumbnails = [small.get(image) or "" for image in found.images]
    drawn = EmbeddingMap(found.ids, places, colourings or plain, values, neighbours_of(vectors), thumbnails)
    told: list[Part] = [Paragraph(HOW.format(share=share, length=vectors.shape[1]), "caption"), drawn]
    if find_spec("umap") is None:
        told.append(Paragraph(WITHOUT_UMAP, "caption"))
    if len(found.ids) > MOST_THUMBNAILS:
        told.append(Paragraph(f"The first {MOST_THUMBNAILS} scans alone have thumbnails.", "caption"))
    return told


def small_picture(entry: str) -> str:
    """The middle slice of a scan as a small WebP in base64; "" of one that cannot be read."""
    try:
        volume = read_volume(one_source(Path(entry), Path(entry).parent))
    except UnreadableError:
        return ""
    values = volume.values[middle_channel(volume.values)]
    plane = cut_plane(values, names(values.ndim)[0], volume.spacing_mm)
    low, high = np.percentile(plane.picture, (1, 99))
    return thumbnail(((plane.picture - low) / max(float(high - low), 1e-6)).astype(np.float32))


def columns_of(found: Embeddings, table: Path) -> dict[str, list[str]]:
    """The columns of a table that tell scans apart, in the order of the scans."""
    rows, head = read_table(table)
    by_file, by_name = rows_by_file_and_name(rows, table, NAMING)
    matched = [by_file.get(image) or by_name.get(id_, {}) for id_, image in zip(found.ids, found.images, strict=True)]
    if not any(matched):  # no file and no id: the scans were moved
        files = [Path(image).name for image in found.images]
        shared = Counter(files)
        matched = [by_name.get(file, {}) if shared[file] == 1 else {} for file in files]
    if not any(matched):
        raise DataError(
            f"{table}: names none of the scans, such as {found.ids[0]}; it needs a column id, image or file"
        )
    told = {name: [row.get(name, "") for row in matched] for name in head if name not in NOT_SHOWN}
    return {name: column for name, column in told.items() if _tells(column)}


def _tells(column: Sequence[str]) -> bool:
    """Whether a column says more than that scans are scans, and is no name of each."""
    known = {value for value in column if value}
    return len(known) > 1 and (len(known) < len(column) or _are_numbers(known))


def _are_numbers(values: set[str]) -> bool:
    try:
        return all(np.isfinite(float(value)) for value in values)
    except ValueError:
        return False
