"""Things are found by their file's name, and become data and things again."""

import json

import pytest

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.naming import describe, find_class, rebuild, updated
from modelsgenesis.data.intensity import Window
from modelsgenesis.deformations import LocalShuffling, Percentiles
from modelsgenesis.recipes import chest_ct
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


def test_settings_of_earlier_versions_are_renamed_where_they_were_ours() -> None:
    """Those of deformations, of the method genesis and of a fine-tuning; all that they hold is rebuilt."""
    deformation = "modelsgenesis.deformations.local_shuffling:LocalShuffling"
    percentiles = {"class": "modelsgenesis.deformations._range:Percentiles", "low": 1.0, "high": 99.0}
    old = {"class": deformation, "range": percentiles, "num_windows": None, "law": "tiled", "faithful": True}
    assert rebuild(old) == LocalShuffling(range=Percentiles(1.0, 99.0), variant="tiled", match_official=True)
    recipe = {"class": "modelsgenesis.recipes.recipe:Recipe", "method": "genesis", "method_args": {"faithful": True}}
    assert updated(recipe) == {**recipe, "method_args": {"match_official": True}}
    approach = {"class": "modelsgenesis.stages._approach:Approach", "pace": 1}
    assert updated(approach) == {"class": "modelsgenesis.finetuning.config:FineTuneConfig", "layer_rates": 1}


@pytest.mark.parametrize("name", ["law", "pace", "faithful"])
def test_names_that_users_chose_stay(name: str) -> None:
    """A class of a table, or an argument of somebody's own method, may be called what a setting of ours was."""
    recipe = chest_ct().but(method="package.module:Method", method_args={name: "tiled"}, backbone_args={name: 3})
    for thing in ({"classes": {name: "<3", "other": ">3"}}, {"recipe": recipe}):
        assert updated(describe(thing)) == describe(thing)
    assert rebuild(json.loads(json.dumps(describe(recipe)))) == recipe
