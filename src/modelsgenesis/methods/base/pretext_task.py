"""What the pretext tasks that classify share: which part is trained, the features they use, the loss and accuracy."""

import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone


def train_encoder_only(backbone: Backbone) -> None:
    """Freeze all parts but the encoder; they keep the weights that they were drawn with."""
    for part, module in backbone.parts():
        module.requires_grad_(part == "encoder")


def summarise(backbone: Backbone, images: Tensor) -> Tensor:
    """The means of the deepest features: (B, C, *space) -> (B, backbone.channels[-1])."""
    backbone.check(tuple(images.shape))
    return backbone.encode(images)[-1].flatten(2).mean(dim=2)


def summarise_cells(backbone: Backbone, cells: Tensor) -> Tensor:
    """The summaries of several cells, each seen alone, side by side: (B, N, C, *space) -> (B, N * channels[-1])."""
    return summarise(backbone, cells.flatten(0, 1)).view(len(cells), -1)


def mark(logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return the cross-entropy of a choice among classes, its accuracy, and the chance of guessing.

    Args:
        logits: (B, K), of the classes that can be.
        truth: int64 (B,).
    Returns:
        "total", the cross-entropy; "accuracy"; "chance", 1 / K.
    """
    return {
        "total": functional.cross_entropy(logits.float(), truth),
        "accuracy": (logits.argmax(dim=1) == truth).float().mean(),
        "chance": torch.full((), 1 / logits.shape[1], device=logits.device),
    }
