"""The headers of NIfTI-1, NIfTI-2 and Analyze 7.5, byte by byte: read as they are written, and copied for masks."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.image_format import Geometry
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN
from modelsgenesis.data.problems import UnreadableError

NAMES = ("magic", "dim", "datatype", "bitpix", "pixdim", "offset", "slope", "intercept", "units", "codes")
FORMS = ("quaternion", "shift", "rows")
NIFTI_1 = np.dtype({
    "names": [*NAMES, *FORMS],
    "formats": ["S4", "8i2", "i2", "i2", "8f4", "f4", "f4", "f4", "u1", "2i2", "3f4", "3f4", "(3,4)f4"],
    "offsets": [344, 40, 70, 72, 76, 108, 112, 116, 123, 252, 256, 268, 280],
    "itemsize": 348,
})  # fmt: skip
NIFTI_2 = np.dtype({
    "names": [*NAMES, *FORMS],
    "formats": ["S8", "8i8", "i2", "i2", "8f8", "i8", "f8", "f8", "i4", "2i4", "3f8", "3f8", "(3,4)f8"],
    "offsets": [4, 16, 12, 14, 104, 168, 176, 184, 500, 344, 352, 376, 400],
    "itemsize": 540,
})  # fmt: skip
# What is said of the values or in words: it does not hold of a mask, and words may name a person.
OF_THE_IMAGE = {
    348: (slice(4, 39), slice(56, 70), slice(124, 132), slice(140, 252), slice(328, 344)),
    540: (slice(80, 104), slice(192, 208), slice(240, 344), slice(504, 524)),
}
BEYOND_ANALYZE = (*OF_THE_IMAGE[348], slice(39, 40), slice(76, 80), slice(92, 124), slice(252, 344))
TO_LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS, in which NIfTI counts, and back
UNITS_MM = {1: 1e3, 3: 1e-3}  # metres and micrometres; all else is millimetres, or taken for them
CODES = {
    "u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280
}  # fmt: skip
TYPES = {code: name for name, code in CODES.items()}
COLOURS = {128: 3, 2304: 4}  # values a voxel
OTHERS = {1: "single bits", 32: "complex numbers", 1536: "floats of 128 bits", 1792: "complex numbers"}


@dataclass(frozen=True)
class RawHeader:
    """A header as it is written.

    Attributes:
        head: its bytes.
        fields: where they are in it.
        magic: that tells NIfTI; b"" of Analyze.
    """

    head: bytes
    fields: np.dtype[Any]
    magic: bytes

    def __getitem__(self, name: str) -> Any:
        """The numbers of a field."""
        return np.frombuffer(self.head, self.fields)[0][name].tolist()

    @property
    def size(self) -> tuple[int, ...]:
        """The size along the file's axes; those of length 1 behind the third are dropped.

        Raises:
            UnreadableError: it cannot be meant.
        """
        num, *sides = self["dim"]
        if not 1 <= num <= 7 or min(sides[:num]) < 1:
            raise UnreadableError(f"its header gives an impossible size, {sides[: max(num, 1)]}", EXPORT_AGAIN)
        while num > 3 and sides[num - 1] == 1:
            num -= 1
        return tuple(sides[:num])

    @property
    def unit_mm(self) -> float:
        """The unit of lengths, in mm."""
        return UNITS_MM.get(self["units"] & 7, 1.0) if self.magic else 1.0

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """The spacing of the first three axes, as written."""
        return tuple(step * self.unit_mm for step in self["pixdim"][1:4])

    @property
    def offset(self) -> int:
        """The place of the first voxel; behind the header at least, where the file is one."""
        offset = self["offset"] if math.isfinite(self["offset"]) else 0
        return max(int(offset), len(self.head) + 4) if self.magic[1:2] == b"+" else max(0, int(offset))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the stored numbers.

        Raises:
            UnreadableError: they are none that are read here.
        """
        code = self["datatype"]
        if code in COLOURS:
            return np.dtype([(name, "u1") for name in "rgba"[: COLOURS[code]]])
        if code not in TYPES:
            what = OTHERS.get(code, f"numbers of type {code}, which NIfTI does not know")
            raise UnreadableError(f"it holds {what}", "save it as 16-bit integers or 32-bit floats")
        return np.dtype(TYPES[code]).newbyteorder(self.fields["dim"].base.byteorder)

    @property
    def scaling(self) -> tuple[float, float] | None:
        """Slope and intercept of the stored numbers; None where they are the values: a slope of 0 or NaN says so too.

        Raises:
            UnreadableError: there is a slope, but no intercept.
        """
        slope, intercept = self["slope"], self["intercept"]
        if not self.magic or slope == 0 or not math.isfinite(slope) or (slope, intercept) == (1, 0):
            return None
        if not math.isfinite(intercept):
            raise UnreadableError(f"its intercept is {intercept}, with a slope of {slope:g}", "correct its header")
        return slope, intercept

    @property
    def sform(self) -> NDArray[np.float64] | None:
        """The sform, 3 x 4, from voxels to mm in LPS; None where its code is 0."""
        if not self.magic or self["codes"][1] <= 0:
            return None
        return np.asarray(TO_LPS @ np.array(self["rows"]) * self.unit_mm)

    @property
    def qform(self) -> NDArray[np.float64] | None:
        """The qform, likewise."""
        if not self.magic or self["codes"][0] <= 0:
            return None
        b, c, d = self["quaternion"]
        rest = 1 - (b * b + c * c + d * d)
        if rest < 1e-7:  # so does the NIfTI library
            b, c, d, rest = *(np.array([b, c, d]) / math.sqrt(1 - rest)), 0.0
        a = math.sqrt(rest)
        turned = np.array([
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ])  # fmt: skip
        steps = turned * self["pixdim"][1:4] * (1, 1, -1 if self["pixdim"][0] < 0 else 1)
        return np.asarray(TO_LPS @ np.column_stack([steps, self["shift"]]) * self.unit_mm)


