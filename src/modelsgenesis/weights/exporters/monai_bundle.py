"""A MONAI bundle: `python -m monai.bundle run` gives the masks that `genesis predict` gives."""

import math
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.core.files import fit, write_json, written_aside
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import describe
from modelsgenesis.core.provenance import package_version
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.weights.exporters.base.given import Given, read_given
from modelsgenesis.weights.exporters.torch import save_state_dict
from modelsgenesis.weights.files import arguments_of

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
OVERLAP = 0.5  # as predict's
BATCH_VOXELS = 2**20  # of windows predicted together, as predict's
JUST_ABOVE_HALF = 0.50000006  # MONAI's threshold counts its own value in, predict's does not
NEEDED = ("nibabel", "pytorch-ignite")
TRANSFORMS = "modelsgenesis.inference.monai"

USAGE = """\
    pip install -c constraints.txt '.[bundle]'    # in a clone of modelsgenesis
    python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir SCANS --output_dir OUT

`SCANS` is a folder of NIfTI files or one such file; of several channels each is 4D, or `CASE_0000.nii.gz`,
`CASE_0001.nii.gz` and so on are the channels of one. Each mask lies on its scan, under the scan's own name.
`configs/inference.json` reads, resamples, scales, sweeps and writes as `genesis predict` does; the network and the
steps that MONAI lacks come from the package `modelsgenesis`, which must be installed.
"""
README = """\
# {name}

{description}

{usage}
The model card, with lineage, data, figures and limits, is the README.md of the bundle's folder.
"""


def export(run: Path, into: Path) -> Path:
    """Write configs/, models/ and docs/ of a MONAI bundle.

    Args:
        run: a run of `genesis finetune` that segments, or its weights file.
        into: an empty folder.
    Returns:
        `into`.
    Raises:
        WeightsError: there is no network there, the file is broken, or it does not segment volumes.
    """
    given = read_given(run)
    bundle = _Bundle(given)
    for folder in ("configs", "models", "docs"):
        (into / folder).mkdir()
    write_json(into / "configs" / "metadata.json", bundle.metadata())
    write_json(into / "configs" / "inference.json", bundle.inference())
    save_state_dict(into / "models" / "model.pt", given.network)
    with written_aside(into / "docs" / "README.md") as aside:
        text = README.format(name=bundle.name, description=bundle.description, usage=USAGE)
        aside.write_text(text, encoding="utf-8")
    return into


