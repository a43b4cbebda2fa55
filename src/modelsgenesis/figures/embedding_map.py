"""A map of vectors: a point a scan in a plane, coloured by any column, with thumbnails and nearest neighbours."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelsgenesis.core.labels import COLOURS, colour

SIDE = 72  # of a thumbnail in pixels
NEIGHBOURS = 6
WIDTH, MARGIN = 1000, 24  # of the drawing's own units
UNKNOWN = "#9aa5b1"
RAMP = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")  # viridis, from the least to the greatest

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Colouring:
    """How one column colours the points.

    Attributes:
        name: of the column.
        fills: of each point, as #rrggbb.
        legend: of colours and what they mean.
    """

    name: str
    fills: list[str]
    legend: list[tuple[str, str]]


@dataclass(frozen=True)
class EmbeddingMap:
    """A part of a page; `templates/parts.html` draws it.

    Attributes:
        ids: of the scans.
        places: by the name of the projection: where each lies, (scans, 2) in the drawing's units.
        colourings: by column, the first one shown.
        values: of the columns, as text: {column: of each scan}.
        neighbours: of each scan, the nearest first, by number.
        thumbnails: WebP as base64 of each, or "".
    """

    ids: list[str]
    places: Mapping[str, Numbers]
    colourings: Sequence[Colouring]
    values: Mapping[str, Sequence[str]]
    neighbours: NDArray[np.intp]
    thumbnails: Sequence[str]

    @property
    def first(self) -> Numbers:
        """Where the points lie before anything was clicked."""
        return next(iter(self.places.values()))

    @property
    def data(self) -> str:
        """What the page's script reads, as JSON that no text in it can end."""
        told = {
            "ids": self.ids,
            "places": {name: np.round(places, 1).tolist() for name, places in self.places.items()},
            "colourings": [[one.name, one.fills, one.legend] for one in self.colourings],
            "values": {name: list(values) for name, values in self.values.items()},
            "neighbours": self.neighbours.tolist(),
            "thumbnails": list(self.thumbnails),
        }
        return json.dumps(told, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def projections(vectors: Numbers, seed: int = 0) -> tuple[dict[str, Numbers], float]:
    """Lay vectors into a plane: by their two principal components, and by UMAP where it is installed.

    Args:
        vectors: (scans, length), two scans or more.
        seed: of UMAP.
    Returns:
        {name: (scans, 2) in the drawing's units}, and the share of the variance that the two components have.
    """
    from sklearn.decomposition import PCA  # here, since it takes a second

    padded = np.pad(vectors, ((0, 0), (0, max(0, 2 - vectors.shape[1]))))
    model = PCA(2, svd_solver="full").fit(padded)
    share = float(np.nan_to_num(model.explained_variance_ratio_).sum())
    found = {"PCA": in_units(model.transform(padded))}
    if find_spec("umap") is not None and len(vectors) > NEIGHBOURS:
        import umap

        found["UMAP"] = in_units(np.asarray(umap.UMAP(random_state=seed, n_jobs=1).fit_transform(vectors), np.float64))
    return found, share


def in_units(places: Numbers) -> Numbers:
    """Places in a plane within the drawing, one unit as long along both axes, Y upwards."""
    low, high = places.min(axis=0), places.max(axis=0)
    scale = (WIDTH - 2 * MARGIN) / max(float((high - low).max()), 1e-12)
    centred = (places - (low + high) / 2) * scale * np.array([1, -1])
    return np.asarray(centred + WIDTH / 2)


def neighbours_of(vectors: Numbers, num: int = NEIGHBOURS) -> NDArray[np.intp]:
    """The nearest other vectors of each, (N, num), the nearest first; of vectors of length 1 those by cosine."""
    squared = np.square(vectors).sum(axis=1)
    apart = squared[:, None] + squared[None] - 2 * vectors @ vectors.T
    np.fill_diagonal(apart, np.inf)
    return np.asarray(np.argsort(apart, axis=1, kind="stable")[:, : min(num, len(vectors) - 1)])


def colouring(name: str, values: Sequence[str]) -> Colouring:
    """Colour points by a column: by a ramp where it holds more numbers than there are colours, else by value."""
    known = sorted({value for value in values if value})
    numbers = _numbers(values)
    if numbers is not None and len(known) > len(COLOURS):
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        shares = (numbers - low) / max(high - low, 1e-12)
        fills = [UNKNOWN if np.isnan(share) else _ramp(float(share)) for share in shares]
        marks = np.linspace(0, 1, len(RAMP)).tolist()
        legend = [(_ramp(mark), f"{low + mark * (high - low):.4g}") for mark in marks]
    else:
        shown = sorted(known, key=lambda value: (-list(values).count(value), value))[: len(COLOURS)]
        by_value = {value: colour(number) for number, value in enumerate(shown)}
        fills = [by_value.get(value, UNKNOWN) for value in values]
        legend = [(by_value[value], value) for value in sorted(shown)]
    unknown = [(UNKNOWN, "other or unknown")] if UNKNOWN in fills else []
    return Colouring(name, fills, [*legend, *unknown])


def _numbers(values: Sequence[str]) -> Numbers | None:
    """The values as numbers, NaN where there is none; None where one is no number."""
    try:
        found = np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        return None
    return found if np.isfinite(found).any() else None


def _ramp(share: float) -> str:
    """A colour of the ramp, at a share of its length."""
    stops = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in RAMP], float)
    at = np.linspace(0, 1, len(RAMP))
    return "#" + "".join(f"{round(float(np.interp(share, at, stops[:, k]))):02x}" for k in range(3))


def thumbnail(plane: NDArray[np.float32]) -> str:
    """A picture (rows, columns) of values in [0, 1] as a small WebP in base64."""
    drawn = Image.fromarray((255 * np.clip(plane, 0, 1)).astype(np.uint8))
    drawn.thumbnail((SIDE, SIDE))
    packed = io.BytesIO()
    drawn.save(packed, "WEBP", quality=70)
    return base64.b64encode(packed.getvalue()).decode("ascii")
