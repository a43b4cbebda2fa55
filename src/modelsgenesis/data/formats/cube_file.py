"""The cube files of the authors' code, bat_32_64x64x32_K.npy: many cubes of CT, (N, X, Y, Z) in [0, 1]."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.arrays import CUBES, MAGIC, open_npy
from modelsgenesis.data.formats.base.itk import crop, image_of
from modelsgenesis.data.problems import UnreadableError

WINDOW_HU = (-1000.0, 1000.0)  # that the cubes were scaled from
ASSUMED = "official cubes have no spacing: 1 mm is written"


@dataclass(frozen=True)
class CubeFile(ImageFormat):
    """A stack of cubes, each read back in HU; the file's name says its fold and how many come from one scan."""

    knows_spacing: ClassVar = False
    may_die: ClassVar = False
    is_stack: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic of .npy and the names of the authors' files."""
        return "NumPy" if head[:6] == MAGIC and CUBES.search(path.name) else ""

    def declared(self, path: Path) -> dict[str, Any]:
        """The fold and the number of cubes a scan, from the file's name."""
        named = CUBES.search(path.name)
        if named is None:
            return {"modality": "CT"}
        return {"fold": int(named["fold"]), "cubes_per_scan": int(named["per_scan"]), "modality": "CT"}

    def read_header(self, place: Place) -> Header:
        """Read the size of a cube, and the number of cubes as the fourth axis."""
        cubes = open_npy(place.path)
        if cubes.ndim != 4 or min(cubes.shape) < 1:
            what = f"an official cube file has 4 axes (N, X, Y, Z), this has {cubes.shape}"
            raise UnreadableError(what, "rename it")
        return header_of_array((*cubes.shape[1:], len(cubes)), "int16", (ASSUMED,))

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Check nothing beyond the header, since a cube is small."""

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read one cube, the first where no index is given."""
        return crop(image_of(_to_hu(open_npy(place.path)[place.index or 0])), region), []


def _to_hu(cubes: NDArray[Any]) -> NDArray[np.int16]:
    """Undo the scaling of the authors' code.

    Raises:
        UnreadableError: there are values outside [0, 1].
    """
    low, high = WINDOW_HU
    if not (float(cubes.min()) >= 0 and float(cubes.max()) <= 1):
        raise UnreadableError("an official cube file holds values in [0, 1], this one others", "rename it")
    return np.rint(cubes * (high - low) + low).astype(np.int16)
