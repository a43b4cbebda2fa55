"""Ark: one encoder that learns from many labelled sets in turn, and from a teacher that has seen them all."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.learner import Batch, Group, Learner, Sample
from modelsgenesis.data.sampling.cycle import pass_of
from modelsgenesis.methods.base.labelled_views import photometric, random_crop, resampled, whole_view
from modelsgenesis.methods.base.teacher import Teacher
from modelsgenesis.nets.named_heads import NamedHeads

TeacherView = Literal["whole", "same_geometry"]
Follows = Literal["pass", "step"]


class Ark(Learner):
    """Learn the labels of each set by a head of its own, near a teacher who follows and gathers what all of them teach.

    The loss of a batch, which is of one set, is (1 - c) of its labels' and c of the distance between the projections of
    student and teacher; c rises from 0 to `consistency` over the run and is constant within a pass over a set.

    Args:
        backbone: the student, whose encoder is trained.
        heads: {set: outputs}, in the order in which the sets are learned.
        size: of the views in voxels.
        exclusive: the sets whose labels are classes of which an image has one; those of any other overlap.
        passes: steps of a pass over each set.
        steps: of the whole run.
        projector: channels of the projection.
        mlp: the projection has two layers; otherwise one.
        teacher_view: what the teacher sees: the whole image, or the student's crop in its own brightness.
        follows: when the teacher moves: after each pass, or after each step.
        momentum: what stays of the teacher at first; it rises to 1.
        consistency: the greatest c.
        sigmoid_for_all: classes that exclude each other are learned as labels that overlap, as the first release does.
        copy_student: the teacher begins as the student's copy; otherwise with a projector and heads of its own, as the
            released code does.
        p_photometric: how often a student's view is made brighter, darker or flatter.
    Raises:
        GenesisError: a share outside [0, 1], or sets without passes.
        ShapeError: as of NamedHeads.
    Source: Ma et al. 2023, Foundation Ark: accruing and reusing knowledge for superior and robust performance.
    """

    aim = "tell what sets of labels say of images"
    paper = "Ma, Pang, Gotway, Liang, Foundation Ark, MICCAI 2023, arXiv:2310.09507"
    labelled = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        heads: Mapping[str, int],
        size: tuple[int, ...],
        exclusive: Sequence[str] = (),
        passes: Sequence[int] = (),
        steps: int = 1,
        projector: int = 1376,
        mlp: bool = True,
        teacher_view: TeacherView = "whole",
        follows: Follows = "pass",
        momentum: float = 0.9,
        consistency: float = 0.5,
        sigmoid_for_all: bool = False,
        copy_student: bool = True,
        p_photometric: float = 0.3,
    ) -> None:
        super().__init__()
        self.passes = tuple(passes) or (1,) * len(heads)
        if len(self.passes) != len(heads) or min(self.passes, default=1) < 1 or steps < 1:
            raise GenesisError(f"{len(heads)} sets need as many passes of 1 step or more, got {self.passes}")
        if not (0 <= consistency <= 1 and 0 <= p_photometric <= 1):
            raise GenesisError(f"shares are in [0, 1], got consistency {consistency} and {p_photometric}")
        self.size, self.exclusive, self.steps = tuple(size), tuple(exclusive), steps
        self.teacher_view, self.follows, self.consistency = teacher_view, follows, consistency
        self.sigmoid_for_all, self.copy_student, self.p_photometric = sigmoid_for_all, copy_student, p_photometric
        self.student = NamedHeads(backbone, heads, projector, mlp)
        self.teacher = Teacher(self.student if copy_student else NamedHeads(backbone, heads, projector, mlp), momentum)

    @property
    def backbone(self) -> Backbone:  # type: ignore[override]
        """The student's."""
        return self.student.backbone

    @property
    def network(self) -> NamedHeads:
        """The teacher, which is kept and validated."""
        return cast(NamedHeads, self.teacher.network)

    def groups(self) -> list[Group]:
        """The student."""
        return [Group(list(self.student.parameters()))]

    def begin_again(self) -> None:
        """The teacher is the student's copy once more, unless it is to be drawn by itself."""
        if self.copy_student:
            self.network.load_state_dict(self.student.state_dict())
        else:
            self.network.backbone.load_state_dict(self.backbone.state_dict())

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image", "values", "set"} -> the student's view and the teacher's.

        Args:
            sample: "image", float32 (C, X, Y[, Z]) of any size; "values", float32 (N,), NaN where nothing is known or
                the set has fewer; "set", int64 (), the number of the set.
            rng: the sample's own generator.
        Returns:
            "image" and "teacher", float32 (C, *size); "values" and "set" as they were.
        """
        image = sample["image"]
        crop = random_crop(image.shape[1:], rng)
        cropped = resampled(image, crop, self.size)
        mine = photometric(cropped, rng) if rng.random() < self.p_photometric else cropped
        if self.teacher_view == "whole":
            teachers = whole_view(image, self.size)
        else:
            teachers = resampled(image, crop, self.size, mode="nearest")
        return {**sample, "image": mine, "teacher": teachers}

    def held_out(self, sample: Sample) -> Sample:
        """What is validated on: the whole image."""
        return {**sample, "image": whole_view(sample["image"], self.size)}

    def share_of(self, progress: float) -> float:
        """How far the passes have come: 0 in the first, and rising by as much from each to the next towards 1.

        Args:
            progress: of the training, 0 to 1.
        """
        number, _ = pass_of(min(round(progress * self.steps), self.steps - 1), self.passes)
        return number / (pass_of(self.steps - 1, self.passes)[0] + 1)

    def coefficient(self, progress: float) -> float:
        """The share c of the consistency in the loss, from 0 towards `consistency`, constant within a pass."""
        return 0.5 * self.consistency * (1 - math.cos(math.pi * self.share_of(progress)))

    def losses(self, batch: Batch, progress: float) -> Batch:
        """The loss of the labels and the distance to the teacher; when validating the teacher's own loss by set.

        Returns:
            "total"; in training "labels", "consistency" and the "coefficient"; when validating "loss SET", to which
            "seen SET" is the share of the images that are of that set.
        """
        if not self.training:
            return self._validated(batch)
        embedded = self.student.embed(batch["image"])
        with torch.no_grad():
            taught = self.network.embed(batch["teacher"])
        logits = self.student.logits(embedded)
        labels = torch.stack([
            (self._of_images(name, logits[name], batch["values"]) * (batch["set"] == number)).sum()
            for number, name in enumerate(logits)
        ]).sum() / len(embedded)  # fmt: skip
        apart = functional.mse_loss(embedded.float(), taught.float())
        c = self.coefficient(progress)
        parts = {"labels": labels.detach(), "consistency": apart.detach(), "coefficient": apart.new_tensor(c)}
        return {"total": (1 - c) * labels + c * apart, **parts}

    def _validated(self, batch: Batch) -> Batch:
        parts: Batch = {"total": batch["image"].new_zeros(())}
        for number, (name, logits) in enumerate(self.network(batch["image"]).items()):
            mine = (batch["set"] == number).double()
            parts[f"loss {name}"] = (self._of_images(name, logits, batch["values"]).double() * mine).mean()
            parts[f"seen {name}"] = mine.mean()
            parts["total"] = parts["total"] + parts[f"loss {name}"]
        return parts

    def metrics(self, means: dict[str, float]) -> dict[str, float]:
        """The loss of each set that was validated on, and their mean, in which every set counts alike."""
        seen = {name: means[f"seen {name}"] for name in self.student.heads}
        losses = {f"loss {name}": means[f"loss {name}"] / share for name, share in seen.items() if share}
        return {"total": sum(losses.values()) / len(losses), **losses}

    def _of_images(self, name: str, logits: Tensor, values: Tensor) -> Tensor:
        """The loss of each image as if it were of this set, (B,); labels that are not known add nothing."""
        logits, outputs = logits.float(), logits.shape[1]
        if name in self.exclusive:
            classes = values[:, 0].nan_to_num().long().clamp(0, outputs - 1)
            if not self.sigmoid_for_all:
                return functional.cross_entropy(logits, classes, reduction="none")
            values = functional.one_hot(classes, outputs).to(logits.dtype)
        else:
            values = functional.pad(values, (0, max(0, outputs - values.shape[1])), value=math.nan)[:, :outputs]
        known = ~values.isnan()
        lost = functional.binary_cross_entropy_with_logits(logits, values.nan_to_num(), reduction="none")
        return (lost * known).sum(dim=1) / known.sum(dim=1).clamp_min(1)

    def predict(self, batch: Batch) -> Tensor:
        """The teacher's projections of the images, (B, projector)."""
        return self.network.embed(batch["image"])

    def after_step(self, progress: float) -> None:
        """The teacher follows, after a step or at the end of a pass."""
        if self.follows == "step":
            return self.teacher.follow(self.student, progress)
        step = min(round(progress * self.steps), self.steps - 1)
        number, within = pass_of(step, self.passes)
        if within + 1 == self.passes[number % len(self.passes)]:
            self.teacher.follow(self.student, self.share_of(progress))
        return None
