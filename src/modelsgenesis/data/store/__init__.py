"""The store: scans prepared once, chunked and compressed, read region by region."""

from modelsgenesis.data.store.store import Store

__all__ = ["Store"]
