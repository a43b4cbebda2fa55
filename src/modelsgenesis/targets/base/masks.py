"""What targets of masks have in common, whether their labels overlap or not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.labels import planes_of
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.target import Finding, Row
from modelsgenesis.core.words import many
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.volume import Geometry
from modelsgenesis.targets.base.examples import extremes

if TYPE_CHECKING:
    from modelsgenesis.data.case import Case

HEAD = ("label", "value", "cases", "smallest (ml)", "median (ml)", "largest (ml)")
FEW = 4  # labels that fit into a cell one by one


class Masks(MaskTarget):
    """A target of masks, trained as a network of one logit a voxel and output."""

    def read_voxels(self, case: "Case", image: Image, reading: Reading) -> NDArray[np.uint8]:
        """Read the masks on the image's grid, as the label map has them."""
        from modelsgenesis.data.masks import read_mask  # here: networks are trained without what reads files

        return read_mask(case, self.label_map, image, reading)

    def network(self, backbone: Backbone, *, hidden: int) -> nn.Module:
        """Train the backbone itself."""
        return backbone

    def occurring(self, finding: Finding) -> tuple[int, ...]:
        """List the labels that have a voxel."""
        return tuple(k for k, voxels in enumerate(finding.voxels) if voxels)

    def labels_table(self, found: Sequence[Finding]) -> tuple[Row, list[Row]]:
        """Tabulate the volume of each label."""
        rows = []
        for k, label in enumerate(self.labels):
            there = sorted(volumes_ml(finding)[k] for finding in found if finding.voxels and finding.voxels[k])
            ends = (there[0], float(np.median(there)), there[-1]) if there else ()
            row = (label.name, ", ".join(map(str, label.values)), str(len(there)), *map(_ml, ends))
            rows.append(row + ("",) * (len(HEAD) - len(row)))
        return HEAD, rows

    def in_words(self, finding: Finding, unit: str = "") -> str:
        """List the volumes of the labels, or count them where they are many."""
        there = [(name, ml) for name, ml in zip(self.names, volumes_ml(finding), strict=False) if ml]
        if len(there) > FEW:
            return f"{len(there)} of {many(len(self.labels), 'label')}"
        return ", ".join(f"{name}: {_ml(ml)}{unit}" for name, ml in there) or "none"

    def examples(self, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
        """Choose the cases of the least, a middling and the greatest labelled volume."""
        ranked = sorted((one for one in found if any(one.voxels)), key=lambda one: sum(volumes_ml(one)))
        chosen = extremes(found, ranked, "least labelled", "most labelled")
        return [(one, f"{why} ({self.in_words(one, ' ml')})") for one, why in chosen]

    def examine(self, case: "Case", geometry: Geometry) -> tuple[int, ...]:
        """Count the voxels of each label, as the files have them."""
        from modelsgenesis.data.masks import read_classes

        label_map = self.label_map
        classes = read_classes(case, label_map, geometry)
        counts: NDArray[Any] = sum((label_map.count(plane) for plane in planes_of(classes)), np.zeros(1, np.int64))
        return tuple(int(count) for count in counts)

    def pictured(self, case: "Case", image: Image, reading: Reading) -> NDArray[np.uint8]:
        """Draw the mask."""
        return self.read_voxels(case, image, reading)


def volumes_ml(finding: Finding) -> list[float]:
    """The volume of each label in millilitres."""
    return [voxels * float(np.prod(finding.spacing_mm)) / 1000 for voxels in finding.voxels]


def _ml(volume: float) -> str:
    return f"{volume:.3g}" if volume < 999.5 else f"{volume:,.0f}"
