"""Options: one dataclass gives signature, docstring and what was given."""

import inspect
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.options import given_options, verb


@dataclass(frozen=True, kw_only=True)
class Options:
    """Some options.

    Args:
        steps: How many steps there are.
        size: The size, in voxels.
    """

    steps: int = 1
    size: tuple[int, ...] | None = None
    shelf: str | Path | None = None
    seed: int = 0


@verb(Options)
def walk(source: str, options: Options) -> tuple[str, Options]:
    """Walk somewhere.

    Args:
        source: Where it begins.
    Returns:
        What was given.
    """
    return source, options


def test_signature_and_docstring_are_made_of_both() -> None:
    """What the function takes itself comes first, then the options by their names."""
    assert str(inspect.signature(walk)).startswith("(source: str, *, steps: int = 1, size: tuple[int, ...] | None = No")
    lines = (walk.__doc__ or "").splitlines()
    assert lines.index("    source: Where it begins.") < lines.index("    steps: How many steps there are.")
    assert lines.index("    size: The size, in voxels.") < lines.index("Returns:")


def test_function_gets_the_options_whole() -> None:
    """Keywords become the dataclass."""
    assert walk("here", steps=3) == ("here", Options(steps=3))
    assert walk(source="here") == ("here", Options())


def test_given_options_are_those_that_are_not_the_defaults() -> None:
    """As JSON gives them back, without the seed, in the order of the fields."""
    assert given_options(Options(steps=2, size=(1, 2), shelf=Path("a"), seed=3)) == {
        "steps": 2, "size": [1, 2], "shelf": "a",
    }  # fmt: skip
    assert given_options(Options(steps=1)) == {}
