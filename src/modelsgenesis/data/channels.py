"""The channels of a case, read from its files onto one grid."""

from collections.abc import Sequence

import numpy as np

from modelsgenesis.data.images import Image, Reading, check_same_grid
from modelsgenesis.data.intensity import Window, ZScore
from modelsgenesis.data.intensity_statistics import fill_missing, guess_modality, raw_ct_notes, sample_of, summarise
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source


def read_image(sources: Sequence[Source], reading: Reading) -> Image:
    """Read the channels of a case.

    Args:
        sources: one a channel; any format that `prepare` reads.
        reading: how.
    Raises:
        UnreadableError: a source cannot be read, the channels' grids differ, or one is no CT and the window is in HU.
    """
    parts: list[Image] = []
    limits: list[tuple[float, float]] = []
    notes: list[str] = []
    for source in sources:
        first = parts[0].geometry if parts else None
        volume = read_volume(source, spacing_mm=reading.spacing_mm, fit=reading.fit, like=first, voi=reading.voi)
        notes += check_same_grid(first or volume.geometry, volume.geometry, "its channels")
        values, filled = fill_missing(volume.values)
        sample = sample_of(values)
        modality, raw = volume.modality or guess_modality(sample), raw_ct_notes(sample, volume.modality)
        if isinstance(reading.intensity, Window) and modality == "MR":
            raise UnreadableError(
                f"the network reads Hounsfield units, but {raw[0] if raw else 'this is MRI'}",
                "or use a network fine-tuned on such scans"
                if raw
                else "use a network fine-tuned on MRI, or, if it is CT, name it in a CSV with a column modality",
            )
        if isinstance(reading.intensity, Window) and source.format.axes == 2:
            raise UnreadableError(
                "the network reads Hounsfield units, but this is a picture", "use a network fine-tuned on pictures"
            )
        limits += [reading.intensity.limits(summarise(values, sample, modality, volume.levels))] * len(values)
        notes += [*volume.notes, *filled, *raw]
        parts.append(Image(values, (), volume.spacing_mm, volume.geometry))
    values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
    if isinstance(reading.intensity, ZScore) and reading.intensity.masked:  # the mask is that of all channels
        values, limits = reading.intensity.measured(values)
    return Image(values, tuple(limits), parts[0].spacing_mm, parts[0].geometry, tuple(notes))
