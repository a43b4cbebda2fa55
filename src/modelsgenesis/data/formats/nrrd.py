"""NRRD: .nrrd in one file, .nhdr with its voxels beside."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.files import open_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Contents, Header, ImageFormat, Place, Region
from modelsgenesis.data.formats.base.itk import (
    ASSUMED_ORIENTATION,
    ASSUMED_SPACING,
    SMALL,
    Image,
    all_of,
    check_volume,
    crop,
    detached_file,
    header_of,
    in_mm,
    one_volume,
    placed,
    plain_image,
    read_file,
)
from modelsgenesis.data.formats.base.unpacking import GZIPPED, unpack_into
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.resampling import settled

KNOWN_SPACES = ("left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las")
UNNAMED_SPACE = "its header does not name the space that its axes point in: LPS is assumed"
DOMAIN = ("domain", "space")  # kinds of axes along which voxels lie in space
SAVE_EACH = "save each volume as a file of its own"


@dataclass(frozen=True)
class Nrrd(ImageFormat):
    """NRRD, whose header may leave out what SimpleITK then makes up, and say what it passes over."""

    endings: ClassVar = {".nrrd": "NRRD", ".nhdr": "NRRD"}
    mask_endings: ClassVar = {".nrrd": ".nrrd", ".nhdr": ".nrrd"}
    reads_all: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic."""
        return "NRRD" if head[:7] == b"NRRD000" else ""

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """The header, and the file of the voxels that it names."""
        return detached_file(path, ".nhdr", rb"data ?file:")

    def read_header(self, place: Place) -> Header:
        """Read the header by SimpleITK, and what that passes over by itself: units, axis mins and maxs."""
        fields = read_fields(place.path)
        _refuse_kinds(fields)
        header = header_of(place.path)
        if header.channels > 1 or len(header.size) < 3:
            return header
        header = _with_spacing(header, fields)
        if fields.get("space", "").lower() not in KNOWN_SPACES:
            doubt = UNNAMED_SPACE if "spacedirections" in fields else ASSUMED_ORIENTATION
            header = replace(header, oriented=doubt == UNNAMED_SPACE, doubts=(*header.doubts, doubt))
        return settled(header)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey volume of a possible size, and of a spacing that is given along three axes."""
        check_volume(header, place, max_voxels)
        fields = read_fields(place.path)
        if fields.get("encoding", "").lower() in ("bzip2", "bz2"):
            raise UnreadableError(
                "its voxels are packed by bzip2, which SimpleITK does not unpack",
                "save it with gzip compression, as pynrrd does: nrrd.write(path, *nrrd.read(path)) with encoding gzip",
            )
        given = fields.get("spacedirections") or fields.get("spacings") or ""
        axes = re.findall(r"\([^)]*\)|[^\s()]+", given.lower())
        if axes and 0 < sum("nan" not in axis and axis != "none" for axis in axes) < 3:
            raise UnreadableError("its header gives no spacing along one axis", "correct its header")

    def read(self, place: Place, region: Region | None = None) -> tuple[Image, list[str]]:
        """Read the whole file, and cut the region out of it."""
        header = self.read_header(place)
        if (values := _unzipped(place.path, header)) is not None:
            return plain_image(values, header.geometry, region), []
        image = one_volume(read_file(place, dtype=header.dtype), place.index)
        return crop(placed(image, header.geometry), region), []

    def read_all(self, place: Place) -> Contents:
        """Read every volume, or the colours, at once."""
        header = self.read_header(place)
        dtype = "" if header.channels > 1 else header.dtype
        return all_of(read_file(place, dtype=dtype), header.geometry)


def _unzipped(path: Path, header: Header) -> NDArray[Any] | None:
    """The voxels of a gzipped file whose header says nothing unusual, (K, J, I); None is left to SimpleITK to judge."""
    fields = read_fields(path)
    little = fields.get("endian", "").lower() == "little"
    plain = not fields.keys() & {"datafile", "lineskip", "byteskip"} and fields.get("encoding") in ("gzip", "gz")
    if not plain or len(fields["sizes"].split()) != 3 or header.dtype not in SMALL or header.channels != 1:
        return None
    with open_regular(path) as file:
        offset = file.read(2**20).find(b"\n\n") + 2
    values = np.empty(header.size[::-1], np.dtype(header.dtype).newbyteorder("<" if little else ">"))
    return values if offset > 1 and unpack_into(values, path, offset, GZIPPED) else None


def read_fields(path: Path) -> dict[str, str]:
    """The fields of a header by their names, in lower case without spaces, and its own keys as they are."""
    with open_regular(path) as file:
        head = re.split(rb"\r?\n\r?\n", file.read(2**20), maxsplit=1)[0].decode("latin-1")
    found = (re.fullmatch(r"([^:]+):(=| )?(.*)", line) for line in head.splitlines() if line[:1] != "#")
    return {one[1] if one[2] == "=" else one[1].lower().replace(" ", ""): one[3].strip() for one in found if one}


def _refuse_kinds(fields: dict[str, str]) -> None:
    """Refuse by name what SimpleITK cannot read, or takes for something else."""
    kinds, sizes = fields.get("kinds", "").lower().split(), fields.get("sizes", "").split()
    if len(sizes) == 4 and "Segment0_ID" in fields:
        segments = sum(bool(re.fullmatch(r"Segment\d+_ID", name)) for name in fields)
        raise UnreadableError(
            f"a layered segmentation of 3D Slicer: {segments} segments in {sizes[0]} layers",
            "in Slicer's Segmentations, export it to a labelmap and save that as .nii.gz, overlapping segments each "
            "as one of its own",
        )
    voxels = " x ".join(sizes)
    if "time" in kinds and len(sizes) <= 3:
        raise UnreadableError(f"2D pictures in time ({voxels})", "leave it out; 3D volumes are prepared here")
    placed_in_3d = "none" in fields.get("spacedirections", "").lower()
    if len(sizes) > 3 and placed_in_3d and all(kind in (*DOMAIN, "time", "???") for kind in kinds):
        what = (
            "a series of volumes in time" if "time" in kinds else "its header does not say which axis is not of space"
        )
        raise UnreadableError(f"4D ({voxels}): {what}", SAVE_EACH)


def _with_spacing(header: Header, fields: dict[str, str]) -> Header:
    """The header with its spacing in mm, and what is doubtful about that."""
    geometry = header.geometry
    if "spacedirections" not in fields and not re.search(r"\d", fields.get("spacings", "")):
        lows, highs = (_numbers(fields.get(f"axis{end}", "")) for end in ("mins", "maxs"))
        if min(len(lows), len(highs)) < 3:
            return header.placed(geometry, ASSUMED_SPACING)
        centres = fields.get("centers", fields.get("centerings", "")).lower().split()
        nodes = [1 if len(centres) > axis and centres[axis] == "node" else 0 for axis in range(3)]
        ends = zip(lows, highs, geometry.size, nodes, strict=False)
        steps = tuple((high - low) / (side - node) for low, high, side, node in ends)
        origin = tuple(low + (0 if node else step / 2) for low, step, node in zip(lows, steps, nodes, strict=False))
        geometry = replace(geometry, spacing_mm=steps, origin_mm=origin)
    units = re.findall(r'"([^"]*)"|(\S+)', fields.get("spaceunits") or fields.get("units") or "")
    return in_mm(header.placed(geometry), ["".join(unit) for unit in units[:3]])


def _numbers(text: str) -> tuple[float, ...]:
    """The finite numbers of a field; none where one of them is missing."""
    try:
        numbers = tuple(float(word) for word in text.split())
    except ValueError:
        return ()
    return numbers if np.isfinite(numbers).all() else ()
