"""Masks in GIF files, drawn on a picture that was shrunk, as those of SCR are on the radiographs of JSRT."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import SimpleITK as sitk
from PIL import Image

from modelsgenesis.core.errors import refusal
from modelsgenesis.core.files import check_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, check_size, crop
from modelsgenesis.data.problems import UnreadableError

TIMES = "times"  # how a table names it: FILE#times:2


@dataclass(frozen=True)
class GifMask(ImageFormat):
    """A mask of which each pixel stands for so many along both sides of its picture; the place's index says how many.

    Source: van Ginneken et al. 2006, segmentation of anatomical structures in chest radiographs (SCR).
    """

    axes: ClassVar = 2
    knows_spacing: ClassVar = False
    may_die: ClassVar = False
    stands_alone: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic of GIF."""
        return "GIF" if head.startswith((b"GIF87a", b"GIF89a")) else ""

    def read_header(self, place: Place) -> Header:
        """Read its size, and enlarge it."""
        times = place.index or 1
        try:
            with Image.open(check_regular(place.path), formats=("GIF",)) as mask:
                return header_of_array((mask.width * times, mask.height * times), "uint8")
        except (OSError, SyntaxError) as error:
            if refusal(error):
                raise
            raise UnreadableError("a GIF that is missing, cut off or damaged", EXPORT_AGAIN) from error

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse an impossible size."""
        check_size(header.size, max_voxels, axes=2)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the mask, repeat each pixel, and cut the region out of it."""
        try:
            with Image.open(check_regular(place.path), formats=("GIF",)) as mask:
                values = np.asarray(mask.convert("L"))
        except (OSError, SyntaxError) as error:
            if refusal(error):
                raise
            raise UnreadableError("a GIF that is missing, cut off or damaged", EXPORT_AGAIN) from error
        times = place.index or 1
        return crop(sitk.GetImageFromArray(values.repeat(times, 0).repeat(times, 1)), region), []
