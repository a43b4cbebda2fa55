"""The network of nnU-Net's plans: that of its own package, turned to our axes."""

from typing import Any

import pytest
import torch
from tests.nets.planned import KWARGS, PLANNED, reference

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets import PlannedUNet


def test_state_without_prefix_is_that_of_nnunet() -> None:
    """Every name and shape is there, the duplicates that nnU-Net keeps too."""
    ours = {name.removeprefix("network."): tensor.shape for name, tensor in PlannedUNet(PLANNED).state_dict().items()}
    theirs = {name: tensor.shape for name, tensor in reference().state_dict().items()}
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == {  # two classes there, one here
        f"decoder.seg_layers.{scale}.{what}" for scale in (0, 1) for what in ("weight", "bias")
    }


@pytest.mark.parametrize("axis_order", [(2, 1, 0), (0, 2, 1), (1, 2, 0), (0, 1, 2)])
def test_predictions_are_those_of_nnunet_on_its_own_axes(axis_order: tuple[int, ...]) -> None:
    """Our image turned to nnU-Net's axes and units gives, turned back, our predictions at every scale."""
    theirs = reference()
    ours = PlannedUNet(
        PLANNED,
        out_channels=2,
        activation="identity",
        deep_supervision=True,
        axis_order=axis_order,
        units=(2.5, -0.75),
    ).eval()
    ours.network.load_state_dict(theirs.state_dict())
    inwards = (0, 1, *(2 + axis for axis in axis_order))
    sides = torch.empty(1, 1, 4, 8, 12).permute(*(inwards.index(axis) for axis in range(5))).shape
    image = torch.rand(sides, generator=torch.Generator().manual_seed(1))
    assert tuple(image.permute(inwards).shape) == (1, 1, 4, 8, 12)
    with torch.no_grad():
        predictions, expected = ours.predict_scales(image), theirs(image.permute(inwards) * 2.5 - 0.75)
    assert len(predictions) == len(expected)
    for prediction, truth in zip(predictions, expected, strict=True):
        torch.testing.assert_close(prediction.permute(inwards), truth, atol=1e-5, rtol=0)
    assert torch.equal(ours(image), predictions[0])


def test_stride_follows_our_axes() -> None:
    """nnU-Net pools its first axis, our Z, once and the others twice."""
    assert PlannedUNet(PLANNED).stride == (4, 4, 2)
    assert PlannedUNet(PLANNED, axis_order=(0, 1, 2)).stride == (2, 4, 4)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"network_class_name": "os.PlainConvUNet"}, "os.PlainConvUNet"),
        ({"network_class_name": "dynamic_network_architectures.architectures.primus.PrimusM"}, "can be built"),
        ({"network_class_name": None}, "can be built"),
        ({"arch_kwargs": None}, "must be a mapping"),
        ({"arch_kwargs": {**KWARGS, "deep_supervision": True}}, "without"),
        ({"arch_kwargs": {**KWARGS, "nonlin": "builtins.eval"}}, "builtins.eval"),
        ({"arch_kwargs": {**KWARGS, "nonlin": "torch.nn.Sequential"}}, "torch.nn.Sequential"),
        ({"arch_kwargs": {**KWARGS, "nonlin": "torch.nnx.ReLU"}}, "torch.nnx.ReLU"),
        ({"arch_kwargs": {**KWARGS, "strides": [[1, 1, 1]]}}, "makes no network"),
        ({"arch_kwargs": {**KWARGS, "surprise": 1}}, "surprise"),
        ({"arch_kwargs": {**KWARGS, "strides": [[2, 2, 2]] * 3}}, "first stage"),
    ],
)
def test_strange_plans_are_refused(change: dict[str, Any], complaint: str) -> None:
    """Only nnU-Net's two U-Nets of PyTorch's layers are built; nothing else is looked up by name."""
    with pytest.raises(ShapeError, match=complaint):
        PlannedUNet({**PLANNED, **change})


def test_axis_order_names_each_axis_once() -> None:
    """An order that repeats an axis is refused."""
    with pytest.raises(ShapeError, match="once"):
        PlannedUNet(PLANNED, axis_order=(0, 0, 1))
