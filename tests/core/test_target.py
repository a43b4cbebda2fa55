"""What a target refuses."""

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.regression import Regression
from modelsgenesis.targets.segmentation import Segmentation


@pytest.mark.parametrize(("one", "other"), [("left lung", "left_lung"), ("Liver", "liver"), ("a/b", "a:b")])
def test_labels_whose_files_would_have_one_name_are_refused(one: str, other: str) -> None:
    """The second mask would take the place of the first; classes and numbers have no files."""
    with pytest.raises(DataError, match=f"labels '{one}' and '{other}' would have one name; rename one"):
        Segmentation((Label(one, (1,)), Label(other, (2,))))
    assert Classification((Label(one), Label(other))).names == (one, other)


def test_labels_of_one_name_and_none_are_refused() -> None:
    """Nobody could distinguish them."""
    with pytest.raises(DataError, match="two labels have one name"):
        Regression((Label("age"), Label("age")))
    with pytest.raises(DataError, match="needs at least one label"):
        Segmentation(())
