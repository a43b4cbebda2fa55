"""A task's network starts from a pre-trained one, and every tensor says whether it did."""

import copy
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets import Classifier, ResidualUNet, UNet3D
from modelsgenesis.weights.files import distinct
from modelsgenesis.weights.transfer import network_for, transfer

RESIDUAL = {"features": (8, 16, 32), "strides": (1, 2, 2), "blocks": (1, 1, 1)}
KINDS: dict[str, Callable[..., Backbone]] = {
    "unet": lambda **more: UNet3D(width=4, **more),
    "unet-instance": lambda **more: UNet3D(width=4, norm="instance", up="nearest", **more),
    "unet-2d": lambda **more: UNet3D(width=4, axes=2, **more),
    "residual": lambda **more: ResidualUNet(**{**RESIDUAL, **more}),
    "residual-2d": lambda **more: ResidualUNet(**{**RESIDUAL, "axes": 2, **more}),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Callable[..., Backbone]:
    """One of the backbones, with whatever arguments; see `trained`."""
    return KINDS[request.param]


def trained(kind: Callable[..., Backbone], **arguments: Any) -> Backbone:
    """A backbone whose running statistics, too, are not those of a new one, in evaluation mode."""
    torch.manual_seed(0)
    network = kind(**arguments)
    with torch.no_grad():
        for tensor in distinct(network).values():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))
            else:
                tensor.fill_(17)
    return network.eval()


def image(network: Backbone, channels: int = 1) -> Tensor:
    """A batch of two."""
    torch.manual_seed(1)
    return torch.rand(2, channels, *(16,) * network.axes)


def test_network_for_a_task_is_of_the_same_kind_with_another_prediction(kind: Callable[..., Backbone]) -> None:
    """Class, width and depth are kept; channels, logits and deep supervision are the task's."""
    pretrained = trained(kind)
    network = network_for(pretrained, in_channels=3, out_channels=5)
    assert type(network) is type(pretrained)
    assert network.channels == pretrained.channels
    predictions = network.predict_scales(image(network, 3))
    assert len(predictions) == (2 if isinstance(network, ResidualUNet) else 1)
    assert all(prediction.shape[1] == 5 for prediction in predictions)
    assert any((prediction < 0).any() for prediction in predictions)


def test_network_for_a_task_is_drawn_from_the_global_generator() -> None:
    """One seed, one network; another seed, another."""
    pretrained = UNet3D(width=2)
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(network_for(pretrained, in_channels=1, out_channels=2).last.weight)  # type: ignore[union-attr]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_all_but_the_head_is_taken(kind: Callable[..., Backbone]) -> None:
    """What reaches the head is the same to the bit; the pre-trained network is as it was."""
    pretrained = trained(kind)
    before = copy.deepcopy(pretrained.state_dict())
    network = network_for(pretrained, in_channels=1, out_channels=2).eval()
    fresh = [tensor.clone() for tensor in network.parts()[-1][1].parameters()]
    loaded = transfer(pretrained, network)
    x = image(network)
    assert torch.equal(network.decode(network.encode(x)), pretrained.decode(pretrained.encode(x)))
    assert {row.how for row in loaded.rows if row.part != "head"} == {"taken"}
    assert {row.how for row in loaded.rows if row.part == "head"} == {"random"}
    assert all(torch.equal(old, new) for old, new in zip(fresh, network.parts()[-1][1].parameters(), strict=True))
    assert loaded.shares == {"encoder": 1.0, "decoder": 1.0, "head": 0.0}
    assert loaded.unused == ()
    assert all(torch.equal(tensor, before[name]) for name, tensor in pretrained.state_dict().items())


def test_map_names_every_tensor_of_the_new_network_once(kind: Callable[..., Backbone]) -> None:
    """Names, shapes and order are the network's own."""
    network = network_for(trained(kind), in_channels=2, out_channels=2)
    loaded = transfer(trained(kind), network)
    assert [(row.tensor, row.shape) for row in loaded.rows] == [
        (name, tuple(tensor.shape)) for name, tensor in distinct(network).items()
    ]


