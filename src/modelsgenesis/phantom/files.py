"""A folder of made-up scans, as a hospital's folder would lie there."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import written_aside
from modelsgenesis.phantom.torso import Phantom, torso


def write_phantoms(
    folder: Path | str,
    num: int,
    *,
    seed: int = 0,
    size: tuple[int, int, int] = (160, 128, 96),
    spacing_mm: tuple[float, float, float] | None = None,
    with_labels: bool = False,
) -> list[Path]:
    """Write made-up torsos as compressed NIfTI; a file that is there already is kept.

    Args:
        folder: where; the scans go to `scans/`, the label maps to `labels/`, under the same names.
        num: how many.
        seed: body k is `torso(seed + k)`.
        size: voxels along x, y, z.
        spacing_mm: between voxels; by default the whole torso.
        with_labels: write the label maps as well.
    Returns:
        The scans' paths.
    Raises:
        DataError: a file that is there has another size.
    """
    folder, paths = Path(folder), phantom_paths(folder, num, seed=seed)
    for k, path in enumerate(paths):
        twin = folder / "labels" / path.name
        if path.exists() and (twin.exists() or not with_labels):
            check_size(path, size)
            continue
        phantom = torso(seed + k, size, spacing_mm)
        if with_labels:
            write_nifti(twin, phantom.labels, phantom)
        write_nifti(path, phantom.values[0], phantom)
    return paths


def phantom_paths(folder: Path | str, num: int, *, seed: int = 0) -> list[Path]:
    """Where `write_phantoms` writes the scans."""
    return [Path(folder) / "scans" / f"torso-{seed + k:03d}.nii.gz" for k in range(num)]


def check_size(path: Path, size: tuple[int, int, int]) -> None:
    """Refuse a scan that is there in another size.

    Raises:
        DataError: it has another size, or cannot be read.
    """
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{path}: cannot be read; remove it, and it is made anew") from error
    if (there := reader.GetSize()) != tuple(size):
        raise DataError(f"{path} has size {there}, wanted {tuple(size)}; use that size or another folder")


def write_nifti(path: Path, values: np.ndarray[Any, Any], phantom: Phantom) -> None:
    """Write one volume (X, Y, Z), LPS, the middle of the scan at the origin."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing(phantom.spacing_mm)
    image.SetOrigin([-0.5 * (n - 1) * step for n, step in zip(values.shape, phantom.spacing_mm, strict=True)])
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        whole = aside.with_name(f".part-{path.name}")  # SimpleITK picks the format by the name's end
        SimpleITK.WriteImage(image, str(whole), useCompression=True)
        whole.replace(aside)
