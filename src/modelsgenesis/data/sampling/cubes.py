"""Cubes of volumes, and squares of pictures, cut at random straight from the store, at training time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.intensity import Intensity, Window
from modelsgenesis.data.occupancy import unwanted
from modelsgenesis.data.sampling.crop_rules import CROP_RULES, CropRule, draw_location
from modelsgenesis.data.store.columns import Scans
from modelsgenesis.data.store.store import Scan, Store

MEASURED_AT_ONCE = 65_536  # scans, by the manifest: the numbers of all of them would need much memory
MOST_LIMITS = 4096  # scans whose maps' measures are kept
BALANCED = ("modality", "site")  # columns of the manifest
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
        balance: a column of BALANCED, each of whose values is as likely; "" has each scan as likely.
    Raises:
        DataError: an unknown rule or balance, or a size that is not two or three positive numbers.
    """

    size: tuple[int, ...] = (64, 64, 32)
    intensity: Intensity = field(default_factory=Window)
    rule: str = "lung"
    balance: str = field(default="", metadata={"only_if_set": True})

    def __post_init__(self) -> None:
        if self.rule not in CROP_RULES:
            raise DataError(f"no rule {self.rule!r} for where cubes are cut; there are: {', '.join(CROP_RULES)}")
        if self.balance not in ("", *BALANCED):
            raise DataError(f"cubes cannot be balanced by {self.balance!r}, only by {' or '.join(BALANCED)}")
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
    cube file counts as the number of scans it was cut from. Within a scan every place that obeys the rule is as likely;
    within the slices of one, every slice that has such a place. With a balance, every value of its column is as likely
    that a scan has which gives cubes; within it, scans are as likely to each other as without.

    Args:
        store: to cut from.
        spec: what a cube is.
        scans: to cut from; all of the store by default.
    Attributes:
        scans: those that cubes are cut from.
        too_small: those that are smaller than a cube.
        lacking: the others that give no cube, for want of a place that obeys the rule.
    Raises:
        DataError: no scan gives a cube; the message gives the reasons. Or cubes are wanted of pictures, or the reverse;
            or of each site, and a scan's is not known.
    """

    def __init__(self, store: Store, spec: CubeSpec, scans: Sequence[Scan] | None = None) -> None:
        self.store, self.spec = store, spec
        check_axes(store, spec.size)
        self.rule = CROP_RULES[spec.rule]
        self._limits: dict[str, NDArray[np.float64]] = {}
        given, said = Scans.of(store.scans if scans is None else scans), nouns(store.axes)
        large: NDArray[np.bool_] = np.all(given.sizes >= spec.size, axis=1)
        self.too_small, fitting = given.where(~large), given.where(large)
        known = self._known(fitting)
        admitted = known <= self.rule.at_worst
        for number in np.flatnonzero(~admitted).tolist():
            admitted[number] = not np.isnan(self._limits_of(fitting[number])).all()
        self.lacking, self.scans = fitting.where(~admitted), fitting.where(admitted)
        self._surely_good = known[admitted] <= self.rule.most
        if not self.scans:
            some = "; ".join(
                f"{scan.id}{store.source_of(scan.id)}: {self._reason(scan)}"
                for scan in [*self.too_small[:3], *self.lacking[:3]][:3]
            )
            raise DataError(
                f"none of the {many(len(given), said.scan)} gives a {said.cube} of {spec.size} {said.voxel}s "
                f"({some or 'none given'})"
            )
        weights = self._weights()
        self._cumulative = np.cumsum(weights) / weights.sum()

    def sample(self, rng: np.random.Generator) -> Cube:
        """Cut one cube; the same generator gives the same cube.

        Args:
            rng: the sample's own generator, from `generator_for(seed, index)`.
        """
        number = min(int(np.searchsorted(self._cumulative, rng.random(), side="right")), len(self.scans) - 1)
        scan = self.scans[number]
        limits = np.array([self.rule.most]) if self._is_sure(number, scan) else self._limits_of(scan)
        offered = np.flatnonzero(~np.isnan(limits))
        index = int(offered[rng.integers(len(offered))]) if scan.num_cubes > 1 else int(offered[0])
        lower = self._draw_place(scan, index, float(limits[index]), rng)
        image = self.store.read_scaled(scan, lower, self.spec.size, self.spec.intensity, index=index)
        return Cube(image, scan, lower, index)

    def _weights(self) -> NDArray[np.float64]:
        """How likely each scan is, up to a factor.

        Raises:
            DataError: each site is to be as likely, and the store does not say of a scan where it comes from.
        """
        per_scan = self.scans.column("num_cubes") / self.scans.column("cubes_per_scan")
        weights: NDArray[np.float64] = np.maximum(1.0, per_scan)
        if not self.spec.balance:
            return weights
        values = self.scans.column(self.spec.balance)
        if self.spec.balance == "site" and not values.all():
            raise DataError(
                f"{self.store.path} does not say from which site {many(int((values == 0).sum()), 'scan')} of "
                f"{len(values)} come; join a store of each site with genesis prepare --join, or leave --balance out"
            )
        group = np.unique(values, return_inverse=True)[1]
        balanced: NDArray[np.float64] = weights / np.bincount(group, weights)[group]
        return balanced

    @property
    def left_out(self) -> dict[str, str]:
        """The scans that give no cube, by id, with the reason."""
        return {scan.id: self._reason(scan) for scan in (*self.too_small, *self.lacking)}

    def _is_sure(self, number: int, scan: Scan) -> bool:
        """Whether its one image is known to have good places, and no map has to be measured for it."""
        return scan.num_cubes == 1 and bool(self._surely_good[number])

    def _draw_place(self, scan: Scan, index: int, most: float, rng: np.random.Generator) -> tuple[int, ...]:
        rule = self._rule_of(scan)
        wrong = self._wrong(scan, index) if rule.cells else None
        return draw_location(rule.spans(scan.size, self.spec.size), self.spec.size, wrong, most, rng)

    def _rule_of(self, scan: Scan) -> CropRule:
        """The rule, but of official cube files, whose makers chose the places already."""
        return CROP_RULES["anywhere"] if scan.num_cubes > 1 and len(scan.size) == 3 else self.rule

    def _wrong(self, scan: Scan, index: int | slice) -> NDArray[np.uint8]:
        """The cells of an image, or of a slice of a scan's, of which a cube may have only few."""
        cells = self.store.foreground_map(scan, self.rule.cells)
        return unwanted(cells.reshape(scan.num_cubes, *cells.shape[-len(scan.size) :])[index], self.rule.cells)

    def _known(self, scans: Scans) -> NDArray[np.float64]:
        """How much of what is unwanted each scan's best cube has at most, by the manifest; 1 where it says nothing."""
        official = (scans.column("num_cubes") > 1) & (scans.axes == 3)
        known = np.where(official | (not self.rule.cells), 0.0, 1.0)
        for first in range(0, len(scans) if self.rule.cells else 0, MEASURED_AT_ONCE):
            some = slice(first, first + MEASURED_AT_ONCE)
            boxes, sizes = scans[some].column("occupancy"), scans[some].sizes
            measured = (boxes[:, 0] >= 0) & ~official[some]
            known[some][measured] = self.rule.known(boxes[measured], sizes[measured], self.spec.size)
        return known

    def _limits_of(self, scan: Scan) -> NDArray[np.float64]:
        """How much of what is unwanted a cube of each image may have, by its map; NaN where an image gives none."""
        if scan.id not in self._limits:
            if len(self._limits) >= MOST_LIMITS:
                self._limits.clear()
            rule, limits = self._rule_of(scan), np.ones(scan.num_cubes)
            if rule.cells:
                limits = rule.limits(self._wrong(scan, slice(None)), scan.size, self.spec.size)
            self._limits[scan.id] = limits
        return self._limits[scan.id]

    def _reason(self, scan: Scan) -> str:
        """Why a scan gives no cube."""
        if all(side <= whole for side, whole in zip(self.spec.size, scan.size, strict=True)):
            return self.rule.lacks
        said = nouns(len(scan.size))
        return f"it has {scan.size} {said.voxel}s, fewer than the {said.cube}'s {self.spec.size}; use a smaller --size"
