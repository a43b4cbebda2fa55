"""Reading a source into a volume, by SimpleITK."""

import numpy as np
import SimpleITK as sitk

from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry, Volume


def read_volume(source: Source) -> Volume:
    """Read a source."""
    image = sitk.ReadImage(str(source.path))
    geometry = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    values = geometry.to_lps(sitk.GetArrayFromImage(image).T)[np.newaxis]
    modality = source.modality or ("CT" if values.min() < -500 else "MR")
    return Volume(values, tuple(geometry.spacing_mm[axis] for axis in geometry.order), modality, geometry)
