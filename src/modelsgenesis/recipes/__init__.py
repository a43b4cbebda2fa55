"""Recipes: one file each, a function of the file's name that returns data."""

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.naming import load_module, members
from modelsgenesis.recipes.any import any
from modelsgenesis.recipes.ark import ark
from modelsgenesis.recipes.chest_ct import chest_ct
from modelsgenesis.recipes.chest_ct_2d import chest_ct_2d
from modelsgenesis.recipes.chest_ct_official import chest_ct_official
from modelsgenesis.recipes.chest_xray import chest_xray
from modelsgenesis.recipes.peac import peac
from modelsgenesis.recipes.popar import popar
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.recipes.small import small
from modelsgenesis.recipes.small_2d import small_2d
from modelsgenesis.recipes.small_ark import small_ark
from modelsgenesis.recipes.small_peac import small_peac
from modelsgenesis.recipes.small_popar import small_popar

__all__ = [
    "Recipe",
    "any",
    "ark",
    "chest_ct",
    "chest_ct_2d",
    "chest_ct_official",
    "chest_xray",
    "find_recipe",
    "peac",
    "popar",
    "small",
    "small_2d",
    "small_ark",
    "small_peac",
    "small_popar",
]


def find_recipe(name: str) -> Recipe:
    """Make the recipe of that name, or of `package.module:function` from outside.

    Raises:
        GenesisError: there is none; the message lists those there are.
    """
    module_name, _, function_name = name.partition(":")
    if not function_name:
        function_name = name.replace("-", "_")
        module_name = f"{__name__}.{function_name}"
        if function_name not in members("recipes") or not hasattr(load_module(module_name), function_name):
            known = [file for file in members("recipes") if hasattr(load_module(f"{__name__}.{file}"), file)]
            raise GenesisError(f"no recipe {name!r}; there are: {', '.join(known).replace('_', '-')}")
    make = getattr(load_module(module_name), function_name, None)
    recipe = make() if callable(make) else None
    if not isinstance(recipe, Recipe):
        raise GenesisError(f"{name} is no function that makes a Recipe")
    return recipe
