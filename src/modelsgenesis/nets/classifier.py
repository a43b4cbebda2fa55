"""An encoder with a dense head: classes or numbers for a whole image."""

import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import ShapeError


class Classifier(nn.Module):
    """The deepest feature's global average, one hidden dense layer, and one output a class or number.

    The backbone's decoder and its own head have no part in it. They are frozen, and stay in the file, so that a
    classifier's backbone can start another task whole.

    Args:
        backbone: whose encoder is used.
        out_features: classes, or numbers.
        hidden: neurons of the hidden layer; 0 leaves it out, as a linear probe wants.
        dropout: share of the head's inputs to its last layer that training drops, in [0, 1).
    Raises:
        ShapeError: no output is wanted, or a number is out of range.
    Source: Zhou et al. 2021; the paper's head for its classification tasks, with 1024 hidden neurons.
    Example: >>> Classifier(UNet3D(width=8), 2)(torch.rand(4, 1, 64, 64, 32)).shape
    torch.Size([4, 2])
    """

    def __init__(self, backbone: Backbone, out_features: int, hidden: int = 1024, dropout: float = 0.0) -> None:
        super().__init__()
        if out_features < 1 or hidden < 0 or not 0 <= dropout < 1:
            raise ShapeError(
                "out_features must be 1 or more, hidden 0 or more and dropout in [0, 1), "
                f"got {out_features}, {hidden} and {dropout}"
            )
        self.backbone = backbone
        for part, module in backbone.parts():
            module.requires_grad_(part == "encoder")
        self.out_features, self.hidden, self.dropout = out_features, hidden, dropout
        self.axes, self.in_channels, self.stride = backbone.axes, backbone.in_channels, backbone.stride
        deepest = backbone.channels[-1]
        dense = (nn.Linear(deepest, hidden), nn.ReLU(inplace=True)) if hidden else ()
        self.head = nn.Sequential(*dense, nn.Dropout(dropout), nn.Linear(hidden or deepest, out_features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *space) -> (B, out_features), logits or numbers."""
        self.backbone.check(tuple(x.shape))
        deepest = self.backbone.encode(x)[-1]
        output: Tensor = self.head(deepest.flatten(2).mean(2))
        return output

    def evidence(self, x: Tensor) -> Tensor:
        """Say where in an image each output comes from, by class-activation maps.

        The mean of a map over all places, and a number that is the same everywhere, are the output: that number is the
        bias where there is no hidden layer. With one, a feature counts by the slope of the output, as Grad-CAM has it.

        Returns:
            (B, C, *space) -> (B, out_features, *places of the deepest features).
        Source: Zhou et al. 2016, learning deep features for discriminative localization; Selvaraju et al. 2017.
        """
        self.backbone.check(tuple(x.shape))
        deepest = self.backbone.encode(x)[-1]
        slopes = self.head[-1].get_parameter("weight").expand(len(x), -1, -1)  # (B, outputs, features or hidden)
        if self.hidden:
            active = self.head[0](deepest.flatten(2).mean(2)) > 0
            slopes = (slopes * active[:, None]) @ self.head[0].get_parameter("weight")
        return torch.einsum("boc,bc...->bo...", slopes, deepest)

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The backbone's encoder, step by step, and the dense head."""
        return [*(step for step in self.backbone.parts() if step[0] == "encoder"), ("head", self.head)]
