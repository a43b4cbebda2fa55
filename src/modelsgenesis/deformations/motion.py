"""Motion: a patient who moves during an MRI leaves ghosts along one axis; the network removes them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval


class Moves(NamedTuple):
    """What the patient did while the lines of k-space were measured one after another."""

    axis: int  # of space, along which lines follow each other (phase encoding)
    times: tuple[float, ...]  # when each pose is left, as parts of the scan, rising
    shifts: tuple[tuple[float, ...], ...]  # the poses: displacement on each axis, in voxels


@dataclass(frozen=True, kw_only=True)
class Motion(PixelDeformation):
    """Measure parts of k-space while the patient is somewhere else, and the middle while at rest.

    The middle of k-space holds the image's place and coarse shape; since it is measured at rest, ghosts and blur
    appear but the content stays where it is.

    Args:
        num_moves: least and greatest number of changes of pose.
        shift: least and greatest length of a displacement, in voxels.
    """

    num_moves: tuple[int, int] = (1, 4)
    shift: tuple[float, float] = (1.0, 5.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("shift", self.shift, 0)
        if not 1 <= self.num_moves[0] <= self.num_moves[1]:
            raise GenesisError(f"num_moves must rise from 1 or more, got {self.num_moves}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Moves:
        """Draw the axis, the times and the poses."""
        check_sides(shape, 2, "Motion")
        axes = len(shape) - 1
        num = int(rng.integers(self.num_moves[0], self.num_moves[1], endpoint=True))
        way = rng.standard_normal((num, axes))
        way *= (rng.uniform(*self.shift, num) / np.linalg.norm(way, axis=1))[:, None]
        times = np.sort(rng.uniform(0, 1, num))
        return Moves(int(rng.integers(axes)), tuple(times.tolist()), tuple(map(tuple, way.tolist())))

    def deform(self, array: Array, span: Span, drawn: Moves) -> Array:
        """Turn the phases of the lines of k-space that were measured in another pose than its middle."""
        from scipy import fft  # here, as in Gibbs

        axes = tuple(range(1, array.ndim))
        unit = span.to_unit(array)
        lift = min(unit.min(), np.float32(0))  # a magnitude is not negative
        k_space = fft.fftn(unit - lift, axes=axes)
        frequencies = [fft.fftfreq(side) for side in array.shape[1:]]
        pose = np.searchsorted(drawn.times, frequencies[drawn.axis] + 0.5)  # of each line; lowest frequency first
        poses = np.array([(0.0,) * len(axes), *drawn.shifts])
        poses -= poses[pose[0]]  # relative to the pose in which frequency 0 was measured
        for axis, frequency in zip(axes, frequencies, strict=True):
            shift = poses[:, axis - 1]
            if axis - 1 == drawn.axis:
                turn = self._along((shift[pose] * frequency), axis, array.ndim)
            else:
                turn = self._along(frequency, axis, array.ndim) * self._along(shift[pose], drawn.axis + 1, array.ndim)
            k_space *= np.exp(-2j * np.pi * turn).astype(np.complex64)
        return span.from_unit(np.abs(fft.ifftn(k_space, axes=axes)) + lift)

    @staticmethod
    def _along(values: Array, axis: int, num_axes: int) -> Array:
        """Shape values as an array along one axis."""
        return values.reshape([-1 if a == axis else 1 for a in range(num_axes)])
