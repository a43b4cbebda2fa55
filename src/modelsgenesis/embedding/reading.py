"""How a scan is read to be embedded: as a network is to see it, with the voxels that its vectors are means over."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modelsgenesis.core.labels import Label
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.image_size import axes_of
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.intensity import BitDepth, Window
from modelsgenesis.data.masks import count_values, read_mask, read_on_grid
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.embedding.vectors import Regions, check_regions, foreground_of
from modelsgenesis.recipes import find_recipe
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.tasks.case_finder import names_of


@dataclass(frozen=True)
class Seen:
    """A scan as it was read.

    Attributes:
        image: as the network sees it.
        names: of the regions; one of no name is the scan.
        regions: (regions, *space), on its grid.
    """

    image: Image
    names: list[str]
    regions: Regions


@dataclass(frozen=True)
class ForNetwork:
    """Reads scans for a network; it may be sent to another process.

    Attributes:
        reading: of the scans.
        own_units: the intensities are those that the network was taught a task in, whatever a scan is; otherwise scans
            that are no CT are read by percentiles where a network was pre-trained on Hounsfield units.
        axes: of the images that the network takes.
        channels: of them.
        foreground: only what lies above the background counts.
        masks: of the scans, by name; None takes the scan as one region.
        folder: of the masks.
    """

    reading: Reading
    own_units: bool
    axes: int
    channels: int
    foreground: bool = True
    masks: Mapping[str, Source] | None = None
    folder: Path | None = None

    def __call__(self, case: Case) -> Seen | Problem:
        """Read a case, or say what is wrong with it."""
        try:
            image = self._image(case)
            names, regions = self._regions(case, image)
            check_regions(regions, case)
        except UnreadableError as error:
            return error.at(case.images[0].path)
        return Seen(image, names, regions)

    def _image(self, case: Case) -> Image:
        reading, declared = self.reading, case.images[0].modality
        if isinstance(reading.intensity, Window) and not self.own_units:
            anything = replace(reading, intensity=find_recipe("any").cubes.intensity)
            if declared not in ("", "CT"):
                reading = anything
            else:
                try:
                    return self._checked(read_image(case.images, reading))
                except UnreadableError:  # it is no CT, or cannot be read, which is said then
                    reading = anything
        return self._checked(read_image(case.images, reading))

    def _checked(self, image: Image) -> Image:
        there = len(image.size), len(image.values)
        if there != (self.axes, self.channels):
            raise UnreadableError(
                f"it has {there[0]} axes and {there[1]} channels, but the network takes {(self.axes, self.channels)}",
                "embed pictures and volumes, and scans of other channels, apart",
            )
        return image

    def mask_of(self, case: Case) -> Source | None:
        """The label map of a case, where regions are asked for and it has one."""
        return next((self.masks[name] for name in names_of(case) if name in self.masks), None) if self.masks else None

    def _regions(self, case: Case, image: Image) -> tuple[list[str], Regions]:
        """The names and the voxels of what a case's vectors are means over."""
        if self.masks is None:
            if self.foreground:
                return [""], foreground_of(image, case.images[0].modality)
            return [""], np.ones((1, *image.size), np.bool_)
        source = self.mask_of(case)
        if source is None:
            raise UnreadableError(f"it has no mask in {self.folder}", f"name it as the scan, such as {case.id}.nii.gz")
        values = [value for value in count_values(read_on_grid(source, image.geometry, "mask and image")) if value]
        if not values:
            raise UnreadableError("its mask is empty", "leave the scan out, or label it")
        target = Segmentation(tuple(Label(str(value), (value,)) for value in values))
        classes = read_mask(replace(case, masks=(source,)), target.label_map, image, self.reading)[0]
        found = [(str(value), classes == number) for number, value in enumerate(values, start=1)]
        there = [(name, region) for name, region in found if region.any()]  # the smallest may vanish by resampling
        if not there:
            return [], np.zeros((0, *image.size), np.bool_)
        return [name for name, _ in there], np.stack([region for _, region in there])


@dataclass(frozen=True)
class ForBaseline:
    """Reads scans for a baseline: CT in Hounsfield units, pictures by their bit depth, anything else by percentiles.

    Attributes:
        reading: of the scans, but for the intensities.
        axes: of all of them.
    """

    reading: Reading
    axes: int

    def __call__(self, case: Case) -> Seen | Problem:
        """Read a case, or say what is wrong with it."""
        try:
            image = self._image(case)
        except UnreadableError as error:
            return error.at(case.images[0].path)
        return Seen(image, [""], np.ones((1, *image.size), np.bool_))

    def _image(self, case: Case) -> Image:
        first = case.images[0]
        if axes_of(first) != self.axes:
            raise UnreadableError(f"it has {axes_of(first)} axes, and the first {self.axes}", "embed them apart")
        if self.axes == 2:
            return read_image(case.images, Reading(BitDepth()))
        if first.modality in ("", "CT"):
            try:
                return read_image(case.images, replace(self.reading, intensity=Window()))
            except UnreadableError:  # it is no CT, or cannot be read, which is said then
                pass
        return read_image(case.images, replace(self.reading, intensity=find_recipe("any").cubes.intensity))
