"""Things are found by their file's name, and become data and things again."""

import json

import pytest

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.naming import describe, find_class, rebuild
from modelsgenesis.data.intensity import Window
from modelsgenesis.training.plan import Plan


def test_class_is_found_by_file_name_or_full_name() -> None:
    """Dashes and underscores are one; outside classes need their package."""
    from modelsgenesis.nets import ResidualUNet, UNet3D

    assert find_class("nets", "unet3d", Backbone) is UNet3D
    assert find_class("nets", "residual-unet", Backbone) is ResidualUNet
    assert find_class("nets", "modelsgenesis.nets.unet3d:UNet3D", Backbone) is UNet3D


def test_unknown_names_are_refused_with_what_there_is() -> None:
    """A misspelt file, an absent package, a class of another kind."""
    with pytest.raises(GenesisError, match=r"no 'unet4d' in nets; there are: .*unet3d"):
        find_class("nets", "unet4d", Backbone)
    with pytest.raises(GenesisError, match=r"cannot import nowhere .no nowhere.; is it installed"):
        find_class("nets", "nowhere:Net", Backbone)
    with pytest.raises(GenesisError, match="expected one Backbone there, found 0"):
        find_class("nets", "modelsgenesis.nets.unet3d:Backbone", Backbone)


def test_dataclasses_survive_json() -> None:
    """Nested values come back equal, lists as tuples."""
    thing = {"plan": Plan(steps=3), "window": Window(-100.0, 300.0), "size": (1, 2, 3), "none": None}
    assert rebuild(json.loads(json.dumps(describe(thing)))) == thing


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "modelsgenesis.core.naming:find"])
def test_data_of_a_stranger_make_no_other_class(name: str) -> None:
    """Only dataclasses of this package are rebuilt."""
    with pytest.raises(GenesisError, match=name):
        rebuild({"class": name, "args": "echo"})
