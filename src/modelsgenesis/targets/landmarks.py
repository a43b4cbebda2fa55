"""Landmarks: points in the world of a scan, found by a heat map each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label, MultilabelMap
from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.table_target import Numbers, TableTarget
from modelsgenesis.core.target import Finding, LearnerSettings, Row
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.points import grid_of, to_voxels, to_world
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.volume import Geometry
from modelsgenesis.metrics.radial_error import MEAN_ERROR, METRICS, error_scores, radial_errors
from modelsgenesis.metrics.summary import ALL
from modelsgenesis.targets.base.task_learner import TaskLearner, as_backbone, at_scale_of, check_outputs

if TYPE_CHECKING:
    from modelsgenesis.data.case import Case

AXES = ("_x", "_y", "_z")  # after a point's name, of the columns of its place
SIGMA = 2.0  # of a heat map, in voxels
FULL = 255  # of a heat map at its point
REACH = 4  # sigmas, beyond which a heat map of bytes is 0
MARK_MM = 3.0  # radius of a point in a picture


@dataclass(frozen=True)
class Landmarks(TableTarget):
    """Points: a case's values are x, y and z of one after the other, in mm, in LPS; NaN of a point it does not have.

    The network predicts a heat map for each, a Gaussian about the point; the point is where its map is greatest.

    Args:
        labels: the points' names.
    Source: Payer et al. 2019, heat maps regressed for each point; read out to a fraction of a voxel as Zhang et al.
        2020, DARK: the logarithm of a Gaussian is a parabola.
    """

    kind = "landmarks"
    noun = "points"
    labels_per_case = "points"
    metric = MEAN_ERROR
    overlap = 0.5
    dense = True
    column = "points"

    # What is trained.

    @property
    def num_outputs(self) -> int:
        """One heat map a point."""
        return len(self.labels)

    @property
    def voxel_labels(self) -> MultilabelMap:
        """A channel a point; a patch may be centred wherever its heat map is not 0."""
        return MultilabelMap(self.labels)

    def read_voxels(self, case: "Case", image: Image, reading: Reading) -> NDArray[np.uint8]:
        """Draw the heat maps, (points, *space), 255 at a point.

        Raises:
            UnreadableError: a point lies outside the image.
        """
        places = self._places(case, image.geometry, image.size, image.spacing_mm)
        return np.stack([heat_map(place, image.size) for place in places])

    def network(self, backbone: Backbone, *, hidden: int) -> nn.Module:
        """Train the backbone itself."""
        return backbone

    def learner(self, network: nn.Module, settings: LearnerSettings) -> Learner:
        """Learn heat maps by cross-entropy and a Dice of their values."""
        return HeatMapLearner(as_backbone(network), self, settings)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the heat, from 0 to 1."""
        return outputs.sigmoid()

    # Tables.

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The columns NAME_x, NAME_y and NAME_z of each point."""
        return tuple(f"{name}{axis}" for name in self.names for axis in AXES)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of the true places are named alike."""
        return self.value_columns

    def label_entries(self, values: Sequence[float]) -> tuple[str, ...]:
        """Millimetres to three digits; nothing for a point that the case does not have."""
        return tuple(f"{value:.3f}" if np.isfinite(value) else "" for value in values)

    def row(self, values: NDArray[Any]) -> dict[str, str]:
        """Write millimetres with three digits."""
        return dict(zip(self.value_columns, self.label_entries(values.tolist()), strict=True))

    @classmethod
    def recognised(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """Take every NAME_x that has its NAME_y and NAME_z."""
        names = [name[:-2] for name in columns if name.endswith(AXES[0])]
        return tuple(f"{name}{axis}" for name in names if {f"{name}{a}" for a in AXES} <= set(columns) for axis in AXES)

    @classmethod
    def names_of(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """The names of the points: what stands before the axis."""
        return tuple(name[:-2] for name in columns[:: len(AXES)])

    @classmethod
    def own_columns(cls, columns: Sequence[str]) -> tuple[str, ...]:
        """The columns of places; a table without any is refused."""
        found = cls.recognised(columns)
        if not found:
            raise DataError(
                f"landmarks need the columns NAME_x, NAME_y and NAME_z of each point, in mm; there are: "
                f"{', '.join(columns)}"
            )
        return found

    @classmethod
    def read_entries(
        cls, rows: Sequence[Sequence[str]], columns: Sequence[str], place: Path
    ) -> tuple[Self, list[tuple[float, ...] | None]]:
        """Read the places; a row without any point has no label."""
        target = cls(tuple(Label(name) for name in cls.names_of(columns)))
        values = [target._read(row, place) for row in rows]
        return target, [each if np.isfinite(each).any() else None for each in values]

    def _read(self, row: Sequence[str], place: Path) -> tuple[float, ...]:
        values: list[float] = []
        for name, start in zip(self.names, range(0, len(row), len(AXES)), strict=True):
            entries = row[start : start + len(AXES)]
            try:
                point = [float(entry) for entry in entries] if any(entries) else [np.nan] * len(AXES)
            except ValueError as error:
                raise DataError(
                    f"{place}: the point {name} is at {', '.join(entries)}; write three numbers in mm, or nothing"
                ) from error
            values += point
        return tuple(values)

    # Predictions and scores.

    def gathered(self, parts: Iterator[Tensor], image: Image) -> Numbers:
        """Find each point where its heat is greatest, to a fraction of a voxel; mm, one point after the other."""
        heat = torch.cat([part.to("cpu", torch.float16) for part in parts], dim=1)  # a 16-bit image a point
        peaks = np.stack([peak_of(each.float().numpy()) for each in heat])
        return to_world(peaks, image.geometry, image.size, image.spacing_mm).ravel()

    def true_values(self, values: Sequence[float], of_case: TableTarget) -> tuple[float, ...]:
        """The places in the order of these points; NaN of one that the truth does not know."""
        places = dict(zip(of_case.names, np.reshape(values, (-1, len(AXES))).tolist(), strict=True))
        return tuple(value for name in self.names for value in places.get(name, [float("nan")] * len(AXES)))

    def scores(self, predicted: Numbers, truth: Numbers) -> dict[str, dict[str, float]]:
        """Score all points together, then each."""
        errors = radial_errors(predicted, truth)
        return {ALL: error_scores(errors)} | {name: error_scores(errors[:, k]) for k, name in enumerate(self.names)}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The mean radial error, and the shares within some millimetres."""
        return METRICS

    @property
    def headline(self) -> tuple[str, tuple[str, ...], str]:
        """Show the scores of all points."""
        return ALL, METRICS[:3], ""

    def errors(self, predicted: Numbers, truth: Numbers) -> Numbers:
        """Compute the mean radial error of each case; 0 for one without a known point."""
        errors = radial_errors(predicted, truth)
        known = np.isfinite(errors)
        return np.asarray(np.where(known, errors, 0).sum(1) / np.maximum(known.sum(1), 1))

    def case_row(self, predicted: Sequence[float], true: Sequence[float]) -> dict[str, Any]:
        """List each point's error, the case's mean, and both places."""
        errors = radial_errors(np.array([predicted]), np.array([true]))
        row: dict[str, Any] = {MEAN_ERROR: error_scores(errors)[MEAN_ERROR]}
        row |= {f"error_mm {name}": float(error) for name, error in zip(self.names, errors[0], strict=True)}
        for which, values in (("true", true), ("predicted", predicted)):
            row |= {f"{which} {name}": float(value) for name, value in zip(self.value_columns, values, strict=True)}
        return row

    # Words and pictures.

    def true_words(self, true: Sequence[float]) -> str:
        """List where each known point is."""
        places = zip(self.names, np.reshape(true, (-1, len(AXES))), strict=True)
        return ", ".join(f"{name} at {_mm(place)}" for name, place in places if np.isfinite(place).all()) or "none"

    def predicted_words(self, predicted: Sequence[float]) -> str:
        """List where each point was found."""
        return self.true_words(predicted)

    def verdict(self, predicted: Sequence[float], true: Sequence[float]) -> str:
        """List how far each point is from its true place."""
        errors = zip(self.names, radial_errors(np.array([predicted]), np.array([true]))[0], strict=True)
        return ", ".join(f"{name} {error:.1f} mm" for name, error in errors if np.isfinite(error)) or "no known point"

    def curves(self, path: Path, predicted: Numbers, truth: Numbers) -> tuple[Path, str]:
        """Draw the error of each point in every case."""
        from modelsgenesis.figures.scores import draw_strips  # here, since matplotlib takes a second

        errors = radial_errors(predicted, truth)
        strips = {"radial error, mm": {name: errors[:, k] for k, name in enumerate(self.names)}}
        return draw_strips(path, strips, {}), "radial errors of all cases"

    def rules(self) -> tuple[str, ...]:
        """Explain what an error is."""
        return (
            "The radial error is the distance of a predicted point from its true place, in mm; shares are of the "
            "points within so many mm.",
            "A point that a case does not have is in no number.",
        )

    def marks(self, values: Sequence[float], geometry: Geometry) -> NDArray[np.uint8]:
        """Draw a ball at each point."""
        return self._balls(np.array(values), geometry, *grid_of(geometry))

    def pictured(self, case: "Case", image: Image, reading: Reading) -> NDArray[np.uint8]:
        """Draw a ball at each point."""
        return self._balls(np.array(case.values), image.geometry, image.size, image.spacing_mm)

    def _balls(
        self, values: Numbers, geometry: Geometry, size: Sequence[int], spacing_mm: Sequence[float]
    ) -> NDArray[np.uint8]:
        """A map of classes, (1, *size), with a ball of a few millimetres about each known point."""
        classes = np.zeros((1, *size), np.uint8)
        radius = max(MARK_MM, *spacing_mm)
        for k, place in enumerate(to_voxels(values.reshape(-1, len(AXES)), geometry, size, spacing_mm)):
            if np.isfinite(place).all():
                box = _box(place, [radius / step for step in spacing_mm], size)
                far = [(_steps(side) - at) * step for side, at, step in zip(box, place, spacing_mm, strict=True)]
                inside = sum(np.square(each) for each in np.ix_(*far)) <= radius**2
                classes[0][box][inside] = k + 1
        return classes

    # Inspection.

    def examine(self, case: "Case", geometry: Geometry) -> tuple[int, ...]:
        """Refuse points that lie outside the scan."""
        self._places(case, geometry, *grid_of(geometry))
        return ()

    def _places(
        self, case: "Case", geometry: Geometry, size: Sequence[int], spacing_mm: Sequence[float]
    ) -> NDArray[np.float64]:
        """The places of a case's points on a grid, (points, 3); NaN for those that it does not have.

        Raises:
            UnreadableError: one lies outside.
        """
        if len(size) != len(AXES):
            raise UnreadableError(f"it has {len(size)} axes", "landmarks are of 3D scans")
        points = np.reshape(case.values, (-1, len(AXES)))
        places = to_voxels(points, geometry, size, spacing_mm)
        beyond = (places < -0.5).any(axis=1) | (places > np.array(size) - 0.5).any(axis=1)
        if beyond.any():
            first = int(np.argmax(beyond))
            what = f"its point {self.names[first]} at {_mm(points[first])} lies outside the scan"
            raise UnreadableError(what, "places are in mm, in LPS; of a program that writes RAS, negate x and y")
        return places

    def occurring(self, finding: Finding) -> tuple[int, ...]:
        """List the points that the case has."""
        known = np.isfinite(np.reshape(finding.values, (-1, len(AXES)))).all(axis=1)
        return tuple(int(k) for k in np.flatnonzero(known))

    def labels_table(self, found: Sequence[Finding]) -> tuple[Row, list[Row]]:
        """Count the cases with each point, and give its place in the middle one."""
        places = np.array([finding.values for finding in found]).reshape(len(found), -1, len(AXES))
        rows = []
        for k, name in enumerate(self.names):
            known = places[np.isfinite(places[:, k]).all(axis=1), k]
            middle = np.median(known, axis=0) if len(known) else ()
            rows.append((name, str(len(known)), *(f"{value:.1f}" for value in middle)))
        head = ("point", "cases", "median x (mm)", "median y (mm)", "median z (mm)")
        return head, [row + ("",) * (len(head) - len(row)) for row in rows]

    def in_words(self, finding: Finding) -> str:
        """Count the points that the case has."""
        return f"{len(self.occurring(finding))} of {len(self.labels)}"

    def examples(self, found: Sequence[Finding]) -> list[tuple[Finding, str]]:
        """Choose the first few cases."""
        return [(one, f"{self.in_words(one)} points") for one in found[:4]]

    @property
    def outputs_in_words(self) -> str:
        """Name the points of the channels."""
        return f"It predicts logits (sigmoid makes them heat from 0 to 1) about the points {', '.join(self.names)}."


class HeatMapLearner(TaskLearner):
    """A learner that predicts a heat map for each point.

    Args:
        backbone: predicts a logit a voxel and point.
        target: of the task.
        settings: its views and its rates.
    Raises:
        ShapeError: the network has another number of outputs.
    """

    def __init__(self, backbone: Backbone, target: Landmarks, settings: LearnerSettings) -> None:
        check_outputs(backbone, target)
        super().__init__(backbone, target, settings)
        self.backbone = backbone

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Cross-entropy with the heat, and one less a Dice of its values, which a small point weighs as a large one.

        Returns:
            "total", their sum over the network's scales; "cross_entropy" and "dice_loss" at the finest.
        """
        image = batch["image"]
        scales = self.backbone.predict_scales(image) if self.training else [self.backbone(image)]
        weights = torch.tensor([2.0**-scale for scale in range(len(scales))])
        parts = [heat_losses(logits.float(), at_scale_of(batch["mask"], logits)) for logits in scales]
        total = sum((w * (cross + dice) for w, (cross, dice) in zip(weights / weights.sum(), parts, strict=True)))
        return {"total": total, "cross_entropy": parts[0][0], "dice_loss": parts[0][1]}

    def predict(self, batch: Batch) -> Tensor:
        """Return the heat, (B, points, *space)."""
        return self.target.predicted(self.backbone(batch["image"]))


def heat_losses(logits: Tensor, heat_map: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice loss of heat, (B, points, *space) each, the map in bytes -> scalars."""
    heat, axes = heat_map.float() / FULL, tuple(range(2, logits.dim()))
    cross = functional.binary_cross_entropy_with_logits(logits, heat)
    p = logits.sigmoid()
    both, each = (p * heat).sum((0, *axes)), (p.square() + heat.square()).sum((0, *axes))
    return cross, (1 - (2 * both + 1) / (each + 1)).mean()


def heat_map(place: NDArray[np.float64], size: Sequence[int]) -> NDArray[np.uint8]:
    """A Gaussian about a place on a grid, uint8 of the grid's size; nothing about a place that is unknown."""
    heat = np.zeros(tuple(size), np.uint8)
    if not np.isfinite(place).all():
        return heat
    box = _box(place, [REACH * SIGMA] * len(size), size)
    bells = [np.exp(-np.square(_steps(side) - at) / (2 * SIGMA**2)) for side, at in zip(box, place, strict=True)]
    whole: NDArray[np.float64] = np.asarray(np.prod(np.broadcast_arrays(*np.ix_(*bells)), axis=0))
    heat[box] = np.rint(FULL * whole)
    return heat


def peak_of(heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """Find where a map is greatest, to a fraction of a voxel: the top of a parabola through nearby logarithms."""
    top = tuple(int(at) for at in np.unravel_index(int(np.argmax(heat)), heat.shape))
    peak = np.array(top, np.float64)
    for axis, at in enumerate(top):
        if 0 < at < heat.shape[axis] - 1:
            line: tuple[Any, ...] = (*top[:axis], slice(at - 1, at + 2), *top[axis + 1 :])
            beside = np.log(np.maximum(heat[line], 1e-6))
            bend = beside[0] - 2 * beside[1] + beside[2]
            if bend < 0:
                peak[axis] += np.clip((beside[0] - beside[2]) / (2 * bend), -0.5, 0.5)
    return peak


def _box(place: NDArray[np.float64], reach: Sequence[float], size: Sequence[int]) -> tuple[slice, ...]:
    """The voxels within a distance of a place, along each axis."""
    return tuple(
        slice(max(0, int(np.floor(at - far))), min(side, int(np.ceil(at + far)) + 1))
        for at, far, side in zip(place, reach, size, strict=True)
    )


def _steps(side: slice) -> NDArray[np.float64]:
    return np.arange(side.start, side.stop, dtype=np.float64)


def _mm(place: NDArray[Any]) -> str:
    return f"({', '.join(f'{value:.1f}' for value in place)}) mm"
