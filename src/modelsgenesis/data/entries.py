"""How a table names a scan, a volume or a box of it, a row of an array, or contours drawn on it; and back."""

import re
from dataclasses import replace
from pathlib import Path

from modelsgenesis.data.boxes import read_box
from modelsgenesis.data.formats.gif_mask import TIMES, GifMask
from modelsgenesis.data.formats.lidc_xml import LidcXml
from modelsgenesis.data.formats.npz_row import NpzRow
from modelsgenesis.data.problems import UnreadableError, costs_one_source, not_there
from modelsgenesis.data.source_table import sources_at
from modelsgenesis.data.sources import Source

PART = re.compile(r"(?P<file>.+)#((?P<array>[^:]+):)?(?P<index>\d+)")  # of a file that holds several volumes
CONTOURS = re.compile(r"(?P<scan>.+)#(?P<contours>/.+\.xml)")  # drawn on a DICOM series


@costs_one_source()
def one_source(place: Path, root: Path) -> Source:
    """The one scan at a place: a file, the folder of a DICOM series, or one volume of a file that holds several.

    A file may be a picture, PNG or JPEG.

    Args:
        place: a path; `scan.nii.gz#2` is a volume of a 4D image, `set.npz#test_images:17` a row of an array,
            `mask.gif#times:2` a mask of which each pixel stands for two along both sides,
            `scan.mhd@-56.1,67.8,-311.9@64x64x32` a box of a scan: the place in mm, in LPS, and voxels;
            `picture.png@310,205@64x48` a box of a picture: the place in pixels, and pixels;
            `series#/folder/069.xml` the contours that the XML of LIDC-IDRI has of a DICOM series.
        root: of the table or folder that names it.
    Raises:
        UnreadableError: there is none, or more than one.
    """
    boxed = None if place.exists() else read_box(place)
    if boxed:
        return one_source(boxed[0], root).within(boxed[1])
    drawn = CONTOURS.fullmatch(place.as_posix())
    if drawn and not place.exists():
        return contours_on(one_source(Path(drawn["scan"]), root), Path(drawn["contours"]))
    part = PART.fullmatch(place.name)
    if part and not place.exists():
        return _one_of_many(place.with_name(part["file"]), part["array"] or "", int(part["index"]), root)
    found, problems = sources_at(place, root, pictures=True)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnreadableError(problems[0].problem, problems[0].remedy)
    raise UnreadableError(f"it holds {len(found)} scans", "name one file, or the folder of one DICOM series")


def contours_on(scan: Source, contours: Path) -> Source:
    """The mask that an XML of LIDC-IDRI makes of a DICOM series.

    Raises:
        UnreadableError: the XML is not there, or the scan is no DICOM series.
    """
    if scan.dicom is None or not contours.is_file():
        raise UnreadableError(f"{contours} is not there, or not of a DICOM series", "name the series and its XML")
    return Source(contours, LidcXml(), (contours,), f"{scan.series}#outlines", scan.patient, dicom=scan.dicom)


def _one_of_many(file: Path, array: str, index: int, root: Path) -> Source:
    if not array:
        return replace(one_source(file, root), index=index)
    if not file.is_file():
        raise not_there(file)
    name = f"{file.name}/{array}_{index}"
    format_ = GifMask() if array == TIMES else NpzRow()
    return Source(file, format_, (file,), name, name, forced=True, index=index, array=array)


def scan_place(place: Path) -> tuple[Path, str, int | None]:
    """The file of the scan that an entry of a table names, or a box or a volume of; of a row, its array and number too.

    Returns:
        What `place_of` says of the source of that scan.
    """
    boxed = None if place.exists() else read_box(place)
    place = boxed[0] if boxed else place
    part = None if place.exists() else PART.fullmatch(place.name)
    if not part:
        return place.resolve(), "", None
    array = part["array"] or ""
    return place.with_name(part["file"]).resolve(), array, int(part["index"]) if array else None


def place_of(source: Source) -> tuple[Path, str, int | None]:
    """The file of a scan; of a row of an array in a .npz, its array and number too."""
    return source.path.resolve(), source.array, source.index if source.array else None


def entry_from(entry: str, folder: Path) -> str:
    """An entry of a table in a folder as `spell` has it, whether what it names is there or not; a URL stays one."""
    if "://" in entry:
        return entry
    boxed = read_box(Path(entry))
    return (folder / (boxed[0] if boxed else entry)).resolve().as_posix() + str(boxed[1] if boxed else "")


def spell(source: Source) -> str:
    """A source as a table names it: its path, the volume of several after a number sign, a box after an at sign."""
    place, box = source.path.resolve().as_posix(), str(source.box or "")
    if source.dicom is not None and source.path != source.dicom.folder:  # drawn on it
        return f"{source.dicom.folder.resolve().as_posix()}#{place}{box}"
    if source.index is None:
        return place + box
    return f"{place}#{source.array}:{source.index}{box}" if source.array else f"{place}#{source.index}{box}"
