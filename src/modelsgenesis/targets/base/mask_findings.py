"""What an inspection tells of masks: how large each label is, and in which cases."""

from collections.abc import Sequence

import numpy as np

from modelsgenesis.core.target import Finding, Row, Target
from modelsgenesis.targets.base.telling import extremes

HEAD = ("label", "value", "cases", "smallest (ml)", "median (ml)", "largest (ml)")
FEW = 4  # labels that fit into a cell one by one


def volumes_ml(finding: Finding) -> list[float]:
    """The volume of each label in millilitres."""
    return [voxels * float(np.prod(finding.spacing_mm)) / 1000 for voxels in finding.voxels]


def volumes_table(target: Target, found: Sequence[Finding]) -> tuple[Row, list[Row]]:
    """The head and the rows of a table of the labels' volumes."""
    rows = []
    for k, label in enumerate(target.labels):
        there = sorted(volumes_ml(finding)[k] for finding in found if finding.voxels and finding.voxels[k])
        ends = (there[0], float(np.median(there)), there[-1]) if there else ()
        row = (label.name, ", ".join(map(str, label.values)), str(len(there)), *map(_ml, ends))
        rows.append(row + ("",) * (len(HEAD) - len(row)))
    return HEAD, rows


def volumes_in_words(target: Target, finding: Finding, unit: str = "") -> str:
    """Each label's volume, or how many labels there are."""
    there = [(name, ml) for name, ml in zip(target.names, volumes_ml(finding), strict=False) if ml]
    if len(there) > FEW:
        return f"{len(there)} of {len(target.labels)} labels"
    return ", ".join(f"{name}: {_ml(ml)}{unit}" for name, ml in there) or "none"


def telling_volumes(target: Target, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
    """The first case, and those with least, most and a middling volume labelled."""
    ranked = sorted((one for one in found if any(one.voxels)), key=lambda one: sum(volumes_ml(one)))
    chosen = extremes(found, ranked, "least labelled", "most labelled")
    return [(one, f"{why} ({volumes_in_words(target, one, ' ml')})") for one, why in chosen]


def _ml(volume: float) -> str:
    return f"{volume:.3g}" if volume < 999.5 else f"{volume:,.0f}"