class _Bundle:
    """Writes the configuration of a bundle.

    Args:
        given: network; of a segmentation task.
    Raises:
        WeightsError: it is of no such task, or of pictures.
    """

    def __init__(self, given: Given) -> None:
        target, reading, patch, network = given.target, given.reading, given.patch, given.network
        mask_target = target if isinstance(target, MaskTarget) else None
        if mask_target is None or reading is None or patch is None or not isinstance(network, Backbone):
            what = f"is of a task of {target.kind}" if target else "was not fine-tuned"
            raise WeightsError(
                f"{given.file}: a MONAI bundle makes masks, but this network {what}; "
                "export it with --to torch, safetensors or onnx, or fine-tune it to segment"
            )
        if len(patch) != 3:
            raise WeightsError(
                f"{given.file}: a MONAI bundle reads NIfTI volumes, but this network is of pictures; "
                "export it with --to torch, safetensors or onnx"
            )
        self.network: Backbone = network
        self.target, self.label_map = mask_target, mask_target.label_map
        self.reading: Reading = reading
        self.patch = patch
        self.name = str(given.notes.get("task") or given.file.stem)
        self.description = (
            f"Segments {', '.join(mask_target.names)} ({type(network).__name__}, fine-tuned by modelsgenesis)."
        )

    def inference(self) -> dict[str, Any]:
        """The configuration that `monai.bundle run` follows."""
        return {
            "imports": ["$import pathlib", "$import numpy", "$import torch"],
            "bundle_root": ".",
            "dataset_dir": "$@bundle_root + '/data'",
            "output_dir": "$@bundle_root + '/eval'",
            "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
            "datalist": self._datalist(),
            "network_def": _definition(self.network),
            "network": f"$torch.nn.Sequential(@network_def, {self._activation()}).to(@device)",
            "preprocessing": {"_target_": "Compose", "transforms": self._preprocessing()},
            **self._reading(),
            "inferer": self._inferer(),
            "postprocessing": {"_target_": "Compose", "transforms": self._postprocessing()},
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "device": "@device",
                "val_data_loader": "@dataloader",
                "network": "@network",
                "inferer": "@inferer",
                "postprocessing": "@postprocessing",
                "amp": False,
            },
            "initialize": [
                "$@network_def.load_state_dict(torch.load(@bundle_root + '/models/model.pt', map_location='cpu', "
                "weights_only=True))"
            ],
            "run": ["$@evaluator.run()"],
        }  # fmt: skip

    def _reading(self) -> dict[str, Any]:
        return {
            "dataset": {
                "_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"
            },
            "dataloader": {
                "_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False, "num_workers": 0
            },
        }  # fmt: skip

    def _inferer(self) -> dict[str, Any]:
        return {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(self.patch),
            "sw_batch_size": max(1, BATCH_VOXELS // math.prod(self.patch)),
            "overlap": OVERLAP,
            "mode": "gaussian",
        }

    def _datalist(self) -> str:
        """The files of each case: one, of several channels a 4D one; or one a channel, named as nnU-Net does."""
        whole = (
            "[str(p) for p in sorted(pathlib.Path(@dataset_dir).glob('*.nii*'))] "
            "if pathlib.Path(@dataset_dir).is_dir() else [@dataset_dir]"
        )
        if self.network.in_channels == 1:
            return f"${whole}"
        parts = ", ".join(
            f"str(p).replace('_0000.nii', '_{number:04d}.nii')" for number in range(self.network.in_channels)
        )
        return f"$[[{parts}] for p in sorted(pathlib.Path(@dataset_dir).glob('*_0000.nii*'))] or ({whole})"

    def _activation(self) -> str:
        return "torch.nn.Softmax(dim=1)" if self.label_map.has_background else "torch.nn.Sigmoid()"

    def _preprocessing(self) -> list[dict[str, Any]]:
        intensity, spacing = self.reading.intensity, self.reading.spacing_mm
        load: dict[str, Any] = {"_target_": "LoadImaged", "keys": "image"}
        steps = [load, {"_target_": "EnsureChannelFirstd", "keys": "image"}]
        if spacing is not None:
            load["dtype"] = None
            steps.append({"_target_": f"{TRANSFORMS}.Resampled", "keys": "image", "spacing_mm": list(spacing)})
        steps.append({"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"})
        if isinstance(intensity, Window):
            limits = {"a_min": intensity.low_hu, "a_max": intensity.high_hu, "b_min": 0.0, "b_max": 1.0, "clip": True}
            steps.append({"_target_": f"{TRANSFORMS}.Filled", "keys": "image"})
            steps.append({"_target_": "ScaleIntensityRanged", "keys": "image", **limits})
        else:
            steps.append({"_target_": f"{TRANSFORMS}.Scaled", "keys": "image", "intensity": describe(intensity)})
        return steps

    def _postprocessing(self) -> list[dict[str, Any]]:
        way = {"transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False}
        back: dict[str, Any] = {"_target_": "Invertd", "keys": "pred", **way}
        if not self.label_map.has_background:
            names = [f"_{fit(name)}" for name in self.target.names]
            return [
                back,
                {"_target_": "AsDiscreted", "keys": "pred", "threshold": JUST_ABOVE_HALF},
                {"_target_": "SplitDimd", "keys": "pred", "output_postfixes": names},
                *(self._save(f"pred_{name}", name) for name in names),  # scan.nii.gz -> scan__liver.nii.gz, as predict
            ]
        steps: list[dict[str, Any]] = [back, {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]
        values = [label.values[0] if label.values else k for k, label in enumerate(self.target.labels, start=1)]
        classes = list(range(1, 1 + len(values)))
        if values != classes:
            steps.append(
                {"_target_": "MapLabelValued", "keys": "pred", "orig_labels": classes, "target_labels": values}
            )
        return [*steps, self._save("pred", "")]

    def _save(self, key: str, postfix: str) -> dict[str, Any]:
        """Configure how masks are written: under the scans' names, or with the label's behind."""
        values = [value for label in self.target.labels for value in label.values]
        small = not self.label_map.has_background or (not values or (min(values) >= 0 and max(values) < 256))
        return {
            "_target_": "SaveImaged",
            "keys": key,
            "output_dir": "@output_dir",
            "output_postfix": postfix,
            "separate_folder": False,
            "resample": False,
            "dtype": None,
            "output_dtype": "$numpy.uint8" if small else "$numpy.int32",
        }

    def metadata(self) -> dict[str, Any]:
        """Describe the bundle by MONAI's schema."""
        channels = self.network.in_channels
        return {
            "schema": SCHEMA,
            "version": package_version(),
            "changelog": {package_version(): "exported by genesis export"},
            "monai_version": version("monai"),
            "pytorch_version": version("torch").partition("+")[0],
            "numpy_version": version("numpy"),
            "required_packages_version": {name: _version(name) for name in ("modelsgenesis", *NEEDED)},
            "supported_apps": {},
            "name": self.name,
            "task": f"segmentation of {', '.join(self.target.names)}",
            "description": self.description,
            "authors": "see the model card, README.md",
            "copyright": "see the model card, README.md",
            "intended_use": "research; not a medical device",
            "image_classes": "one-channel images" if channels == 1 else f"{channels} channels",
            "network_data_format": {"inputs": {"image": self._image()}, "outputs": {"pred": self._prediction()}},
        }

    def _image(self) -> dict[str, Any]:
        """Describe the network's input by MONAI's schema."""
        in_hu = isinstance(self.reading.intensity, Window)
        return {
            "type": "image",
            "format": "hounsfield" if in_hu else "magnitude",
            "modality": "CT" if in_hu else "any",
            "num_channels": self.network.in_channels,
            "value_range": [0, 1],
            "channel_def": {str(number): "image" for number in range(self.network.in_channels)},
            **self._patch_format(),
        }

    def _prediction(self) -> dict[str, Any]:
        """Describe the network's output by MONAI's schema."""
        outputs = ["background", *self.target.names] if self.label_map.has_background else list(self.target.names)
        return {
            "type": "probabilities",
            "format": "segmentation",
            "num_channels": self.target.num_outputs,
            "value_range": [0, 1],
            "channel_def": {str(number): name for number, name in enumerate(outputs)},
            **self._patch_format(),
        }

    def _patch_format(self) -> dict[str, Any]:
        shape = [f"{step}*n" for step in self.network.stride]
        return {"spatial_shape": shape, "dtype": "float32", "is_patch_data": True}


def _version(name: str) -> str:
    """The version of a package; if it is not installed, any version that has what the bundle needs."""
    try:
        return version(name)
    except PackageNotFoundError:
        return {"nibabel": "5.0", "pytorch-ignite": "0.5"}[name]


def _definition(network: nn.Module) -> dict[str, Any]:
    """What MONAI builds a network from: its class and its arguments, of which networks are defined alike."""
    kind, arguments = type(network), arguments_of(network)
    built = {name: _definition(value) if isinstance(value, nn.Module) else value for name, value in arguments.items()}
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **built}
