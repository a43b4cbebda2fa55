"""What a target refuses."""

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.target import Label, Target


@pytest.mark.parametrize(("one", "other"), [("left lung", "left_lung"), ("Liver", "liver"), ("a/b", "a:b")])
def test_labels_whose_files_would_have_one_name_are_refused(one: str, other: str) -> None:
    """The second mask would take the place of the first; classes and numbers have no files."""
    with pytest.raises(DataError, match=f"labels '{one}' and '{other}' would have one name; rename one"):
        Target("segmentation", (Label(one, (1,)), Label(other, (2,))))
    assert Target("classification", (Label(one), Label(other))).names == (one, other)


def test_labels_of_one_name_and_none_are_refused() -> None:
    """Nobody could tell them apart."""
    with pytest.raises(DataError, match="two labels have one name"):
        Target("regression", (Label("age"), Label("age")))
    with pytest.raises(DataError, match="needs at least one label"):
        Target("segmentation", ())
