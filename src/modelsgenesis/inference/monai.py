"""Those steps of `genesis predict` for which MONAI has no equal, as its dictionary transforms, for exported bundles."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from numpy.typing import NDArray
from torch import Tensor

from modelsgenesis.core.image_format import MAX_VOXELS
from modelsgenesis.core.naming import rebuild
from modelsgenesis.data.images import scaled
from modelsgenesis.data.intensity import Intensity, ZScore
from modelsgenesis.data.intensity_statistics import fill_missing, guess_modality, sample_of, summarise
from modelsgenesis.data.resampling import resample
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.resample_to_source import make_axis

KEPT = (np.int8, np.uint8, np.int16, np.uint16)  # resampled as they are; anything wider as float32
LPS = np.diag([-1.0, -1.0, 1.0])  # of MONAI's axes, which are RAS

Data = Mapping[Hashable, Any]


class Resampled(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """Resample images in their files' own axes: whole voxels are averaged first where they grow twofold or more.

    MONAI's Spacing lets the first centres coincide, this the borders. Its inverse interpolates linearly, as is right
    for probabilities, and cuts or fills to the file's own size.

    Args:
        keys: of the images, (C, *file's axes), as LoadImage with dtype None and EnsureChannelFirst give them.
        spacing_mm: along X, Y and Z of LPS.
        allow_missing_keys: as in MONAI.
    """

    def __init__(self, keys: KeysCollection, spacing_mm: Sequence[float], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.spacing_mm = tuple(float(step) for step in spacing_mm)

    def __call__(self, data: Data) -> dict[Hashable, Any]:
        """Resample each image."""
        done = dict(data)
        for key in self.key_iterator(done):
            done[key] = self._forward(done[key])
        return done

    def inverse(self, data: Data) -> dict[Hashable, Any]:
        """Resample each image back to the grid of its file."""
        done = dict(data)
        for key in self.key_iterator(done):
            done[key] = self._backward(done[key])
        return done

    def _forward(self, image: MetaTensor) -> MetaTensor:
        affine = image.affine.cpu().numpy().astype(np.float64)
        size = tuple(int(side) for side in image.shape[1:])
        geometry = geometry_of(affine, size)
        steps = tuple(self.spacing_mm[geometry.order.index(axis)] for axis in range(3))
        channels = np.stack([_resample(part, geometry, steps) for part in image.cpu().numpy()])
        made = MetaTensor(torch.from_numpy(channels), meta=image.meta, applied_operations=image.applied_operations)
        made.affine = torch.from_numpy(_affine(affine, geometry.spacing_mm, steps))
        self.push_transform(
            made,
            orig_size=size,
            extra_info={"before_mm": geometry.spacing_mm, "after_mm": steps, "affine": affine, "order": geometry.order},
        )
        return made

    def _backward(self, image: MetaTensor) -> MetaTensor:
        record = self.pop_transform(image)
        known = record["extra_info"]
        values: Tensor = image.as_tensor()
        for axis in reversed(known["order"]):  # as predict's own way back, so that even the rounding is the same
            before, after = known["before_mm"][axis], known["after_mm"][axis]
            plan = make_axis(values.shape[axis + 1], after, record["orig_size"][axis], before)
            values = plan.along(values, axis + 1)
        back = MetaTensor(values, meta=image.meta, applied_operations=image.applied_operations)
        back.affine = torch.as_tensor(known["affine"])
        return back


class Filled(MapTransform):  # type: ignore[misc]
    """Replace NaN and infinities of each channel by its least finite value, which MONAI's scaling would hand on.

    Args:
        keys: of the images, (C, X, Y, Z).
        allow_missing_keys: as in MONAI.
    """

    def __call__(self, data: Data) -> dict[Hashable, Any]:
        """Fill each image."""
        done = dict(data)
        for key in self.key_iterator(done):
            image = done[key]
            channels = np.stack([fill_missing(part)[0] for part in image.cpu().numpy()])
            done[key] = MetaTensor(
                torch.from_numpy(channels), meta=image.meta, applied_operations=image.applied_operations
            )
        return done


class Scaled(MapTransform):  # type: ignore[misc]
    """Scale each channel to [0, 1] by statistics of its own voxels: percentiles of the foreground, or z-scores.

    Args:
        keys: of the images, (C, X, Y, Z) in LPS.
        intensity: as `core.naming.describe` gives it, since a bundle's configuration is data.
        allow_missing_keys: as in MONAI.
    """

    def __init__(self, keys: KeysCollection, intensity: Mapping[str, Any], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.intensity: Intensity = rebuild(dict(intensity))

    def __call__(self, data: Data) -> dict[Hashable, Any]:
        """Scale each image."""
        done = dict(data)
        for key in self.key_iterator(done):
            image = done[key]
            channels = self._scale(np.stack([fill_missing(part)[0] for part in image.cpu().numpy()]))
            done[key] = MetaTensor(
                torch.from_numpy(channels), meta=image.meta, applied_operations=image.applied_operations
            )
        return done

    def _scale(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Scale each channel, (C, X, Y, Z)."""
        if isinstance(self.intensity, ZScore) and self.intensity.masked:
            return scaled(*self.intensity.measured(values))
        samples = [(part, sample_of(part)) for part in values[:, np.newaxis]]
        statistics = [summarise(part, sample, guess_modality(sample)) for part, sample in samples]
        return scaled(values, [self.intensity.limits(found) for found in statistics])


def geometry_of(affine: NDArray[np.float64], size: tuple[int, ...]) -> Geometry:
    """Where the voxels of a file lie.

    Args:
        affine: (4, 4), from voxels to mm in RAS, as MONAI keeps it.
        size: voxels along the file's axes.
    """
    frame = LPS @ affine[:3, :3]
    spacing = np.linalg.norm(frame, axis=0)
    origin, direction = LPS @ affine[:3, 3], frame / spacing
    return Geometry(size, tuple(spacing.tolist()), tuple(origin.tolist()), tuple(direction.ravel().tolist()))


def _affine(affine: NDArray[np.float64], before_mm: Sequence[float], after_mm: Sequence[float]) -> NDArray[np.float64]:
    """The affine of a grid of other steps whose borders coincide with those of a file where its axes begin."""
    made = affine.copy()
    ratio = np.array(after_mm) / np.array(before_mm)
    made[:3, :3] = affine[:3, :3] * ratio
    made[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((ratio - 1) / 2)
    return made


def _resample(values: NDArray[Any], geometry: Geometry, steps: tuple[float, ...]) -> NDArray[np.float32]:
    """One channel, in the file's own axes, read and resampled as `read_volume` does."""
    kept = values if values.dtype.type in KEPT else values.astype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(kept.T))
    image.SetSpacing(geometry.spacing_mm)  # where the axes begin and point makes no difference along them
    made = sitk.GetArrayFromImage(resample(image, steps, MAX_VOXELS)).T
    return np.ascontiguousarray(made, np.float32)
