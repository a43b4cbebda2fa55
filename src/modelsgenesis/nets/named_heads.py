"""An encoder with a projector and a head for each labelled set that it learned from, each by its name."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import ShapeError, WeightsError
from modelsgenesis.nets.classifier import Classifier


class NamedHeads(nn.Module):
    """The deepest feature's global average, a projector, and one linear head for each set of labels.

    The backbone's decoder and its own head have no part in it; they are frozen, as a classifier's are.

    Args:
        backbone: whose encoder is used.
        heads: {name: outputs}, in the order in which the sets are learned.
        projector: channels between the encoder and the heads.
        mlp: the projector has two layers and a ReLU between them; otherwise it is linear.
    Raises:
        ShapeError: there is no head, or a head or the projector has no channel.
    Source: Ma et al. 2023, Foundation Ark.
    Example: >>> NamedHeads(Swin(), {"chexpert": 14, "rsna": 3})(torch.rand(2, 1, 224, 224))["rsna"].shape
    torch.Size([2, 3])
    """

    def __init__(self, backbone: Backbone, heads: Mapping[str, int], projector: int = 1376, mlp: bool = True) -> None:
        super().__init__()
        if not heads or min(projector, *heads.values()) < 1:
            raise ShapeError(f"a projector and one head at least need channels, got {projector} and {dict(heads)}")
        self.backbone = backbone
        for part, module in backbone.parts():
            module.requires_grad_(part == "encoder")
        self.heads, self.projector, self.mlp = dict(heads), projector, mlp
        self.axes, self.in_channels, self.stride = backbone.axes, backbone.in_channels, backbone.stride
        wide = backbone.channels[-1]
        second = (nn.ReLU(), nn.Linear(projector, projector)) if mlp else ()
        self.project = nn.Sequential(nn.Linear(wide, projector), *second)
        # A list, since a set's name may hold a dot, which a module's may not.
        self.outputs = nn.ModuleList(nn.Linear(projector, number) for number in heads.values())

    def embed(self, x: Tensor) -> Tensor:
        """(B, C, *space) -> (B, projector): what the heads read, and what student and teacher agree upon."""
        self.backbone.check(tuple(x.shape))
        projected: Tensor = self.project(self.backbone.encode(x)[-1].flatten(2).mean(2))
        return projected

    def logits(self, embedded: Tensor) -> dict[str, Tensor]:
        """(B, projector) -> of each head (B, outputs)."""
        return {name: head(embedded) for name, head in zip(self.heads, self.outputs, strict=True)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, *space) -> of each head (B, outputs)."""
        return self.logits(self.embed(x))

    def classifier(self, name: str) -> Classifier:
        """One head with its encoder as an ordinary classifier, of the same logits: linear layers in a row are one.

        Raises:
            WeightsError: there is no head of that name.
        """
        if name not in self.heads:
            raise WeightsError(f"there is no head {name!r}; the heads are {', '.join(self.heads)}")
        head = self.outputs[list(self.heads).index(name)]
        classifier = Classifier(self.backbone, self.heads[name], hidden=self.projector if self.mlp else 0)
        before, last = self.project[-1], classifier.head[-1]
        with torch.no_grad():
            inner, outer = before.get_parameter("weight").double(), head.get_parameter("weight").double()
            bias = outer @ before.get_parameter("bias").double() + head.get_parameter("bias").double()
            last.get_parameter("weight").copy_(outer @ inner)
            last.get_parameter("bias").copy_(bias)
        if self.mlp:
            classifier.head[0] = self.project[0]
        return classifier.train(self.training)

    def go_on_from(
        self, other: "NamedHeads", own_labels: Mapping[str, Sequence[str]], labels: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Take another's projector, and of each head of the same name the outputs of the labels that both have.

        Args:
            other: of the same encoder and projector.
            own_labels: of each head here, in the order of its outputs.
            labels: likewise of each head there.
        Returns:
            The labels taken of each head here; none of a head that the other lacks, which stays as it was drawn.
        Raises:
            WeightsError: the projectors differ.
        """
        if (self.projector, self.mlp) != (other.projector, other.mlp):
            raise WeightsError(
                f"the projector has {self.projector} channels, two layers: {self.mlp}, and that to go on from "
                f"{other.projector}, {other.mlp}; make them alike"
            )
        self.project.load_state_dict(other.project.state_dict())
        theirs = dict(zip(other.heads, other.outputs, strict=True))
        taken: dict[str, list[str]] = {}
        for name, head in zip(self.heads, self.outputs, strict=True):
            known = list(labels.get(name, ()))
            both = [label for label in own_labels[name] if label in known]
            to, of = ([some.index(label) for label in both] for some in (list(own_labels[name]), known))
            with torch.no_grad():
                for part in ("weight", "bias") if both else ():
                    head.get_parameter(part)[to] = theirs[name].get_parameter(part)[of]
            taken[name] = both
        return taken

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The backbone's encoder, step by step, the projector and the heads."""
        encoder = (step for step in self.backbone.parts() if step[0] == "encoder")
        return [*encoder, ("head", self.project), ("head", self.outputs)]
