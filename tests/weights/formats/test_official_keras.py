"""The authors' Keras network, built by Keras itself from its facts, predicts as ours does after loading its file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it once, when it is imported
h5py = pytest.importorskip("h5py", reason="h5py reads Keras's files")
keras = pytest.importorskip("keras", reason="Keras writes the files that are read here")

import modelsgenesis as mg  # noqa: E402
from modelsgenesis.core.errors import WeightsError  # noqa: E402
from modelsgenesis.weights import load_weights  # noqa: E402

SIZE = (16, 24, 8)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras, of NumPy 2


def build(width: int = 2, channels: int = 1, classes: int = 1) -> Any:
    """The published network, channels first; K of depth_K counts the convolutions in order."""
    layers, first = keras.layers, {"data_format": "channels_first"}
    depths = iter(range(14))

    def convolve(x: Any, filters: int) -> Any:
        depth = next(depths)
        x = layers.Conv3D(filters, 3, padding="same", name=f"depth_{depth}_conv", **first)(x)
        x = layers.BatchNormalization(axis=1, name=f"depth_{depth}_bn")(x)
        return layers.Activation("relu", name=f"depth_{depth}_relu")(x)

    x = image = layers.Input((channels, *SIZE))
    skips = []
    for level in range(4):
        x = layers.MaxPooling3D(2, **first)(x) if level else x
        x = convolve(convolve(x, width * 2**level), width * 2 ** (level + 1))
        skips.append(x)
    for level in (2, 1, 0):
        x = layers.Concatenate(axis=1)([layers.UpSampling3D(2, **first)(x), skips[level]])
        x = convolve(convolve(x, width * 2 ** (level + 1)), width * 2 ** (level + 1))
    network = keras.Model(image, layers.Conv3D(classes, 1, activation="sigmoid", **first)(x))
    rng = np.random.default_rng(0)
    for layer in network.layers:
        layer.set_weights([drawn(rng, weight) for weight in layer.weights])
    return network


def drawn(rng: np.random.Generator, weight: Any) -> np.ndarray[Any, Any]:
    """Random values, variances small, so that Keras's epsilon matters in the prediction."""
    values = rng.normal(0, 0.3, tuple(weight.shape))
    return values**2 * 0.05 if weight.name == "moving_variance" else values


def save_whole(network: Any, path: Path) -> None:
    """With the optimiser's state."""
    network.compile(optimizer="adam", loss="mse")
    network.save(path)


def save_weights_alone(network: Any, path: Path) -> None:
    """Keras 3's older naming, at the root of the file."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)


def save_as_keras_2(network: Any, path: Path) -> None:
    """A whole model as Keras 2.2.4 laid it out: each layer's name twice and an output number on each data set."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.2.4", b"tensorflow"
        file.attrs["model_config"] = b'{"class_name": "Model"}'
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            inner = group.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            inner.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in zip(names, layer.get_weights(), strict=True):
                inner[name] = values


LAYOUTS: dict[str, Callable[[Any, Path], None]] = {
    "whole model of Keras 3": save_whole,
    "weights alone": save_weights_alone,
    "whole model of Keras 2": save_as_keras_2,
}


@pytest.fixture(scope="module")
def network() -> Any:
    """One network for all layouts."""
    return build()


def predictions(network: Any, x: Tensor) -> Tensor:
    """In evaluation."""
    prediction: Tensor = network(x.numpy(), training=False).detach().cpu()
    return prediction


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_predicts_as_keras(layout: str, network: Any, tmp_path: Path) -> None:
    """Equal to 1e-4, sigmoid and Keras's batch norm included; TensorFlow is never needed."""
    LAYOUTS[layout](network, tmp_path / "weights.h5")
    x = torch.rand(2, 1, *SIZE)
    torch.testing.assert_close(mg.load(tmp_path / "weights.h5")(x), predictions(network, x), atol=1e-4, rtol=0)
    opened = load_weights(tmp_path / "weights.h5")
    assert opened.format == "official Models Genesis, Keras"
    assert {row.how for row in opened.report.rows if row.learned} == {"taken", "adapted"}
    assert opened.report.shares == {"encoder": 1.0, "decoder": 1.0, "head": 1.0}
    assert opened.report.unused == ()
    assert opened.size == (64, 64, 32)
    assert not opened.network.training


def test_width_channels_and_classes_are_those_of_the_shapes(tmp_path: Path) -> None:
    """A network of another size opens as well."""
    other = build(width=3, channels=2, classes=4)
    save_weights_alone(other, tmp_path / "weights.h5")
    x = torch.rand(1, 2, *SIZE)
    torch.testing.assert_close(mg.load(tmp_path / "weights.h5")(x), predictions(other, x), atol=1e-4, rtol=0)


def test_missing_layer_is_named(network: Any, tmp_path: Path) -> None:
    """A file without one of its layers is no network."""
    save_weights_alone(network, tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        del file["depth_9_bn"]
    with pytest.raises(
        WeightsError, match=r"weights\.h5: taken for .*Keras, but the file holds nothing for merge\.0\.4"
    ):
        mg.load(tmp_path / "weights.h5")


@pytest.mark.parametrize("names", [[], ["conv3d_1", "conv3d_2"]])
def test_last_convolution_that_cannot_be_found_is_refused(names: list[str], network: Any, tmp_path: Path) -> None:
    """Its name is Keras's own, so there must be one alone that it can be."""
    save_weights_alone(network, tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        (last,) = (name for name in file if name.startswith("conv3d"))
        for name in names:
            file.copy(last, name)
        del file[last]
    with pytest.raises(
        WeightsError, match=r"one last convolution of side 1 was expected, found (none|conv3d_1, conv3d_2)"
    ):
        mg.load(tmp_path / "weights.h5")