@pytest.mark.parametrize(("old", "new"), [(1, 3), (2, 4), (3, 1), (3, 2)])
def test_equal_channels_give_the_old_features(kind: Callable[..., Backbone], old: int, new: int) -> None:
    """By the mean, an image repeated over the new channels gives what it gave repeated over the old ones, to 1e-5."""
    pretrained = trained(kind, in_channels=old)
    network = network_for(pretrained, in_channels=new, out_channels=2).eval()
    loaded = transfer(pretrained, network)
    assert [row.how for row in loaded.rows].count("adapted") == 1
    assert loaded.shares["encoder"] == 1
    x, axes = image(network).double(), (1,) * network.axes  # double, since instance norm may divide by very little
    pretrained, network = pretrained.double(), network.double()
    before, after = pretrained.encode(x.repeat(1, old, *axes)), network.encode(x.repeat(1, new, *axes))
    for ours, theirs in zip(after, before, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(1, 3), (2, 3)])
def test_first_channels_keep_their_weights_and_the_rest_start_at_zero(
    kind: Callable[..., Backbone], old: int, new: int
) -> None:
    """Whatever the further channels show, the features are at first those of the old channels; and they can learn."""
    pretrained = trained(kind, in_channels=old)
    network = network_for(pretrained, in_channels=new, out_channels=2).eval()
    transfer(pretrained, network, adapt_channels="first")
    x = image(network, new)
    for ours, theirs in zip(network.encode(x), pretrained.encode(x[:, :old]), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    network(x).square().sum().backward()
    weights = next(p for p in network.parts()[0][1].parameters() if p.dim() > 2)
    assert weights.grad is not None
    assert weights.grad[:, old:].abs().max() > 0


def test_first_convolution_can_stay_random() -> None:
    """Its weights are those that were drawn, its bias too, and the share of the encoder says so."""
    pretrained = trained(KINDS["unet"])
    network = network_for(pretrained, in_channels=2, out_channels=2)
    drawn = [tensor.clone() for tensor in network.down[0][0].parameters()]  # type: ignore[union-attr,index]
    loaded = transfer(pretrained, network, adapt_channels="random")
    kept = network.down[0][0].parameters()  # type: ignore[union-attr,index]
    assert all(torch.equal(old, new) for old, new in zip(drawn, kept, strict=True))
    assert [row.tensor for row in loaded.rows if row.part == "encoder" and row.how == "random"] == [
        "down.0.0.weight",
        "down.0.0.bias",
    ]
    total = sum(p.numel() for part, module in network.parts() if part == "encoder" for p in module.parameters())
    assert loaded.shares["encoder"] == pytest.approx(1 - (4 * 2 * 27 + 4) / total)


def test_network_of_another_width_is_refused_and_left_alone() -> None:
    """The error names the share, the first mismatches and the remedy; nothing was copied."""
    network = UNet3D(width=8)
    before = copy.deepcopy(network.state_dict())
    message = (
        r"only \d\.\d% of the encoder.*down\.0\.0\.weight \(\(8, .* here, \(4, .*own backbone and width, or .*least="
    )
    with pytest.raises(WeightsError, match=message):
        transfer(UNet3D(width=4), network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_network_of_another_kind_is_refused_unless_less_is_asked() -> None:
    """Nothing fits; the way out is explicit, and the map then says that nothing was taken."""
    with pytest.raises(WeightsError, match=r"only 0\.0% .*not in the pre-trained network.*least=0\.0$"):
        transfer(UNet3D(width=4), ResidualUNet(**RESIDUAL))
    loaded = transfer(UNet3D(width=4), ResidualUNet(**RESIDUAL), least=0)
    assert {row.how for row in loaded.rows} == {"random"}
    assert len(loaded.unused) == len(distinct(UNet3D(width=4)))


def test_share_that_the_error_offers_is_enough() -> None:
    """What is printed is rounded down, so it works when it is typed."""
    pretrained, network = UNet3D(width=4, in_channels=1), UNet3D(width=4, in_channels=9)
    with pytest.raises(WeightsError) as caught:
        transfer(pretrained, network, adapt_channels="random", least=1)
    offered = float(str(caught.value).rpartition("least=")[2])
    assert transfer(pretrained, network, adapt_channels="random", least=offered).shares["encoder"] >= offered > 0.9


def test_running_statistics_follow_their_weights() -> None:
    """They are taken with the norm's weights, and start afresh where the norm's shape is another."""
    pretrained = trained(KINDS["unet"])
    same, wider = UNet3D(width=4), UNet3D(width=5)
    transfer(pretrained, same)
    transfer(pretrained, wider, least=0)
    norm, fresh = same.down[0][1], wider.down[0][1]  # type: ignore[index]
    assert norm.num_batches_tracked == 17
    assert torch.equal(norm.running_mean, pretrained.down[0][1].running_mean)  # type: ignore[union-attr,index]
    assert fresh.num_batches_tracked == 0
    assert torch.equal(fresh.running_var, torch.ones(5))


def test_other_norm_is_reported() -> None:
    """From batch to instance norm the statistics are unused; back, they are missing and start afresh."""
    batch, instance = UNet3D(width=4), UNet3D(width=4, norm="instance")
    assert "down.0.1.running_mean" in transfer(batch, instance).unused
    missing = [row for row in transfer(instance, batch).rows if row.part != "head" and row.how == "random"]
    assert missing
    assert all(not row.learned and row.why == "not in the pre-trained network" for row in missing)


def test_classifier_takes_the_encoder_and_keeps_the_decoder_for_a_third_task(kind: Callable[..., Backbone]) -> None:
    """Its own head and the backbone's are random; the rest is the pre-trained network's, to the bit."""
    pretrained = trained(kind)
    classifier = Classifier(network_for(pretrained, in_channels=1, out_channels=1), 3, hidden=4).eval()
    loaded = transfer(pretrained, classifier)
    assert loaded.shares == {"encoder": 1.0, "decoder": 1.0, "head": 0.0}
    assert {row.tensor for row in loaded.rows} == set(distinct(classifier))
    assert loaded.unused == ()
    x, backbone = image(pretrained), classifier.backbone
    assert torch.equal(backbone.encode(x)[-1], pretrained.encode(x)[-1])
    assert torch.equal(backbone.decode(backbone.encode(x)), pretrained.decode(pretrained.encode(x)))


def test_classifier_of_more_channels_is_adapted_too() -> None:
    """The first convolution is found inside the classifier's backbone."""
    pretrained = trained(KINDS["residual"])
    classifier = Classifier(network_for(pretrained, in_channels=3, out_channels=1), 2, hidden=0)
    (adapted,) = [row for row in transfer(pretrained, classifier).rows if row.how == "adapted"]
    assert adapted.tensor.startswith("backbone.")
    assert adapted.shape[1] == 3
    assert "from 1 to 3 input channels" in adapted.why


def test_map_is_data_and_a_short_table() -> None:
    """JSON holds it; the table counts every tensor and names what is not simply taken."""
    pretrained, network = UNet3D(width=4, up="nearest"), UNet3D(width=4, in_channels=2)
    loaded = transfer(pretrained, network)
    data = json.loads(json.dumps(loaded.to_json()))
    assert data["shares"]["encoder"] == 1
    assert len(data["rows"]) == len(loaded.rows)
    assert data["rows"][0]["how"] == "adapted"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(loaded.table())
    text = console.export_text()
    assert "down.0.0.weight adapted: from 1 to 2 input channels" in text
    assert "rise.0.weight random: not in the pre-trained network" in text
    assert "100.0%" in text
    assert len(text.splitlines()) < 20
    numbers = [int(word) for line in text.splitlines() for word in line.split() if word.isdigit() and "│" in line]
    assert sum(numbers) == len(loaded.rows)


def test_unknown_way_to_adapt_channels_is_refused() -> None:
    """The ways there are are named."""
    with pytest.raises(ValueError, match="must be mean, first, random, got 'sum'"):
        transfer(UNet3D(width=2), UNet3D(width=2), adapt_channels="sum")  # type: ignore[arg-type]
