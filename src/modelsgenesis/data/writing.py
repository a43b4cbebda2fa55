"""Writing a mask so that it lies on its source, voxel for voxel, in any viewer."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import PART, written_aside
from modelsgenesis.core.process_id import this_process
from modelsgenesis.data.formats import ending_of
from modelsgenesis.data.formats.base.itk import placed
from modelsgenesis.data.formats.nifti import Nifti, write_nifti
from modelsgenesis.data.image_size import axes_of
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry

NIFTI, PNG = ".nii.gz", ".png"
NIFTI_HEADER = 352  # bytes, with the four that say that nothing else is there


def ending_like(source: Source) -> str:
    """The ending of a mask in its source's own format; .nii.gz where that is none for masks, .png of every picture."""
    if axes_of(source) == 2:
        return PNG
    return source.format.mask_endings.get(ending_of(source.path), NIFTI)


def write_mask(path: Path, values: NDArray[Any], geometry: Geometry, source: Source | None = None) -> None:
    """Write an array so that it lies on a file, compressed, whole or not at all.

    A mask of a NIfTI file carries its header's two forms and codes as they are; that of sheared axes comes back onto
    them, by the nearest voxel.

    Args:
        path: its ending says the format: .nii.gz, .nii, .nrrd, .mha, or .mhd with its voxels beside.
        values: in the file's own axes, as `Geometry.from_lps` gives them; whole numbers of 8 to 32 bits or float32.
        geometry: of the source's file, as it was read. MetaImage keeps every bit, NRRD all but the last of oblique
            axes, NIfTI float32.
        source: that the mask is of; None where there is no file to lie on.
    Raises:
        DataError: the array is of another size, or the disk is full, or the folder cannot be written.
    """
    if values.shape != geometry.size:
        raise DataError(f"{path}: a mask of {values.shape} voxels for an image of {geometry.size}; turn it first")
    nifti, like = path.name.endswith((NIFTI, ".nii")), None
    if source is not None and source.box is None and not source.format.is_directory:
        values, geometry, like = _on_file(values, geometry, source, nifti)
    with (
        written_aside(path) as aside,
        tempfile.TemporaryDirectory(prefix=".", suffix=f".{this_process()}{PART}", dir=path.parent) as name,
    ):
        folder = Path(name)
        # SimpleITK finds the format by the ending, and an .mhd names its voxels' file: both need their final names.
        try:
            if nifti and like is not None:
                write_nifti(folder / path.name, values, like)
            else:
                image = placed(sitk.GetImageFromArray(np.ascontiguousarray(values.T)), geometry)
                sitk.WriteImage(image, str(folder / path.name), useCompression=True)
                if nifti:
                    _check_whole(folder / path.name, values.nbytes)
        except RuntimeError as error:
            raise DataError(f"{path}: could not be written ({_last_line(error)}); is the disk full?") from error
        os.replace(folder / path.name, aside)
        for beside in folder.iterdir():
            os.replace(beside, path.with_name(beside.name))


def _check_whole(path: Path, num_bytes: int) -> None:
    """Refuse a NIfTI file that SimpleITK cut off, which it does without a word where the disk is full.

    A gzipped file ends with the length of its content.
    """
    size = path.stat().st_size
    if path.suffix == ".gz":
        with open(path, "rb") as file:
            file.seek(-4, os.SEEK_END)
            size = int.from_bytes(file.read(), "little")
    if size != (NIFTI_HEADER + num_bytes) % 2**32:
        raise RuntimeError("the file was cut off")


def _on_file(
    values: NDArray[Any], geometry: Geometry, source: Source, nifti: bool
) -> tuple[NDArray[Any], Geometry, Path | Geometry | None]:
    """The values on the axes of their source's file, where these lie, and what a NIfTI header is made from.

    Other programs read no sheared NIfTI: where the axes are nearly at right angles, those are written.
    """
    header = source.format.read_header(source)
    own, sheared = isinstance(source.format, Nifti), header.sheared
    if sheared is None or (header.upright and nifti):
        return values, geometry, source.path if own else None
    if not header.upright:
        how = sitk.sitkLinear if values.dtype.kind == "f" else sitk.sitkNearestNeighbor
        image = placed(sitk.GetImageFromArray(np.ascontiguousarray(values.T)), geometry)
        place = (sheared.size, sitk.Transform(), how, sheared.origin_mm, sheared.spacing_mm, sheared.direction)
        values = sitk.GetArrayFromImage(sitk.Resample(image, *place)).T
    return values, sheared, source.path if own else sheared


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()
