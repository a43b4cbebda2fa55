"""A classifier is an encoder, an average and two dense layers."""

import pytest
import torch
from torch import nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets import Classifier, ResidualUNet, UNet3D


def backbones() -> list[Backbone]:
    """One of each kind, in 3D and 2D."""
    torch.manual_seed(0)
    return [
        UNet3D(width=2, in_channels=2),
        UNet3D(width=2, axes=2),
        ResidualUNet(features=(4, 8), strides=(1, (2, 2, 1)), blocks=(1, 1), deep_supervision=True),
        ResidualUNet(features=(4, 8), strides=(1, 2), blocks=(1, 1), axes=2),
    ]


@pytest.fixture(params=range(4), ids=["unet", "unet-2d", "residual", "residual-2d"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    """Each of them."""
    return backbones()[request.param]


def images(backbone: Backbone) -> torch.Tensor:
    """A batch of three."""
    return torch.rand(3, backbone.in_channels, *(16,) * backbone.axes)


def test_prediction_is_the_dense_head_of_the_deepest_features_average(backbone: Backbone) -> None:
    """Global average, dense, ReLU, dense: written out once more."""
    classifier, x = Classifier(backbone, 5, hidden=7).eval(), images(backbone)
    average = backbone.encode(x)[-1].mean(tuple(range(2, x.dim())))
    first, last = [layer for layer in classifier.head if isinstance(layer, nn.Linear)]
    expected = (average @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    assert expected.shape == (3, 5)
    assert torch.allclose(classifier(x), expected, atol=1e-6)


@pytest.mark.parametrize("hidden", [0, 7])
def test_evidence_adds_up_to_the_prediction(backbone: Backbone, hidden: int) -> None:
    """Its mean and what is the same everywhere are the logit; it is Grad-CAM's, worked out by autograd."""
    classifier, x = Classifier(backbone, 5, hidden=hidden).eval(), images(backbone)
    deepest = backbone.encode(x)[-1].detach().requires_grad_()
    logits, maps = classifier.head(deepest.flatten(2).mean(2)), classifier.evidence(x)
    assert maps.shape == (3, 5, *deepest.shape[2:])
    constant = classifier.head[-1].bias.expand(3, -1)
    if hidden:
        active = (classifier.head[0](deepest.flatten(2).mean(2)) > 0).float()
        constant = constant + (active * classifier.head[0].bias) @ classifier.head[-1].weight.T
    assert torch.allclose(maps.flatten(2).mean(2) + constant, classifier(x), atol=1e-6)
    for number in range(5):
        (slope,) = torch.autograd.grad(logits[:, number].sum(), deepest, retain_graph=True)
        places = slope[0, 0].numel()
        assert torch.allclose(maps[:, number], (slope * places * deepest).sum(1), atol=1e-6)


def test_paper_head_has_the_paper_size() -> None:
    """512 features of a U-Net of width 32, 1024 hidden neurons, two classes."""
    classifier = Classifier(UNet3D(), 2)
    assert [tuple(p.shape) for p in classifier.head.parameters()] == [(1024, 512), (1024,), (2, 1024), (2,)]


def test_without_a_hidden_layer_the_head_is_linear() -> None:
    """A linear probe has one dense layer."""
    classifier = Classifier(UNet3D(width=2), 4, hidden=0)
    assert [tuple(p.shape) for p in classifier.head.parameters()] == [(4, 32), (4,)]


def test_encoder_and_head_learn_and_the_decoder_does_not(backbone: Backbone) -> None:
    """Gradients reach every part in use; what has no part in the prediction asks for none."""
    classifier = Classifier(backbone, 2, hidden=3)
    classifier(images(backbone)).square().sum().backward()
    used = {id(p) for _, module in classifier.parts() for p in module.parameters()}
    for parameter in classifier.parameters():
        assert parameter.requires_grad is (parameter.grad is not None) is (id(parameter) in used)
    assert [part for part, _ in classifier.parts()].count("head") == 1
    assert all(part != "decoder" for part, _ in classifier.parts())


def test_dropout_acts_in_training_alone() -> None:
    """Two passes differ in training and agree in evaluation."""
    torch.manual_seed(0)
    classifier, x = Classifier(UNet3D(width=2, norm="group"), 2, hidden=64, dropout=0.5), torch.rand(1, 1, 16, 16, 16)
    assert not torch.equal(classifier(x), classifier(x))
    classifier.eval()
    assert torch.equal(classifier(x), classifier(x))


def test_shape_that_the_backbone_cannot_take_is_refused(backbone: Backbone) -> None:
    """The backbone's own words are used, and its stride is the classifier's."""
    classifier = Classifier(backbone, 2)
    assert (classifier.axes, classifier.in_channels, classifier.stride) == (
        backbone.axes,
        backbone.in_channels,
        backbone.stride,
    )
    with pytest.raises(ShapeError, match="divide by"):
        classifier(torch.rand(1, backbone.in_channels, *(17,) * backbone.axes))


@pytest.mark.parametrize("argument", [{"out_features": 0}, {"hidden": -1}, {"dropout": 1.0}])
def test_senseless_settings_are_refused(argument: dict[str, float]) -> None:
    """The error names what was given."""
    with pytest.raises(ShapeError, match="must be 1 or more"):
        Classifier(UNet3D(width=2), **{"out_features": 2, **argument})  # type: ignore[arg-type]
