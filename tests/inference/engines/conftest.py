"""Engines are tested as they are chosen where nobody says which."""

import pytest

from modelsgenesis.inference.engines import USUAL


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment does not say what auto is."""
    monkeypatch.delenv(USUAL)
