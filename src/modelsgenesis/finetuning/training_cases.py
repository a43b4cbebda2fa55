"""What the training cases lack, for the user of a fine-tuning, and how fine they are, for its predictions."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.image_size import image_size_of
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.store.case_cache import CachedCase

MOST_NAMED = 12  # labels in a line


def warnings_of(task_modality: str, target: Target, reading: Reading, cases: Sequence[CachedCase]) -> Iterator[str]:
    """Lines for the user, before the training.

    Args:
        task_modality: as the data declare it, or "".
        target: of the task.
        reading: how images are read.
        cases: to train on.
    """
    if isinstance(reading.intensity, Percentiles) and not task_modality:
        yield (
            "modality: nobody said, so each image is scaled by its own percentiles; if these are CT, --modality CT "
            "reads them in Hounsfield units"
        )
    if not target.dense:  # a class without a case is refused by its learner
        return
    held = [sum(case.num_voxels[k] > 0 for case in cases) for k in range(len(target.labels))]
    if never := [name for name, num in zip(target.names, held, strict=True) if not num]:
        more = f" and {len(never) - MOST_NAMED} more" if len(never) > MOST_NAMED else ""
        named = ", ".join(never[:MOST_NAMED]) + more
        yield f"warning: no training case holds {named}, so that cannot be learned; use more cases, or leave it out"
    if empty := sum(not any(case.num_voxels) for case in cases):
        yield f"warning: the masks of {empty} of {len(cases)} training cases are empty; is nothing there to be found?"


def middle_spacing_mm(cases: Sequence[Case]) -> list[float] | None:
    """The median spacing of cases along X, Y and Z; None where their files do not tell."""
    first = [case.images[0] for case in cases]
    if not all(source.format.knows_spacing for source in first):
        return None
    scans = functools.cache(image_size_of)  # of candidates, a scan has many
    steps = np.median([scans(source.whole()).spacing_mm for source in first], axis=0)
    return [round(float(step), 4) for step in steps]
