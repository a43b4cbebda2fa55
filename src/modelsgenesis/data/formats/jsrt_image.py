"""The radiographs of JSRT as they are given out: bare numbers, two bytes each, without a header."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, crop
from modelsgenesis.data.problems import UnreadableError

NAME = re.compile(r"JPC[LN]N\d{3}\.IMG", re.IGNORECASE)
SIDE, GREATEST = 2048, 4095  # 12 bits


@dataclass(frozen=True)
class JsrtImage(ImageFormat):
    """2048 x 2048 numbers of 12 bits, the high byte first, in which bone is low; turned, so that air is dark.

    Source: Shiraishi et al. 2000, development of a digital image database for chest radiographs.
    """

    axes: ClassVar = 2
    knows_spacing: ClassVar = False
    may_die: ClassVar = False
    needs_ending: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the name: there is nothing else."""
        return "JSRT" if NAME.fullmatch(path.name) else ""

    def declared(self, path: Path) -> dict[str, Any]:
        """All of them are radiographs."""
        return {"modality": "XR"}

    def read_header(self, place: Place) -> Header:
        """All are of one size."""
        return replace(header_of_array((SIDE, SIDE), "uint16"), levels=(0.0, float(GREATEST)))

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse a file of another size."""
        there, wanted = place.path.stat().st_size, 2 * SIDE * SIDE
        if there != wanted:
            raise UnreadableError(f"it has {there} bytes where an image of JSRT has {wanted}", EXPORT_AGAIN)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the numbers, and cut the region out of them."""
        stored = np.fromfile(place.path, ">u2").reshape(SIDE, SIDE)
        if stored.max() > GREATEST:
            raise UnreadableError(f"it holds {stored.max()}, and 12 bits end at {GREATEST}", EXPORT_AGAIN)
        return crop(sitk.GetImageFromArray((GREATEST - stored).astype(np.uint16)), region), []
