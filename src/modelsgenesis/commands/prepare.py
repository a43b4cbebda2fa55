"""The verb prepare."""

from modelsgenesis.data.store.prepare import prepare

__all__ = ["prepare"]
