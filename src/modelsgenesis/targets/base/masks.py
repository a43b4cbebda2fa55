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
        """Tabulate the volume of each label; of pictures its pixels."""
        unit = unit_of(found[0]) if found else "ml"
        head = ("label", "value", "cases", *(f"{which} ({unit})" for which in ("smallest", "median", "largest")))
        rows = []
        for k, label in enumerate(self.labels):
            there = sorted(sizes_of(finding)[k] for finding in found if finding.voxels and finding.voxels[k])
            ends = (there[0], float(np.median(there)), there[-1]) if there else ()
            row = (label.name, ", ".join(map(str, label.values)), str(len(there)), *map(_rounded, ends))
            rows.append(row + ("",) * (len(head) - len(row)))
        return head, rows

    def in_words(self, finding: Finding) -> str:
        """List the sizes of the labels, or count them where they are many."""
        there = [(name, size) for name, size in zip(self.names, sizes_of(finding), strict=False) if size]
        if len(there) > FEW:
            return f"{len(there)} of {many(len(self.labels), 'label')}"
        return ", ".join(f"{name}: {_rounded(size)} {unit_of(finding)}" for name, size in there) or "none"

    def examples(self, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
        """Choose the cases of which the least, a middling and the greatest part is labelled."""
        ranked = sorted((one for one in found if any(one.voxels)), key=lambda one: sum(sizes_of(one)))
        chosen = extremes(found, ranked, "least labelled", "most labelled")
        return [(one, f"{why} ({self.in_words(one)})") for one, why in chosen]

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


def unit_of(finding: Finding) -> str:
    """The unit of sizes: a picture does not say how large its pixels are."""
    return "pixels" if len(finding.size) == 2 else "ml"


def sizes_of(finding: Finding) -> list[float]:
    """The volume of each label in millilitres; of a picture its pixels."""
    each = 1.0 if unit_of(finding) == "pixels" else float(np.prod(finding.spacing_mm)) / 1000
    return [voxels * each for voxels in finding.voxels]


def _rounded(size: float) -> str:
    return f"{size:.3g}" if size < 999.5 else f"{size:,.0f}"
