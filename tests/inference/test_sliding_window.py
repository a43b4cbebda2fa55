"""The streamed sweep gives what MONAI's does on the whole volume."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from modelsgenesis.core.device import Machine
from modelsgenesis.core.labels import Label, MulticlassMap, MultilabelMap
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.data.images import Image
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.sliding_window import cut_window, num_together, rows
from modelsgenesis.inference.volume_prediction import predict_numbers
from modelsgenesis.inference.windows import Windows
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.targets.regression import Regression
from modelsgenesis.targets.segmentation import Segmentation

CPU = Machine(torch.device("cpu"))
ORGANS = Segmentation((Label("a", (1,)), Label("b", (2,))))
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def make_image(size: tuple[int, ...], channels: int = 1) -> Image:
    """Noise in HU, as a file holds it."""
    values = np.random.default_rng(0).normal(0, 500, (channels, *size)).astype(np.int16)
    return Image(values, ((-1000.0, 1000.0),) * channels, (1.0,) * 3, Geometry(size, (1.0,) * 3, (0.0,) * 3, IDENTITY))


def make_net(seed: int = 0, channels: int = 1, outputs: int = 3) -> UNet3D:
    """A small network of random weights."""
    torch.manual_seed(seed)
    return UNet3D(channels, outputs, width=2, activation="identity").eval()


def monais(image: Image, net: nn.Module, patch: tuple[int, ...], overlap: float) -> Tensor:
    """What MONAI's inferer makes of the whole volume, (K, X, Y, Z)."""
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer(patch, 2, overlap=overlap, mode="gaussian")
    with torch.no_grad():
        prediction = inferer(torch.from_numpy(image.scaled())[None], lambda x: net(x).softmax(1))
    assert isinstance(prediction, Tensor)
    return prediction[0]


SIZES = st.tuples(st.integers(2, 40), st.integers(2, 40), st.integers(2, 40))


@settings(max_examples=12, deadline=None)
@given(
    size=SIZES,
    patch=st.tuples(*[st.sampled_from([8, 16])] * 3),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7]),
    batch_size=st.sampled_from([1, 3, None]),
)
def test_rows_are_monais(size: tuple[int, ...], patch: tuple[int, ...], overlap: float, batch_size: int | None) -> None:
    """Whatever the size, smaller than a window too, the overlap and the batch, to 1e-5."""
    image, net = make_image(size), make_net()
    parts = rows(image, Ensemble([net], ORGANS, CPU), Windows(size, patch, overlap), batch_size=batch_size)
    ours = torch.cat(list(parts), dim=1)
    torch.testing.assert_close(ours, monais(image, net, patch, overlap), atol=1e-5, rtol=0)


def test_rows_leave_before_all_windows_are_predicted() -> None:
    """The first rows come when a fraction of the windows is predicted: nothing waits for the whole volume."""
    image, windows = make_image((80, 16, 16)), Windows((80, 16, 16), (16, 16, 16), 0.5)
    predicted: list[int] = []
    stream = rows(image, Ensemble([make_net()], ORGANS, CPU), windows, batch_size=1, tick=predicted.append)
    assert next(stream).shape == (3, 8, 16, 16)
    assert 1 <= sum(predicted) <= 2
    list(stream)
    assert sum(predicted) == len(windows.places) == 9


def test_image_in_several_channels() -> None:
    """Each channel is scaled by its own limits."""
    image, net = make_image((20, 18, 16), channels=2), make_net(channels=2)
    parts = rows(image, Ensemble([net], ORGANS, CPU), Windows(image.size, (16, 16, 16)))
    torch.testing.assert_close(torch.cat(list(parts), 1), monais(image, net, (16,) * 3, 0.5), atol=1e-5, rtol=0)


def test_padding_is_even_and_zero_after_scaling() -> None:
    """A small image lies in the middle of its window; around it is 0, whatever 0 HU would become."""
    image, windows = make_image((5, 4, 8)), Windows((5, 4, 8), (8, 8, 8))
    window = cut_window(image, windows, (0, 0, 0))
    np.testing.assert_array_equal(window[:, 1:6, 2:6], image.scaled())
    window[:, 1:6, 2:6] = 0
    assert not window.any()


@pytest.mark.parametrize("mirror", [(), (1,), (1, 2), (0, 1, 2)])
def test_ensemble_and_mirrors_are_averaged(mirror: tuple[int, ...]) -> None:
    """The mean of the probabilities of each network on each flip along the axes asked for, turned back."""
    nets, x = [make_net(1), make_net(2)], torch.rand(2, 1, 8, 16, 8)
    along = tuple(axis + 2 for axis in mirror)
    axes = [[a for a, yes in zip(along, flips, strict=True) if yes] for flips in np.ndindex(*(2,) * len(along))]
    with torch.no_grad():
        wanted = torch.stack([net(x.flip(axis)).softmax(1).flip(axis) for net in nets for axis in axes]).mean(0)
    torch.testing.assert_close(Ensemble(nets, ORGANS, CPU, mirror=mirror)(x), wanted, atol=1e-6, rtol=0)


def test_overlapping_labels_are_reported_one_by_one() -> None:
    """Sigmoids, not a softmax."""
    target = MultilabelSegmentation(ORGANS.labels)
    net, x = make_net(outputs=2), torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(Ensemble([net], target, CPU)(x), net(x).sigmoid())


def test_bf16_is_near() -> None:
    """Half the digits, the same prediction to a hundredth; the sum stays float32."""
    net, x = make_net(), torch.rand(1, 1, 16, 16, 16)
    half = Ensemble([net], ORGANS, Machine(torch.device("cpu"), bf16=True))(x)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, Ensemble([net], ORGANS, CPU)(x), atol=2e-2, rtol=0)


@pytest.mark.parametrize("kind", [Classification, Regression])
def test_prediction_of_an_image_is_the_mean_over_windows(kind: type[TableTarget]) -> None:
    """Of the probabilities, not of the logits; of numbers as they are; mirrored windows count too."""
    torch.manual_seed(0)
    target = kind(ORGANS.labels)
    net, image = Classifier(make_net(), 2, hidden=4).eval(), make_image((24, 16, 16))
    windows = Windows(image.size, (16, 16, 16), 0.5)
    with torch.no_grad():
        each = torch.stack(
            [net(torch.from_numpy(cut_window(image, windows, place))[None])[0] for place in windows.places]
        )
    wanted = (each.softmax(1) if kind is Classification else each).double().mean(0)
    found = predict_numbers(image, Ensemble([net], target, CPU), target, windows)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
    mirrored = Ensemble([net], target, CPU, mirror=(0, 1, 2))
    assert predict_numbers(image, mirrored, target, windows).shape == (2,)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_the_most_probable_class_wins(outputs: int, seed: int) -> None:
    """Argmax, the first of equals, as PyTorch's."""
    p = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (outputs, 3, 4, 5)).astype(np.float32))
    assert torch.equal(MulticlassMap(()).decide(p)[0].long(), p.argmax(0))


def test_overlapping_labels_need_more_than_a_half() -> None:
    """A half is no."""
    p = torch.tensor([0.5, 0.51]).reshape(2, 1, 1, 1)
    assert MultilabelMap(()).decide(p).flatten().tolist() == [0, 1]


def test_windows_predicted_together_make_up_a_million_voxels() -> None:
    """So that memory does not depend on the patch; a number given wins."""
    assert [num_together(patch, None) for patch in [(64, 64, 32), (128, 128, 128), (16, 16, 16)]] == [8, 1, 256]
    assert num_together((128, 128, 128), 4) == 4
