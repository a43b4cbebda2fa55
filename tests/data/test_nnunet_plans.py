"""nnU-Net's plans are read into our order of axes, older ones too."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import describe, rebuild
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.nnunet_plans import Planned, read_planned
from modelsgenesis.data.store.store import Store
from modelsgenesis.recipes.nnunet_plans import intensity_of

NEW: dict[str, Any] = {"network_class_name": "some.PlainConvUNet", "arch_kwargs": {}, "_kw_requires_import": []}
PLANS: dict[str, Any] = {
    "dataset_name": "Dataset004_Hippocampus",
    "plans_name": "nnUNetPlans",
    "transpose_forward": [1, 0, 2],
    "foreground_intensity_properties_per_channel": {"0": {"mean": 1.0, "std": 2.0}},
    "configurations": {
        "2d": {"patch_size": [56, 40], "spacing": [1.0, 1.0], "batch_size": 100},
        "3d_fullres": {
            "patch_size": [40, 56, 48],
            "spacing": [3.0, 1.5, 0.75],
            "batch_size": 9,
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [True],
            "architecture": NEW,
        },
        "3d_lowres": {"inherits_from": "3d_fullres", "spacing": [6.0, 3.0, 1.5], "next_stage": "3d_cascade_fullres"},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        "lost": {"inherits_from": "elsewhere"},
        "circle": {"inherits_from": "circle"},
    },
}
OLDER = {
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 32,
    "unet_max_num_features": 100,
    "n_conv_per_stage_encoder": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "num_pool_per_axis": [1, 2, 2],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
}


def test_patch_and_spacing_are_in_our_order() -> None:
    """Axes (Z, Y, X), transposed by the plans to (Y, Z, X), come back as X, Y, Z."""
    planned = Planned.from_plans(PLANS, "3d_fullres")
    assert planned.axis_order == (1, 2, 0)
    assert planned.size == (48, 40, 56)
    assert planned.spacing_mm == (0.75, 3.0, 1.5)
    assert (planned.batch_size, planned.schemes, planned.masked) == (9, ("ZScoreNormalization",), (True,))
    assert planned.foreground == ({"mean": 1.0, "std": 2.0},)


def test_configurations_inherit() -> None:
    """What a configuration leaves out is its parent's."""
    planned = Planned.from_plans(PLANS, "3d_lowres")
    assert planned.spacing_mm == (1.5, 6.0, 3.0)
    assert planned.size == (48, 40, 56)


def test_older_plans_name_the_same_network() -> None:
    """Plans without an architecture are read as nnU-Net itself reads them."""
    plans = copy.deepcopy(PLANS)
    plans["configurations"]["3d_fullres"] |= OLDER
    del plans["configurations"]["3d_fullres"]["architecture"]
    architecture = Planned.from_plans(plans, "3d_fullres").architecture
    assert architecture["network_class_name"].endswith(".unet.PlainConvUNet")
    kwargs = architecture["arch_kwargs"]
    assert (kwargs["n_stages"], kwargs["features_per_stage"]) == (3, [32, 64, 100])
    assert kwargs["strides"] == OLDER["pool_op_kernel_sizes"]
    assert kwargs["n_conv_per_stage"] == [2, 2, 2]


def test_phases_of_ct_need_a_window_each(small_store: Path) -> None:
    """nnU-Net takes each channel's own; pre-training has one for all, so channels that differ are refused."""
    plans = copy.deepcopy(PLANS)
    ct = {"percentile_00_5": -17.0, "percentile_99_5": 201.0, "mean": 99.4, "std": 39.39}
    plans["foreground_intensity_properties_per_channel"] = {"0": ct, "1": {**ct, "mean": 120.0}}
    settings = {"normalization_schemes": ["CTNormalization"] * 2, "use_mask_for_norm": [False] * 2}
    plans["configurations"]["3d_fullres"] |= settings
    planned = Planned.from_plans(plans, "3d_fullres")
    one = Store.open(small_store).scans[0]
    several = replace(one, shape=(2, *one.shape[1:]))
    assert intensity_of(planned, [one])[0] == Window(-17.0, 201.0)  # a store of one channel serves plans of several
    with pytest.raises(DataError, match="give each channel of CT a window of its own"):
        intensity_of(planned, [several])
    alike = replace(planned, foreground=(ct, ct))
    assert intensity_of(alike, [several]) == intensity_of(planned, [one])


def test_plans_travel_as_data(tmp_path: Path) -> None:
    """What a run's notes hold of the plans rebuilds."""
    path = tmp_path / "nnUNetPlans.json"
    path.write_text(json.dumps(PLANS), encoding="utf-8")
    planned = read_planned(path, "3d_fullres")
    assert planned.file == str(path)
    assert describe(rebuild(json.loads(json.dumps(describe(planned))))) == describe(planned)


@pytest.mark.parametrize(
    ("configuration", "complaint"),
    [
        ("3d", "there are: 2d, 3d_fullres"),
        ("2d", "not 3D"),
        ("3d_cascade_fullres", "another network's masks"),
        ("lost", "elsewhere"),
        ("circle", "leads back"),
    ],
)
def test_configurations_that_do_not_serve_are_refused(configuration: str, complaint: str) -> None:
    """Each with what to do."""
    with pytest.raises(DataError, match=complaint):
        Planned.from_plans(PLANS, configuration)


@pytest.mark.parametrize("missing", ["transpose_forward", "dataset_name"])
def test_broken_plans_are_refused(missing: str) -> None:
    """A key that is not there is named."""
    with pytest.raises(DataError, match=missing):
        Planned.from_plans({key: value for key, value in PLANS.items() if key != missing}, "3d_fullres")


@pytest.mark.parametrize("content", ["[]", "{}", '{"configurations": 3}'])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    """JSON of another kind is no plan; the message names the file."""
    (tmp_path / "dataset.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"dataset\.json: no plans"):
        read_planned(tmp_path / "dataset.json", "3d_fullres")
