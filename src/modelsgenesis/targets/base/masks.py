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
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.volume import Geometry
from modelsgenesis.targets.base.mask_findings import telling_volumes, volumes_in_words, volumes_table

if TYPE_CHECKING:
    from modelsgenesis.data.case import Case


class Masks(MaskTarget):
    """A target of masks, trained as a network of one logit a voxel and output."""

    def read_voxels(self, case: "Case", image: Image, reading: Reading) -> NDArray[np.uint8]:
        """The masks on the image's grid, as the label map has them."""
        from modelsgenesis.data.masks import read_mask  # here: networks are trained without what reads files

        return read_mask(case, self.label_map, image, reading)

    def network(self, backbone: Backbone, *, hidden: int) -> nn.Module:
        """The backbone itself."""
        return backbone

    def occurring(self, finding: Finding) -> tuple[int, ...]:
        """The labels with a voxel."""
        return tuple(k for k, voxels in enumerate(finding.voxels) if voxels)

    def labels_table(self, found: Sequence[Finding]) -> tuple[Row, list[Row]]:
        """Volumes of each label."""
        return volumes_table(self, found)

    def in_words(self, finding: Finding, unit: str = "") -> str:
        """The volumes of the labels."""
        return volumes_in_words(self, finding, unit)

    def telling(self, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
        """The extremes of the labelled volume."""
        return telling_volumes(self, found)

    def examine(self, case: "Case", geometry: Geometry) -> tuple[int, ...]:
        """Count the voxels of each label, as the files have them."""
        from modelsgenesis.data.masks import read_classes

        label_map = self.label_map
        classes = read_classes(case, label_map, geometry)
        counts: NDArray[Any] = sum((label_map.count(plane) for plane in planes_of(classes)), np.zeros(1, np.int64))
        return tuple(int(count) for count in counts)

    def pictured(self, case: "Case", image: Image, reading: Reading) -> NDArray[np.uint8]:
        """The mask."""
        return self.read_voxels(case, image, reading)
