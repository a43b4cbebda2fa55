"""The authors' PyTorch network, built anew from its facts."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Norm(nn.BatchNorm3d):
    """Batch norm by the batch's own statistics, in evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        """Statistics over the batch and space."""
        mean, variance = x.mean((0, 2, 3, 4), keepdim=True), x.var((0, 2, 3, 4), correction=0, keepdim=True)
        scale, shift = self.weight.view(1, -1, 1, 1, 1), self.bias.view(1, -1, 1, 1, 1)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


class Twice(nn.Module):
    """What the published names call ops: two times convolution, norm, ReLU."""

    def __init__(self, channels: int, middle: int, out: int, rise: int = 0) -> None:
        super().__init__()
        if rise:
            self.up_conv = nn.ConvTranspose3d(rise, rise, 2, stride=2)
        steps = ((channels, middle), (middle, out))
        self.ops = nn.ModuleList(
            nn.ModuleDict({"conv1": nn.Conv3d(inner, outer, 3, padding=1), "bn1": Norm(outer)})
            for inner, outer in steps
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, X, Y, Z) -> (B, out, X, Y, Z)."""
        for op in self.ops:
            x = functional.relu(op["bn1"](op["conv1"](x)))
        return x


class Official(nn.Module):
    """The published network, of any width, input and output."""

    def __init__(self, width: int = 2, channels: int = 1, classes: int = 1, last: bool = True) -> None:
        super().__init__()
        w = width
        self.down_tr64, self.down_tr128 = Twice(channels, w, 2 * w), Twice(2 * w, 2 * w, 4 * w)
        self.down_tr256, self.down_tr512 = Twice(4 * w, 4 * w, 8 * w), Twice(8 * w, 8 * w, 16 * w)
        self.up_tr256 = Twice(24 * w, 8 * w, 8 * w, rise=16 * w)
        self.up_tr128 = Twice(12 * w, 4 * w, 4 * w, rise=8 * w)
        self.up_tr64 = Twice(6 * w, 2 * w, 2 * w, rise=4 * w)
        if last:
            self.out_tr = nn.ModuleDict({"final_conv": nn.Conv3d(2 * w, classes, 1)})

    def features(self, x: Tensor) -> Tensor:
        """The last feature of the decoder."""
        skips = []
        for level in (self.down_tr64, self.down_tr128, self.down_tr256):
            skips.append(level(x))
            x = functional.max_pool3d(skips[-1], 2)
        x = self.down_tr512(x)
        for level in (self.up_tr256, self.up_tr128, self.up_tr64):
            x = level(torch.cat([level.up_conv(x), skips.pop()], dim=1))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, X, Y, Z) -> (B, classes, X, Y, Z) in (0, 1)."""
        return torch.sigmoid(self.out_tr["final_conv"](self.features(x)))


def scrambled(network: nn.Module) -> nn.Module:
    """Every tensor at random, the running statistics too, so that none can be forgotten unseen."""
    torch.manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "running_var" in name else torch.randn_like(tensor) * 0.3)
    return network.eval()


def prefixed(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    """A state dict under a prefix."""
    return {prefix + name: tensor for name, tensor in network.state_dict().items()}


def with_optimizer(network: nn.Module) -> dict[str, Any]:
    """As published: trained a step, with the optimiser's momenta."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9)
    network(torch.rand(1, 1, 8, 8, 8)).mean().backward()
    optimizer.step()
    return {"epoch": 620, "state_dict": prefixed(network, "module."), "optimizer_state_dict": optimizer.state_dict()}
