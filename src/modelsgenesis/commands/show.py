"""The verb show."""

from modelsgenesis.reports.sample_sheet import show

__all__ = ["show"]
