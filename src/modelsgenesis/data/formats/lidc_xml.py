"""Contours that radiologists drew, in the XML of LIDC-IDRI, as masks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from modelsgenesis.core.files import check_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Geometry, Header, ImageFormat, Place, Region
from modelsgenesis.data.formats.base.dicom_stack import Series, geometry_of_series
from modelsgenesis.data.formats.base.itk import crop, image_of
from modelsgenesis.data.problems import UnreadableError, in_its_words

FEWEST_POINTS = 3  # of a contour; nodules under 3 mm are marked with a single point
AXIAL = 0.99  # of the slices' normal that runs along Z, at least
AGREED = 0.5  # of the readers who drew a nodule

Voxels = NDArray[np.int64]  # sorted places in a raveled volume


@dataclass(frozen=True)
class LidcXml(ImageFormat):
    """A mask on the grid of the DICOM series that its contours were drawn on; a table names both."""

    stands_alone: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise an XML by its root."""
        return "LIDC-IDRI contours" if b"<LidcReadMessage" in head else ""

    def read_header(self, place: Place) -> Header:
        """Read where the voxels of the series lie."""
        grid = contoured_grid(place.dicom)
        return Header(grid.size, grid.spacing_mm, grid.origin_mm, grid.direction, "uint8")

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Nothing beyond the header: the series was checked when its slices were gathered."""

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Draw all contours, and cut the region out."""
        return crop(draw_contours(place.path, place.dicom), region), []


@dataclass(frozen=True)
class Plane:
    """The contour of a nodule on one slice.

    Attributes:
        z_mm: of the slice.
        included: whether it goes around some of the nodule, or around a hole in it.
        points: (column, row) of each pixel; the first ones outside of what they go around.
    """

    z_mm: float
    included: bool
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Contour:
    """The contours of a nodule by one reader."""

    reader: int
    planes: tuple[Plane, ...]


@dataclass(frozen=True)
class Reading:
    """The contents of an XML: its series and its contours.

    Attributes:
        series: SeriesInstanceUID of the scan.
        contours: of nodules of 3 mm or more.
    """

    series: str
    contours: tuple[Contour, ...]


@dataclass(frozen=True)
class Nodule:
    """A nodule as its readers agree on it.

    Attributes:
        readers: who drew it.
        centre_mm: in LPS.
        voxels: that at least half of those readers have.
    """

    readers: int
    centre_mm: tuple[float, float, float]
    voxels: Voxels


def read_contours(path: Path) -> Reading | None:
    """Read the XML of one CT; None where it is another kind of XML.

    Raises:
        UnreadableError: it is broken.
    """
    try:
        root = ElementTree.parse(check_regular(path)).getroot()
        if not root.tag.endswith("LidcReadMessage"):
            return None
        uid = (root.findtext(".//{*}SeriesInstanceUid") or "").strip()
        return Reading(uid, tuple(_contours(root))) if uid else None
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise UnreadableError(f"an XML that cannot be read ({in_its_words(error, path)})", "copy it again") from error


def _contours(root: ElementTree.Element) -> Iterator[Contour]:
    for reader, session in enumerate(root.iterfind(".//{*}readingSession")):
        for nodule in session.iterfind("{*}unblindedReadNodule"):
            planes = tuple(map(_plane, nodule.iterfind("{*}roi")))
            planes = tuple(plane for plane in planes if len(plane.points) >= FEWEST_POINTS)
            if planes:
                yield Contour(reader, planes)


def _plane(roi: ElementTree.Element) -> Plane:
    points = tuple(
        (int(edge.findtext("{*}xCoord") or ""), int(edge.findtext("{*}yCoord") or ""))
        for edge in roi.iterfind("{*}edgeMap")
    )
    z_mm = float(roi.findtext("{*}imageZposition") or "")
    return Plane(z_mm, (roi.findtext("{*}inclusion") or "").strip().upper() != "FALSE", points)


