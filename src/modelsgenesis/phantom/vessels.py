"""Branching trees that fill an organ: vessels and airways, thinner at every fork by Murray's law."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelsgenesis.phantom.canvas import Array


@dataclass(frozen=True)
class Tree:
    """A tree of nodes.

    Attributes:
        nodes_mm: (n, 3), the root first.
        parent: (n,), the index of each node's parent; the root's is 0.
        radius_mm: (n,).
    """

    nodes_mm: Array
    parent: np.ndarray[tuple[int], np.dtype[np.int64]]
    radius_mm: Array

    def segments(self, least_mm: float = 0.0, scale: float = 1.0, offset_mm: tuple[float, ...] = (0, 0, 0)) -> Array:
        """The branches of at least a radius as tubes (n, 8), widened and moved aside on request."""
        chosen = np.flatnonzero(self.radius_mm >= least_mm)
        chosen = chosen[chosen > 0]
        ends, starts = self.nodes_mm[chosen] + offset_mm, self.nodes_mm[self.parent[chosen]] + offset_mm
        radius = self.radius_mm * scale
        before = np.minimum(radius[self.parent[chosen]], 1.35 * radius[chosen])
        return np.column_stack([starts, ends, before, radius[chosen]]).astype(np.float32)


def grow(roots_mm: Sequence[Any], targets_mm: Array, *, tip_mm: float, power: float = 2.7) -> Tree:
    """Grow a tree that reaches every target.

    Targets are joined one by one, the nearest to the root first, each to the node that makes the way from the root
    short and the new branch short; branches leave in the direction of their parent and bend towards the target.

    Args:
        roots_mm: the points of the trunk, from the root on.
        targets_mm: (n, 3), where the tips shall be.
        tip_mm: radius of a tip.
        power: of Murray's law, r^power = sum of the children's r^power.
    """
    trunk = np.array(roots_mm, np.float32)
    room = len(trunk) + 4 * len(targets_mm)
    nodes, parent, way = np.zeros((room, 3), np.float32), np.zeros(room, np.int64), np.zeros(room, np.float32)
    nodes[: len(trunk)], parent[1 : len(trunk)] = trunk, np.arange(len(trunk) - 1)
    way[1 : len(trunk)] = np.cumsum(np.linalg.norm(np.diff(trunk, axis=0), axis=1))
    num = len(trunk)
    for target in targets_mm[np.argsort(np.linalg.norm(targets_mm - trunk[-1], axis=1))]:
        apart = np.linalg.norm(nodes[:num] - target, axis=1)
        joint = int(np.argmin(apart + 0.28 * way[:num]))
        ahead = nodes[joint] - nodes[parent[joint]]
        ahead /= max(float(np.linalg.norm(ahead)), 1e-3)
        handle = nodes[joint] + 0.42 * apart[joint] * ahead
        for t in (0.3, 0.65, 1.0):  # a quadratic Bezier curve that starts along the parent
            nodes[num] = (1 - t) ** 2 * nodes[joint] + 2 * t * (1 - t) * handle + t * t * target
            parent[num] = num - 1 if t > 0.3 else joint
            way[num] = way[parent[num]] + np.linalg.norm(nodes[num] - nodes[parent[num]])
            num += 1
    return Tree(nodes[:num], parent[:num], murray(parent[:num], tip_mm, power))


def murray(parent: np.ndarray[tuple[int], np.dtype[np.int64]], tip_mm: float, power: float) -> Array:
    """Compute the radii from the tips upwards, in mm, by Murray's law.

    Source: Murray 1926; an exponent of 2.7 fits pulmonary arteries.
    """
    flow = np.zeros(len(parent))
    for node in range(len(parent) - 1, 0, -1):  # children come after their parents
        flow[node] = flow[node] or 1.0
        flow[parent[node]] += flow[node]
    return np.asarray(tip_mm * flow ** (1 / power), np.float32)


def targets_within(
    inside: np.ndarray[Any, np.dtype[np.bool_]], num: int, rng: np.random.Generator, place: tuple[Array, Array, Array]
) -> Array:
    """Draw points spread evenly over a region, (num, 3) in mm.

    Args:
        inside: boolean (X, Y, Z).
        num: how many; fewer where the region is tiny.
        rng: its generator.
        place: coordinates of the voxels.
    """
    index = np.flatnonzero(inside)
    if not len(index):
        return np.zeros((0, 3), np.float32)
    chosen = rng.choice(index, 6 * num)
    points = np.stack([axis.ravel()[chosen] for axis in place], axis=1)
    cell = (np.ptp(points, axis=0).prod() / max(2 * num, 1)) ** (1 / 3) + 1e-3
    _, first = np.unique(np.floor(points / cell).astype(int), axis=0, return_index=True)
    kept = np.sort(first)  # one a cell: an even spread
    return np.asarray(points[kept[:num]], np.float32)
