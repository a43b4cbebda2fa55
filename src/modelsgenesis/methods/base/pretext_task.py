"""What all methods that ask the encoder a question share: which part is trained, how it is asked, how it is marked."""

import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.backbone import Backbone


def teach_encoder_alone(backbone: Backbone) -> None:
    """Freeze what no answer passes through; it keeps the weights that it was drawn with."""
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
    """How wrong the choice among classes is, and how much of it guessing would get right.

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