def layout_of(head: bytes, path: Path) -> tuple[np.dtype[Any], bytes] | None:
    """The fields of a header that begins so, and the magic it has; None where it is no NIfTI or Analyze header.

    Args:
        head: the first 348 bytes, or more.
        path: of the file: Analyze, which has no magic, is recognised under the ending .hdr alone.
    """
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        length = int.from_bytes(head[:4], order)
        if length == 540 and head[4:7] in (b"n+2", b"ni2"):
            return NIFTI_2.newbyteorder(order), head[4:7]
        if length == 348 and head[344:347] in (b"n+1", b"ni1"):
            return NIFTI_1.newbyteorder(order), head[344:347]
        if length == 348 and len(head) >= 348 and path.suffix.lower() == ".hdr":
            return NIFTI_1.newbyteorder(order), b""
    return None


def raw_header(head: bytes, path: Path) -> RawHeader:
    """Read a header.

    Args:
        head: the first bytes of the file, unpacked, of the longest header or more.
        path: of the file.

    Raises:
        UnreadableError: it is cut off or is none.
    """
    found = layout_of(head, path)
    if found is None or len(head) < found[0].itemsize:
        raise UnreadableError("the file is cut off within its NIfTI header", EXPORT_AGAIN)
    fields, magic = found
    return RawHeader(head[: fields.itemsize], fields, magic)


def fresh_header(geometry: Geometry) -> RawHeader:
    """A header of NIfTI-1 for voxels that lie there, by an sform, which may be sheared."""
    head = bytearray(NIFTI_1.itemsize)
    head[:4] = (348).to_bytes(4, "little")
    fields = NIFTI_1.newbyteorder("<")
    there = np.frombuffer(head, fields)[0]
    there["pixdim"][:4] = (1, *geometry.spacing_mm)
    there["units"], there["codes"][1] = 2, 1
    steps = geometry.frame * geometry.spacing_mm
    there["rows"][:] = TO_LPS @ np.column_stack([steps, geometry.origin_mm])
    return RawHeader(bytes(head), fields, b"n+1")


def mask_header(source: RawHeader, size: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Copy a header for a mask of its image: both forms, their codes, spacing and units stay as they are.

    Args:
        source: of the image.
        size: of the mask.
        dtype: of its numbers.

    Returns:
        The header, and four bytes behind that say that nothing more follows.
    """
    head = bytearray(source.head)
    for words in OF_THE_IMAGE[len(head)] if source.magic else BEYOND_ANALYZE:
        head[words] = bytes(words.stop - words.start)
    there = np.frombuffer(head, source.fields)[0]
    there["magic"] = b"n+1" if len(head) == 348 else b"n+2\0\r\n\x1a\n"
    there["dim"][:] = (len(size), *size, *(1,) * (7 - len(size)))
    there["datatype"], there["bitpix"] = CODES[dtype.str[1:]], dtype.itemsize * 8
    there["offset"], there["slope"], there["intercept"] = len(head) + 4, 1, 0
    return bytes(head) + bytes(4)
