"""What headers claim, held against what is possible; several formats share it."""

import math
from pathlib import Path

from modelsgenesis.core.image_format import Header, Place
from modelsgenesis.data.problems import UnreadableError

DEFLATE_RATIO = 1032  # no zlib stream holds more bytes than this for each of its own
EXPORT_AGAIN = "copy or export it again"


def check_volume(header: Header, place: Place, max_voxels: int) -> None:
    """Refuse a header of no grey 3D volume, without a proper spacing, absurdly large, or of more than its bytes hold.

    Args:
        header: of the file.
        place: of the volume; its index is one of a 4D image.
        max_voxels: more are refused.
    Raises:
        UnreadableError: it is one of these.
    """
    if place.index is not None:
        _check_index(header.size, place.index)
    check_size(header.size if place.index is None else header.size[:3], max_voxels)
    if header.channels != 1:
        raise UnreadableError(
            f"{header.channels} values a voxel: colour or vectors", "leave it out or save one channel"
        )
    check_spacing(header.spacing_mm[:3])
    check_plausible(math.prod(header.size), place.files)


def check_size(size: tuple[int, ...], max_voxels: int, *, axes: int = 3) -> None:
    """Refuse what is absurdly large, and what has not so many axes."""
    voxels = " x ".join(map(str, size))
    if math.prod(size) > max_voxels:
        raise UnreadableError(
            f"its header claims {voxels} voxels, more than the limit of {max_voxels}",
            "if that is right, raise --max-voxels",
        )
    if axes == 2:
        if len(size) != 2 or min(size) < 2:
            raise UnreadableError(f"{len(size)} axes ({voxels})", "give a 2D picture of two pixels a side, or more")
        return
    if len(size) == 4 and size[3] > 1:
        raise UnreadableError(f"4D ({voxels}): a series of volumes", "save each volume as a file of its own")
    if len(size) > 4 or len(size) < 2:
        raise UnreadableError(f"{len(size)} axes ({voxels})", "save a 3D volume")
    if len(size) == 2 or min(size[:3]) < 2:
        raise UnreadableError(f"2D ({voxels})", "leave it out; 3D volumes are prepared here")


def check_spacing(spacing_mm: tuple[float, ...]) -> None:
    """Refuse a spacing that is not positive."""
    if not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        given = " x ".join(f"{step:g}" for step in spacing_mm)
        raise UnreadableError(f"its spacing is {given} mm: zero, negative or not a number", "correct its header")


def check_plausible(num_voxels: int, files: tuple[Path, ...]) -> None:
    """Refuse what no compression could have put into these bytes; a voxel is at least one byte."""
    num_bytes = sum(file.stat().st_size for file in files)
    if num_voxels > DEFLATE_RATIO * num_bytes:
        raise UnreadableError(
            f"its header claims {num_voxels} voxels, more than its {num_bytes} bytes can hold", EXPORT_AGAIN
        )


def _check_index(size: tuple[int, ...], index: int) -> None:
    """Refuse an image that has not the volume that is wanted."""
    num_volumes = size[3] if len(size) == 4 else 1
    if len(size) < 3 or index >= num_volumes:
        voxels = " x ".join(map(str, size))
        raise UnreadableError(
            f"channel {index} is asked of an image of {num_volumes} ({voxels})", "correct the channels the data declare"
        )
