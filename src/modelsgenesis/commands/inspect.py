"""The verb inspect."""

from modelsgenesis.reports.inspection import inspect

__all__ = ["inspect"]
