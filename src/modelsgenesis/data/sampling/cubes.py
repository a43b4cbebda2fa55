"""Cubes of volumes, and squares of pictures, cut at random straight from the store, at training time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.intensity import Intensity, Window
from modelsgenesis.data.sampling.crop_rules import CROP_RULES, draw_location
from modelsgenesis.data.store.store import Scan, Store

RECIPES = {
    2: ("chest-xray", "chest-ct-2d", "small-2d"),
    3: ("chest-ct", "small", "any"),
}  # to name in errors; the last are for any units


@dataclass(frozen=True)
class CubeSpec:
    """The size, intensity and choice of cubes.

    Args:
        size: voxels along X, Y, Z, at the store's spacing; of pictures, pixels along X and Y.
        intensity: how values become [0, 1].
        rule: where cubes are cut: "lung" (the paper's: at most 15 % tissue, away from the borders), "not_mostly_air"
            (at least a quarter of the voxels above the background) or "anywhere".
    Raises:
        DataError: an unknown rule, or a size that is not two or three positive numbers.
    """

    size: tuple[int, ...] = (64, 64, 32)
    intensity: Intensity = field(default_factory=Window)
    rule: str = "lung"

    def __post_init__(self) -> None:
        if self.rule not in CROP_RULES:
            raise DataError(f"no rule {self.rule!r} for where cubes are cut; there are: {', '.join(CROP_RULES)}")
        if len(self.size) not in (2, 3) or any(side < 1 for side in self.size):
            raise DataError(
                f"a cube needs three sides of at least one voxel, and a crop of pictures two, got {self.size}; "
                "the paper's is 64 64 32"
            )


@dataclass(frozen=True)
class Cube:
    """A cube cut from a scan.

    Attributes:
        image: (C, *size), float32 in [0, 1].
        scan: where from.
        lower: its first voxel, along X, Y, Z.
        index: which array of an official cube file; 0 otherwise.
    """

    image: NDArray[np.float32]
    scan: Scan
    lower: tuple[int, ...]
    index: int = 0

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of which a learner makes its views."""
        return {"image": self.image}


def check_axes(store: Store, size: tuple[int, ...]) -> None:
    """Raise DataError if a size is for pictures and the store holds volumes, or the reverse."""
    if len(size) != store.axes:
        wanted, held = ("volumes", "pictures") if store.axes == 2 else ("pictures", "volumes")
        raise DataError(
            f"a size of {len(size)} sides, {size}, is for {wanted}, and the store {store.path} holds "
            f"{held}; use a recipe for {held}: {', '.join(RECIPES[store.axes])}"
        )


class CubeSampler:
    """Cuts cubes at random places.

    Every scan is as likely as another, whatever its size, as in the paper, which takes 32 cubes of each; an official
    cube file counts as the number of scans it was cut from. Within a scan every place that obeys the rule is as likely.

    Args:
        store: to cut from.
        spec: what a cube is.
        scans: to cut from; all of the store by default.
    Attributes:
        scans: those that cubes are cut from.
        left_out: the scans that give no cube, by id, with the reason.
        too_small: those of them that are smaller than a cube.
    Raises:
        DataError: no scan gives a cube; the message gives the reasons. Or cubes are wanted of pictures, or the reverse.
    """

    def __init__(self, store: Store, spec: CubeSpec, scans: Sequence[Scan] | None = None) -> None:
        self.store, self.spec = store, spec
        check_axes(store, spec.size)
        self._rule = CROP_RULES[spec.rule]
        self._limits: dict[str, float] = {}  # how wrong, by the rule, a cube of each scan may be
        self.left_out: dict[str, str] = {}
        self.too_small: list[Scan] = []
        given, said = list(store.scans if scans is None else scans), nouns(store.axes)
        self.scans = [scan for scan in given if self._admit(scan)]
        if not self.scans:
            some = "; ".join(
                f"{id_}{store.source_of(id_)}: {reason}" for id_, reason in list(self.left_out.items())[:3]
            )
            raise DataError(
                f"none of the {many(len(given), said.scan)} gives a {said.cube} of {spec.size} {said.voxel}s "
                f"({some or 'none given'})"
            )
        weights = np.array([max(1.0, scan.num_cubes / scan.cubes_per_scan) for scan in self.scans])
        self._cumulative = np.cumsum(weights) / weights.sum()

    def sample(self, rng: np.random.Generator) -> Cube:
        """Cut one cube; the same generator gives the same cube.

        Args:
            rng: the sample's own generator, from `generator_for(seed, index)`.
        """
        number = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        scan = self.scans[min(number, len(self.scans) - 1)]
        index = int(rng.integers(scan.num_cubes)) if scan.num_cubes > 1 else 0
        lower = self._draw_place(scan, rng)
        image = self.store.read_scaled(scan, lower, self.spec.size, self.spec.intensity, index=index)
        return Cube(image, scan, lower, index)

    def _draw_place(self, scan: Scan, rng: np.random.Generator) -> tuple[int, ...]:
        if scan.num_cubes > 1:  # its makers chose the places already
            return draw_location(
                CROP_RULES["anywhere"].spans(scan.size, self.spec.size), self.spec.size, None, 1.0, rng
            )
        spans = self._rule.spans(scan.size, self.spec.size)
        return draw_location(spans, self.spec.size, self._wrong(scan), self._limits[scan.id], rng)

    def _wrong(self, scan: Scan) -> NDArray[np.uint8] | None:
        """The cells of which a cube may have only few; None when any place is good."""
        if not self._rule.cells:
            return None
        cells = self.store.foreground_map(scan, self._rule.cells)
        return 255 - cells if self._rule.inverted else cells

    def _admit(self, scan: Scan) -> bool:
        """Whether a scan gives cubes; if not, the reason is added to `left_out`."""
        if any(side > whole for side, whole in zip(self.spec.size, scan.size, strict=True)):
            said = nouns(len(scan.size))
            self.too_small.append(scan)
            self.left_out[scan.id] = (
                f"it has {scan.size} {said.voxel}s, fewer than the {said.cube}'s {self.spec.size}; use a smaller --size"
            )
            return False
        wrong = None if scan.num_cubes > 1 else self._wrong(scan)
        limit = 1.0 if wrong is None else self._rule.limit(wrong, scan.size, self.spec.size)
        if limit is None:
            self.left_out[scan.id] = self._rule.lacks
            return False
        self._limits[scan.id] = limit
        return True
