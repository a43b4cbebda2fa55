"""Targets as earlier versions described them."""

import pytest

from modelsgenesis.core.labels import Label
from modelsgenesis.core.naming import describe, described_at_first, rebuild, updated
from modelsgenesis.core.target import Target, find_target

LABEL = {"class": "modelsgenesis.core.target:Label", "name": "liver", "values": [1]}


@pytest.mark.parametrize(
    ("kind", "exclusive", "name"),
    [
        ("segmentation", True, "segmentation"),
        ("segmentation", False, "multilabel_segmentation"),
        ("classification", True, "classification"),
        ("classification", False, "multilabel_classification"),
        ("regression", True, "regression"),
    ],
)
def test_targets_of_earlier_versions_are_rebuilt_as_their_kind(kind: str, exclusive: bool, name: str) -> None:
    """Once there was one class of target, with its kind and whether labels exclude each other as settings."""
    old = {"class": "modelsgenesis.core.target:Target", "kind": kind, "labels": [LABEL], "exclusive": exclusive}
    target = find_target(name)((Label("liver", (1,)),))
    assert rebuild(old) == target
    assert updated({"target": old, "seed": 0}) == {"target": describe(target), "seed": 0}
    assert isinstance(rebuild(old), Target)
    assert old["kind"] == kind
    assert list(described_at_first(target).items()) == list(old.items())


def test_kinds_that_came_later_are_described_as_today() -> None:
    """There was no other way to describe them."""
    target = find_target("landmarks")((Label("apex"),))
    assert described_at_first(target) == describe(target)