def contoured_grid(series: Series) -> Geometry:
    """Where the voxels lie that contours name by slice, column and row.

    Raises:
        UnreadableError: the slices are not axial.
    """
    geometry = geometry_of_series(series)
    if geometry is None or geometry.direction[8] < AXIAL:
        raise UnreadableError("contours on slices that are tilted, or not axial", "leave it out")
    return geometry


def nodules_of(contours: Sequence[Contour], geometry: Geometry, z_mm: Sequence[float]) -> list[Nodule]:
    """Put together what several readers drew: contours that share a voxel are of one nodule.

    Args:
        contours: of one scan.
        geometry: of its voxels.
        z_mm: of its slices, which may be uneven.
    Raises:
        UnreadableError: a contour lies beyond the scan.
    """
    drawn = [(contour.reader, _voxels(contour, geometry, np.array(z_mm))) for contour in contours]
    groups: list[list[tuple[int, Voxels]]] = []
    for reader, voxels in (each for each in drawn if each[1].size):
        touching = [group for group in groups if any(np.intersect1d(voxels, other).size for _, other in group)]
        apart = [group for group in groups if not any(group is other for other in touching)]
        groups = [*apart, [each for group in touching for each in group] + [(reader, voxels)]]
    return [_agreed(group, geometry) for group in groups]


def _agreed(group: Sequence[tuple[int, Voxels]], geometry: Geometry) -> Nodule:
    by_reader: dict[int, Voxels] = {}
    for reader, voxels in group:
        by_reader[reader] = np.union1d(by_reader.get(reader, np.empty(0, np.int64)), voxels)
    places, votes = np.unique(np.concatenate(list(by_reader.values())), return_counts=True)
    kept = places[votes >= AGREED * len(by_reader)]
    index = np.stack(np.unravel_index(kept, geometry.size)).mean(axis=1)
    frame = np.array(geometry.direction).reshape(3, 3) * np.array(geometry.spacing_mm)
    x, y, z = (frame @ index + np.array(geometry.origin_mm)).tolist()
    return Nodule(len(by_reader), (x, y, z), kept)


def _voxels(contour: Contour, geometry: Geometry, z_mm: NDArray[np.float64]) -> Voxels:
    """The voxels inside a contour, without its holes."""
    found, holes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for plane in contour.planes:
        apart_mm = np.abs(z_mm - plane.z_mm)
        place = int(apart_mm.argmin())
        columns, rows = _inside(plane.points)
        within = (columns < geometry.size[0]) & (rows < geometry.size[1]) & (columns >= 0) & (rows >= 0)
        if apart_mm[place] > geometry.spacing_mm[2] / 2 or not within.all():
            what = f"a contour at z = {plane.z_mm:g} mm lies beyond the scan"
            raise UnreadableError(what, "copy the whole scan; is it the scan's own XML?")
        voxels = np.ravel_multi_index((columns, rows, np.full_like(rows, place)), geometry.size)
        (found if plane.included else holes).append(voxels)
    return np.setdiff1d(np.concatenate(found), np.concatenate(holes))


def _inside(points: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows of the pixels that a closed line of pixels goes around, itself left out."""
    corner = np.array(points).min(axis=0)
    local = [(int(x), int(y)) for x, y in np.array(points) - corner]
    width, height = (int(side) for side in np.array(local).max(axis=0) + 1)
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    pen.polygon(local, fill=1, outline=1)
    pen.line([*local, local[0]], fill=0)
    rows, columns = np.nonzero(np.asarray(canvas))
    return columns + corner[0], rows + corner[1]


def draw_contours(path: Path, series: Series) -> sitk.Image:
    """Draw all nodules of a scan, as their readers agree on them, as 1 on the scan's own grid.

    Args:
        path: of the XML.
        series: the scan.
    Raises:
        UnreadableError: the XML cannot be read, or is of another scan.
    """
    reading, geometry = read_contours(path), contoured_grid(series)
    if reading is None or reading.series != series.uid:
        raise UnreadableError("contours of another scan", "name the XML that came with the series")
    mask = np.zeros(geometry.size, np.uint8)
    for nodule in nodules_of(reading.contours, geometry, series.z_mm):
        mask.reshape(-1)[nodule.voxels] = 1
    return image_of(mask, geometry)
