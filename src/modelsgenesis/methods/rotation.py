"""Rotation: the network predicts how a cube was turned."""

import itertools

import numpy as np
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.learner import Batch, Learner, Sample
from modelsgenesis.methods.base.pretext_task import mark, summarise, train_encoder_only

Turn = tuple[tuple[int, int], int]  # the axes of space of its plane, quarter turns
MOST = {2: 4, 3: 10}  # turns, by the axes of space


class Rotation(Learner):
    """Tell by how much and about which axis a cube was turned; the encoder alone is trained.

    The choice is among no turn and those by 90, 180 and 270 degrees about each axis, ten in 3D and four in 2D, less
    those that change the cube's sides: of 64 x 64 x 32 six are left. Nothing is flipped, since two flips are a turn.
    Where voxels are not cubes themselves, a quarter turn shows by their stretch: resample first.

    Args:
        backbone: whose encoder is trained.
    Source: Gidaris et al. 2018; in 3D Taleb et al. 2020, "3D self-supervised methods for medical imaging".
    """

    aim = "tell how images were turned"
    paper = (
        "Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations, ICLR 2018, "
        "arXiv:1803.07728"
    )

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        train_encoder_only(backbone)
        self.tell = nn.Linear(backbone.channels[-1], MOST[backbone.axes])

    def views(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """{"image"} -> {"turned", float32 (C, *space), "turn", int64 (1,), its number among `turns`}."""
        image = sample["image"]
        possible = turns(image.shape[1:])
        number = int(rng.integers(len(possible)))
        return {"turned": turned(image, possible[number]), "turn": np.array([number])}

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Return the cross-entropy as "total", with "accuracy" and the "chance" of guessing."""
        return mark(self._logits(batch), batch["turn"][:, 0])

    def predict(self, batch: Batch) -> Tensor:
        """The probability of each turn, (B, turns)."""
        return self._logits(batch).softmax(dim=1)

    def _logits(self, batch: Batch) -> Tensor:
        images = batch["turned"]
        logits: Tensor = self.tell(summarise(self.backbone, images))
        return logits[:, : len(turns(tuple(images.shape[2:])))]


def turns(size: tuple[int, ...]) -> tuple[Turn, ...]:
    """The turns that keep an image's sides; the first is none.

    Args:
        size: (X, Y[, Z]) in voxels.
    """
    planes = itertools.combinations(range(len(size)), 2)
    every = ((plane, quarters) for plane in planes for quarters in (1, 2, 3))
    keep = [(plane, quarters) for plane, quarters in every if quarters == 2 or size[plane[0]] == size[plane[1]]]
    return (((0, 1), 0), *keep)


def turned(image: np.ndarray, turn: Turn) -> np.ndarray:
    """A turned copy of an image, (C, *space)."""
    (first, second), quarters = turn
    return np.rot90(image, quarters, axes=(first + 1, second + 1)).copy()
